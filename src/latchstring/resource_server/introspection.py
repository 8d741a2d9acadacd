"""Asking the authorization server about a token (RFC 7662); without a clear answer a 503, never a yes."""

import asyncio
import threading
from concurrent.futures import Future
from typing import Final

from latchstring.protocol.introspection import IntrospectionResponse, parse_introspection
from latchstring.resource_server.connections import AsyncConnections, Connections
from latchstring.resource_server.question import Question
from latchstring.resource_server.settings import GuardSettings

_PATIENCE: Final = 2.0


def _render(token: str) -> dict[str, str]:
    return {"token": token, "token_type_hint": "access_token"}


def _read(question: Question, body: bytes) -> IntrospectionResponse:
    try:
        return parse_introspection(body)
    except (ValueError, RecursionError):
        raise question.unavailable("not an introspection answer") from None


class AsyncIntrospection:
    """Introspection in asyncio. Where answers are kept (`settings.keeps_answers`), requests that come together with one
    token ask once."""

    def __init__(self, settings: GuardSettings, connections: AsyncConnections) -> None:
        assert settings.introspection_endpoint is not None
        self._question = Question(settings, settings.introspection_endpoint, "introspection")
        self._connections = connections
        self._timeout = settings.timeout
        self._is_shared = settings.keeps_answers
        self._asking: dict[str, tuple[asyncio.AbstractEventLoop, asyncio.Task[IntrospectionResponse]]] = {}

    async def introspect(self, token: str) -> IntrospectionResponse:
        """The server's answer; raises `Refusal` (503) when there is none."""
        if not self._is_shared:
            return await self._ask(token)
        loop = asyncio.get_running_loop()
        asking = self._asking.get(token)
        if asking is None or asking[0] is not loop or asking[1].done():
            asking = self._asking[token] = (loop, loop.create_task(self._ask(token)))
            asking[1].add_done_callback(lambda task: self._forget(token, task))
        # A caller that hangs up must not take the answer from the others.
        return await asyncio.shield(asking[1])

    def _forget(self, token: str, task: "asyncio.Task[IntrospectionResponse]") -> None:
        if token in self._asking and self._asking[token][1] is task:
            del self._asking[token]
        if not task.cancelled():
            task.exception()  # seen, even when everybody who waited has gone

    async def _ask(self, token: str) -> IntrospectionResponse:
        body = await self._question.ask_async(self._connections, _render(token), self._timeout)
        return _read(self._question, body)


class Introspection:
    """Introspection in threads."""

    def __init__(self, settings: GuardSettings, connections: Connections) -> None:
        assert settings.introspection_endpoint is not None
        self._question = Question(settings, settings.introspection_endpoint, "introspection")
        self._connections = connections
        self._timeout = settings.timeout
        self._is_shared = settings.keeps_answers
        self._lock = threading.Lock()
        self._asking: dict[str, Future[IntrospectionResponse]] = {}

    def introspect(self, token: str) -> IntrospectionResponse:
        """The server's answer; raises `Refusal` (503) when there is none."""
        if not self._is_shared:
            return self._ask(token)
        with self._lock:
            future = self._asking.get(token)
            leads = future is None
            if future is None:
                future = self._asking[token] = Future()
        if not leads:
            try:
                return future.result(self._timeout + _PATIENCE)
            except TimeoutError:
                raise self._question.unavailable("another request's question took too long") from None
        try:
            answer = self._ask(token)
        except BaseException as error:
            is_known = isinstance(error, Exception)
            future.set_exception(error if is_known else self._question.unavailable("the question was interrupted"))
            raise
        else:
            future.set_result(answer)
            return answer
        finally:
            with self._lock:
                del self._asking[token]

    def _ask(self, token: str) -> IntrospectionResponse:
        return _read(self._question, self._question.ask(self._connections, _render(token), self._timeout))
