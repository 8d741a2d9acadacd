"""Local checks: the key set is fetched when it is due, by one request for all that wait; needs joserfc."""

import asyncio
import re
import threading
import time
from collections.abc import Callable
from typing import Final

import httpx

from latchstring.protocol.introspection import IntrospectionResponse
from latchstring.protocol.jose.jws import UnverifiedJwt
from latchstring.protocol.jose.keys import MAX_KEY_SET_SIZE, PublicKey
from latchstring.resource_server.connections import FAILED, AsyncConnections, Connections
from latchstring.resource_server.key_cache import KeyCache
from latchstring.resource_server.signed_token import parse_signed, refuse_future, verify_signed
from latchstring.resource_server.verdicts import name_token
from latchstring.resource_server.verified import Verified, VerifiedTokens

_MAX_AGE: Final = re.compile(r"(?:^|,)\s*max-age=([0-9]{1,9})(?:\s*(?:,|$))", re.ASCII | re.IGNORECASE)

_HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity"}


class _Judge:
    """What the two drivers share: the keys, and the tokens whose signatures were verified before."""

    def __init__(self, issuer: str, clock: Callable[[], float]) -> None:
        self._issuer = issuer
        self._clock = clock
        self._cache = KeyCache()
        self._verified = VerifiedTokens()

    def recall(self, token: str) -> tuple[bytes, Verified | None, UnverifiedJwt | None, str]:
        """The token's name, what is remembered of it or what it says, and the id of its key."""
        name = name_token(token)
        verified = self._verified.find(name)
        if verified is not None:
            return name, verified, None, verified.key_id
        jwt, key_id = parse_signed(token)
        return name, None, jwt, key_id

    def judge(
        self, token: str, name: bytes, verified: Verified | None, jwt: UnverifiedJwt | None, key: PublicKey, now: float
    ) -> IntrospectionResponse:
        """What the token's signature proves; verified again only where its key is not the one it was verified with."""
        if verified is not None and verified.key is key:
            refuse_future(verified.issued_at, now)
            return verified.answer
        jwt, key_id = (jwt, key.key_id) if jwt is not None else parse_signed(token)
        answer = verify_signed(jwt, key, issuer=self._issuer, now=now)
        assert answer.iat is not None
        assert key_id is not None
        self._verified.keep(name, Verified(answer, answer.iat, key_id, key))
        return answer


class AsyncLocalCheck(_Judge):
    """Judges signed access tokens by the keys at `jwks_uri`."""

    def __init__(
        self, jwks_uri: str, issuer: str, connections: AsyncConnections, timeout: float, clock: Callable[[], float]
    ) -> None:
        super().__init__(issuer, clock)
        self._jwks_uri = jwks_uri
        self._connections = connections
        self._timeout = timeout
        self._fetching: tuple[asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None

    async def check(self, token: str) -> IntrospectionResponse:
        """What the token's signature proves; a `Refusal` for a token that will not do, a 503 without keys."""
        name, verified, jwt, key_id = self.recall(token)
        fetch = self._find_fetch(key_id)
        if fetch is not None:
            await asyncio.shield(fetch)  # a caller that hangs up must not take the answer from the others
        now = self._clock()
        return self.judge(token, name, verified, jwt, self._cache.find(key_id, now), now)

    def _find_fetch(self, key_id: str) -> asyncio.Task[None] | None:
        """What to wait for before a token that names that key is judged."""
        now = self._clock()
        fetching = self._fetching
        is_due = self._cache.is_due(key_id, now)
        if fetching is None and not is_due:
            return None
        loop = asyncio.get_running_loop()
        if fetching is not None and fetching[0] is loop and not fetching[1].done():
            return fetching[1]
        if not is_due:
            return None
        self._cache.begin(now)
        fetching = self._fetching = (loop, loop.create_task(self._fetch(now)))
        return fetching[1]

    async def _fetch(self, now: float) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                body, max_age = await self._read()
        except TimeoutError:
            self._cache.fail(f"{self._jwks_uri} gave no answer within {self._timeout} s")
        except FAILED as error:
            self._cache.fail(f"{self._jwks_uri}: {type(error).__name__}: {error}")
        else:
            self._cache.remember(body, max_age, now)

    async def _read(self) -> tuple[bytes, int | None]:
        async with self._connections.find().stream(
            "GET", self._jwks_uri, headers=_HEADERS, timeout=self._timeout, follow_redirects=False
        ) as response:
            max_age = _read_head(response)
            body = b""
            async for chunk in response.aiter_bytes():
                body = _add(body, chunk, response)
            return body, max_age


class LocalCheck(_Judge):
    """The same in threads."""

    def __init__(
        self, jwks_uri: str, issuer: str, connections: Connections, timeout: float, clock: Callable[[], float]
    ) -> None:
        super().__init__(issuer, clock)
        self._jwks_uri = jwks_uri
        self._connections = connections
        self._timeout = timeout
        self._lock = threading.Lock()

    def check(self, token: str) -> IntrospectionResponse:
        """What the token's signature proves; a `Refusal` for a token that will not do, a 503 without keys."""
        name, verified, jwt, key_id = self.recall(token)
        with self._lock:  # while one thread fetches, the others wait for what it brings
            now = self._clock()
            if self._cache.is_due(key_id, now):
                self._cache.begin(now)
                self._fetch(now)
            now = self._clock()
            key = self._cache.find(key_id, now)
        return self.judge(token, name, verified, jwt, key, now)

    def _fetch(self, now: float) -> None:
        try:
            body, max_age = self._read(time.monotonic() + self._timeout)
        except FAILED as error:
            self._cache.fail(f"{self._jwks_uri}: {type(error).__name__}: {error}")
        else:
            self._cache.remember(body, max_age, now)

    def _read(self, deadline: float) -> tuple[bytes, int | None]:
        with self._connections.find().stream(
            "GET", self._jwks_uri, headers=_HEADERS, timeout=self._timeout, follow_redirects=False
        ) as response:
            max_age = _read_head(response)
            body = b""
            for chunk in response.iter_bytes():
                body = _add(body, chunk, response)
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout(f"no answer within {self._timeout} s", request=response.request)
            return body, max_age


def _read_head(response: httpx.Response) -> int | None:
    """For how many seconds the key set may be kept, if its server says so; refuses what is no key set."""
    if response.status_code != 200 or "content-encoding" in response.headers:
        raise httpx.DecodingError(f"HTTP {response.status_code}", request=response.request)
    stated = _MAX_AGE.search(response.headers.get("cache-control", ""))
    return None if stated is None else int(stated[1])


def _add(body: bytes, chunk: bytes, response: httpx.Response) -> bytes:
    if len(body) + len(chunk) > MAX_KEY_SET_SIZE:
        raise httpx.DecodingError("the key set is too large", request=response.request)
    return body + chunk
