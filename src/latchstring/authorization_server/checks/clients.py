"""Items of single clients: how they prove themselves, where browsers return to, what they may ask for."""

from typing import Final
from urllib.parse import urlsplit

from latchstring.authorization_server.api_scopes import API_SCOPES
from latchstring.authorization_server.checks.deployment import MAX_RETRY_WINDOW
from latchstring.authorization_server.checks.rule import Fault, Rule, Subject, for_each_client, for_each_fapi_client
from latchstring.authorization_server.policy import find_policy, must_push_requests, requires_binding
from latchstring.authorization_server.records import ClientRecord
from latchstring.authorization_server.settings import FULL_ACCESS
from latchstring.protocol.client_metadata import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    JWT_BEARER,
    REFRESH_TOKEN,
    TOKEN_EXCHANGE,
)
from latchstring.protocol.jose.algorithms import RS256
from latchstring.protocol.redirect_uri import is_loopback, is_web_address
from latchstring.protocol.scope import OFFLINE_ACCESS

MAX_SECRET_AGE: Final = 365 * 24 * 3600
MAX_SECRETS: Final = 2
_FOR_CONFIDENTIAL: Final = (CLIENT_CREDENTIALS, TOKEN_EXCHANGE, JWT_BEARER)
Found = tuple[Fault, str] | None


def _pkce(client: ClientRecord, _: Subject) -> Found:
    if AUTHORIZATION_CODE in client.grant_types and not find_policy(client).requires_pkce:
        return "warning", "Once the app sends code_challenge, give it the profile oauth2.1."
    return None


def _allowances(client: ClientRecord, _: Subject) -> Found:
    if client.security.allowances:
        return "warning", f"It is let off: {', '.join(client.security.allowances)}. Bring the app up to date."
    return None


def _bound(client: ClientRecord, _: Subject) -> Found:
    if not requires_binding(client):
        return "warning", "Bind its tokens to a key (DPoP) or to its certificate, where it can."
    return None


def _asymmetric(client: ClientRecord, _: Subject) -> Found:
    if client.has_secret:
        return "warning", "Let it prove itself by a key of its own (private_key_jwt)."
    return None


def _secret_age(client: ClientRecord, subject: Subject) -> Found:
    live = [secret for secret in client.secrets if not secret.has_ended(subject.now)]
    if client.has_secret and live and min(secret.created_at for secret in live) < subject.now - MAX_SECRET_AGE:
        return "warning", "A secret of it is older than a year: add a new one and retire the old."
    if len(live) > MAX_SECRETS:
        return "warning", "More than two of its secrets work: retire those that are not used."
    return None


def _http(client: ClientRecord, _: Subject) -> Found:
    plain = [uri for uri in client.redirect_uris if uri.startswith("http://")]
    if any(not is_loopback(uri) for uri in plain):
        return "fails", "Register https redirect URIs; plain http is for the app's own computer alone."
    if any(urlsplit(uri).hostname == "localhost" for uri in plain):
        return "warning", "Register http://127.0.0.1 or http://[::1] in place of localhost."
    if plain and not client.is_public:
        return "warning", "An app on people's own computers cannot keep a secret: register it as public."
    return None


def _private_scheme(client: ClientRecord, _: Subject) -> Found:
    if any(not is_web_address(uri) for uri in client.redirect_uris):
        return "warning", "Any app on the device can claim that scheme: use an https URI that the app claims."
    return None


def _alone(client: ClientRecord, _: Subject) -> Found:
    unusable = [name for name in _FOR_CONFIDENTIAL if client.is_public and name in client.grant_types]
    if unusable:
        return "fails", f"A public client is refused these grant types: {', '.join(unusable)}."
    return None


def _unused_grants(client: ClientRecord, subject: Subject) -> Found:
    grants, is_offline = client.grant_types, OFFLINE_ACCESS in client.scope
    if (REFRESH_TOKEN in grants) != is_offline and AUTHORIZATION_CODE in grants:
        return "warning", "refresh_token and the scope offline_access go together: one is there without the other."
    if JWT_BEARER in grants and not subject.settings.trusted_issuers:
        return "warning", "It is registered for assertions, and no issuer is trusted."
    if TOKEN_EXCHANGE in grants and client.is_published and client.acts_for_resource:
        return "warning", "A client that acts for an API is nothing that members connect: do not publish it."
    if client.redirect_uris and AUTHORIZATION_CODE not in grants:
        return "warning", "It has redirect URIs that no grant type of its uses."
    return None


def _scope(client: ClientRecord, subject: Subject) -> Found:
    unknown = sorted(set(client.scope) - set(subject.settings.scopes_supported))
    if unknown:
        return "warning", f"The settings define no such scope: {', '.join(unknown)}."
    if FULL_ACCESS in client.scope and len(subject.settings.scopes.keys() - API_SCOPES) > 1:
        return "warning", f"It may ask for {FULL_ACCESS}, though there are narrower scopes."
    return None


def _client_retry_window(client: ClientRecord, _: Subject) -> Found:
    if client.retry_window is not None and client.retry_window > MAX_RETRY_WINDOW:
        return "warning", "Its retry window is longer than five minutes."
    return None


