"""The authorization request (RFC 6749 §4.1.1 with RFC 7636)."""

import msgspec

from latchstring.protocol.parameters import Parameters


class AuthorizationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What stood in the request, unjudged. `redirect_uri` is None when omitted."""

    client_id: str
    response_type: str | None = None
    redirect_uri: str | None = None
    scope: str | None = None
    state: str | None = None
    code_challenge: str | None = None
    code_challenge_method: str | None = None
    response_mode: str | None = None
    organization_id: str | None = None


def parse_authorization_request(parameters: Parameters) -> AuthorizationRequest:
    """The request's known parameters; unknown ones are ignored (RFC 6749 §3.1)."""
    get = parameters.get
    return AuthorizationRequest(
        client_id=get("client_id", ""),
        response_type=get("response_type"),
        redirect_uri=get("redirect_uri"),
        scope=get("scope"),
        state=get("state"),
        code_challenge=get("code_challenge"),
        code_challenge_method=get("code_challenge_method"),
        response_mode=get("response_mode"),
        organization_id=get("organization_id"),
    )
