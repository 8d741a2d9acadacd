"""Reads a public https document without becoming anybody's tool: the one way out of the server."""

import asyncio
import ipaddress
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import httpx

from latchstring.authorization_server.ports import Fetched, FetchRefused
from latchstring.outbound.addresses import IPAddress, is_public
from latchstring.outbound.freshness import find_max_age
from latchstring.protocol.https_url import HttpsUrl, parse_https_url

DEADLINE: Final = 5.0
MAX_AT_ONCE: Final = 16
MAX_AT_ONCE_FROM_HOST: Final = 4
_MAX_ADDRESSES: Final = 16
_MAX_ATTEMPTS: Final = 3
_MAX_LOOKUPS: Final = 4
# Between two bytes; a dead address leaves time for the next one. The deadline is for the whole.
_TIMEOUT: Final = httpx.Timeout(DEADLINE, connect=2.0)

Resolve = Callable[[str, int], Awaitable[Sequence[IPAddress]]]
"""The addresses of a host and port; raises `OSError`."""


class SystemResolver:
    """Asks the system, in threads of its own: a name server that hangs holds up nothing else."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_MAX_LOOKUPS, thread_name_prefix="resolve")

    async def __call__(self, host: str, port: int) -> Sequence[IPAddress]:
        """The host's addresses, in the system's order of preference; raises `OSError`."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return tuple(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found))


class Fetcher:
    """Implements the port `Fetch`. Belongs to one event loop.

    The host's name is looked up once; unless every address of it is public none is connected to, and the connection
    goes to an address that was judged, not to the name: a second look-up that answers otherwise never happens.
    Nothing is kept: no cookie, no connection, no document.

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
        self._resolve = resolve or SystemResolver()
        self._is_allowed = is_allowed
        self._tls = tls
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
        for address in (await self._find_addresses(place))[:_MAX_ATTEMPTS]:
            try:
                return await self._ask(place, address, max_size)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise FetchRefused(f"{place.host}: {type(error).__name__} {error}") from None
        raise FetchRefused(f"{place.host}: cannot be connected to ({failure})") from None

    async def _find_addresses(self, place: HttpsUrl) -> Sequence[IPAddress]:
        """The host's addresses, all of them judged; one that is not public refuses the host."""
        try:
            addresses = await self._resolve(place.host, place.port)
        except (OSError, UnicodeError, ValueError):
            raise FetchRefused(f"{place.host}: the name has no address") from None
        if not 0 < len(addresses) <= _MAX_ADDRESSES:
            raise FetchRefused(f"{place.host}: the name has no address, or too many")
        for address in addresses:
            if not self._is_allowed(address):
                raise FetchRefused(f"{place.host}: {address} is not a public address")
        return addresses

    async def _ask(self, place: HttpsUrl, address: IPAddress, max_size: int) -> Fetched:
        """One request on a connection of its own to that very address; the name is in SNI, in the certificate that
        must match it, and in `Host`."""
        literal = f"[{address}]" if address.version == 6 else str(address)
        async with httpx.AsyncClient(
            verify=self._find_tls(), trust_env=False, follow_redirects=False, timeout=_TIMEOUT
        ) as http:
            request = http.build_request(
                "GET",
                f"https://{literal}:{place.port}{place.target}",
                headers={
                    "host": place.authority,
                    "accept": "application/json",
                    "accept-encoding": "identity",
                    "connection": "close",
                    "user-agent": "latchstring",
                },
                extensions={"sni_hostname": place.host},
            )
            response = await http.send(request, stream=True)
            try:
                return await _read(response, place.host, max_size)
            finally:
                await response.aclose()

    def _find_tls(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = httpx.create_ssl_context()
        return self._tls


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
