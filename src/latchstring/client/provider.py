"""An OAuth provider as data: where its endpoints are and what it is known to do."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, Self

import httpx
import msgspec

from latchstring.client.errors import Misconfigured
from latchstring.client.metadata import fetch_metadata, fetch_resource_metadata, verify_url
from latchstring.client.steps import Flow
from latchstring.client.transport import AsyncDriver, SyncDriver
from latchstring.client.transport.reach import Reach
from latchstring.protocol.client_metadata import CLIENT_SECRET_BASIC, CLIENT_SECRET_POST
from latchstring.protocol.jose.algorithms import ALGORITHMS, RS256
from latchstring.protocol.pkce import S256
from latchstring.protocol.server_metadata import ServerMetadata

_FILES: Final = Path(__file__).with_name("providers")
# A place in an address that the caller fills, such as {shop}; one label of a host name (RFC 1123 §2.1).
_PLACE: Final = re.compile(r"\{([a-z_]+)\}")
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# Of `organization_selection` (ours): no other organization than the one in the request.
FIXED: Final = "fixed"
_AUTH_METHODS: Final = (CLIENT_SECRET_POST, CLIENT_SECRET_BASIC)
_FURTHER_URLS: Final = (
    "revocation_endpoint", "device_authorization_endpoint", "identity_url", "user_url", "jwks_uri", "userinfo_endpoint",
)  # fmt: skip


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """Endpoints named by hand, known by name (`named`), or taken from metadata (`from_metadata`, `discover`).

    `token_endpoint_auth_method` is how a client with a secret proves itself; one without a secret sends its
    `client_id` alone. `organization_field` and `user_field` are dotted paths in the token answer (`team.id`);
    None or "" for a provider that knows no such thing. Where the token answer lacks them, `identity_url` is read once,
    with the token, when a connection is made, and the paths are those of its answer; `user_url` is for the user where
    that is another page, `identity_query` a GraphQL query to post there. A path through a list (`*.id`) finds all of
    its items: the organization of a grant for two is "a,b". `organization` is for a provider at an organization's own
    address.

    An OpenID Provider has its keys at `jwks_uri`, and says more of a person at `userinfo_endpoint`. It signs ID tokens
    by `id_token_signed_response_alg`: what the client is registered with, never what a token says. `organization_claim`
    and `user_claim` are dotted paths in the verified ID token, for one that says there whose the tokens are.

    What some do in their own way: `authorization_parameters` go into every authorization URL; scopes are joined by
    `scope_separator`; `token_type` is what they call a Bearer token; `error_field` is the path of an error's code,
    and `errors` says which of RFC 6749 it means. `sends_code_challenge` is false where PKCE is not for clients with
    a secret: `state` alone guards the callback there. `token_request_format` is `json` for the few that read nothing
    else; `exchange_parameters` go with a code, `request_headers` with every request; `token_header` is where their API
    wants the token in place of `Authorization`.

    `found_by` is the address by which it was found, where a document has named the rest, and not the app.
    `fixes_organizations`: an authorization request may name the only organization there is.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    revocation_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    token_endpoint_auth_method: str = CLIENT_SECRET_POST
    authorization_response_iss_parameter_supported: bool = False
    organization_field: str | None = "organization_id"
    user_field: str | None = "user_id"
    identity_url: str | None = None
    authorization_parameters: Mapping[str, str] = {}
    scope_separator: str = " "
    token_type: str = "Bearer"
    error_field: str = "error"
    errors: Mapping[str, str] = {}
    sends_code_challenge: bool = True
    user_url: str | None = None
    identity_query: str | None = None
    organization: str | None = None
    token_request_format: Literal["form", "json"] = "form"
    exchange_parameters: Mapping[str, str] = {}
    request_headers: Mapping[str, str] = {}
    token_header: str | None = None
    found_by: str | None = None
    fixes_organizations: bool = False
    jwks_uri: str | None = None
    userinfo_endpoint: str | None = None
    id_token_signed_response_alg: str = RS256
    organization_claim: str | None = None
    user_claim: str | None = None

    def __post_init__(self) -> None:
        verify_url(self.authorization_endpoint, "authorization_endpoint")
        verify_url(self.token_endpoint, "token_endpoint")
        for name in _FURTHER_URLS:
            if getattr(self, name) is not None:
                verify_url(getattr(self, name), name)
        if self.token_endpoint_auth_method not in _AUTH_METHODS:
            raise Misconfigured("argument_refused", f"token_endpoint_auth_method is one of {', '.join(_AUTH_METHODS)}.")
        if self.id_token_signed_response_alg not in ALGORITHMS:
            raise Misconfigured("argument_refused", f"id_token_signed_response_alg is one of {', '.join(ALGORITHMS)}.")
        if self.jwks_uri is None and (self.organization_claim or self.user_claim):
            raise Misconfigured("argument_refused", "Claims of an ID token are believed only with a jwks_uri.")

    @property
    def organization_path(self) -> str | None:
        """Where a token answer names the organization, if it does."""
        is_elsewhere = self.identity_url or self.organization or self.organization_claim
        return None if is_elsewhere else self.organization_field

    @property
    def user_path(self) -> str | None:
        """Where a token answer names the user, if it does."""
        return None if self.identity_url or self.user_url or self.user_claim else self.user_field

    @property
    def named_urls(self) -> tuple[str, ...]:
        """The addresses that the app itself has written down, or taken from a file that ships with this library."""
        if self.found_by is not None:
            return (self.found_by,)
        further = (getattr(self, name) for name in _FURTHER_URLS)
        urls = (self.issuer, self.authorization_endpoint, self.token_endpoint, *further)
        return tuple(url for url in urls if url is not None)

    def told_by_id_token(self, *, user: str = "sub", organization: str | None = None) -> Self:
        """The same provider, as one whose verified ID token alone says whose the tokens are: the dotted paths in it of
        the user and of the organization, None where it knows no such thing."""
        return msgspec.structs.replace(
            self,
            user_claim=user,
            organization_claim=organization,
            organization_field=None,
            identity_url=None,
            user_url=None,
        )

    @classmethod
    def names(cls) -> list[str]:
        """What `named` knows."""
        return sorted(path.stem for path in _FILES.glob("*.toml"))

    @classmethod
    def named(cls, name: str, **places: str) -> Self:
        """A well-known provider, from `latchstring/client/providers/NAME.toml`. `places` are what stands in its
        addresses: `Provider.named("shopify", shop="acorn")`."""
        if name not in cls.names():
            known = ", ".join(cls.names())
            raise Misconfigured("argument_refused", f"No provider {name!r} is known; there are {known}.")
        text = (_FILES / f"{name}.toml").read_text("utf-8")
        for place in sorted(set(_PLACE.findall(text)) | places.keys()):
            if f"{{{place}}}" not in text or not _LABEL.fullmatch(places.get(place, "")):
                why = f"Provider.named({name!r}, …) takes "
                wanted = ", ".join(f"{place}=" for place in dict.fromkeys(_PLACE.findall(text))) or "nothing more"
                raise Misconfigured("argument_refused", f"{why}{wanted}: letters, digits and dashes of a host name.")
            text = text.replace(f"{{{place}}}", places[place])
        return msgspec.toml.decode(text, type=cls)

    @classmethod
    def from_metadata(cls, metadata: ServerMetadata, *, found_by: str | None = None) -> Self:
        """The provider that the document describes; refuses one without PKCE S256 (RFC 9700 §2.1.1).

        The caller has compared the issuer (RFC 8414 §3.3).
        """
        if metadata.authorization_endpoint is None or metadata.token_endpoint is None:
            raise Misconfigured("metadata_malformed", "The metadata names no authorization or token endpoint.")
        if S256 not in metadata.code_challenge_methods_supported:
            raise Misconfigured("pkce_unsupported", "The metadata does not offer PKCE with S256.")
        methods = metadata.token_endpoint_auth_methods_supported or [CLIENT_SECRET_BASIC]  # RFC 8414 §2
        return cls(
            issuer=metadata.issuer,
            authorization_endpoint=metadata.authorization_endpoint,
            token_endpoint=metadata.token_endpoint,
            revocation_endpoint=metadata.revocation_endpoint,
            device_authorization_endpoint=metadata.device_authorization_endpoint,
            token_endpoint_auth_method=next((m for m in _AUTH_METHODS if m in methods), CLIENT_SECRET_POST),
            authorization_response_iss_parameter_supported=(metadata.authorization_response_iss_parameter_supported),
            found_by=found_by or metadata.issuer,
            jwks_uri=metadata.jwks_uri,
            userinfo_endpoint=metadata.userinfo_endpoint,
            id_token_signed_response_alg=_choose_algorithm(metadata.id_token_signing_alg_values_supported),
            fixes_organizations=FIXED in metadata.organization_selection_values_supported,
        )

    @classmethod
    def discover(cls, issuer: str, *, http: httpx.Client | None = None, public_only: bool | None = None) -> Self:
        """The provider by its issuer's metadata, fetched now (RFC 8414 §3). `public_only` is that of `OAuthClient`."""
        with SyncDriver(http, reach=Reach([issuer], public_only)) as driver:
            return cls.from_metadata(driver.run(fetch_metadata(issuer)))

    @classmethod
    async def discover_async(
        cls, issuer: str, *, http: httpx.AsyncClient | None = None, public_only: bool | None = None
    ) -> Self:
        """`discover` for asyncio."""
        async with AsyncDriver(http, reach=Reach([issuer], public_only)) as driver:
            return cls.from_metadata(await driver.run(fetch_metadata(issuer)))

    @classmethod
    def discover_for(cls, resource: str, *, http: httpx.Client | None = None, public_only: bool | None = None) -> Self:
        """The provider that an API's metadata names first (RFC 9728 §3), fetched now. The client then takes the same
        `resource`, so that its tokens are for this API alone. `public_only` is that of `OAuthClient`: true where people
        say which API it is."""
        with SyncDriver(http, reach=Reach([resource], public_only)) as driver:
            return cls.from_metadata(driver.run(_fetch_for(resource)), found_by=resource)

    @classmethod
    async def discover_for_async(
        cls, resource: str, *, http: httpx.AsyncClient | None = None, public_only: bool | None = None
    ) -> Self:
        """`discover_for` for asyncio."""
        async with AsyncDriver(http, reach=Reach([resource], public_only)) as driver:
            return cls.from_metadata(await driver.run(_fetch_for(resource)), found_by=resource)


