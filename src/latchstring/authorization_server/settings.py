"""One deployment's settings: validated once, passed along, never looked up."""

from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from latchstring.authorization_server.api_scopes import API_SCOPES, PREFIX
from latchstring.authorization_server.details_types import DetailsType, verify_details_types
from latchstring.authorization_server.mail_settings import MailSettings, verify_mail_settings
from latchstring.authorization_server.organization_policy import OrganizationPolicy, Risk, Rulebook, build_risks
from latchstring.authorization_server.records import Role
from latchstring.authorization_server.trusted_issuers import TrustedIssuer, verify_trusted_issuer
from latchstring.protocol.client_certificate import parse_certificate_source
from latchstring.protocol.errors import ConfigurationError
from latchstring.protocol.resource_metadata import verify_resource_identifier
from latchstring.protocol.scope import OFFLINE_ACCESS, is_scope_token

SigningAlgorithm = Literal["ES256", "EdDSA", "PS256", "RS256"]

FULL_ACCESS: Final = "all.full_access"
ORGANIZATION_PLACEHOLDER: Final = "{organization_id}"
MAX_RETRY_WINDOW: Final = 30 * 24 * 3600
MAX_ACCESS_TOKEN_LIFETIME: Final = 24 * 3600
MAX_REGISTRATION_LIFETIME: Final = 30 * 24 * 3600
DEFAULT_EVENT_LIFETIME: Final = 400 * 24 * 3600
# A key is published this long before it signs, and signs at least as long: whoever keeps keys for a day knows it.
KEY_PUBLICATION_LEAD: Final = 24 * 3600
_HOST_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-.")
# What the server's own paths begin with: below an issuer's path of the same name they could not be told apart.
OWN_SEGMENTS: Final = frozenset(
    {
        ".well-known",
        "access-requests",
        "account",
        "api",
        "apps",
        "connections",
        "consent",
        "device",
        "directory",
        "healthz",
        "oauth2",
        "operator",
        "organizations",
        "readyz",
        "reset",
        "sign-in",
        "sign-out",
        "static",
    }
)
_ISSUER_CHARACTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/[]")


class ScopeDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """What a scope lets an app do, in words for members. An empty title stands for the built-in text.

    `titles` and `descriptions` are the same in other languages, by tag (`de`, `zh-Hans`). `group` names one of the
    setting's `scope_groups`. A member may strike out what `is_optional`. With `roles` it is only for members who have
    one of them. Where `is_for_anyone` is false, an app that registered itself never gets it.
    """

    title: str = ""
    titles: dict[str, str] = {}
    description: str = ""
    descriptions: dict[str, str] = {}
    risk: Risk = "medium"
    group: str = ""
    is_optional: bool = False
    roles: tuple[Role, ...] | None = None
    is_for_anyone: bool = True


class ScopeGroup(msgspec.Struct, frozen=True, kw_only=True):
    """What scopes touch, as a heading over them: `title`, and `titles` in other languages."""

    title: str
    titles: dict[str, str] = {}


def _api_scopes() -> dict[str, ScopeDefinition]:
    return {
        name: ScopeDefinition(risk=scope.risk, roles=scope.roles, is_for_anyone=False)
        for name, scope in API_SCOPES.items()
    }