def _fapi_profile(client: ClientRecord, _: Subject) -> Found:
    return None if client.security.profile == "fapi2" else ("fails", "Give it the profile fapi2.")


def _fapi_confidential(client: ClientRecord, _: Subject) -> Found:
    return ("fails", "A public client cannot keep FAPI 2.0.") if client.is_public else None


def _fapi_authentication(client: ClientRecord, _: Subject) -> Found:
    if client.has_secret:
        return "fails", "Let it prove itself by private_key_jwt in place of its secret."
    return None


def _fapi_pushed(client: ClientRecord, _: Subject) -> Found:
    if AUTHORIZATION_CODE in client.grant_types and not must_push_requests(client):
        return "fails", "Let its authorization requests count only where they are pushed."
    return None


def _fapi_bound(client: ClientRecord, _: Subject) -> Found:
    return None if requires_binding(client) else ("fails", "Let it get bound tokens alone (DPoP or mTLS).")


def _fapi_pkce(client: ClientRecord, _: Subject) -> Found:
    if AUTHORIZATION_CODE in client.grant_types and not find_policy(client).requires_pkce:
        return "fails", "Take back its allowance to leave out PKCE."
    return None


def _fapi_rotation(client: ClientRecord, _: Subject) -> Found:
    if REFRESH_TOKEN in client.grant_types and find_policy(client).rotates_refresh_tokens:
        return "fails", "Its refresh tokens rotate; the profile fapi2 keeps them."
    return None


def _fapi_redirect(client: ClientRecord, _: Subject) -> Found:
    if any(not uri.startswith("https://") for uri in client.redirect_uris):
        return "fails", "Register https redirect URIs alone."
    return None


def _fapi_algorithm(client: ClientRecord, _: Subject) -> Found:
    security = client.security
    if RS256 in {security.token_endpoint_auth_signing_alg, security.request_object_signing_alg}:
        return "fails", "Let it sign with ES256, EdDSA or PS256."
    return None


_each, _each_fapi = for_each_client, for_each_fapi_client
RULES: Final = (
    Rule("pkce", "RFC 9700 §2.1.1; OAuth 2.1 §4.1.1", "Codes are bound to their client by PKCE.", _each(_pkce)),
    Rule("allowances", "ours", "No client is let off anything.", _each(_allowances)),
    Rule("bound-tokens", "RFC 9700 §2.2.1", "A stolen access token is worth nothing.", _each(_bound)),
    Rule("client-keys", "RFC 9700 §2.5", "Clients prove themselves by keys, not by secrets.", _each(_asymmetric)),
    Rule("secret-age", "RFC 6749 §10.1; ours", "Secrets are few, and replaced in time.", _each(_secret_age)),
    Rule(
        "redirect-uri-http",
        "RFC 9700 §2.6; RFC 8252 §8.3",
        "Answers go by https or stay local.",
        _each(_http),
    ),
    Rule("redirect-uri-scheme", "RFC 8252 §7.1, §8.6", "No other app can take an answer.", _each(_private_scheme)),
    Rule(
        "confidential-grants",
        "OAuth 2.1 §4.2; RFC 8693 §5",
        "Who acts alone can prove it.",
        _each(_alone),
    ),
    Rule("unused-grants", "RFC 9700 §2.3; ours", "No client has what it does not use.", _each(_unused_grants)),
    Rule("client-scope", "RFC 9700 §2.3", "Clients may ask for what they need, and no more.", _each(_scope)),
    Rule("client-retry-window", "RFC 9700 §4.14.2", "No client's retry window is long.", _each(_client_retry_window)),
    Rule("fapi-profile", "FAPI 2.0 §5.3.2.1", "The client keeps the profile.", _each_fapi(_fapi_profile)),
    Rule("fapi-confidential", "FAPI 2.0 §5.3.2.1", "The client is confidential.", _each_fapi(_fapi_confidential)),
    Rule("fapi-client-keys", "FAPI 2.0 §5.3.2.1", "It proves itself by a key.", _each_fapi(_fapi_authentication)),
    Rule("fapi-pushed", "FAPI 2.0 §5.3.2.2", "Its authorization requests are pushed.", _each_fapi(_fapi_pushed)),
    Rule("fapi-bound-tokens", "FAPI 2.0 §5.3.2.1", "Its tokens are bound.", _each_fapi(_fapi_bound)),
    Rule("fapi-pkce", "FAPI 2.0 §5.3.2.2", "Its codes are bound by PKCE.", _each_fapi(_fapi_pkce)),
    Rule("fapi-rotation", "FAPI 2.0 §5.3.2.1", "Its refresh tokens do not rotate.", _each_fapi(_fapi_rotation)),
    Rule("fapi-redirect-uri", "FAPI 2.0 §5.3.2.2", "Its redirect URIs are https.", _each_fapi(_fapi_redirect)),
    Rule("fapi-client-algorithm", "FAPI 2.0 §5.4.1", "It does not sign with RS256.", _each_fapi(_fapi_algorithm)),
)
