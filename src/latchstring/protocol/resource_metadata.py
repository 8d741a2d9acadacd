"""Protected resource metadata: what an API says of itself (RFC 9728)."""

from typing import Final
from urllib.parse import urlsplit

import msgspec

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
_LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_ALLOWED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/[]!$&'()*+,;=%")


class ResourceMetadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an API says of itself (RFC 9728 §2). Empty lists are omitted (§3.2)."""

    resource: str
    authorization_servers: list[str] = []
    bearer_methods_supported: list[str] = []
    scopes_supported: list[str] = []
    resource_name: str | None = None
    dpop_signing_alg_values_supported: list[str] = []
    dpop_bound_access_tokens_required: bool = False
    tls_client_certificate_bound_access_tokens: bool = False


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ResourceMetadata)


def render_resource_metadata(metadata: ResourceMetadata) -> bytes:
    """The document as JSON."""
    return _encoder.encode(metadata)


def parse_resource_metadata(body: bytes) -> ResourceMetadata:
    """Read a metadata document; raises `ValueError` for anything else. The caller compares `resource`."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError("not protected resource metadata") from error


def verify_resource_identifier(uri: str) -> None:
    """Refuse what cannot name an API (RFC 9728 §1.2, RFC 8707 §2). Raises `ValueError` with the reason.

    It is an absolute https URI without user information, query or fragment; plain http only on loopback.
    """
    if not _ALLOWED.issuperset(uri):
        raise ValueError("it has a query, a fragment or a character that does not belong in a URI")
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("its host or port is malformed") from None
    if not uri.startswith(("https://", "http://")) or not host:
        raise ValueError("it is not an absolute https URI")
    if "@" in parts.netloc or port == 0:
        raise ValueError("its host is malformed")
    if parts.scheme == "http" and host not in _LOOPBACK_HOSTS:
        raise ValueError("plain http is only for 127.0.0.1, [::1] and localhost")


def resource_metadata_path(resource: str) -> str:
    """The path of a resource's document: the well-known part, then the resource's path (RFC 9728 §3.1)."""
    path = urlsplit(resource).path
    return WELL_KNOWN + ("" if path == "/" else path)


def resource_metadata_url(resource: str) -> str:
    """Where a resource's document is (RFC 9728 §3.1)."""
    parts = urlsplit(resource)
    return f"{parts.scheme}://{parts.netloc}{resource_metadata_path(resource)}"
