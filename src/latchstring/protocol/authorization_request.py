"""The authorization request (RFC 6749 §4.1.1, RFC 7636, RFC 9449 §10); how to meet the person (OIDC Core §3.1.2.1)."""

from typing import Final

import msgspec

from latchstring.protocol.errors import OAuthError
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
        "prompt",
        "max_age",
        "acr_values",
        "login_hint",
        "authorization_details",
        "dpop_jkt",
        "organization_selection",
        "grant_id",
    }
)
NONE: Final = "none"
LOGIN: Final = "login"
CONSENT: Final = "consent"
SELECT_ACCOUNT: Final = "select_account"
PROMPTS: Final = (NONE, LOGIN, CONSENT, SELECT_ACCOUNT)
FIXED: Final = "fixed"
SEVERAL: Final = "several"
ORGANIZATION_SELECTIONS: Final = (FIXED, SEVERAL)
"""Our own `organization_selection`: the organization named and no other, or one after another."""
MAX_HINT_LENGTH: Final = 320  # of an email address (RFC 5321 §4.5.3.1)


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
    prompt: str | None = None
    max_age: str | None = None
    acr_values: str | None = None
    login_hint: str | None = None
    authorization_details: str | None = None
    dpop_jkt: str | None = None
    organization_selection: str | None = None
    grant_id: str | None = None


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
        prompt=get("prompt"),
        max_age=get("max_age"),
        acr_values=get("acr_values"),
        login_hint=get("login_hint"),
        authorization_details=get("authorization_details"),
        dpop_jkt=get("dpop_jkt"),
        organization_selection=get("organization_selection"),
        grant_id=get("grant_id"),
    )


def parse_prompt(text: str | None) -> tuple[str, ...]:
    """How the person is to be met, each value once; `none` stands alone (OpenID Connect Core §3.1.2.1)."""
    prompts = tuple(dict.fromkeys(text.split(" "))) if text is not None else ()
    if not set(prompts) <= set(PROMPTS):
        raise OAuthError("invalid_request", "prompt has a value that is not supported.")
    if NONE in prompts and len(prompts) > 1:
        raise OAuthError("invalid_request", "prompt has none together with another value.")
    return prompts


def parse_organization_selection(text: str | None) -> str | None:
    """How the member may choose; None is one among all that are theirs."""
    if text is not None and text not in ORGANIZATION_SELECTIONS:
        raise OAuthError("invalid_request", "organization_selection has a value that is not supported.")
    return text


def parse_max_age(text: str | None) -> int | None:
    """How many seconds ago the person may have signed in (OpenID Connect Core §3.1.2.1); None is any."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise OAuthError("invalid_request", "max_age is not a number of seconds.")
    return int(text)


def parse_login_hint(text: str | None) -> str | None:
    """What to put into the sign-in form; a hint that can be no address there is none."""
    return text if text is not None and len(text) <= MAX_HINT_LENGTH and text.isprintable() else None
