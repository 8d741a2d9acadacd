"""Other people's https servers: real TLS on loopback, under an authority and host names made for the test."""

import asyncio
import contextlib
import datetime
import ipaddress
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from latchstring.outbound.fetcher import Fetcher
from latchstring.outbound.poster import Poster
from latchstring.protocol.public_addresses import IPAddress, is_public

LOOPBACK = ipaddress.ip_address("127.0.0.1")


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """A certificate authority that nobody but its own clients trusts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._sign(_name("Test authority"), self._key, None)

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, host: str | None) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(_name("Test authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
        )
        if host is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def serve_as(self, host: str) -> ssl.SSLContext:
        """What a server needs to be that host."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(_name(host), key, host)
        path = self._folder / f"{host}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    @property
    def certificate(self) -> bytes:
        """Its own certificate, as PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def trusting(self) -> ssl.SSLContext:
        """What a client needs to believe its servers."""
        return ssl.create_default_context(cadata=self.certificate.decode("ascii"))


@dataclass
class Answer:
    """What the host sends: raw parts with pauses (seconds) between them, or a status, headers and a body."""

    status: str = "200 OK"
    headers: tuple[str, ...] = ("Content-Type: application/json",)
    body: bytes = b"{}"
    pause: float = 0.0
    endless: bool = False

    async def send(self, writer: asyncio.StreamWriter) -> None:
        """Write it."""
        length = [] if self.endless else [f"Content-Length: {len(self.body)}"]
        head = "\r\n".join([f"HTTP/1.1 {self.status}", *self.headers, *length, "Connection: close", "", ""])
        writer.write(head.encode())
        await asyncio.sleep(self.pause)
        writer.write(self.body)
        await writer.drain()
        while self.endless:
            await asyncio.sleep(self.pause)
            writer.write(self.body)
            await writer.drain()


@dataclass
class Host:
    """A host of the test's internet: where it listens, what it answers, what it was sent."""

    name: str
    port: int
    answer: Answer = field(default_factory=Answer)
    requests: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def url(self, path: str = "/jwks.json") -> str:
        """An https URL at this host."""
        return f"https://{self.name}:{self.port}{path}"


class Internet:
    """Hosts on loopback and a fetcher that may go there: by injected look-ups, as no setting allows."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.addresses: dict[str, list[Sequence[IPAddress]]] = {}
        self.lookups: list[str] = []

    @contextlib.asynccontextmanager
    async def host(self, name: str, *, certificate_for: str | None = None) -> AsyncIterator[Host]:
        """A server of that name, while the block lasts."""
        host = Host(name, 0)

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = re.search(r"(?i)\r\ncontent-length: (\d+)", head)
                host.bodies.append(await reader.readexactly(int(length[1])) if length else b"")
                host.requests.append(head)
                await host.answer.send(writer)
            writer.close()

        tls = self.authority.serve_as(certificate_for or name)
        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
        host.port = server.sockets[0].getsockname()[1]
        try:
            yield host
        finally:
            server.close()

    async def resolve(self, name: str, port: int) -> Sequence[IPAddress]:
        """The next answer scripted for the name; loopback where none is."""
        self.lookups.append(name)
        scripted = self.addresses.get(name)
        return scripted.pop(0) if scripted else (LOOPBACK,)

    def fetcher(
        self,
        *,
        is_allowed: Callable[[IPAddress], bool] = lambda address: address == LOOPBACK or is_public(address),
        deadline: float = 5.0,
        resolve: Callable[[str, int], Awaitable[Sequence[IPAddress]]] | None = None,
    ) -> Fetcher:
        """A fetcher for these hosts."""
        return Fetcher(
            resolve=resolve or self.resolve, is_allowed=is_allowed, tls=self.authority.trusting(), deadline=deadline
        )

    def poster(
        self,
        *,
        is_allowed: Callable[[IPAddress], bool] = lambda address: address == LOOPBACK or is_public(address),
        deadline: float = 5.0,
    ) -> Poster:
        """What posts to these hosts."""
        return Poster(resolve=self.resolve, is_allowed=is_allowed, tls=self.authority.trusting(), deadline=deadline)
