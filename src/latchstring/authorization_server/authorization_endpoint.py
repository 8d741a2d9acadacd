"""The authorization endpoint's rules (RFC 6749 §4.1.1, RFC 9700 §2.1).

Two kinds of refusal, in this order: an `UnsafeRequest` has no redirect URI that can be trusted, so it becomes a
page; only after client and redirect URI are proven may an `OAuthError` be redirected.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from latchstring.authorization_server import authorization_details
from latchstring.authorization_server.clients import Clients
from latchstring.authorization_server.policy import find_policy, must_push_requests
from latchstring.authorization_server.records import ClientRecord
from latchstring.authorization_server.refusals import refuse_suspended
from latchstring.authorization_server.resources import map_resources, refuse_many
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.sign_in_levels import decide_acr_values
from latchstring.protocol.authorization_request import (
    FIXED,
    SEVERAL,
    AuthorizationRequest,
    parse_authorization_request,
    parse_login_hint,
    parse_max_age,
    parse_organization_selection,
    parse_prompt,
)
from latchstring.protocol.authorization_response import FORM_POST, QUERY, RESPONSE_MODES
from latchstring.protocol.client_metadata import AUTHORIZATION_CODE, REFRESH_TOKEN
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.parameters import Parameters
from latchstring.protocol.pkce import S256, is_code_challenge
from latchstring.protocol.redirect_uri import find_registered, is_web_address
from latchstring.protocol.scope import OFFLINE_ACCESS, parse_scope

_LINE_BREAKS: Final = frozenset("\r\n")


class UnsafeRequest(Exception):
    """A request that must not be redirected. `key` names the page's message; `error` is what its developer reads."""

    def __init__(
        self,
        key: str,
        *,
        client: ClientRecord | None = None,
        received: str | None = None,
        error: OAuthError | None = None,
    ) -> None:
        super().__init__(key)
        self.key = key
        self.client = client
        self.received = received
        self.error = error


class RedirectTarget(msgspec.Struct, frozen=True):
    """A proven way back to the app: the client's own redirect URI, the `state` to bring along, and how."""

    redirect_uri: str
    state: str | None
    response_mode: str = QUERY


class AuthorizationResponse(msgspec.Struct, frozen=True):
    """An answer on its way to an app: parameters for a proven target. None stands for one that is left out."""

    target: RedirectTarget
    parameters: dict[str, str | None]

    @property
    def error(self) -> str | None:
        """The error's code, if it is one."""
        return self.parameters.get("error")

    def __repr__(self) -> str:
        return f"AuthorizationResponse(error={self.error!r})"


class AuthorizationPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """A valid request, ready for a person. `client_id` is as sent; `sent_redirect_uri` is None when the request left
    it out.

    `prompts`, `max_age` (seconds), `acr_values` and `login_hint` say how the person is to be met. `organization_id` is
    what the app asked for; where it `is_organization_fixed`, the member can choose no other. With `grant_id` the app
    asks them to renew that grant: `reconnects` is its id and its member's. `access_request_id` is of the member's
    request to their admins with which this one was parked, where it goes on.
    """

    client_id: str
    redirect_uri: str
    sent_redirect_uri: str | None
    state: str | None
    scope: tuple[str, ...]
    code_challenge: str | None
    organization_id: str | None
    pushed_request_id: bytes | None = None
    resource: tuple[str, ...] = ()
    response_mode: str = QUERY
    prompts: tuple[str, ...] = ()
    max_age: int | None = None
    acr_values: tuple[str, ...] = ()
    login_hint: str | None = None
    authorization_details: str | None = None
    dpop_jkt: str | None = None
    organization_selection: str | None = None
    is_organization_fixed: bool = False
    grant_id: str | None = None
    reconnects: tuple[bytes, str] | None = None
    access_request_id: bytes | None = None

    @property
    def target(self) -> RedirectTarget:
        """Where the answer goes."""
        return RedirectTarget(self.redirect_uri, self.state, self.response_mode)


def render_error(target: RedirectTarget, error: OAuthError, issuer: str) -> AuthorizationResponse:
    """The refusal for the app (RFC 6749 §4.1.2.1, RFC 9207 §2)."""
    parameters = {"error": error.code, "error_description": error.description, "state": target.state, "iss": issuer}
    return AuthorizationResponse(target, parameters)


