"""Clients that prove themselves by the certificate of their TLS connection (RFC 8705 §2). Pure."""

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final

from latchstring.authorization_server.records import ClientSecurity
from latchstring.protocol.client_certificate import ClientCertificate, normalize_subject_dn, parse_alternative_names
from latchstring.protocol.client_metadata import TLS_CLIENT_AUTH


def _normalize_host(name: str) -> str:
    name = name.lower()
    if not name.isascii() or not all(label and label.replace("-", "").isalnum() for label in name.split(".")):
        raise ValueError("it is no DNS name")
    return name


def _normalize_text(text: str) -> str:
    if not text.isascii() or not text.isprintable() or not text or " " in text:
        raise ValueError("it has characters that do not belong there")
    return text


# Which subject is expected, by the parameter that names it (RFC 8705 §2.1.2), and how its one spelling is found.
_SUBJECTS: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {
        "tls_client_auth_subject_dn": normalize_subject_dn,
        "tls_client_auth_san_dns": _normalize_host,
        "tls_client_auth_san_uri": _normalize_text,
        "tls_client_auth_san_ip": lambda text: str(ip_address(text)),
        "tls_client_auth_san_email": _normalize_text,
    }
)


def find_subject(security: ClientSecurity) -> tuple[str, str] | None:
    """The parameter by which the client's certificate is known, and the expected value; None where there is none.

    Raises `ValueError` where there are several, or where the value cannot be one.
    """
    given = [(name, value) for name in _SUBJECTS if (value := getattr(security, name)) is not None]
    if not given:
        return None
    if len(given) > 1:
        raise ValueError("name one subject of its certificate, not several (RFC 8705 section 2.1.2)")
    name, value = given[0]
    try:
        return name, _SUBJECTS[name](value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def verify_subject_fits(method: str, security: ClientSecurity) -> None:
    """Refuse, by `ValueError`, a client of certificates without a subject, and any other client with one."""
    if (find_subject(security) is None) == (method == TLS_CLIENT_AUTH):
        raise ValueError(f"one subject of the certificate (tls_client_auth_…) is for {TLS_CLIENT_AUTH}, which needs it")


def is_subject(certificate: ClientCertificate, security: ClientSecurity) -> bool:
    """Whether the certificate is for the subject that the client has registered (RFC 8705 §2.1.1); who issued it is not
    looked at here."""
    expected = find_subject(security)
    if expected is None:
        return False
    name, value = expected
    if name == "tls_client_auth_subject_dn":
        return certificate.subject_dn == value
    names = parse_alternative_names(certificate.der)
    if name == "tls_client_auth_san_dns":
        return value in {host.lower() for host in names.hosts}
    return value in {"uri": names.uris, "ip": names.addresses, "email": names.emails}[name.rpartition("_")[2]]
