"""What the server keeps, as frozen records. Times are epoch seconds; None means never or forever."""

from typing import Literal

import msgspec

from latchstring.protocol.client_metadata import CLIENT_SECRET_BASIC, CLIENT_SECRET_POST, NONE
from latchstring.protocol.confirmation import Confirmation

GrantStatus = Literal["pending", "active", "suspended", "ended"]
Role = Literal["admin", "member"]


Profile = Literal["oauth2.1", "legacy", "fapi2"]
AccessTokenFormat = Literal["opaque", "jwt"]


class SecretHash(msgspec.Struct, frozen=True, omit_defaults=True):
    """One client secret, as a keyed hash. `hint` is the secret's first characters, safe to show; `name` is what people
    call it. It works until `expires_at`. `first_id` is the id that it got when it was made, if it was hashed anew."""

    secret_hash: bytes
    key_id: int
    hint: str
    created_at: int
    name: str = ""
    expires_at: int | None = None
    first_id: str = ""

    @property
    def secret_id(self) -> str:
        """What tells it apart from the client's others, safe to show. It stays, whichever key hashes the secret."""
        return self.first_id or self.secret_hash[:6].hex()

    def has_ended(self, now: int) -> bool:
        """Whether it works no longer."""
        return self.expires_at is not None and self.expires_at <= now

    def __repr__(self) -> str:
        return f"SecretHash(hint={self.hint!r}, key_id={self.key_id})"


class ClientSecurity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked of a client beyond its secret: the profile that it keeps, what it is let off by name, and whether
    its tokens are always bound to a key (RFC 9449 §5.2) or to its certificate (RFC 8705 §3.4).

    What the two come to is decided by `policy`. Its keys are `jwks`, a JWK Set as JSON text, or at `jwks_uri`;
    `token_endpoint_auth_signing_alg` is the only algorithm that it authenticates with, `request_object_signing_alg` the
    only one that it signs requests with, where it says so (RFC 7591 §2). `authorization_details_types` are those that
    it may ask for (RFC 9396 §10). One of `tls_client_auth_…` is the subject of its certificate (RFC 8705 §2.1.2).
    """

    profile: Profile = "oauth2.1"
    allowances: tuple[str, ...] = ()
    jwks: str | None = None
    jwks_uri: str | None = None
    token_endpoint_auth_signing_alg: str | None = None
    request_object_signing_alg: str | None = None
    requires_pushed_request: bool = False
    requires_signed_request: bool = False
    authorization_details_types: tuple[str, ...] = ()
    dpop_bound_access_tokens: bool = False
    tls_client_certificate_bound_access_tokens: bool = False
    tls_client_auth_subject_dn: str | None = None
    tls_client_auth_san_dns: str | None = None
    tls_client_auth_san_uri: str | None = None
    tls_client_auth_san_ip: str | None = None
    tls_client_auth_san_email: str | None = None


class ClientRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An OAuth app. `scope` is what it may ask for; `retry_window` (seconds) overrides the setting's.

    `organization_id` is the owner; None for an app that registered itself. `access_revoked_until` is as on a grant,
    for tokens that the client got for itself. `acts_for_resource` is the API (RFC 8707) whose callers' tokens it may
    exchange.

    `public_id` is what an app that registered itself goes by: the id that carries its registration, or the URL of its
    metadata document. Until a person consents it has no row, or one that counts until `expires_at`. `ended_at` is
    when it was deleted.

    `suspended_at`, `suspended_by` and `suspended_reason` (in words) are the operator's; `owner_closed_at` is since when
    its owner is closed.
    """

    client_id: str
    organization_id: str | None
    created_by: str | None
    name: str
    description: str
    redirect_uris: tuple[str, ...]
    scope: tuple[str, ...]
    grant_types: tuple[str, ...]
    token_endpoint_auth_method: str
    secrets: tuple[SecretHash, ...]
    terms_uri: str | None
    policy_uri: str | None
    is_published: bool
    retry_window: int | None
    access_revoked_until: int
    created_at: int
    security: ClientSecurity = ClientSecurity()
    acts_for_resource: str | None = None
    public_id: str | None = None
    client_uri: str | None = None
    expires_at: int | None = None
    ended_at: int | None = None
    suspended_at: int | None = None
    suspended_by: str | None = None
    suspended_reason: str | None = None
    owner_closed_at: int | None = None

    @property
    def is_suspended(self) -> bool:
        """Whether it gets nothing for now: the operator has suspended it, or its owner is closed."""
        return self.suspended_at is not None or self.owner_closed_at is not None

    @property
    def is_self_registered(self) -> bool:
        """Whether nobody here vouches for it: anyone can use any name."""
        return self.public_id is not None

    @property
    def is_public(self) -> bool:
        """Whether the client cannot keep a secret (RFC 6749 §2.1)."""
        return self.token_endpoint_auth_method == NONE

    @property
    def has_secret(self) -> bool:
        """Whether it authenticates by a secret, in the body or by Basic alike (RFC 6749 §2.3.1)."""
        return self.token_endpoint_auth_method in {CLIENT_SECRET_POST, CLIENT_SECRET_BASIC}


