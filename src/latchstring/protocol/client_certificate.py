"""The certificate that a client showed on its TLS connection (RFC 8705), as the proxy that ended TLS passes it on.

Only a proxy on a network that the operator names is believed: everybody else can write the same header.
"""

import hashlib
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

import msgspec

Network: TypeAlias = IPv4Network | IPv6Network

MAX_HEADER_LENGTH: Final = 16 * 1024
MAX_CERTIFICATE_LENGTH: Final = 8 * 1024
_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_END: Final = b"-----END CERTIFICATE-----"
_TOKEN: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


class CertificateRefused(ValueError):
    """A trusted proxy passed on what is no certificate; the message says why."""


class ClientCertificate(msgspec.Struct, frozen=True):
    """A certificate whose private key the client has proved to hold, in the TLS handshake.

    `thumbprint` is the SHA-256 of the DER in base64url, as in `x5t#S256` (RFC 8705 §3.1); `subject_dn` is as RFC 4514
    writes it. Nothing is said of who issued it, or whether it is still good: that is the proxy's to check.
    """

    thumbprint: str
    subject_dn: str
    der: bytes

    def __repr__(self) -> str:
        return f"ClientCertificate(thumbprint={self.thumbprint!r}, subject_dn={self.subject_dn!r})"


class AlternativeNames(msgspec.Struct, frozen=True):
    """The further subjects of a certificate (RFC 5280 §4.2.1.6), as it spells them; addresses shortest."""

    hosts: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()


class CertificateHeader(msgspec.Struct, frozen=True):
    """In which header certificates come, its name in small letters, and from which networks it is believed."""

    name: bytes
    networks: tuple[Network, ...]

    def find(self, peer: str | None, headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
        """The certificate's DER, if a trusted proxy passed one on; raises `CertificateRefused` for what is none.

        The header of anybody else is not read at all (RFC 9700 §4.13). One that stands twice is refused: then the
        proxy adds its own to what a stranger sent.
        """
        values = [value for name, value in headers if name == self.name]
        if not values or not self._trusts(peer):
            return None
        if len(values) > 1:
            raise CertificateRefused("the header of the client certificate stands more than once")
        return parse_certificate_header(values[0]) if values[0].strip() else None

    def _trusts(self, peer: str | None) -> bool:
        try:
            address = ip_address(peer or "")
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self.networks)


def parse_certificate_source(name: str, networks: Sequence[str]) -> CertificateHeader:
    """The header's name and the proxies' networks (`10.0.0.0/8`, `192.0.2.7`); raises `ValueError` for others."""
    if not name or not _TOKEN.issuperset(name.lower()):
        raise ValueError("the header's name is letters, digits and hyphens, such as Client-Cert")
    if not networks:
        raise ValueError("name the networks of the proxies that are believed, such as 10.0.0.0/8")
    return CertificateHeader(name.lower().encode("ascii"), tuple(ip_network(network) for network in networks))


def parse_certificate_header(value: bytes) -> bytes:
    """The certificate's DER from either form, told apart by how it begins: `:Base64 of DER:` (RFC 9440 §2.1), or PEM,
    percent-encoded as nginx's `$ssl_client_escaped_cert`. Raises `CertificateRefused`."""
    value = value.strip(b" ")
    if len(value) > MAX_HEADER_LENGTH:
        raise CertificateRefused("the client certificate is too long")
    if value.startswith(b":"):
        if len(value) < 2 or not value.endswith(b":"):
            raise CertificateRefused("the client certificate is not a byte sequence of RFC 9440")
        return _decode(value[1:-1])
    pem = unquote_to_bytes(value).strip()
    if not pem.startswith(_BEGIN) or not pem.endswith(_END) or pem.count(_BEGIN) != 1:
        raise CertificateRefused("the client certificate is neither of RFC 9440 nor one in PEM")
    return _decode(b"".join(pem[len(_BEGIN) : -len(_END)].split()))


def _decode(text: bytes) -> bytes:
    try:
        der = b64decode(text, validate=True)
    except Base64Error:
        raise CertificateRefused("the client certificate is not Base64") from None
    if not der or len(der) > MAX_CERTIFICATE_LENGTH:
        raise CertificateRefused("the client certificate is empty or too long")
    return der


def certificate_thumbprint(der: bytes) -> str:
    """The certificate's name in `x5t#S256` (RFC 8705 §3.1)."""
    return urlsafe_b64encode(hashlib.sha256(der).digest())[:43].decode("ascii")


def parse_certificate(der: bytes) -> ClientCertificate:
    """The certificate in that DER; raises `CertificateRefused` for what is none. Needs `cryptography`."""
    from cryptography.x509 import load_der_x509_certificate

    try:
        subject_dn = load_der_x509_certificate(der).subject.rfc4514_string()
    except ValueError:
        raise CertificateRefused("the client certificate cannot be read") from None
    return ClientCertificate(certificate_thumbprint(der), subject_dn, der)


def parse_alternative_names(der: bytes) -> AlternativeNames:
    """The certificate's alternative names; none where they cannot be read. Needs `cryptography`."""
    from cryptography import x509

    try:
        extensions = x509.load_der_x509_certificate(der).extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return AlternativeNames()
    return AlternativeNames(
        hosts=tuple(names.get_values_for_type(x509.DNSName)),
        uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
        addresses=tuple(str(address) for address in names.get_values_for_type(x509.IPAddress)),
        emails=tuple(names.get_values_for_type(x509.RFC822Name)),
    )


def normalize_subject_dn(text: str) -> str:
    """A subject's name as `ClientCertificate.subject_dn` spells it; raises `ValueError` for what is none (RFC 4514)."""
    from cryptography.x509 import Name

    try:
        normal = Name.from_rfc4514_string(text).rfc4514_string()
    except ValueError:
        raise ValueError("give it as RFC 4514 writes it, such as CN=mailloop,O=Acorn") from None
    if not normal:
        raise ValueError("it is empty")
    return normal
