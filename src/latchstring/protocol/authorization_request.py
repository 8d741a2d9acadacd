"""The authorization request (RFC 6749 §4.1.1 with RFC 7636)."""

from typing import Final

import msgspec

from latchstring.protocol.parameters import Parameters

_REQUEST_URI: Final = "urn:ietf:params:oauth:request_uri:"
# What of a pushed request is kept: client authentication has done its work, the rest is not known.
PUSHED_PARAMETERS: Final = frozenset(
    {
        "client_id",
        "response_type",
        "redirect_uri",
        "scope",
        "state",
        "code_challenge",
        "code_challenge_method",
        "response_mode",
        "organization_id",
        "resource",
    }
)


def render_request_uri(request_id: bytes) -> str:
    """The `request_uri` of a pushed request (RFC 9126 §2.2)."""
    return _REQUEST_URI + request_id.hex()


def parse_request_uri(text: str) -> bytes | None:
    """The pushed request's id, or None for any other URI: nothing is ever fetched (RFC 9101 §10.4)."""
    digits = text.removeprefix(_REQUEST_URI)
    if digits == text or len(digits) != 32 or not all(c in "0123456789abcdef" for c in digits):
        return None
    return bytes.fromhex(digits)


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
    resource: tuple[str, ...] = ()


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
        resource=tuple(dict.fromkeys(parameters.lists.get("resource", ()))),
    )
