"""A server's metadata and an API's: fetched from their well-known places, trusted only if they name whom we asked
(RFC 8414 §3, RFC 9728 §3)."""

from typing import Final
from urllib.parse import urlsplit

from latchstring.client.errors import Misconfigured, TemporaryFailure
from latchstring.client.exchange import Answer, Request, Unanswered
from latchstring.client.steps import Flow, send
from latchstring.protocol.resource_metadata import ResourceMetadata, parse_resource_metadata, resource_metadata_url
from latchstring.protocol.server_metadata import (
    ServerMetadata,
    metadata_url,
    openid_configuration_url,
    parse_server_metadata,
)

_LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def verify_url(url: str, name: str) -> None:
    """Refuse a URL that is neither https nor plain http on loopback (RFC 6749 §3.1, §3.2; RFC 8414 §2)."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    is_loopback = parts.scheme == "http" and host in _LOOPBACK_HOSTS
    if (
        not url.isascii()
        or not url.isprintable()
        or " " in url
        or not host
        or port == 0
        or not (parts.scheme == "https" or is_loopback)
    ):
        raise Misconfigured("argument_refused", f"{name} is an https URL (plain http only on this computer).")
    if "@" in parts.netloc or parts.fragment:
        raise Misconfigured("argument_refused", f"{name} has no user information and no fragment.")


def fetch_resource_metadata(resource: str) -> Flow[ResourceMetadata]:
    """The API's own document; refuses one that is for any other API, byte for byte (RFC 9728 §3.3)."""
    verify_url(resource, "The resource")
    url = resource_metadata_url(resource)
    body = yield from fetch_document(url, "the API publishes no metadata there; name its authorization server by hand.")
    try:
        metadata = parse_resource_metadata(body)
    except ValueError as error:
        raise Misconfigured("metadata_malformed", f"{url} is not an API's metadata.", cause=error) from error
    if metadata.resource != resource:
        why = f"{url} is for {metadata.resource!r}, not for {resource!r}: refused."
        raise Misconfigured("resource_mismatch", why)
    if not metadata.authorization_servers:
        raise Misconfigured("metadata_malformed", f"{url} names no authorization server.")
    return metadata


def fetch_metadata(issuer: str) -> Flow[ServerMetadata]:
    """The issuer's own document; refuses one that names any other issuer, byte for byte (RFC 8414 §3.3). Where there is
    none, the one of an OpenID Provider (OpenID Connect Discovery §4)."""
    verify_url(issuer, "The issuer")
    if urlsplit(issuer).query:
        raise Misconfigured("argument_refused", "The issuer has no query (RFC 8414 §2).")
    url = metadata_url(issuer)
    wrong = "the issuer publishes no metadata there; check the issuer, or name the endpoints by hand (Provider)."
    answer = yield from _ask(url)
    if answer.status == 404:
        url = openid_configuration_url(issuer)
        answer = yield from _ask(url)
    body = _read(answer, url, wrong)
    try:
        metadata = parse_server_metadata(body)
    except ValueError as error:
        raise Misconfigured("metadata_malformed", f"{url} is not server metadata.", cause=error) from error
    if metadata.issuer != issuer:
        raise Misconfigured("issuer_mismatch", f"{url} speaks for {metadata.issuer!r}, not for {issuer!r}: refused.")
    return metadata


def fetch_document(url: str, wrong: str) -> Flow[bytes]:
    """The document; `wrong` says what it means that there is none."""
    return _read((yield from _ask(url)), url, wrong)


def _ask(url: str) -> Flow[Answer]:
    answer = yield from send(Request(url=url, headers={"Accept": "application/json"}))
    if isinstance(answer, Unanswered):
        if isinstance(answer.cause, Misconfigured):
            raise answer.cause
        raise TemporaryFailure("unanswered", f"No answer from {url}.", cause=answer.cause)
    return answer


def _read(answer: Answer, url: str, wrong: str) -> bytes:
    if answer.status >= 500 or answer.status == 429:
        raise TemporaryFailure("server_unavailable", f"{url} answered {answer.status}.")
    if answer.status != 200:
        raise Misconfigured("metadata_malformed", f"{url} answered {answer.status}: {wrong}")
    return answer.body
