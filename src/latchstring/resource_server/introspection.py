"""Asking the authorization server about a token (RFC 7662); without a clear answer a 503, never a yes."""

import asyncio
import logging
import time
from base64 import b64encode
from typing import Final
from urllib.parse import quote_plus, urlencode

import httpx

from latchstring.protocol.introspection import IntrospectionResponse, parse_introspection
from latchstring.resource_server.connections import (
    BROKEN,
    FAILED,
    MAX_ANSWER_LENGTH,
    AsyncConnections,
    Connections,
)
from latchstring.resource_server.refusal import DEFAULT_RETRY_AFTER, Refusal, refuse_unavailable
from latchstring.resource_server.settings import GuardSettings

MAX_RETRY_AFTER: Final = 60

log = logging.getLogger(__name__)


class _Question:
    """The request and how its answer is read; what the two drivers share."""

    def __init__(self, settings: GuardSettings) -> None:
        self.endpoint = settings.introspection_endpoint
        self.client_id = settings.client_id
        self.timeout = settings.timeout
        # RFC 6749 §2.3.1: both parts form-encoded before they are joined.
        pair = f"{quote_plus(settings.client_id)}:{quote_plus(settings.client_secret)}"
        self.headers = {
            "authorization": "Basic " + b64encode(pair.encode("ascii")).decode("ascii"),
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
            "accept-encoding": "identity",
        }

    def body(self, token: str) -> bytes:
        return urlencode({"token": token, "token_type_hint": "access_token"}).encode("ascii")

    def refuse_status(self, response: httpx.Response) -> None:
        """Refuse every answer but a plain 200; loudly when it is our own credentials that are wrong."""
        if response.status_code == 200 and "content-encoding" not in response.headers:
            return
        if response.status_code in {401, 403}:
            log.error(
                "Guard misconfigured: the introspection endpoint %s refused this API's own credentials "
                "(HTTP %d). Check client_id (%s) and client_secret; `latchstring resource-server create` "
                "makes new ones. Every request is answered 503 until then.",
                self.endpoint, response.status_code, self.client_id,
            )  # fmt: skip
            raise refuse_unavailable("introspection credentials refused")
        raise self.unavailable(f"HTTP {response.status_code}", _retry_after(response))

    def read(self, body: bytes) -> IntrospectionResponse:
        try:
            return parse_introspection(body)
        except (ValueError, RecursionError):
            raise self.unavailable("not an introspection answer") from None

    def unavailable(self, reason: str, retry_after: int = DEFAULT_RETRY_AFTER) -> Refusal:
        return refuse_unavailable(f"introspection at {self.endpoint} failed: {reason}", retry_after)


def _retry_after(response: httpx.Response) -> int:
    value = response.headers.get("retry-after", "")
    if not (value.isascii() and value.isdigit() and len(value) < 6):
        return DEFAULT_RETRY_AFTER
    return min(max(int(value), 1), MAX_RETRY_AFTER)


class AsyncIntrospection:
    """Introspection in asyncio."""

    def __init__(self, settings: GuardSettings, connections: AsyncConnections) -> None:
        self._question = _Question(settings)
        self._connections = connections

    async def introspect(self, token: str) -> IntrospectionResponse:
        """The server's answer; raises `Refusal` (503) when there is none.

        A question is safe to ask twice: a connection that breaks is tried once more, within the time limit.
        """
        question = self._question
        try:
            async with asyncio.timeout(question.timeout):
                try:
                    body = await self._ask(token)
                except BROKEN:
                    body = await self._ask(token)
        except TimeoutError:
            raise question.unavailable(f"no answer within {question.timeout} s") from None
        except FAILED as error:
            raise question.unavailable(f"{type(error).__name__}: {error}") from None
        return question.read(body)

    async def _ask(self, token: str) -> bytes:
        question = self._question
        async with self._connections.find().stream(
            "POST",
            question.endpoint,
            content=question.body(token),
            headers=question.headers,
            timeout=question.timeout,
            follow_redirects=False,
        ) as response:
            question.refuse_status(response)
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER_LENGTH:
                    raise question.unavailable("the answer is too large")
            return body


class Introspection:
    """Introspection in threads."""

    def __init__(self, settings: GuardSettings, connections: Connections) -> None:
        self._question = _Question(settings)
        self._connections = connections

    def introspect(self, token: str) -> IntrospectionResponse:
        """The server's answer; raises `Refusal` (503) when there is none."""
        question = self._question
        deadline = time.monotonic() + question.timeout
        try:
            try:
                body = self._ask(token, deadline)
            except BROKEN:
                body = self._ask(token, deadline)
        except FAILED as error:
            raise question.unavailable(f"{type(error).__name__}: {error}") from None
        return question.read(body)

    def _ask(self, token: str, deadline: float) -> bytes:
        question = self._question
        with self._connections.find().stream(
            "POST",
            question.endpoint,
            content=question.body(token),
            headers=question.headers,
            timeout=max(deadline - time.monotonic(), 0.001),
            follow_redirects=False,
        ) as response:
            question.refuse_status(response)
            body = b""
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER_LENGTH:
                    raise question.unavailable("the answer is too large")
                if time.monotonic() > deadline:
                    raise question.unavailable(f"no answer within {question.timeout} s")
            return body
