"""The one way out of the server: to hosts of the public internet, at addresses that were judged, and nowhere else."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final

import httpx

from latchstring.authorization_server.ports import FetchRefused
from latchstring.protocol.https_url import HttpsUrl
from latchstring.protocol.public_addresses import IPAddress, is_public

MAX_ATTEMPTS: Final = 3
_MAX_ADDRESSES: Final = 16
_MAX_LOOKUPS: Final = 4
_CONNECT_TIMEOUT: Final = 2.0

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


class PublicHosts:
    """Hosts and connections to them. Belongs to one event loop.

    The host's name is looked up once; unless every address of it is public none is connected to, and the connection
    goes to an address that was judged, not to the name: a second look-up that answers otherwise never happens.
    Nothing is kept: no cookie, no connection.
    """

    def __init__(
        self,
        *,
        resolve: Resolve | None = None,
        is_allowed: Callable[[IPAddress], bool] = is_public,
        tls: ssl.SSLContext | None = None,
        deadline: float,
    ) -> None:
        self._resolve = resolve or SystemResolver()
        self._is_allowed = is_allowed
        self._tls = tls
        # Between two bytes; a dead address leaves time for the next one. The caller's deadline is for the whole.
        self._timeout = httpx.Timeout(deadline, connect=_CONNECT_TIMEOUT)

    async def find_addresses(self, place: HttpsUrl) -> Sequence[IPAddress]:
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

    @asynccontextmanager
    async def ask(
        self,
        place: HttpsUrl,
        address: IPAddress,
        *,
        method: str = "GET",
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """One request on a connection of its own to that very address; the name is in SNI, in the certificate that
        must match it, and in `Host`. The body of the answer is unread."""
        literal = f"[{address}]" if address.version == 6 else str(address)
        async with httpx.AsyncClient(
            verify=self._find_tls(), trust_env=False, follow_redirects=False, timeout=self._timeout
        ) as http:
            request = http.build_request(
                method,
                f"https://{literal}:{place.port}{place.target}",
                content=body,
                headers={
                    "host": place.authority,
                    "accept-encoding": "identity",
                    "connection": "close",
                    "user-agent": "latchstring",
                    **headers,
                },
                extensions={"sni_hostname": place.host},
            )
            response = await http.send(request, stream=True)
            try:
                yield response
            finally:
                await response.aclose()

    def _find_tls(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = httpx.create_ssl_context()
        return self._tls
