"""Certificates as clients show them, and the headers in which proxies pass them on."""

from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey

from latchstring.protocol.client_certificate import certificate_thumbprint


def make_certificate(common_name: str = "mailloop", names: Sequence[x509.GeneralName] = ()) -> bytes:
    """A self-signed certificate, as DER; with alternative names if there are any."""
    key = ec.generate_private_key(ec.SECP256R1())
    organization = x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Acorn, Partners")
    name = x509.Name([organization, x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def render_rfc9440(der: bytes) -> str:
    """`Client-Cert` as RFC 9440 §2.1 has it."""
    return f":{b64encode(der).decode()}:"


def render_nginx(der: bytes) -> str:
    """`$ssl_client_escaped_cert` as nginx writes it."""
    text = b64encode(der).decode()
    lines = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    return quote(f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n", safe="")


def certificate_jwk(der: bytes, *, by_thumbprint: bool = False) -> dict[str, Any]:
    """The certificate's key as its owner publishes it, with the certificate or with its thumbprint."""
    public = x509.load_der_x509_certificate(der).public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    key = ECKey.import_key(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    named = {"x5t#S256": certificate_thumbprint(der)} if by_thumbprint else {"x5c": [b64encode(der).decode()]}
    return {**key.as_dict(private=False), **named}
