"""What a guard must be told, checked once when it is made."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from latchstring.protocol.client_certificate import CertificateHeader, parse_certificate_source
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
DEFAULT_BOUND: Final = 5.0
# A token that was revoked is let in that long where nobody tells of it: a minute at most.
MAX_ANSWER_LIFETIME: Final = 60.0
MAX_FED_LIFETIME: Final = 3600.0
DEFAULT_FED_LIFETIME: Final = 300.0


class GuardSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One API's side of the agreement with its authorization server.

    `resource` is this API's own identifier, the audience its tokens are for; without it a token meant for
    another API would pass (case S9), so there is no guard without it. `timeout` is in seconds and bounds one whole
    question to the introspection endpoint. That one, the keys' and the feed's are found by the issuer's metadata where
    none of them is named. `client_certificate_header` is where the proxies on `trusted_proxy_networks`, and they alone,
    put the certificate that a client showed them.

    `answer_lifetime` (seconds) is how long an answer about a token is used again; 0 asks each time. With
    `revocations_endpoint` the server says what has ended as it ends, and answers are kept by it: `revocations_bound`
    (seconds) is how old its last word may be, and `answer_lifetime` is 300 unless it is given.
    """

    issuer: str
    introspection_endpoint: str | None = None
    resource: str
    client_id: str
    client_secret: str
    jwks_uri: str | None = None
    scopes_supported: tuple[str, ...] = ()
    timeout: float = DEFAULT_TIMEOUT
    client_certificate_header: str = ""
    trusted_proxy_networks: tuple[str, ...] = ()
    revocations_endpoint: str | None = None
    revocations_bound: float = DEFAULT_BOUND
    answer_lifetime: float | None = None

    def __post_init__(self) -> None:
        for name in ("issuer", "resource", "introspection_endpoint", "jwks_uri", "revocations_endpoint"):
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
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
        if not 1 <= self.revocations_bound <= 60:
            raise ConfigurationError("Guard: revocations_bound is 1 to 60 seconds.")
        if self.introspection_endpoint is None and not (self.jwks_uri is None and self.revocations_endpoint is None):
            raise ConfigurationError(
                "Guard: introspection_endpoint is not set. Name it beside jwks_uri and revocations_endpoint, or none "
                "of the three: then all are found by the issuer."
            )
        may_be_fed = self.revocations_endpoint is not None or self.introspection_endpoint is None
        limit = MAX_FED_LIFETIME if may_be_fed else MAX_ANSWER_LIFETIME
        if self.answer_lifetime is not None and not 0 <= self.answer_lifetime <= limit:
            why = "with revocations_endpoint" if may_be_fed else "without revocations_endpoint"
            raise ConfigurationError(f"Guard: answer_lifetime is 0 to {limit:.0f} seconds {why}.")
        self.find_certificate_header()

    @property
    def kept_for(self) -> float:
        """How long an answer about a token is used again, in seconds."""
        if self.answer_lifetime is not None:
            return self.answer_lifetime
        return 0.0 if self.revocations_endpoint is None else DEFAULT_FED_LIFETIME

    @property
    def keeps_answers(self) -> bool:
        """Whether an answer about a token is ever used again."""
        return self.kept_for > 0

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

    def find_certificate_header(self) -> CertificateHeader | None:
        """Where client certificates come from, if from a proxy (case S16)."""
        if not self.client_certificate_header and not self.trusted_proxy_networks:
            return None
        try:
            return parse_certificate_source(self.client_certificate_header, self.trusted_proxy_networks)
        except ValueError as error:
            why = f"Guard: client_certificate_header and trusted_proxy_networks belong together: {error}."
            raise ConfigurationError(why) from None

    def render_metadata(self, algorithms: Sequence[str] = (), *, is_dpop_required: bool = False) -> bytes:
        """This API's metadata document (RFC 9728 §2); `algorithms` are those of DPoP proofs."""
        return render_resource_metadata(
            ResourceMetadata(
                resource=self.resource,
                authorization_servers=[self.issuer],
                bearer_methods_supported=["header"],
                scopes_supported=list(self.scopes_supported),
                dpop_signing_alg_values_supported=list(algorithms),
                dpop_bound_access_tokens_required=is_dpop_required,
                tls_client_certificate_bound_access_tokens=bool(self.client_certificate_header),
            )
        )


def verify_scopes(scope: Sequence[str]) -> None:
    """Refuse a required or supported scope that no token can ever carry (RFC 6749 §3.3), or a bare string."""
    if isinstance(scope, str) or not all(is_scope_token(token) for token in scope):
        raise ConfigurationError(f"Guard: {scope!r} is not a list of scope names, such as ['contacts.read'].")


_OPTIONAL: Final = frozenset({"introspection_endpoint", "jwks_uri", "revocations_endpoint"})
_PURPOSE: Final = {
    "issuer": "It is the issuer in the authorization server's metadata, such as https://login.example.com.",
    "resource": "It is this API's own identifier and its tokens' audience, such as https://api.example.com.",
    "introspection_endpoint": "It is in the authorization server's metadata, as introspection_endpoint.",
    "revocations_endpoint": "It is in the authorization server's metadata, as revocations_endpoint.",
    "jwks_uri": "It is in the authorization server's metadata, as jwks_uri; without it, JWTs are asked about too.",
    "credentials": "They are this API's own; `latchstring resource-server create` prints them.",
}
