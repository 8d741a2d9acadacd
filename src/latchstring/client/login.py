"""Connecting: from the authorization URL to a stored connection (RFC 6749 §4.1, RFC 7636, RFC 9207)."""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from latchstring.client.connecting import connect
from latchstring.client.connection import Connection, ConnectionKey, PendingLogin
from latchstring.client.errors import (
    CallbackRefused,
    ClientError,
    Declined,
    Misconfigured,
    ProviderAnswer,
    ReauthorizeRequired,
    TemporaryFailure,
)
from latchstring.client.exchange import Answer, Unanswered
from latchstring.client.openid import asks_for_id_token, refuse_unverifiable
from latchstring.client.provider import FIXED, Provider
from latchstring.client.settings import Context
from latchstring.client.steps import Flow, ask, send
from latchstring.client.token_endpoint import build_request, read_tokens
from latchstring.protocol.authorization_response import render_redirect
from latchstring.protocol.errors import OAuthError, visible_ascii
from latchstring.protocol.parameters import Parameters, parse_parameters
from latchstring.protocol.pkce import S256, code_challenge
from latchstring.protocol.token_answer import TokenAnswer

_RESERVED: Final = frozenset(
    {
        "client_id", "code_challenge", "code_challenge_method", "nonce", "organization_id", "redirect_uri",
        "resource", "response_type", "scope", "state",
    }
)  # fmt: skip
_INTERACTION: Final = frozenset(
    {"account_selection_required", "consent_required", "interaction_required", "login_required"}
)
_MISCONFIGURED: Final = frozenset(
    {"invalid_request", "invalid_scope", "invalid_target", "unauthorized_client", "unsupported_response_type"}
)
_NOT_SENT_TRIES: Final = 2


def begin(
    context: Context,
    *,
    browser_session: str,
    organization_id: str | None,
    parameters: Mapping[str, str],
    scope: str | None = None,
    redirect_uri: str | None = None,
    step_ups: int = 0,
    reconnects: ConnectionKey | None = None,
) -> Flow[str]:
    """The authorization URL (RFC 6749 §4.1.1): always with `state` and an S256 challenge of 256 fresh bits, and with a
    `nonce` where the scope has `openid` (OpenID Connect Core §3.1.2.1).

    The rest of the login stays in the store, bound to `browser_session`: a value that only this browser's
    session at the app has. `scope` and `redirect_uri` are for this login in place of the client's. `reconnects` is the
    connection to renew: what comes back for any other is refused.
    """
    settings = context.settings
    if _RESERVED & parameters.keys():
        raise Misconfigured("argument_refused", "The parameters name one that the client itself sets.")
    provider = yield from context.providers.resolve()
    scope = settings.scope if scope is None else scope
    refuse_unverifiable(provider, scope)
    now = context.clock()
    login = PendingLogin(
        state=_random(context),
        code_verifier=_random(context),
        browser_hash=_hash_browser(browser_session),
        issuer=provider.issuer,
        client_id=settings.client_id,
        redirect_uri=settings.redirect_uri if redirect_uri is None else redirect_uri,
        scope=scope,
        expires_at=now + settings.login_lifetime,
        step_ups=step_ups,
        reconnects=None if reconnects is None else (reconnects.organization_id, reconnects.user_id),
        nonce=_random(context) if asks_for_id_token(scope) else None,
        signed_in_after=_find_signed_in_after(scope, parameters.get("max_age", ""), now),
    )
    if not login.redirect_uri:
        raise Misconfigured("argument_refused", "redirect_uri is missing: where does the provider send the browser to?")
    yield from ask(context.store.commit_login, login, now=now)
    query = {
        **provider.authorization_parameters,
        "response_type": "code",
        "client_id": settings.client_id,
        "redirect_uri": login.redirect_uri,
        "scope": provider.scope_separator.join(login.scope.split()) or None,
        "state": login.state,
        "nonce": login.nonce,
        "code_challenge": code_challenge(login.code_verifier) if provider.sends_code_challenge else None,
        "code_challenge_method": S256 if provider.sends_code_challenge else None,
        "organization_id": organization_id,
        "organization_selection": FIXED if reconnects is not None and provider.fixes_organizations else None,
        **settings.target,
        **parameters,
    }
    return render_redirect(provider.authorization_endpoint, query)


def complete(context: Context, callback: str | Mapping[str, str], *, browser_session: str) -> Flow[Connection]:
    """The connection that the callback brings (RFC 6749 §4.1.2), stored before it is returned; of several, the first.

    Raises `Declined`, `CallbackRefused` or what the provider's error means. The login is spent either way: a
    second call with the same callback is refused.
    """
    return (yield from complete_all(context, callback, browser_session=browser_session))[0]


