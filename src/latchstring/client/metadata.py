"""A server's metadata: fetched from the issuer's well-known place, trusted only if it names that issuer
(RFC 8414 §3)."""

from typing import Final
from urllib.parse import urlsplit

from latchstring.client.errors import Misconfigured, TemporaryFailure
from latchstring.client.exchange import Request, Unanswered
from latchstring.client.steps import Flow, send
from latchstring.protocol.server_metadata import ServerMetadata, metadata_url, parse_server_metadata

_LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def verify_url(url: str, name: str) -> None:
    """Refuse a URL that is neither https nor plain http on loopback (RFC 6749 §3.1, §3.2; RFC 8414 §2)."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    is_loopback = parts.scheme == "http" and host in _LOOPBACK_HOSTS
    if not url.isascii() or not host or port == 0 or not (parts.scheme == "https" or is_loopback):
        raise Misconfigured("argument_refused", f"{name} is an https URL (plain http only on this computer).")
    if "@" in parts.netloc or parts.fragment:
        raise Misconfigured("argument_refused", f"{name} has no user information and no fragment.")


def fetch_metadata(issuer: str) -> Flow[ServerMetadata]:
    """The issuer's own document; refuses one that names any other issuer, byte for byte (RFC 8414 §3.3)."""
    verify_url(issuer, "The issuer")
    if urlsplit(issuer).query:
        raise Misconfigured("argument_refused", "The issuer has no query (RFC 8414 §2).")
    url = metadata_url(issuer)
    answer = yield from send(Request(url=url, headers={"Accept": "application/json"}))
    if isinstance(answer, Unanswered):
        raise TemporaryFailure("unanswered", f"No answer from {url}.", cause=answer.cause)
    if answer.status >= 500 or answer.status == 429:
        raise TemporaryFailure("server_unavailable", f"{url} answered {answer.status}.")
    if answer.status != 200:
        raise Misconfigured(
            "metadata_malformed",
            f"{url} answered {answer.status}: the issuer publishes no metadata there; check the issuer, or "
            "name the endpoints by hand (Provider).",
        )
    try:
        metadata = parse_server_metadata(answer.body)
    except ValueError as error:
        raise Misconfigured("metadata_malformed", f"{url} is not server metadata.", cause=error) from error
    if metadata.issuer != issuer:
        raise Misconfigured("issuer_mismatch", f"{url} speaks for {metadata.issuer!r}, not for {issuer!r}: refused.")
    return metadata
