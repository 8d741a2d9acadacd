"""Registering and changing OAuth apps and resource servers; a secret is shown once and kept as a hash."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from latchstring.authorization_server.api_scopes import API_SCOPES
from latchstring.authorization_server.client_certificates import verify_subject_fits
from latchstring.authorization_server.client_keys import verify_keys_fit
from latchstring.authorization_server.events import SYSTEM, Origin
from latchstring.authorization_server.identifiers import (
    CLIENT,
    ID_ENTROPY_SIZE,
    RESOURCE_SERVER,
    render_identifier,
)
from latchstring.authorization_server.policy import default_security, find_policy, verify_allowances
from latchstring.authorization_server.ports import Clock, Commit, Entropy, Store
from latchstring.authorization_server.records import (
    AccessTokenFormat,
    ClientRecord,
    ClientSecurity,
    MembershipRecord,
    ResourceServerRecord,
)
from latchstring.authorization_server.settings import FULL_ACCESS, Settings
from latchstring.authorization_server.tokens import CLIENT_SECRET_SIZE, TokenCodec
from latchstring.protocol.client_metadata import (
    AUTHORIZATION_CODE,
    CLIENT_SECRET_BASIC,
    CLIENT_SECRET_POST,
    DEFAULT_GRANT_TYPES,
    GRANT_TYPES,
    NONE,
)
from latchstring.protocol.redirect_uri import MAX_REDIRECT_URI_LENGTH, RedirectUriRefused, verify_registrable
from latchstring.protocol.resource_metadata import verify_resource_identifier
from latchstring.protocol.scope import OFFLINE_ACCESS

MAX_NAME_LENGTH: Final = 80
MAX_DESCRIPTION_LENGTH: Final = 500
MAX_REDIRECT_URIS: Final = 50


class Problem(msgspec.Struct, frozen=True):
    """What must change in one field: a stable `code`, a sentence, and the values that the sentence names."""

    field: str
    code: str
    message: str
    values: dict[str, str] = {}


class AppRefused(ValueError):
    """What a person entered cannot be kept; at most one problem for each field."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


class AppDetails(msgspec.Struct, frozen=True, kw_only=True):
    """What people edit of an app."""

    name: str
    description: str = ""
    redirect_uris: tuple[str, ...] = ()
    terms_uri: str | None = None
    policy_uri: str | None = None


def clean_name(text: str) -> str:
    """A name as people will read it: one line, single spaces, no control or direction-changing characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def is_link(uri: str) -> bool:
    """Whether people can be shown the address as a link: a web address without a user name."""
    if len(uri) > 2000 or not uri.isprintable() or " " in uri:
        return False
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    return parts.scheme in {"https", "http"} and bool(parts.netloc) and "@" not in parts.netloc


def _find_redirect_uri_problem(redirect_uris: Sequence[str]) -> Problem | None:
    field, limit = "redirect_uris", str(MAX_REDIRECT_URIS)
    if not redirect_uris:
        return Problem(field, "redirect_uris_missing", "Give at least one redirect URI.")
    if len(redirect_uris) > MAX_REDIRECT_URIS:
        return Problem(field, "redirect_uris_too_many", f"Give at most {limit} redirect URIs.", {"limit": limit})
    for uri in redirect_uris:
        try:
            verify_registrable(uri)
        except RedirectUriRefused as refused:
            values = {"uri": uri[:200], "limit": str(MAX_REDIRECT_URI_LENGTH)}
            return Problem(field, f"redirect_uri_{refused.code}", f"{uri[:200]}: {refused}", values)
    return None


def verify_app_details(details: AppDetails, *, is_redirected: bool = True) -> AppDetails:
    """The details cleaned, or `AppRefused` with every field that must change. Only an app to which browsers are
    redirected needs a redirect URI."""
    problems: list[Problem] = []
    name = clean_name(details.name)
    if not name:
        problems.append(Problem("name", "name_missing", "Give the app a name."))
    elif len(name) > MAX_NAME_LENGTH:
        limit = str(MAX_NAME_LENGTH)
        problems.append(Problem("name", "name_too_long", f"Keep the name to {limit} characters.", {"limit": limit}))
    if len(details.description) > MAX_DESCRIPTION_LENGTH:
        limit = str(MAX_DESCRIPTION_LENGTH)
        why = f"Keep the description to {limit} characters."
        problems.append(Problem("description", "description_too_long", why, {"limit": limit}))
    redirect_uris = tuple(dict.fromkeys(details.redirect_uris))
    if (is_redirected or redirect_uris) and (problem := _find_redirect_uri_problem(redirect_uris)):
        problems.append(problem)
    for field, link in (("terms_uri", details.terms_uri), ("policy_uri", details.policy_uri)):
        if link is not None and not is_link(link):
            problems.append(Problem(field, f"{field}_unusable", f"{field}: give a full web address."))
    if problems:
        raise AppRefused(*problems)
    return msgspec.structs.replace(
        details, name=name, description=details.description.strip(), redirect_uris=redirect_uris
    )


def default_scope(settings: Settings) -> tuple[str, ...]:
    """What an app may ask for unless told otherwise: full access where the deployment has it, kept while away; nothing
    of the server's own API."""
    own = tuple(name for name in settings.scopes if name not in API_SCOPES)
    granted = (FULL_ACCESS,) if FULL_ACCESS in own else own
    return (*granted, OFFLINE_ACCESS)


