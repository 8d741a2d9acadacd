"""One question to the authorization server as this API: a form by POST, a bounded answer; without a clear one a 503."""

import asyncio
import logging
import time
from base64 import b64encode
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote_plus, urlencode

import httpx

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


class Question:
    """Where to ask and as whom, and how the answer is read; what the two drivers share. `name` is what is asked."""

    def __init__(self, settings: GuardSettings, endpoint: str, name: str, max_length: int = MAX_ANSWER_LENGTH) -> None:
        self.endpoint = endpoint
        self.name = name
        self.client_id = settings.client_id
        self.max_length = max_length
        # RFC 6749 §2.3.1: both parts form-encoded before they are joined.
        pair = f"{quote_plus(settings.client_id)}:{quote_plus(settings.client_secret)}"
        self.headers = {
            "authorization": "Basic " + b64encode(pair.encode("ascii")).decode("ascii"),
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
            "accept-encoding": "identity",
        }

    def refuse_status(self, response: httpx.Response) -> None:
        """Refuse every answer but a plain 200; loudly when it is our own credentials that are wrong."""
        if response.status_code == 200 and "content-encoding" not in response.headers:
            return
        if response.status_code in {401, 403}:
            log.error(
                "Guard misconfigured: the %s endpoint %s refused this API's own credentials "
                "(HTTP %d). Check client_id (%s) and client_secret; `latchstring resource-server create` "
                "makes new ones. Every request is answered 503 until then.",
                self.name, self.endpoint, response.status_code, self.client_id,
            )  # fmt: skip
            raise refuse_unavailable(f"{self.name} credentials refused")
        raise self.unavailable(f"HTTP {response.status_code}", _retry_after(response))

    def unavailable(self, reason: str, retry_after: int = DEFAULT_RETRY_AFTER) -> Refusal:
        """The 503 of a question without an answer."""
        return refuse_unavailable(f"{self.name} at {self.endpoint} failed: {reason}", retry_after)

    async def ask_async(self, connections: AsyncConnections, form: Mapping[str, str], limit: float) -> bytes:
        """The answer's body; raises `Refusal` (503) when there is none within `limit` seconds.

        A question is safe to ask twice: a connection that breaks is tried once more, within the time limit.
        """
        body = urlencode(form).encode("ascii")
        try:
            async with asyncio.timeout(limit):
                try:
                    return await self._send_async(connections, body, limit)
                except BROKEN:
                    return await self._send_async(connections, body, limit)
        except TimeoutError:
            raise self.unavailable(f"no answer within {limit} s") from None
        except FAILED as error:
            raise self.unavailable(f"{type(error).__name__}: {error}") from None

    async def _send_async(self, connections: AsyncConnections, body: bytes, limit: float) -> bytes:
        async with connections.find().stream(
            "POST", self.endpoint, content=body, headers=self.headers, timeout=limit, follow_redirects=False
        ) as response:
            self.refuse_status(response)
            answer = b""
            async for chunk in response.aiter_bytes():
                answer += chunk
                if len(answer) > self.max_length:
                    raise self.unavailable("the answer is too large")
            return answer

    def ask(self, connections: Connections, form: Mapping[str, str], limit: float) -> bytes:
        """The same in threads."""
        deadline = time.monotonic() + limit
        body = urlencode(form).encode("ascii")
        try:
            try:
                return self._send(connections, body, deadline, limit)
            except BROKEN:
                return self._send(connections, body, deadline, limit)
        except FAILED as error:
            raise self.unavailable(f"{type(error).__name__}: {error}") from None

    def _send(self, connections: Connections, body: bytes, deadline: float, limit: float) -> bytes:
        left = max(deadline - time.monotonic(), 0.001)
        with connections.find().stream(
            "POST", self.endpoint, content=body, headers=self.headers, timeout=left, follow_redirects=False
        ) as response:
            self.refuse_status(response)
            answer = b""
            for chunk in response.iter_bytes():
                answer += chunk
                if len(answer) > self.max_length:
                    raise self.unavailable("the answer is too large")
                if time.monotonic() > deadline:
                    raise self.unavailable(f"no answer within {limit} s")
            return answer


def _retry_after(response: httpx.Response) -> int:
    value = response.headers.get("retry-after", "")
    if not (value.isascii() and value.isdigit() and len(value) < 6):
        return DEFAULT_RETRY_AFTER
    return min(max(int(value), 1), MAX_RETRY_AFTER)
