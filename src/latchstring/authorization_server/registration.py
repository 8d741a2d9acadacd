"""What an app may register of itself, and the client that it becomes (RFC 7591 §2, §5)."""

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

import msgspec

from latchstring.authorization_server.apps import MAX_NAME_LENGTH, AppDetails, AppRefused, is_link, verify_app_details
from latchstring.authorization_server.client_keys import clean_key_set, verify_keys_fit
from latchstring.authorization_server.identifiers import derive_client_id
from latchstring.authorization_server.records import ClientRecord, ClientSecurity, SecretHash
from latchstring.authorization_server.settings import Settings
from latchstring.protocol.client_metadata import (
    AUTHORIZATION_CODE,
    CLIENT_SECRET_BASIC,
    CLIENT_SECRET_POST,
    NONE,
    PRIVATE_KEY_JWT,
    REFRESH_TOKEN,
    ClientMetadata,
    refuse_metadata,
)
from latchstring.protocol.errors import OAuthError, visible_ascii
from latchstring.protocol.jose.algorithms import ALGORITHMS
from latchstring.protocol.redirect_uri import RedirectUriRefused, redirect_host, verify_registrable
from latchstring.protocol.scope import OFFLINE_ACCESS

# An app that registered itself acts for a member who consented, and never for an organization on its own.
_GRANT_TYPES: Final = (AUTHORIZATION_CODE, REFRESH_TOKEN)
# RFC 7591 §2: what stands for a member that is left out.
_DEFAULT_GRANT_TYPES: Final = (AUTHORIZATION_CODE,)
REGISTRABLE_METHODS: Final = (NONE, CLIENT_SECRET_BASIC, CLIENT_SECRET_POST, PRIVATE_KEY_JWT)

_encode = msgspec.json.Encoder().encode