def find_editable(client: ClientRecord, user_id: str, memberships: Sequence[MembershipRecord]) -> bool:
    """Whether the person may change the app: an admin of its owner, or its creator while a member there."""
    return any(
        membership.organization_id == client.organization_id
        and (membership.role == "admin" or client.created_by == user_id)
        for membership in memberships
    )


def _verify_security(client: ClientRecord) -> None:
    """Refuse allowances that the client cannot have, a way to authenticate that its profile does not allow, and keys
    that do not fit it."""
    policy, method = find_policy(client), client.token_endpoint_auth_method
    try:
        verify_allowances(client.security, is_public=client.is_public)
    except ValueError as error:
        raise AppRefused(Problem("allowances", "allowances_unusable", f"The allowances: {error}.")) from None
    if method not in policy.authentication_methods:
        why = f"The profile {client.security.profile} does not allow token_endpoint_auth_method {method}."
        raise AppRefused(Problem("token_endpoint_auth_method", "authentication_not_allowed", why))
    try:
        verify_keys_fit(method, client.security, policy.signing_algorithms)
    except ValueError as error:
        raise AppRefused(Problem("jwks", "keys_unusable", f"The keys: {error}.")) from None
    try:
        verify_subject_fits(method, client.security)
    except ValueError as error:
        raise AppRefused(Problem("tls_client_auth", "subject_unusable", f"The certificate: {error}.")) from None


