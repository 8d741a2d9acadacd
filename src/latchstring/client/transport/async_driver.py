"""Flows run in asyncio."""

import asyncio
import inspect
import time
from collections.abc import Callable, Hashable
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from latchstring.client.errors import ClientError
from latchstring.client.events import Listener
from latchstring.client.exchange import Answer, Request, Unanswered
from latchstring.client.steps import Ask, Flow, Once, Pause, Send, Step, Tell
from latchstring.client.transport.driver import (
    FAILURES,
    TIME_LIMIT,
    Body,
    Driver,
    Observer,
    answer,
    store_unavailable,
    unanswered,
)
from latchstring.client.transport.reach import Reach
from latchstring.protocol.errors import StoreUnavailable

T = TypeVar("T")


class AsyncDriver(Driver):
    """Runs flows in asyncio, on one event loop.

    A `Once` runs in a task of its own: no cancelled request of the app can interrupt a refresh between the
    answer and the save.
    """

    def __init__(
        self,
        http: httpx.AsyncClient | None = None,
        *,
        on_exchange: Observer | None = None,
        on_event: Listener | None = None,
        clock: Callable[[], float] = time.time,
        time_limit: float = TIME_LIMIT,
        reach: Reach | None = None,
    ) -> None:
        super().__init__(on_exchange, on_event, clock, time_limit)
        self._given = http
        self._reach = reach or Reach(public_only=False)
        self._own: httpx.AsyncClient | None = None
        self._running: dict[Hashable, asyncio.Task[Any]] = {}

    async def run(self, flow: Flow[T]) -> T:
        """The flow's result."""
        try:
            step = next(flow)
            while True:
                try:
                    reply = await self._perform(step)
                except ClientError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(reply)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    async def _perform(self, step: Step) -> object:
        match step:
            case Send(request):
                return await self._send(request)
            case Ask(call):
                try:
                    result = await asyncio.to_thread(call)
                    return await result if inspect.isawaitable(result) else result
                except StoreUnavailable as error:
                    raise store_unavailable(error) from error
            case Pause(seconds):
                await asyncio.sleep(seconds)
                return None
            case Tell(event):
                self._tell(event)
                return None
            case Once(name, flow):
                return await self._once(name, flow)

    async def _once(self, name: Hashable, flow: Callable[[], Flow[T]]) -> T:
        task = self._running.get(name)
        if task is None:
            task = self._running[name] = asyncio.create_task(self.run(flow()))
            task.add_done_callback(lambda done: self._forget(name, done))
        return await asyncio.shield(task)

    def _forget(self, name: Hashable, done: asyncio.Task[Any]) -> None:
        del self._running[name]
        if not done.cancelled():
            done.exception()  # seen, even when everybody who waited has gone

    async def _send(self, request: Request) -> Answer | Unanswered:
        began, sent_at = time.monotonic(), self._clock()
        outcome: Answer | Unanswered
        try:
            async with asyncio.timeout(self._time_limit):
                outcome = await self._exchange(self._render(request), sent_at)
        except FAILURES as error:
            outcome = unanswered(error)
        self._observe(request, outcome, time.monotonic() - began)
        return outcome

    async def _exchange(self, request: httpx.Request, sent_at: float) -> Answer:
        """By the app's own httpx client, which goes where it is set up to; else as far as the client reaches."""
        if self._given is not None or not self._reach.is_judged(request):
            return await self._send_by(self._client(), request, sent_at)
        failure: Exception | None = None
        for address in await asyncio.to_thread(self._reach.find_addresses, request):
            async with httpx.AsyncClient(verify=self._reach.find_tls(), trust_env=False) as http:
                try:
                    return await self._send_by(http, self._reach.aim(request, address), sent_at)
                except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                    failure = error
        assert failure is not None
        raise failure

    async def _send_by(self, http: httpx.AsyncClient, request: httpx.Request, sent_at: float) -> Answer:
        response = await http.send(request, stream=True, follow_redirects=False, auth=None)
        try:
            body = await self._read(response)
        finally:
            await response.aclose()
        return answer(response, body, sent_at)

    async def _read(self, response: httpx.Response) -> Body:
        body = Body(response)
        if response.is_stream_consumed:
            return body
        async for chunk in response.aiter_raw():
            body.add(chunk)
        return body

    def _client(self) -> httpx.AsyncClient:
        if self._given is not None:
            return self._given
        if self._own is None:
            self._own = httpx.AsyncClient()
        return self._own

    async def aclose(self) -> None:
        """Let a refresh under way finish, then close the connections that the driver itself opened."""
        if self._running:
            await asyncio.gather(*self._running.values(), return_exceptions=True)
        if self._own is not None:
            await self._own.aclose()
            self._own = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
