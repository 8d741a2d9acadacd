"""What a guard must be told, checked once when it is made."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from latchstring.protocol.errors import ConfigurationError
from latchstring.protocol.resource_metadata import (
    ResourceMetadata,
    render_resource_metadata,
    resource_metadata_path,
    resource_metadata_url,
    verify_resource_identifier,
)
from latchstring.protocol.scope import is_scope_token

DEFAULT_TIMEOUT: Final = 5.0


class GuardSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One API's side of the agreement with its authorization server.

    `resource` is this API's own identifier, the audience its tokens are for; without it a token meant for
    another API would pass (case S9), so there is no guard without it. `timeout` is in seconds and
    bounds one whole question to the introspection endpoint.
    """

    issuer: str
    introspection_endpoint: str
    resource: str
    client_id: str
    client_secret: str
    jwks_uri: str | None = None
    scopes_supported: tuple[str, ...] = ()
    timeout: float = DEFAULT_TIMEOUT

    def __post_init__(self) -> None:
        for name in ("issuer", "resource", "introspection_endpoint", "jwks_uri"):
            value = getattr(self, name)
            if value is None and name == "jwks_uri":
                continue
            if not value:
                raise ConfigurationError(f"Guard: {name} is not set. {_PURPOSE[name]}")
            try:
                verify_resource_identifier(value)
            except ValueError as error:
                problem = f"Guard: {name} {value!r} cannot be used: {error}."
                raise ConfigurationError(f"{problem} {_PURPOSE[name]}") from None
        for name in ("client_id", "client_secret"):
            if not getattr(self, name):
                raise ConfigurationError(f"Guard: {name} is not set. {_PURPOSE['credentials']}")
        verify_scopes(self.scopes_supported)
        if not 0 < self.timeout <= 60:
            raise ConfigurationError("Guard: timeout is a number of seconds above 0 and up to 60.")

    def __repr__(self) -> str:
        return f"GuardSettings(resource={self.resource!r}, issuer={self.issuer!r}, client_secret=…)"

    @property
    def realm(self) -> str:
        """What a challenge calls this API (RFC 6750 §3): its host."""
        return urlsplit(self.resource).netloc

    @property
    def metadata_path(self) -> str:
        """Where this API answers for its metadata (RFC 9728 §3.1)."""
        return resource_metadata_path(self.resource)

    @property
    def metadata_url(self) -> str:
        """The same place as a URL, for the challenge (RFC 9728 §5.1)."""
        return resource_metadata_url(self.resource)

    def render_metadata(self) -> bytes:
        """This API's metadata document (RFC 9728 §2)."""
        return render_resource_metadata(
            ResourceMetadata(
                resource=self.resource,
                authorization_servers=[self.issuer],
                bearer_methods_supported=["header"],
                scopes_supported=list(self.scopes_supported),
            )
        )


def verify_scopes(scope: Sequence[str]) -> None:
    """Refuse a required or supported scope that no token can ever carry (RFC 6749 §3.3), or a bare string."""
    if isinstance(scope, str) or not all(is_scope_token(token) for token in scope):
        raise ConfigurationError(f"Guard: {scope!r} is not a list of scope names, such as ['contacts.read'].")


_PURPOSE: Final = {
    "issuer": "It is the issuer in the authorization server's metadata, such as https://login.example.com.",
    "resource": "It is this API's own identifier and its tokens' audience, such as https://api.example.com.",
    "introspection_endpoint": "It is in the authorization server's metadata, as introspection_endpoint.",
    "jwks_uri": "It is in the authorization server's metadata, as jwks_uri; without it, JWTs are asked about too.",
    "credentials": "They are this API's own; `latchstring resource-server create` prints them.",
}