class Apps:
    """Creates and changes clients and resource servers."""

    def __init__(self, *, store: Store, codec: TokenCodec, settings: Settings, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._codec = codec
        self._settings = settings
        self._clock = clock
        self._entropy = entropy

    async def create(
        self,
        details: AppDetails,
        *,
        organization_id: str,
        created_by: str | None,
        token_endpoint_auth_method: str = CLIENT_SECRET_POST,
        is_published: bool = False,
        security: ClientSecurity | None = None,
        scope: tuple[str, ...] | None = None,
        grant_types: tuple[str, ...] = DEFAULT_GRANT_TYPES,
        acts_for_resource: str | None = None,
        origin: Origin = SYSTEM,
    ) -> tuple[ClientRecord, str | None]:
        """The new client and its secret (None for one that has no use for it); `AppRefused` names what must change."""
        details = verify_app_details(details, is_redirected=AUTHORIZATION_CODE in grant_types)
        scope = default_scope(self._settings) if scope is None else scope
        unknown = [value for value in scope if value not in self._settings.scopes_supported]
        if unknown or not scope:
            why = f"This deployment does not define the scope {' '.join(unknown) or '(empty)'}."
            raise AppRefused(Problem("scope", "scope_unknown", why))
        unsupported = [grant_type for grant_type in grant_types if grant_type not in GRANT_TYPES]
        if unsupported or not grant_types:
            why = f"Not a supported grant type: {' '.join(unsupported) or '(none)'}."
            raise AppRefused(Problem("grant_types", "grant_types_unsupported", why))
        types = () if security is None else security.authorization_details_types
        undeclared = [name for name in types if name not in self._settings.authorization_details_types]
        if undeclared:
            why = f"This deployment does not declare the type of authorization details {' '.join(undeclared)}."
            raise AppRefused(Problem("authorization_details_types", "details_type_unknown", why))
        if acts_for_resource is not None:
            await self._verify_acting(acts_for_resource, is_public=token_endpoint_auth_method == NONE)
        now = self._clock()
        has_secret = token_endpoint_auth_method in {CLIENT_SECRET_POST, CLIENT_SECRET_BASIC}
        secret = self._codec.render_client_secret(self._entropy(CLIENT_SECRET_SIZE)) if has_secret else None
        client = ClientRecord(
            client_id=render_identifier(CLIENT, self._entropy(ID_ENTROPY_SIZE)),
            organization_id=organization_id,
            created_by=created_by,
            name=details.name,
            description=details.description,
            redirect_uris=details.redirect_uris,
            scope=scope,
            grant_types=grant_types,
            token_endpoint_auth_method=token_endpoint_auth_method,
            secrets=() if secret is None else (self._codec.hash_client_secret(secret, now),),
            terms_uri=details.terms_uri,
            policy_uri=details.policy_uri,
            is_published=is_published,
            retry_window=None,
            access_revoked_until=0,
            created_at=now,
            security=security or default_security(token_endpoint_auth_method),
            acts_for_resource=acts_for_resource,
        )
        _verify_security(client)
        await self._store.create_client(client, origin=origin)
        return client, secret

    async def _verify_acting(self, resource: str, *, is_public: bool) -> None:
        field = "acts_for_resource"
        if is_public:
            raise AppRefused(Problem(field, "acts_for_resource_public", "A public client cannot act for an API."))
        if not await self._store.has_resource(resource):
            why = "Give the identifier of a registered resource server."
            raise AppRefused(Problem(field, "acts_for_resource_unknown", why))

    async def update(self, client: ClientRecord, details: AppDetails, *, origin: Origin = SYSTEM) -> ClientRecord:
        """The client with new details; `AppRefused` names what must change."""
        details = verify_app_details(details, is_redirected=AUTHORIZATION_CODE in client.grant_types)
        changed = msgspec.structs.replace(client, **msgspec.structs.asdict(details))
        await self._store.update_client_details(changed, now=self._clock(), origin=origin)
        return changed

    async def update_security(
        self, client: ClientRecord, security: ClientSecurity, *, origin: Origin = SYSTEM
    ) -> ClientRecord:
        """The client held to that from its next request on; `AppRefused` names what must change."""
        changed = msgspec.structs.replace(client, security=security)
        _verify_security(changed)
        await self._store.update_client_security(changed, now=self._clock(), origin=origin)
        return changed

    async def replace_keys(
        self,
        client: ClientRecord,
        *,
        jwks: str | None = None,
        jwks_uri: str | None = None,
        origin: Origin = SYSTEM,
    ) -> ClientRecord:
        """The client with those keys in place of all that it had; `AppRefused` names what must change."""
        security = msgspec.structs.replace(client.security, jwks=jwks, jwks_uri=jwks_uri)
        changed = msgspec.structs.replace(client, security=security)
        _verify_security(changed)
        await self._store.update_client_security(changed, now=self._clock(), origin=origin)
        return changed

    async def end(self, client_id: str, *, origin: Origin = SYSTEM) -> Commit:
        """Delete the client: all that stands on it is dead when this returns."""
        now = self._clock()
        kept_until = now + self._settings.ended_grant_lifetime
        return await self._store.delete_client(client_id, now=now, kept_until=kept_until, origin=origin)

    async def create_resource_server(
        self, name: str, resource: str, access_token_format: AccessTokenFormat = "opaque"
    ) -> tuple[ResourceServerRecord, str]:
        """The new resource server and its secret; `AppRefused` names what must change."""
        try:
            verify_resource_identifier(resource)
        except ValueError as error:
            why = f"Give the API's absolute URI, without query or fragment (RFC 8707 section 2): {error}."
            raise AppRefused(Problem("resource", "resource_unusable", why)) from None
        if resource == self._settings.api_resource:
            why = "That is this server's own API, which answers for its tokens itself."
            raise AppRefused(Problem("resource", "resource_unusable", why))
        if not clean_name(name):
            raise AppRefused(Problem("name", "name_missing", "Give the resource server a name."))
        now = self._clock()
        secret = self._codec.render_client_secret(self._entropy(CLIENT_SECRET_SIZE))
        resource_server = ResourceServerRecord(
            client_id=render_identifier(RESOURCE_SERVER, self._entropy(ID_ENTROPY_SIZE)),
            name=clean_name(name),
            resource=resource,
            secrets=(self._codec.hash_client_secret(secret, now),),
            created_at=now,
            access_token_format=access_token_format,
        )
        await self._store.create_resource_server(resource_server)
        return resource_server, secret
