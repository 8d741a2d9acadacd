"""An OAuth provider as data: where its endpoints are and what it is known to do."""

from typing import Final, Self

import httpx
import msgspec

from latchstring.client.errors import Misconfigured
from latchstring.client.metadata import fetch_metadata, verify_url
from latchstring.client.steps import Flow
from latchstring.client.transport import AsyncDriver, SyncDriver
from latchstring.protocol.client_metadata import CLIENT_SECRET_BASIC, CLIENT_SECRET_POST
from latchstring.protocol.pkce import S256
from latchstring.protocol.server_metadata import ServerMetadata

_AUTH_METHODS: Final = (CLIENT_SECRET_POST, CLIENT_SECRET_BASIC)


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """Endpoints named by hand, or taken from metadata (`from_metadata`, `discover`).

    `token_endpoint_auth_method` is how a client with a secret proves itself; one without a secret sends its
    `client_id` alone. `organization_field` and `user_field` are dotted paths in the token answer (`team.id`);
    None for a provider that knows no such thing.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    revocation_endpoint: str | None = None
    token_endpoint_auth_method: str = CLIENT_SECRET_POST
    authorization_response_iss_parameter_supported: bool = False
    organization_field: str | None = "organization_id"
    user_field: str | None = "user_id"

    def __post_init__(self) -> None:
        verify_url(self.authorization_endpoint, "authorization_endpoint")
        verify_url(self.token_endpoint, "token_endpoint")
        if self.revocation_endpoint is not None:
            verify_url(self.revocation_endpoint, "revocation_endpoint")
        if self.token_endpoint_auth_method not in _AUTH_METHODS:
            raise Misconfigured("argument_refused", f"token_endpoint_auth_method is one of {', '.join(_AUTH_METHODS)}.")

    @classmethod
    def from_metadata(cls, metadata: ServerMetadata) -> Self:
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
            token_endpoint_auth_method=next((m for m in _AUTH_METHODS if m in methods), CLIENT_SECRET_POST),
            authorization_response_iss_parameter_supported=(metadata.authorization_response_iss_parameter_supported),
        )

    @classmethod
    def discover(cls, issuer: str, *, http: httpx.Client | None = None) -> Self:
        """The provider by its issuer's metadata, fetched now (RFC 8414 §3)."""
        with SyncDriver(http) as driver:
            return cls.from_metadata(driver.run(fetch_metadata(issuer)))

    @classmethod
    async def discover_async(cls, issuer: str, *, http: httpx.AsyncClient | None = None) -> Self:
        """`discover` for asyncio."""
        async with AsyncDriver(http) as driver:
            return cls.from_metadata(await driver.run(fetch_metadata(issuer)))


class ProviderSource:
    """A client's provider: given as data, or found by its issuer when first needed and kept from then on."""

    def __init__(self, provider: Provider | str) -> None:
        self._provider = provider if isinstance(provider, Provider) else None
        self.issuer = provider.issuer if isinstance(provider, Provider) else provider

    def resolve(self) -> Flow[Provider]:
        """The provider; once fetched, its metadata is kept."""
        if self._provider is None:
            self._provider = Provider.from_metadata((yield from fetch_metadata(self.issuer)))
        return self._provider