def complete_all(
    context: Context, callback: str | Mapping[str, str], *, browser_session: str
) -> Flow[list[Connection]]:
    """Every connection that the callback brings: one, and one for each of `further_codes`, for which the provider was
    asked by `organization_selection=several`. Each is stored before the next code is sent: an error on the way loses
    none of them."""
    parameters = _parse_callback(callback)
    state = parameters.get("state")
    if state is None:
        raise CallbackRefused("state_missing", "The callback has no state, so no login of ours began it.")
    provider = yield from context.providers.resolve()
    login = yield from ask(context.store.end_login, state, browser_hash=_hash_browser(browser_session))
    if login is None:
        raise CallbackRefused("state_mismatch", "This browser began no such login, or it has been completed already.")
    if login.expires_at <= context.clock():
        raise CallbackRefused("login_expired", "The login took too long; begin again.")
    if login.issuer != provider.issuer or login.client_id != context.settings.client_id:
        raise CallbackRefused("issuer_mismatch", "The login was begun with another provider or client.")
    verify_issuer(provider, parameters.get("iss"))
    if "error" in parameters:
        raise read_authorization_error(parameters)
    if "code" not in parameters:
        raise CallbackRefused("callback_malformed", "The callback has neither a code nor an error.")
    connections = []
    for code in (parameters["code"], *parameters.get("further_codes", "").split()):
        sent_at, tokens = yield from _exchange(context, provider, login, code)
        connection = yield from connect(
            context,
            provider,
            tokens,
            sent_at,
            scope=login.scope,
            login=login,
            code=code,
        )
        connections.append(connection)
    return connections


def verify_issuer(provider: Provider, iss: str | None) -> None:
    """Refuse an answer from another issuer, errors too: equal byte for byte (RFC 9207 §2.4).

    One that comes unannounced is compared all the same; one announced may not be missing.
    """
    if iss is None and provider.authorization_response_iss_parameter_supported:
        raise CallbackRefused("issuer_missing", "The provider always names itself (iss), and here it does not.")
    if iss is not None and iss != provider.issuer:
        raise CallbackRefused("issuer_mismatch", "The callback comes from another issuer than the one asked.")


def read_authorization_error(parameters: Mapping[str, str]) -> ClientError:
    """What an error in the callback means (RFC 6749 §4.1.2.1)."""
    error = parameters["error"]
    said = parameters.get("error_description")
    cause = ProviderAnswer(status=302, error=error, error_description=said)
    description = visible_ascii((said or error)[:500])
    if error == "access_denied":
        return Declined("access_denied", description, cause=cause)
    if error in {"server_error", "temporarily_unavailable"}:
        return TemporaryFailure("server_unavailable", description, cause=cause)
    if error == "unmet_authentication_requirements":
        return ReauthorizeRequired(error, description, cause=cause)
    if error in _INTERACTION:
        return ReauthorizeRequired("interaction_required", description, cause=cause)
    if error in _MISCONFIGURED:
        return Misconfigured(error, description, cause=cause)
    return Misconfigured("provider_error", description, cause=cause)


def _parse_callback(callback: str | Mapping[str, str]) -> Parameters:
    """The callback's parameters; refuses repeats and what is not a query."""
    try:
        if isinstance(callback, str):
            query = urlsplit(callback).query if "?" in callback else callback
            parameters = parse_parameters(query.encode())
            parameters.refuse_repeats()
            return parameters
    except (OAuthError, ValueError) as error:
        raise CallbackRefused("callback_malformed", "The callback's query is malformed.", cause=error) from error
    parameters = Parameters()
    parameters.update((name, value) for name, value in callback.items() if value)
    return parameters


def _exchange(context: Context, provider: Provider, login: PendingLogin, code: str) -> Flow[tuple[float, TokenAnswer]]:
    """Redeem the code (RFC 6749 §4.1.3). It is sent again only if it certainly never arrived: a code that
    arrives twice ends its grant (§4.1.2)."""
    form = {
        **provider.exchange_parameters,
        **context.settings.target,
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": login.redirect_uri,
    }
    if provider.sends_code_challenge:
        form["code_verifier"] = login.code_verifier
    request = build_request(context.settings, provider, provider.token_endpoint, form)
    outcome: Answer | Unanswered
    for _ in range(_NOT_SENT_TRIES):
        outcome = yield from send(request)
        if isinstance(outcome, Answer) or outcome.may_have_arrived:
            break
    tokens = read_tokens(provider, outcome)
    assert isinstance(outcome, Answer)
    return outcome.sent_at, tokens


def _find_signed_in_after(scope: str, max_age: str, now: float) -> float | None:
    """When the person must have signed in at the earliest, where that can be told (OpenID Connect Core §3.1.2.1)."""
    is_asked = asks_for_id_token(scope) and max_age.isascii() and max_age.isdigit()
    return now - int(max_age[:9]) if is_asked else None


def _random(context: Context) -> str:
    return urlsafe_b64encode(context.entropy(32)).rstrip(b"=").decode("ascii")


def _hash_browser(browser_session: str) -> str:
    if not browser_session:
        raise Misconfigured("argument_refused", "browser_session is empty; a login belongs to one browser.")
    return hashlib.sha256(browser_session.encode()).hexdigest()