def _choose_algorithm(offered: list[str]) -> str:
    """What a client is registered with that has said nothing: RS256 (OpenID Connect Registration §2), or where the
    provider has no such keys, what it has."""
    known = [each for each in offered if each in ALGORITHMS]
    return RS256 if RS256 in offered or not known else known[0]


def _fetch_for(resource: str) -> Flow[ServerMetadata]:
    document = yield from fetch_resource_metadata(resource)
    return (yield from fetch_metadata(document.authorization_servers[0]))


class ProviderSource:
    """A client's provider: given as data, or found by its issuer when first needed and kept from then on."""

    def __init__(self, provider: Provider | str) -> None:
        self._provider = provider if isinstance(provider, Provider) else None
        self.issuer = provider.issuer if isinstance(provider, Provider) else provider
        self.named_urls = provider.named_urls if isinstance(provider, Provider) else (provider,)

    @property
    def token_header(self) -> str | None:
        """Where the provider's API wants the token; metadata knows of no other place than the usual one."""
        return None if self._provider is None else self._provider.token_header

    def resolve(self) -> Flow[Provider]:
        """The provider; once fetched, its metadata is kept."""
        if self._provider is None:
            self._provider = Provider.from_metadata((yield from fetch_metadata(self.issuer)))
        return self._provider
