"""Reads a public https document without becoming anybody's tool."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Final

import httpx

from latchstring.authorization_server.ports import Fetched, FetchRefused
from latchstring.outbound.freshness import find_max_age
from latchstring.outbound.hosts import MAX_ATTEMPTS, PublicHosts, Resolve
from latchstring.protocol.https_url import HttpsUrl, parse_https_url
from latchstring.protocol.public_addresses import IPAddress, is_public

DEADLINE: Final = 5.0
MAX_AT_ONCE: Final = 16
MAX_AT_ONCE_FROM_HOST: Final = 4


class Fetcher:
    """Implements the port `Fetch`. Belongs to one event loop. Nothing is kept: no cookie, no connection, no document.

    `resolve`, `is_allowed` and `tls` are for tests, which serve on loopback with an authority of their own. No setting
    reaches them.
    """

    def __init__(
        self,
        *,
        resolve: Resolve | None = None,
        is_allowed: Callable[[IPAddress], bool] = is_public,
        tls: ssl.SSLContext | None = None,
        deadline: float = DEADLINE,
    ) -> None:
        self._hosts = PublicHosts(resolve=resolve, is_allowed=is_allowed, tls=tls, deadline=deadline)
        self._deadline = deadline
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)
        self._by_host: Counter[str] = Counter()

    async def __call__(self, url: str, *, max_size: int) -> Fetched:
        """The document: a 200, whole, within the size (bytes) and the deadline. Raises `FetchRefused`, whose message
        is for a log: it tells of addresses."""
        try:
            place = parse_https_url(url)
        except ValueError as error:
            raise FetchRefused(f"the URL cannot be fetched: {error}") from None
        if self._by_host[place.host] >= MAX_AT_ONCE_FROM_HOST:
            raise FetchRefused(f"{place.host}: too many requests to it are under way")
        self._by_host[place.host] += 1
        try:
            async with asyncio.timeout(self._deadline), self._slots:
                return await self._fetch(place, max_size)
        except TimeoutError:
            raise FetchRefused(f"{place.host}: no answer within {self._deadline:g} s") from None
        finally:
            self._by_host[place.host] -= 1
            if not self._by_host[place.host]:
                del self._by_host[place.host]

    async def _fetch(self, place: HttpsUrl, max_size: int) -> Fetched:
        failure: Exception | None = None
        for address in (await self._hosts.find_addresses(place))[:MAX_ATTEMPTS]:
            try:
                async with self._hosts.ask(place, address, headers={"accept": "application/json"}) as response:
                    return await _read(response, place.host, max_size)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise FetchRefused(f"{place.host}: {type(error).__name__} {error}") from None
        raise FetchRefused(f"{place.host}: cannot be connected to ({failure})") from None


async def _read(response: httpx.Response, host: str, max_size: int) -> Fetched:
    """The answer's body, if it is the document itself and not a redirect, an error, or compressed."""
    if response.status_code != 200:
        raise FetchRefused(f"{host}: answered {response.status_code}")
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise FetchRefused(f"{host}: the document is compressed, which was not asked for")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > max_size:
            raise FetchRefused(f"{host}: the document is larger than {max_size} bytes")
    return Fetched(
        body=bytes(body),
        content_type=response.headers.get("content-type", "").partition(";")[0].strip().lower(),
        max_age=find_max_age(response.headers.get("cache-control", ""), response.headers.get("age", "")),
    )
