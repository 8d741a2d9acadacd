"""The certificate that the caller showed to the proxy in front (RFC 8705 §6.1; RFC 9440)."""

from functools import lru_cache

from latchstring.authorization_server.settings import Settings
from latchstring.protocol.client_certificate import (
    CertificateHeader,
    CertificateRefused,
    ClientCertificate,
    parse_certificate,
    parse_certificate_source,
)
from latchstring.protocol.errors import OAuthError
from latchstring.web.asgi import Scope

_parse_source = lru_cache(maxsize=8)(parse_certificate_source)


def find_client_certificate(scope: Scope, settings: Settings) -> ClientCertificate | None:
    """The certificate, if the deployment has such a proxy and the request came through it with one."""
    if settings.client_certificate_header is None:
        return None
    source: CertificateHeader = _parse_source(settings.client_certificate_header, settings.trusted_proxy_networks)
    peer = scope.get("client")
    try:
        der = source.find(peer[0] if peer else None, scope["headers"])
        return None if der is None else parse_certificate(der)
    except CertificateRefused as refused:
        raise OAuthError("invalid_request", "The client certificate cannot be used.", str(refused)) from None