def render_code(target: RedirectTarget, code: str, issuer: str) -> AuthorizationResponse:
    """The code for the app (RFC 6749 §4.1.2, RFC 9207 §2)."""
    return AuthorizationResponse(target, {"code": code, "state": target.state, "iss": issuer})


def render_codes(target: RedirectTarget, codes: Sequence[str], issuer: str) -> AuthorizationResponse:
    """The codes of several grants: the first as always, the others beside it (`docs/decisions/0021`)."""
    first, *others = codes
    parameters = {"code": first, "further_codes": " ".join(others) or None, "state": target.state, "iss": issuer}
    return AuthorizationResponse(target, parameters)


async def find_asking(client_id: str, clients: Clients) -> ClientRecord:
    """The client that asks, or `UnsafeRequest`."""
    try:
        client = await clients.find_current(client_id) if client_id else None
    except OAuthError as error:
        is_busy = error.code == "temporarily_unavailable"
        raise UnsafeRequest("document_busy" if is_busy else "document_unusable", error=error) from None
    if client is None:
        raise UnsafeRequest("unknown_client")
    if client.is_suspended:
        # Nobody answers for where it would send them, so nobody is sent there.
        raise UnsafeRequest("app_disabled", client=client, error=refuse_suspended())
    return client


async def find_target(
    parameters: Parameters, clients: Clients
) -> tuple[AuthorizationRequest, ClientRecord, RedirectTarget]:
    """Prove client and redirect URI, or raise `UnsafeRequest` (RFC 6749 §3.1.2.4, §4.1.2.1)."""
    request = parse_authorization_request(parameters)
    if parameters.repeated & {"client_id", "redirect_uri"}:
        raise UnsafeRequest("repeated_parameter")
    client = await find_asking(request.client_id, clients)
    if request.redirect_uri is None:
        if len(client.redirect_uris) != 1:
            raise UnsafeRequest("redirect_uri_missing", client=client)
        redirect_uri = client.redirect_uris[0]
    elif find_registered(request.redirect_uri, client.redirect_uris):
        redirect_uri = request.redirect_uri
    else:
        raise UnsafeRequest("redirect_uri_mismatch", client=client, received=request.redirect_uri)
    state = None if "state" in parameters.repeated else request.state
    return request, client, RedirectTarget(redirect_uri, state, _find_response_mode(parameters, redirect_uri, state))


def _find_response_mode(parameters: Parameters, redirect_uri: str, state: str | None) -> str:
    # What is refused below for its response mode is told so in the query, which every app can read.
    asks_for_form = parameters.get("response_mode") == FORM_POST and "response_mode" not in parameters.repeated
    return FORM_POST if asks_for_form and _fits_form(redirect_uri, state) else QUERY


def _fits_form(redirect_uri: str, state: str | None) -> bool:
    # A browser posts forms to web addresses alone, and writes every line break as CR LF.
    return is_web_address(redirect_uri) and _LINE_BREAKS.isdisjoint(state or ())