class Registration(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """What was registered, verified. `scope` is None for everything that such an app can have."""

    name: str
    redirect_uris: tuple[str, ...]
    grant_types: tuple[str, ...]
    token_endpoint_auth_method: str
    scope: tuple[str, ...] | None = None
    client_uri: str | None = None
    terms_uri: str | None = None
    policy_uri: str | None = None
    security: ClientSecurity = ClientSecurity()


def decide_registration(
    metadata: ClientMetadata, settings: Settings, *, methods: Collection[str], default_method: str
) -> Registration:
    """What is registered of the metadata, or the refusal (RFC 7591 §3.2.2). Grant types and scopes that such an app
    cannot have are left out, and the answer says so (§3.2.1); what cannot be trusted is refused."""
    _refuse_software_statement(metadata)
    method = metadata.token_endpoint_auth_method or default_method
    if method not in methods:
        raise refuse_metadata(f"token_endpoint_auth_method is not one of: {', '.join(methods)}.")
    requested = _DEFAULT_GRANT_TYPES if metadata.grant_types is None else metadata.grant_types
    grant_types = tuple(grant_type for grant_type in _GRANT_TYPES if grant_type in requested)
    if AUTHORIZATION_CODE not in grant_types:
        raise refuse_metadata("grant_types lacks authorization_code, without which no member can consent.")
    if metadata.response_types is not None and "code" not in metadata.response_types:
        raise refuse_metadata("response_types lacks code, which the grant type authorization_code needs.")
    details = _verify_details(metadata)
    return Registration(
        name=details.name if metadata.client_name else redirect_host(details.redirect_uris[0])[:MAX_NAME_LENGTH],
        redirect_uris=details.redirect_uris,
        grant_types=grant_types,
        token_endpoint_auth_method=method,
        scope=_reduce_scope(metadata.scope, settings),
        client_uri=metadata.client_uri or None,
        terms_uri=details.terms_uri,
        policy_uri=details.policy_uri,
        security=_decide_security(metadata, method),
    )


def _decide_security(metadata: ClientMetadata, method: str) -> ClientSecurity:
    """The client's keys and what it asks to be held to; nothing that it says of itself weakens the profile."""
    try:
        security = ClientSecurity(
            jwks=None if metadata.jwks is None else clean_key_set(_encode(metadata.jwks)),
            jwks_uri=metadata.jwks_uri or None,
            token_endpoint_auth_signing_alg=metadata.token_endpoint_auth_signing_alg or None,
            request_object_signing_alg=metadata.request_object_signing_alg or None,
            requires_pushed_request=metadata.require_pushed_authorization_requests,
            dpop_bound_access_tokens=metadata.dpop_bound_access_tokens,
            tls_client_certificate_bound_access_tokens=metadata.tls_client_certificate_bound_access_tokens,
            requires_signed_request=metadata.require_signed_request_object,
        )
        verify_keys_fit(method, security, ALGORITHMS)
    except ValueError as error:
        raise refuse_metadata(f"The client's keys: {error}.") from None
    return security


def _refuse_software_statement(metadata: ClientMetadata) -> None:
    # There is nobody whose statements this server trusts: none is verified, and none counts.
    if metadata.software_statement is None:
        return
    if not isinstance(metadata.software_statement, str) or metadata.software_statement.count(".") != 2:
        raise OAuthError("invalid_software_statement", "software_statement is not a signed JWT.")
    raise OAuthError("unapproved_software_statement", "This server trusts no issuer of software statements.")


def _verify_details(metadata: ClientMetadata) -> AppDetails:
    for uri in metadata.redirect_uris or ():
        try:
            verify_registrable(uri)
        except RedirectUriRefused as refused:
            why = visible_ascii(str(refused))  # without the URI, which the answer would reflect
            raise OAuthError("invalid_redirect_uri", why) from None
    for name in ("client_uri", "tos_uri", "policy_uri"):
        link = getattr(metadata, name)
        if link and not is_link(link):
            raise refuse_metadata(f"{name}: give a full web address.")
    try:
        details = verify_app_details(
            AppDetails(
                name=metadata.client_name or "-",
                redirect_uris=tuple(metadata.redirect_uris or ()),
                terms_uri=metadata.tos_uri or None,
                policy_uri=metadata.policy_uri or None,
            )
        )
    except AppRefused as refused:
        problem, why = refused.problems[0], refused.problems[0].message
        if problem.field == "redirect_uris":
            raise OAuthError("invalid_redirect_uri", why) from None
        raise refuse_metadata(why) from None
    return details


def _reduce_scope(scope: str | None, settings: Settings) -> tuple[str, ...] | None:
    """What is left of the scope that was asked for: never one that the deployment keeps from strangers (G4)."""
    if not scope:
        return None
    asked = scope.split(" ")
    granted = tuple(value for value in settings.scopes_for_anyone if value in asked)
    if not any(value != OFFLINE_ACCESS for value in granted):
        raise refuse_metadata("scope has nothing that an app can have which registers itself.")
    return granted


def build_client(
    registration: Registration,
    *,
    public_id: str,
    settings: Settings,
    secrets: tuple[SecretHash, ...],
    created_at: int,
    expires_at: int | None,
) -> ClientRecord:
    """The client as every endpoint knows it: anyone's to connect, nobody's here, and always held to OAuth 2.1."""
    allowed = settings.scopes_for_anyone
    return ClientRecord(
        client_id=derive_client_id(public_id),
        organization_id=None,
        created_by=None,
        name=registration.name,
        description="",
        redirect_uris=registration.redirect_uris,
        scope=tuple(value for value in allowed if registration.scope is None or value in registration.scope),
        grant_types=registration.grant_types,
        token_endpoint_auth_method=registration.token_endpoint_auth_method,
        secrets=secrets,
        terms_uri=registration.terms_uri,
        policy_uri=registration.policy_uri,
        is_published=True,
        retry_window=None,
        access_revoked_until=0,
        created_at=created_at,
        public_id=public_id,
        security=registration.security,
        client_uri=registration.client_uri,
        expires_at=expires_at,
    )


def find_document_host(public_id: str | None) -> str | None:
    """The host that speaks for an app by publishing its metadata document; None for every other app."""
    return urlsplit(public_id).netloc if public_id is not None and public_id.startswith("https://") else None


def find_own_links(client: ClientRecord) -> tuple[str | None, str | None]:
    """The terms and privacy policy that a consent page may link to: of an app that registered itself only those on a
    host that it has shown to be its own, its redirect URIs' or its document's (RFC 7591 §5)."""
    links = client.terms_uri, client.policy_uri
    if client.public_id is None:
        return links
    own = {urlsplit(uri).hostname for uri in (*client.redirect_uris, client.public_id) if uri.startswith("https://")}
    terms, policy = (link if link is not None and urlsplit(link).hostname in own else None for link in links)
    return terms, policy
