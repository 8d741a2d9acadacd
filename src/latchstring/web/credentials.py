"""The client authentication of a request: its `Authorization` header and its body, never both (RFC 6749 §2.3)."""

from collections.abc import Awaitable
from typing import TypeVar

import msgspec

from latchstring.protocol.errors import OAuthError
from latchstring.protocol.parameters import Parameters
from latchstring.protocol.token_request import ClientCredentials, parse_client_credentials
from latchstring.web.asgi import Scope, find_headers
from latchstring.web.client_certificate import find_client_certificate
from latchstring.web.services import Services
from latchstring.web.throttle import find_source

Answer = TypeVar("Answer")


def find_credentials(services: Services, scope: Scope, parameters: Parameters) -> ClientCredentials:
    """The one set of credentials of the request, and the certificate that it came with."""
    headers = find_headers(scope, b"authorization")
    if len(headers) > 1:
        raise OAuthError("invalid_request", "There is more than one Authorization header.")
    credentials = parse_client_credentials(headers[0] if headers else None, parameters)
    certificate = find_client_certificate(scope, services.settings)
    return credentials if certificate is None else msgspec.structs.replace(credentials, certificate=certificate)


async def count_failures(
    services: Services, scope: Scope, credentials: ClientCredentials, answer: Awaitable[Answer]
) -> Answer:
    """The answer; a failed client authentication counts against client and source, and beyond the limit is a 429."""
    try:
        return await answer
    except OAuthError as error:
        if error.code == "invalid_client":
            await services.throttle.count_wrong_secret(credentials.client_id, find_source(scope, services.settings))
        raise
