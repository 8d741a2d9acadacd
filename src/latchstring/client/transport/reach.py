"""Whom the client connects to (SECURITY-CASES L8): where others say where to, only to hosts of the public internet.

A document that a stranger may have written must not lead a server's client to what only that server can reach: the
cloud's metadata service, a database's console. The name is looked up once, every address is judged, and the connection
goes to one that was judged: a second look-up that answers otherwise never happens.
"""

import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

import httpx

from latchstring.client.errors import Misconfigured
from latchstring.protocol.public_addresses import IPAddress, is_public

MAX_ATTEMPTS: Final = 3
_LOOPBACK_NAMES: Final = frozenset({"127.0.0.1", "::1", "localhost"})

Resolve = Callable[[str, int], Sequence[IPAddress]]
"""The addresses of a host and port; raises `OSError`."""


def resolve_by_system(host: str, port: int) -> Sequence[IPAddress]:
    """As the system says, in its order of preference."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found))


class Reach:
    """`named` are URLs that the app itself wrote down: their hosts may be anywhere, as long as `public_only` is None.
    With true every host must be public, whoever named it; with false none need be.

    `resolve`, `is_allowed` and `tls` are for tests, which serve on loopback.
    """

    def __init__(
        self,
        named: Iterable[str] = (),
        public_only: bool | None = None,
        *,
        resolve: Resolve = resolve_by_system,
        is_allowed: Callable[[IPAddress], bool] = is_public,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._named = frozenset(_find_host(url) for url in named)
        self._public_only = public_only
        self._resolve = resolve
        self._is_allowed = is_allowed
        self._tls = tls

    def is_judged(self, request: httpx.Request) -> bool:
        """Whether the request may only go to a public host."""
        if self._public_only is None:
            return _find_host(str(request.url)) not in self._named
        return self._public_only

    def find_addresses(self, request: httpx.Request) -> Sequence[IPAddress]:
        """The host's addresses, all of them judged; one that is not public refuses the host. Blocks."""
        host, port = request.url.host, request.url.port or (443 if request.url.scheme == "https" else 80)
        try:
            addresses = self._resolve(host, port)
        except (OSError, UnicodeError, ValueError) as error:
            raise httpx.ConnectError(f"{host}: the name has no address", request=request) from error
        if not addresses:
            raise httpx.ConnectError(f"{host}: the name has no address", request=request)
        if not all(map(self._is_allowed, addresses)):
            raise Misconfigured(
                "address_refused",
                f"{host} is not on the public internet, and it is not a host that this app has named (public_only).",
            )
        return addresses[:MAX_ATTEMPTS]

    def aim(self, request: httpx.Request, address: IPAddress) -> httpx.Request:
        """The same request to that very address; the name is in SNI, in the certificate that must match it, and in
        `Host`. The connection is for this request alone: the next one to the address may be to another name."""
        literal = f"[{address}]" if address.version == 6 else str(address)
        headers = request.headers.copy()
        headers["Host"], headers["Connection"] = request.url.netloc.decode("ascii"), "close"
        return httpx.Request(
            request.method,
            request.url.copy_with(host=literal),
            headers=headers,
            content=request.content,
            extensions={**request.extensions, "sni_hostname": request.url.host},
        )

    def find_tls(self) -> ssl.SSLContext:
        """By whom certificates are believed."""
        if self._tls is None:
            self._tls = httpx.create_ssl_context()
        return self._tls


def _find_host(url: str) -> str:
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:  # an issuer that is no URL names no host
        host = ""
    return "localhost" if host in _LOOPBACK_NAMES else host