def _built_in_scopes() -> dict[str, ScopeDefinition]:
    return {FULL_ACCESS: ScopeDefinition(risk="high")}


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every setting of the server. Lifetimes are in seconds; None means forever.

    `high_risk_sign_in_lifetime` is how long a sign-in is good for the question about a scope of high risk.
    `signing_key_lifetime` is how long a key signs before the next one does; `signing_algorithm` is the next one's.
    `trusted_proxies` is how many proxies in front append to `X-Forwarded-For`; 0 believes no such header.
    `client_certificate_header` is where the proxies on `trusted_proxy_networks`, and they alone, put the certificate
    that a client showed them. `client_certificates_verified` says that they pass on those alone whose issuer they have
    verified: without it nobody is known by the subject of a certificate (RFC 8705 §2.1).
    `trusted_issuers` are those whose assertions count as a grant, by their `iss`.

    `scope_groups` are in the order of the consent page. `organization_resources` say how one organization's part of an
    API is named, `https://api.example/organizations/{organization_id}`, and as which registered resource server it
    counts.

    `registration` says who may register a client by itself (RFC 7591): nobody, who has an initial access token, or
    anyone. Within `registration_lifetime` a person must have connected it. With `accepts_metadata_documents` a client
    may be known by a document of its own, of any host or of `metadata_document_hosts` alone.

    `organization_policy` is what counts for an organization whose admins have made no policy of their own. A member's
    request to its admins, and what was approved of it, waits for `access_request_lifetime`.

    With `serves_api` what admins and operators do on pages is an HTTP API, too (`docs/decisions/0025`).
    """

    issuer: str
    deployment_name: str = "Latchstring"
    accent_color: str | None = None
    logo_url: str | None = None
    token_prefix: str = "ls"
    scopes: dict[str, ScopeDefinition] = msgspec.field(default_factory=_built_in_scopes)
    scope_groups: dict[str, ScopeGroup] = {}
    organization_resources: dict[str, str] = {}
    authorization_details_types: dict[str, DetailsType] = {}
    code_lifetime: int = 60
    access_token_lifetime: int = 3600
    refresh_token_idle_lifetime: int | None = 180 * 24 * 3600
    refresh_token_absolute_lifetime: int | None = None
    retry_window: int = 60
    session_lifetime: int = 7 * 24 * 3600
    high_risk_sign_in_lifetime: int | None = 12 * 3600
    consent_page_lifetime: int = 3600
    pushed_request_lifetime: int = 90
    device_code_lifetime: int = 600
    ended_grant_lifetime: int = 30 * 24 * 3600
    event_lifetime: int = DEFAULT_EVENT_LIFETIME
    signing_algorithm: SigningAlgorithm = "ES256"
    signing_key_lifetime: int = 90 * 24 * 3600
    dpop_nonce_required: bool = False
    trusted_proxies: int = 0
    client_certificate_header: str | None = None
    trusted_proxy_networks: tuple[str, ...] = ()
    client_certificates_verified: bool = False
    registration: Literal["off", "gated", "open"] = "off"
    registration_lifetime: int = 24 * 3600
    trusted_issuers: dict[str, TrustedIssuer] = {}
    accepts_metadata_documents: bool = True
    metadata_document_hosts: tuple[str, ...] | None = None
    mail: MailSettings = msgspec.field(default_factory=MailSettings)
    organization_policy: OrganizationPolicy = OrganizationPolicy()
    access_request_lifetime: int = 14 * 24 * 3600
    serves_api: bool = False

    @property
    def rulebook(self) -> Rulebook:
        """What decides about apps where an organization has not: its default policy, and the risk of everything."""
        scopes = {name: scope.risk for name, scope in self.scopes.items()}
        types = {name: declared.risk for name, declared in self.authorization_details_types.items()}
        return Rulebook(self.organization_policy, build_risks(scopes, types))

    @property
    def scopes_supported(self) -> tuple[str, ...]:
        """Every scope an app can be given; `offline_access` is always one."""
        return (*self.scopes, OFFLINE_ACCESS)

    @property
    def base_path(self) -> str:
        """The issuer's path, below which everything of the server lies; empty where the host is its alone."""
        return urlsplit(self.issuer).path

    @property
    def api_resource(self) -> str | None:
        """The identifier (RFC 8707) of the server's own API; None where it has none."""
        return f"{self.issuer}/api/v1" if self.serves_api else None

    @property
    def scopes_for_anyone(self) -> tuple[str, ...]:
        """Every scope that an app can have which registered itself."""
        return (*(name for name, scope in self.scopes.items() if scope.is_for_anyone), OFFLINE_ACCESS)

    @property
    def is_https(self) -> bool:
        """Whether browsers reach the server over TLS: decides about cookie attributes."""
        return self.issuer.startswith("https://")


def _refuse(setting: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"{setting}: {why}")


def _verify_issuer(issuer: str) -> None:
    try:
        parts = urlsplit(issuer)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise _refuse("issuer", "its host or port is malformed") from None
    if not issuer.startswith(("http://", "https://")) or not host or not _ISSUER_CHARACTERS.issuperset(issuer):
        raise _refuse("issuer", "give an http or https URL without query, fragment or user name (RFC 8414 §2)")
    if issuer.endswith("/"):
        raise _refuse("issuer", "leave out the slash at the end")
    if any(segment in {"", ".", ".."} or ":" in segment for segment in parts.path.split("/")[1:]):
        raise _refuse("issuer", "its path is made of plain segments, such as https://example.com/login")
    if OWN_SEGMENTS & set(parts.path.split("/")[1:2]):
        raise _refuse("issuer", "its path begins like one of the server's own; choose another, such as /login")


def _verify_certificate_source(settings: Settings) -> None:
    header, networks = settings.client_certificate_header, settings.trusted_proxy_networks
    if header is None and networks:
        raise _refuse("trusted_proxy_networks", "name the client_certificate_header that these proxies send, too")
    if header is None and settings.client_certificates_verified:
        raise _refuse("client_certificates_verified", "name the client_certificate_header in which they come, too")
    if header is not None:
        try:
            parse_certificate_source(header, networks)
        except ValueError as error:
            raise _refuse("client_certificate_header, trusted_proxy_networks", str(error)) from None


def _verify_scopes(settings: Settings) -> None:
    if not settings.scopes:
        raise _refuse("scopes", "define at least one scope")
    for name, scope in settings.scopes.items():
        if not is_scope_token(name) or name == OFFLINE_ACCESS:
            raise _refuse("scopes", f"{name!r} is not a scope that a deployment can define (RFC 6749 §3.3)")
        if name.startswith(PREFIX) and not (settings.serves_api and _api_scopes().get(name) == scope):
            raise _refuse("scopes", f"{name}: names that begin with {PREFIX} are the server's own")
        if scope.group and scope.group not in settings.scope_groups:
            raise _refuse("scopes", f"{name}: {scope.group!r} is not one of scope_groups")
        if scope.roles == ():
            raise _refuse("scopes", f"{name}: name a role that it is for, or leave out roles")
    for name, group in settings.scope_groups.items():
        if not group.title:
            raise _refuse("scope_groups", f"{name}: give a title, which members read")