def decide(
    parameters: Parameters,
    request: AuthorizationRequest,
    client: ClientRecord,
    target: RedirectTarget,
    settings: Settings,
    pushed_request_id: bytes | None = None,
    *,
    is_pushed: bool = False,
    is_signed: bool = False,
) -> AuthorizationPrompt:
    """Whether the request may be put before a person; the `OAuthError` of a refusal goes to the target."""
    parameters.refuse_repeats()
    if must_push_requests(client) and not is_pushed:
        raise OAuthError("invalid_request", "This client has to push its requests (RFC 9126).")
    if find_policy(client).requires_redirect_uri and request.redirect_uri is None:
        raise OAuthError("invalid_request", "redirect_uri is missing: this client names it in each request.")
    if client.security.requires_signed_request and not is_signed:
        raise OAuthError("invalid_request", "This client has to sign its requests (RFC 9101).")
    if request.response_type is None:
        raise OAuthError("invalid_request", "response_type is missing.")
    if request.response_type != "code":
        raise OAuthError("unsupported_response_type", "The only response_type is code.")
    if AUTHORIZATION_CODE not in client.grant_types:
        raise OAuthError("unauthorized_client", "This client may not use the authorization code grant.")
    if request.response_mode not in {None, *RESPONSE_MODES}:
        raise OAuthError("invalid_request", "The response_mode is query or form_post.")
    if request.response_mode == FORM_POST and target.response_mode != FORM_POST:
        raise OAuthError("invalid_request", "form_post needs an http redirect_uri and a state without line breaks.")
    _verify_code_challenge(request, client)
    if request.dpop_jkt is not None and not is_code_challenge(request.dpop_jkt):
        raise OAuthError("invalid_request", "dpop_jkt is not 43 base64url characters.")
    details = authorization_details.decide(
        request.authorization_details,
        client.security.authorization_details_types,
        settings.authorization_details_types,
    )
    resource, organization_id, is_fixed = _decide_organization(request, settings)
    return AuthorizationPrompt(
        client_id=request.client_id,
        redirect_uri=target.redirect_uri,
        sent_redirect_uri=request.redirect_uri,
        state=target.state,
        scope=decide_scope(request.scope, client, settings, has_details=details is not None),
        code_challenge=request.code_challenge,
        organization_id=organization_id,
        pushed_request_id=pushed_request_id,
        resource=resource,
        response_mode=target.response_mode,
        prompts=parse_prompt(request.prompt),
        max_age=parse_max_age(request.max_age),
        acr_values=decide_acr_values(request.acr_values, settings),
        login_hint=parse_login_hint(request.login_hint),
        authorization_details=details,
        dpop_jkt=request.dpop_jkt,
        organization_selection=parse_organization_selection(request.organization_selection),
        is_organization_fixed=is_fixed,
        grant_id=request.grant_id,
    )


def _decide_organization(request: AuthorizationRequest, settings: Settings) -> tuple[tuple[str, ...], str | None, bool]:
    """The resources, which organization the app asks for, and whether it may be no other: the one that a resource names
    may not."""
    refuse_many(request.resource)
    resource, of_resource = map_resources(request.resource, settings.organization_resources)
    if of_resource is not None:
        if request.organization_id not in {None, of_resource}:
            raise OAuthError("invalid_target", "The resource is of another organization than organization_id.")
        if request.organization_selection == SEVERAL:
            raise OAuthError("invalid_target", "The resource is of one organization, and several are asked for.")
        return resource, of_resource, True
    if request.organization_selection == FIXED and request.organization_id is None and request.grant_id is None:
        raise OAuthError("invalid_request", "organization_selection=fixed needs organization_id or grant_id.")
    if request.organization_selection == SEVERAL and request.grant_id is not None:
        raise OAuthError("invalid_request", "grant_id names one grant, and several organizations are asked for.")
    return resource, request.organization_id, request.organization_selection == FIXED


def _verify_code_challenge(request: AuthorizationRequest, client: ClientRecord) -> None:
    if request.code_challenge is None:
        if request.code_challenge_method is not None:
            raise OAuthError("invalid_request", "code_challenge_method was sent without a code_challenge.")
        if find_policy(client).requires_pkce:
            raise OAuthError("invalid_request", "code_challenge is missing: this client has to use PKCE.")
        return
    if request.code_challenge_method != S256:
        raise OAuthError("invalid_request", "The only code_challenge_method is S256, and it must be named.")
    if not is_code_challenge(request.code_challenge):
        raise OAuthError("invalid_request", "code_challenge is not 43 base64url characters.")


def decide_scope(
    asked: str | None, client: ClientRecord, settings: Settings, *, has_details: bool = False
) -> tuple[str, ...]:
    """What a member is asked for (RFC 6749 §3.3): without a scope, all that the app is registered for; but nothing more
    than those where it asks for authorization details (RFC 9396 §3)."""
    if asked is None and has_details:
        return ()
    scope = client.scope if asked is None else parse_scope(asked)
    if not set(scope) <= set(settings.scopes_supported):
        if asked is not None:
            raise OAuthError("invalid_scope", "The scope has a value that this server does not know.")
        scope = tuple(value for value in scope if value in settings.scopes_supported)
    if not set(scope) <= set(client.scope):
        raise OAuthError("invalid_scope", "The scope is wider than what this app is registered for.")
    if REFRESH_TOKEN not in client.grant_types:
        scope = tuple(value for value in scope if value != OFFLINE_ACCESS)
    if not has_details and not any(value != OFFLINE_ACCESS for value in scope):
        raise OAuthError("invalid_scope", "The scope asks for nothing that this app can be given.")
    return scope