class ClientApprovalRecord(msgspec.Struct, frozen=True, kw_only=True):
    """That an organization lets a client of another one act for it. Each approval is a `generation` of its own: what
    was issued under an earlier one is dead."""

    client_id: str
    organization_id: str
    scope: tuple[str, ...]
    generation: int
    approved_by: str
    approved_at: int
    ended_by: str | None
    ended_at: int | None


class ResourceServerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An API behind a guard, and its credentials for introspection. `resource` is its identifier (RFC 8707).

    `access_token_format` is what tokens for it alone look like: opaque, or a JWT that it can check by itself.
    """

    client_id: str
    name: str
    resource: str
    secrets: tuple[SecretHash, ...]
    created_at: int
    access_token_format: AccessTokenFormat = "opaque"


class SigningKeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A key that signs, known by `key_id` (its thumbprint, RFC 7638). `sequence` counts the keys of one algorithm.

    `public_key` is a JWK. The private part is sealed with a key of the keyring: without that file it signs nothing.
    It is published from `created_at` on, and signs from `used_from` on until its successor does.
    """

    algorithm: str
    sequence: int
    key_id: str
    public_key: str
    sealed_private_key: bytes
    created_at: int
    used_from: int

    def __repr__(self) -> str:
        return f"SigningKeyRecord(algorithm={self.algorithm!r}, sequence={self.sequence}, key_id={self.key_id!r})"


class GrantRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One authorization: client × user × organization, one refresh chain, one row for its whole life.

    `resource` names the APIs that it is for (RFC 8707); empty means every API of the deployment.

    `confirmation` is the key that its code is bound to; after that, the one proved with the last redemption or refresh.
    `authorization_details` (RFC 9396) are a JSON array. `authenticated_at` is when the member had signed in, `acr` how.
    `asserted_by` is the trusted issuer whose word stands in for the member's consent. `replaces` is the grant that ends
    when this one's code is redeemed.

    `suspended_reason` is what must be over before it works again (`refusals`). `member_role` is the member's role since
    it last changed; None is the role of the consent. `taken_over_at` is when another member took over the grant of one
    who had left: access tokens from before stand for nobody.

    `generation` counts refresh tokens: 0 before the code is redeemed and where `offline_access` is not
    granted. `expires_at` is the code's expiry while pending, the refresh token's idle expiry or the only
    access token's expiry afterwards. `access_revoked_until` is the latest expiry of a singly revoked access
    token: after it, no look-up of revoked tokens is needed.
    """

    id: bytes
    client_id: str
    user_id: str
    organization_id: str
    scope: tuple[str, ...]
    status: GrantStatus
    redirect_uri: str | None
    code_challenge: str | None
    row_secret: bytes
    generation: int
    created_at: int
    activated_at: int | None
    rotated_at: int | None
    retry_count: int
    expires_at: int | None
    absolute_expires_at: int | None
    access_revoked_until: int
    ended_at: int | None
    ended_by: str | None
    ended_reason: str | None
    resource: tuple[str, ...] = ()
    confirmation: Confirmation | None = None
    authorization_details: str | None = None
    authenticated_at: int | None = None
    asserted_by: str | None = None
    suspended_at: int | None = None
    suspended_reason: str | None = None
    member_role: Role | None = None
    taken_over_at: int | None = None
    taken_over_from: str | None = None
    replaces: bytes | None = None
    acr: str | None = None

    def __repr__(self) -> str:
        return f"GrantRecord(id={self.id.hex()}, status={self.status!r}, generation={self.generation})"


class Rebinding(msgspec.Struct, frozen=True):
    """What a grant is bound to from now on; None is nothing."""

    confirmation: Confirmation | None


class UserRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A person who can sign in, unless `disabled_at`. `email` is kept as typed; it is unique without regard to case.
    Of one who was deleted only the id is left. An operator looks after the whole deployment."""

    user_id: str
    email: str
    name: str
    password_hash: str
    created_at: int
    is_operator: bool = False
    disabled_at: int | None = None
    deleted_at: int | None = None

    def __repr__(self) -> str:
        return f"UserRecord(user_id={self.user_id!r})"


class OrganizationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant. Grants of members who have left end `leaver_grants_end_after` seconds later; None keeps them for as
    long as they last."""

    organization_id: str
    name: str
    created_at: int
    closed_at: int | None = None
    leaver_grants_end_after: int | None = None


class MembershipRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A user's place in an organization; `ended_at` is None while it lasts, `suspended_at` while it counts."""

    user_id: str
    organization_id: str
    organization_name: str
    role: Role
    created_at: int
    ended_at: int | None
    suspended_at: int | None = None

    @property
    def is_active(self) -> bool:
        """Whether it lasts and counts."""
        return self.ended_at is None and self.suspended_at is None


class ConnectionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A grant as people see it: with the names of app, publisher, organization and member. An app that registered
    itself has a `client_public_id` and no publisher. `used_from` is the address that its app last came from."""

    grant: GrantRecord
    client_public_id: str | None
    client_name: str
    publisher_name: str | None
    organization_name: str
    user_name: str = ""
    user_email: str = ""
    last_used_at: int | None = None
    used_from: str | None = None


class ConsentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a member agreed to at the last, of one app for one organization; the answer made the grant `grant_id`.

    `declined_scope` is what they struck out. `details_digest`, `app_name`, `publisher` and `redirect_host` are what
    they were told. It counts until `expires_at`; `last_at` is when it last stood in for an answer.
    """

    client_id: str
    user_id: str
    organization_id: str
    scope: tuple[str, ...]
    declined_scope: tuple[str, ...]
    resource: tuple[str, ...]
    details_digest: bytes | None
    app_name: str
    publisher: str
    redirect_host: str
    grant_id: bytes
    given_at: int
    last_at: int
    expires_at: int | None


class RegistrationTokenRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An initial access token (RFC 7591 §1.2): who has it may register that many clients."""

    token_hash: bytes
    hint: str
    note: str
    remaining: int
    created_at: int
    expires_at: int


class PushedRequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An authorization request that its client has pushed (RFC 9126), as a query; gone once a person has answered."""

    id: bytes
    client_id: str
    parameters: str
    expires_at: int


class DeviceAuthorizationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A device that waits for a person (RFC 8628); gone once one has allowed it, for then the grant of that id stands.

    `organization_id` is the one that the device hinted at. `session_hash` is the browser in which the code was entered:
    only there can it be answered. `interval` is how many seconds the device has to leave between polls.
    """

    id: bytes
    client_id: str
    user_code: str
    row_secret: bytes
    scope: tuple[str, ...]
    resource: tuple[str, ...]
    organization_id: str | None
    is_denied: bool
    session_hash: bytes | None
    interval: int
    polled_at: int | None
    expires_at: int

    def __repr__(self) -> str:
        return f"DeviceAuthorizationRecord(id={self.id.hex()}, is_denied={self.is_denied})"


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that is signed in, named by the hash of its cookie. One sign-in: `created_at` is when, `acr` how (None:
    unknown). Whoever signs in once more gets another."""

    session_hash: bytes
    user_id: str
    created_at: int
    expires_at: int
    acr: str | None = None