def _verify_organization_resource(template: str, identifier: str) -> None:
    if template.count(ORGANIZATION_PLACEHOLDER) != 1:
        raise _refuse("organization_resources", f"name the organization once, by {ORGANIZATION_PLACEHOLDER}")
    before, _, after = template.partition(ORGANIZATION_PLACEHOLDER)
    if not before.endswith("/") or after[:1] not in {"", "/"}:
        raise _refuse("organization_resources", "the organization is a segment of the path by itself")
    try:
        for uri in (before, before + after, identifier):
            verify_resource_identifier(uri)
    except ValueError as error:
        raise _refuse("organization_resources", str(error)) from None


def validate_settings(settings: Settings) -> Settings:
    """The settings themselves, or `ConfigurationError` naming the setting and the fix."""
    _verify_issuer(settings.issuer)
    if not (settings.token_prefix.isascii() and settings.token_prefix.isalnum() and len(settings.token_prefix) <= 12):
        raise _refuse("token_prefix", "use 1 to 12 ASCII letters and digits")
    _verify_scopes(settings)
    for template, identifier in settings.organization_resources.items():
        _verify_organization_resource(template, identifier)
    try:
        verify_details_types(settings.authorization_details_types)
    except ValueError as error:
        raise _refuse("authorization_details_types", str(error)) from None
    if not 1 <= settings.code_lifetime <= 60:
        raise _refuse("code_lifetime", "give 1 to 60 seconds")
    if not 60 <= settings.access_token_lifetime <= MAX_ACCESS_TOKEN_LIFETIME:
        raise _refuse("access_token_lifetime", "give 60 seconds to 24 hours")
    if not 0 <= settings.retry_window <= MAX_RETRY_WINDOW:
        raise _refuse("retry_window", "give 0 seconds to 30 days")
    for setting in ("refresh_token_idle_lifetime", "refresh_token_absolute_lifetime"):
        lifetime = getattr(settings, setting)
        if lifetime is not None and lifetime < settings.access_token_lifetime:
            raise _refuse(setting, "give at least access_token_lifetime, or leave it out for no limit")
    if settings.ended_grant_lifetime < 24 * 3600:
        raise _refuse("ended_grant_lifetime", "give at least 86400 seconds (a day)")
    if settings.event_lifetime < 30 * 24 * 3600:
        raise _refuse("event_lifetime", "give at least 2592000 seconds (30 days)")
    if not 5 <= settings.pushed_request_lifetime < 600:
        raise _refuse("pushed_request_lifetime", "give 5 to 599 seconds")
    if not 60 <= settings.device_code_lifetime <= 1800:
        raise _refuse("device_code_lifetime", "give 60 seconds to 30 minutes")
    if not 2 * KEY_PUBLICATION_LEAD <= settings.signing_key_lifetime <= 2 * 365 * 24 * 3600:
        raise _refuse("signing_key_lifetime", "give 2 days to 2 years, in seconds")
    if not 0 <= settings.trusted_proxies <= 8:
        raise _refuse("trusted_proxies", "give how many proxies stand in front, 0 to 8")
    _verify_certificate_source(settings)
    verify_mail_settings(settings.mail)
    if not 60 <= settings.registration_lifetime <= MAX_REGISTRATION_LIFETIME:
        raise _refuse("registration_lifetime", "give 60 seconds to 30 days")
    for name, trusted in settings.trusted_issuers.items():
        verify_trusted_issuer(name, trusted, settings.issuer)
    for host in settings.metadata_document_hosts or ():
        if not host or not _HOST_CHARACTERS.issuperset(host):
            raise _refuse("metadata_document_hosts", f"{host!r} is no host name in small letters, such as app.example")
    if not 3600 <= settings.access_request_lifetime <= 90 * 24 * 3600:
        raise _refuse("access_request_lifetime", "give 1 hour to 90 days, in seconds")
    if settings.high_risk_sign_in_lifetime is not None and settings.high_risk_sign_in_lifetime < 60:
        raise _refuse("high_risk_sign_in_lifetime", "give at least 60 seconds, or leave it out for no limit")
    for setting in ("session_lifetime", "consent_page_lifetime"):
        if getattr(settings, setting) < 60:
            raise _refuse(setting, "give at least 60 seconds")
    return settings if settings.api_resource is None else _add_api(settings, settings.api_resource)


def _add_api(settings: Settings, resource: str) -> Settings:
    try:
        verify_resource_identifier(resource)
    except ValueError as error:
        raise _refuse("serves_api", f"the API would be {resource}, and {error}") from None
    return msgspec.structs.replace(settings, scopes={**settings.scopes, **_api_scopes()})
