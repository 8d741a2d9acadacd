"""Finding a server's endpoints by its issuer alone (RFC 8414), when the guard is first needed.

They are found once. Until then every request is a 503, and the server is asked again every few seconds: an API may
start before its authorization server does.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Final

import httpx
import msgspec

from latchstring.protocol.errors import ConfigurationError
from latchstring.protocol.server_metadata import metadata_url, parse_server_metadata
from latchstring.resource_server.connections import FAILED, MAX_ANSWER_LENGTH, AsyncConnections, Connections
from latchstring.resource_server.refusal import Refusal, refuse_unavailable
from latchstring.resource_server.settings import MAX_ANSWER_LIFETIME, GuardSettings

# Seconds between two questions, however many requests wait for an answer.
RETRY_INTERVAL: Final = 2.0
_HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity"}

log = logging.getLogger(__name__)


def complete_settings(settings: GuardSettings, body: bytes) -> GuardSettings:
    """The settings with what the server's document says; raises `ValueError` for one of another issuer (§3.3), and for
    endpoints that no guard may use. Keys are taken where signed tokens can be checked here."""
    metadata = parse_server_metadata(body)
    if metadata.issuer != settings.issuer:
        raise ValueError(f"it speaks for {metadata.issuer[:200]!r}, not for {settings.issuer!r}")
    if metadata.introspection_endpoint is None:
        raise ValueError("it names no introspection_endpoint")
    lifetime = settings.answer_lifetime
    if lifetime is not None and metadata.revocations_endpoint is None:
        lifetime = min(lifetime, MAX_ANSWER_LIFETIME)
    try:
        return msgspec.structs.replace(
            settings,
            introspection_endpoint=metadata.introspection_endpoint,
            jwks_uri=metadata.jwks_uri if find_spec("joserfc") is not None else None,
            revocations_endpoint=metadata.revocations_endpoint,
            answer_lifetime=lifetime,
        )
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


class _Search:
    """What the two drivers share: where to ask, when again, and what an answer comes to."""

    def __init__(self, settings: GuardSettings, monotonic: Callable[[], float]) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self.url = metadata_url(settings.issuer)
        self._tried_at = float("-inf")
        self._failure = ""

    def begin(self) -> None:
        """Note that the server is asked now; a `Refusal` (503) where it was a moment ago."""
        now = self._monotonic()
        if now - self._tried_at < RETRY_INTERVAL:
            raise self._refuse()
        self._tried_at, self._failure = now, "it is being asked"

    def read(self, body: bytes) -> GuardSettings:
        """The settings, whole."""
        try:
            return complete_settings(self._settings, body)
        except ValueError as error:
            raise self.fail(str(error)) from None

    def fail(self, reason: str) -> Refusal:
        """Why the server could not be found, for the log and for the requests that wait."""
        self._failure = reason
        log.error("The guard cannot find the authorization server by %s: %s", self.url, reason)
        return self._refuse()

    def _refuse(self) -> Refusal:
        return refuse_unavailable(f"the server's metadata at {self.url}: {self._failure}")


class AsyncSearch(_Search):
    """The search in asyncio."""

    def __init__(self, settings: GuardSettings, connections: AsyncConnections) -> None:
        super().__init__(settings, time.monotonic)
        self._connections = connections
        self._asking: tuple[asyncio.AbstractEventLoop, asyncio.Task[GuardSettings]] | None = None

    async def find(self) -> GuardSettings:
        """The settings, whole; raises `Refusal` (503). Requests that come together ask once."""
        loop = asyncio.get_running_loop()
        asking = self._asking
        if asking is None or asking[0] is not loop or asking[1].done():
            self.begin()
            asking = self._asking = (loop, loop.create_task(self._ask()))
            asking[1].add_done_callback(lambda task: task.cancelled() or task.exception())
        # A caller that hangs up must not take the answer from the others.
        return await asyncio.shield(asking[1])

    async def _ask(self) -> GuardSettings:
        limit = self._settings.timeout
        try:
            async with (
                asyncio.timeout(limit),
                self._connections.find().stream(
                    "GET", self.url, headers=_HEADERS, timeout=limit, follow_redirects=False
                ) as response,
            ):
                body = _begin_body(response)
                async for chunk in response.aiter_bytes():
                    body = _add(body, chunk, response)
        except TimeoutError:
            raise self.fail(f"no answer within {limit} s") from None
        except FAILED as error:
            raise self.fail(f"{type(error).__name__}: {error}") from None
        return self.read(body)


class Search(_Search):
    """The search in threads: one asks, the others wait for what it brings."""

    def __init__(self, settings: GuardSettings, connections: Connections) -> None:
        super().__init__(settings, time.monotonic)
        self._connections = connections
        self.lock = threading.Lock()

    def find(self) -> GuardSettings:
        """The settings, whole; raises `Refusal` (503). To be called with the lock held."""
        self.begin()
        limit = self._settings.timeout
        deadline = time.monotonic() + limit
        try:
            with self._connections.find().stream(
                "GET", self.url, headers=_HEADERS, timeout=limit, follow_redirects=False
            ) as response:
                body = _begin_body(response)
                for chunk in response.iter_bytes():
                    body = _add(body, chunk, response)
                    if time.monotonic() > deadline:
                        raise httpx.ReadTimeout(f"no answer within {limit} s", request=response.request)
        except FAILED as error:
            raise self.fail(f"{type(error).__name__}: {error}") from None
        return self.read(body)


def _begin_body(response: httpx.Response) -> bytes:
    if response.status_code != 200 or "content-encoding" in response.headers:
        raise httpx.DecodingError(f"HTTP {response.status_code}", request=response.request)
    return b""


def _add(body: bytes, chunk: bytes, response: httpx.Response) -> bytes:
    if len(body) + len(chunk) > MAX_ANSWER_LENGTH:
        raise httpx.DecodingError("the document is too large", request=response.request)
    return body + chunk
