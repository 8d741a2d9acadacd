"""What the server asks of the world: stores, a clock, entropy. Each method is atomic; each may raise
`StoreUnavailable`, after which nothing has happened or, where the connection broke during a commit, it may have:
every operation is conditional, so that asking again is safe.

Where an operation takes an `origin`, the event that tells of it is recorded in the same transaction (`events.py`)."""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, Protocol

import msgspec

from latchstring.authorization_server.commit import Commit as Commit  # noqa: PLC0414 -- of every port
from latchstring.authorization_server.connection_ports import ConnectionStore
from latchstring.authorization_server.events import SYSTEM, EventFilter, EventRecord, Origin
from latchstring.authorization_server.life_cycle_ports import LifeCycleStore
from latchstring.authorization_server.organization_policy import Rulebook
from latchstring.authorization_server.records import (
    AccessTokenFormat,
    ClientApprovalRecord,
    ClientRecord,
    ConsentRecord,
    DeviceAuthorizationRecord,
    GrantRecord,
    MembershipRecord,
    OrganizationRecord,
    PushedRequestRecord,
    Rebinding,
    RegistrationTokenRecord,
    ResourceServerRecord,
    Role,
    SecretHash,
    SessionRecord,
    SigningKeyRecord,
    UserRecord,
)
from latchstring.protocol.jose.keys import PublicKey

Clock = Callable[[], int]
"""Now, in epoch seconds."""

Entropy = Callable[[int], bytes]
"""That many bytes from the system's cryptographic source."""

DEFAULT_RULEBOOK: Final = Rulebook()
"""Where no deployment says otherwise: every scope is of high risk, and an organization without a policy allows all."""


class Fetched(msgspec.Struct, frozen=True):
    """A document of another host: 200 and whole. `max_age` (seconds) is how long it says that it may be kept."""

    body: bytes
    content_type: str
    max_age: int | None


class FetchRefused(Exception):
    """The document could not be had: the host, the answer or the address is not one that counts."""


class Fetch(Protocol):
    """Reads a public https document: no redirect is followed, no special-use address connected to, size and time are
    bounded, and nothing is remembered."""

    async def __call__(self, url: str, *, max_size: int) -> Fetched:
        """The document, or `FetchRefused`."""


class NoteSecretUse(Protocol):
    """Notes when a client's secret was last used: some time later, about once an hour, and never waited for."""

    def __call__(self, client_id: str, secret_id: str, now: int) -> None:
        """The client has just proven itself by that secret."""


class NoteSecretHash(Protocol):
    """Keeps a secret's new hash in the place of the one that it was verified with: some time later, and never waited
    for. What fails is tried again at the secret's next use."""

    def __call__(self, client_id: str, kept: SecretHash, renewed: SecretHash) -> None:
        """`client_id` is a client's or a resource server's."""


class MakeKeyPair(Protocol):
    """Makes fresh signing keys from the system's cryptographic source, where it takes long beside other work."""

    async def __call__(self, algorithm: str) -> Mapping[str, Any]:
        """A private key for that algorithm, as a JWK (RFC 7517 §9.2)."""


class KeySets(Protocol):
    """Key sets that clients publish, kept for a while: bounded in number, size and time."""

    async def __call__(
        self, url: str, *, is_wanted: Callable[[PublicKey], bool] | None = None
    ) -> tuple[PublicKey, ...]:
        """The usable keys there, by `FetchRefused` where there are none to be had. Where none of those kept is wanted
        they are read again, but for every URL at most once an interval."""


class ConsentCommit(Enum):
    """How the write of a consent ended."""

    CREATED = "created"
    MEMBERSHIP_ENDED = "membership_ended"
    APP_UNAVAILABLE = "app_unavailable"
    REQUEST_USED = "request_used"
    ANSWERED = "answered"
    NOT_REMEMBERED = "not_remembered"
    NEEDS_APPROVAL = "needs_approval"
    BLOCKED = "blocked"
    ROLE_CHANGED = "role_changed"


class Claim(Enum):
    """Why an entered user code was not taken."""

    UNKNOWN = "unknown"
    TOO_MANY = "too_many"


class AssertionRefusal(Enum):
    """Why an assertion makes no grant; none of these has changed anything."""

    MEMBERSHIP_ENDED = "membership_ended"
    APP_UNAVAILABLE = "app_unavailable"
    NEEDS_APPROVAL = "needs_approval"
    BLOCKED = "blocked"
    USED = "used"


class GrantStore(Protocol):
    """Grants, one row each."""

    async def find_grant(self, grant_id: bytes) -> GrantRecord | None:
        """The grant, as last committed."""

    async def commit_consent(
        self,
        grant: GrantRecord,
        *,
        rulebook: Rulebook = DEFAULT_RULEBOOK,
        self_registered: ClientRecord | None = None,
        pushed_request_id: bytes | None = None,
        access_request_id: bytes | None = None,
        consent: ConsentRecord | None = None,
        recalled: bytes | None = None,
        role: Role | None = None,
        receipt: str | None = None,
        origin: Origin = SYSTEM,
    ) -> ConsentCommit:
        """Insert a pending grant if, at that moment, the user is a member of the organization, the organization lets
        its members connect the client, and that is published or the user a member of its owner. A pushed request is
        used up in the same transaction, and must not have been before; so is one that was parked with a request to
        admins. `ANSWERED` is for a grant that is there already: the same page came twice. The row of a client that
        registered itself is inserted along with the grant, unless there is one; deleted in the meantime, it is
        unavailable.

        `consent` is remembered in the same transaction, in place of the one before. `recalled` is the grant of the
        remembered consent that stands in for an answer: `NOT_REMEMBERED` where at that moment it no longer does. `role`
        is the one that the scope was worked out for: `ROLE_CHANGED` where the user has another one.
        `receipt` is kept for as long as the grant."""

    async def find_receipt(self, grant_id: bytes) -> str | None:
        """The receipt that was kept with the grant's consent."""

    async def issue_codes(
        self, grant_ids: Sequence[bytes], *, user_id: str, now: int, expires_at: int
    ) -> Sequence[tuple[bytes, bytes]]:
        """Let the codes of those grants of the user's live until then, in one transaction: the ids and row secrets of
        those that are still pending and unexpired."""

    async def find_remembered_consents(self, client_id: str, user_id: str) -> Sequence[ConsentRecord]:
        """What the user has agreed to with the client, by organization; expired consents too."""

    async def disconnect(
        self, grant: GrantRecord, *, by: str, reason: str, now: int, origin: Origin = SYSTEM
    ) -> Commit:
        """As `end_grant`, and the consent behind the grant is forgotten in the same transaction."""

    async def commit_assertion(
        self,
        grant: GrantRecord,
        *,
        digest: bytes,
        digest_expires_at: int,
        now: int,
        scope: tuple[str, ...] | None = None,
        rulebook: Rulebook = DEFAULT_RULEBOOK,
        origin: Origin = SYSTEM,
    ) -> bytes | AssertionRefusal:
        """The id of the active grant that stands for the assertion of that SHA-256 digest, used up in the same
        transaction: the one that the same issuer's assertions have made already, prolonged, or else the grant given.
        The user is a member of the organization at that moment, the organization lets its members connect the client
        for that scope (the grant's, unless told otherwise), and that is published or of the user's own."""

    async def create_pushed_request(self, pushed: PushedRequestRecord, *, now: int) -> None:
        """Keep a pushed request; clear away those that nobody can be answering any more."""

    async def find_pushed_request(self, request_id: bytes) -> PushedRequestRecord | None:
        """The pushed request, unless a person has answered it."""

    async def end_pushed_request(self, request_id: bytes) -> None:
        """Use up a pushed request that was declined. Idempotent."""

    async def commit_redemption(
        self,
        grant_id: bytes,
        *,
        generation: int,
        now: int,
        expires_at: int | None,
        absolute_expires_at: int | None,
        rebinding: Rebinding | None = None,
        replacing: GrantRecord | None = None,
        origin: Origin = SYSTEM,
    ) -> Commit:
        """`pending` → `active` if it is still pending and unexpired. `replacing` is the grant itself where it replaces
        another one, which ends with that."""

    async def commit_rotation(
        self,
        grant_id: bytes,
        *,
        generation: int,
        now: int,
        expires_at: int | None,
        rebinding: Rebinding | None = None,
    ) -> Commit:
        """`generation` → `generation + 1` if the grant is active and at that generation."""

    async def commit_renewal(
        self, grant_id: bytes, *, generation: int, expires_at: int | None, rebinding: Rebinding | None = None
    ) -> Commit:
        """A later expiry for the refresh token that stays as it is, if the grant is active and at that generation."""

    async def commit_retry(self, grant_id: bytes, *, generation: int) -> Commit:
        """Count a retry if the grant is active and still at that generation."""

    async def end_grant(self, grant_id: bytes, *, by: str, reason: str, now: int, origin: Origin = SYSTEM) -> Commit:
        """End the grant unless it has ended already. Its tokens are dead when this returns."""

    async def revoke_access_token(
        self, grant_id: bytes, token_id: bytes, *, expires_at: int, now: int, origin: Origin = SYSTEM
    ) -> None:
        """Kill one access token; the row lives until the token would have expired. Idempotent."""

    async def revoke_client_access_token(
        self,
        client_id: str,
        token_id: bytes,
        *,
        organization_id: str,
        expires_at: int,
        now: int,
        origin: Origin = SYSTEM,
    ) -> None:
        """The same for a token that stands on a client, which works for that organization."""

    async def use_once(self, digest: bytes, *, expires_at: int, now: int) -> Commit:
        """Note that the thing of that SHA-256 digest was used; `LOST` if it was before, on any server. It is
        remembered past `expires_at`, after which the caller must refuse it by itself."""

    async def is_access_token_revoked(self, token_id: bytes) -> bool:
        """Whether that token was revoked singly."""

    async def find_grants(self, *, user_id: str | None, organization_id: str | None) -> Sequence[GrantRecord]:
        """Grants for an operator's list, newest first, at most 1,000."""


class DeviceStore(Protocol):
    """Devices that wait for a person."""

    async def create_device_authorization(self, device: DeviceAuthorizationRecord, *, now: int) -> Commit:
        """Keep a device's request, and clear away those that have long expired; `LOST` if its user code is taken."""

    async def find_device_authorization(self, device_id: bytes) -> DeviceAuthorizationRecord | None:
        """The request, unless a person has allowed it."""

    async def commit_poll(self, seen: DeviceAuthorizationRecord, *, interval: int, now: int) -> Commit:
        """Note a poll, if there has been none since the request was seen."""

    async def claim_device_authorization(
        self, user_code: str, *, user_id: str, session_hash: bytes, now: int, window: int, max_wrong: int
    ) -> DeviceAuthorizationRecord | Claim:
        """Bind the waiting request of that user code to a browser session, unless another that lives has it. Wrong
        codes count against the user, at most `max_wrong` in `window` seconds; beyond, no code is looked at."""

    async def commit_device_consent(
        self,
        grant: GrantRecord,
        *,
        session_hash: bytes,
        now: int,
        consent: ConsentRecord | None = None,
        role: Role | None = None,
        receipt: str | None = None,
        origin: Origin = SYSTEM,
        rulebook: Rulebook = DEFAULT_RULEBOOK,
    ) -> ConsentCommit:
        """As `commit_consent`, in place of the waiting request of the grant's id; `REQUEST_USED` if it is denied,
        expired, gone or another session's."""

    async def deny_device_authorization(self, device_id: bytes, *, session_hash: bytes, now: int) -> Commit:
        """Deny the waiting request; `LOST` if it is denied, expired, gone or another session's."""


class ClientStore(Protocol):
    """Clients and resource servers."""

    async def find_client(self, client_id: str) -> ClientRecord | None:
        """The client, as last committed."""

    async def find_resource_server(self, client_id: str) -> ResourceServerRecord | None:
        """The resource server, as last committed."""

    async def has_resource(self, resource: str) -> bool:
        """Whether a resource server is registered under that identifier."""

    async def find_access_token_formats(self, resource: str) -> Sequence[AccessTokenFormat]:
        """What tokens the resource servers under that identifier take; none where there is none."""

    async def create_client(self, client: ClientRecord, *, origin: Origin = SYSTEM) -> None:
        """Insert a client with a new id."""

    async def create_resource_server(self, resource_server: ResourceServerRecord) -> None:
        """Insert a resource server with a new id."""

    async def update_client_details(self, client: ClientRecord, *, now: int, origin: Origin = SYSTEM) -> Commit:
        """Replace what the app says of itself: name, description, URIs."""

    async def update_client_security(self, client: ClientRecord, *, now: int, origin: Origin = SYSTEM) -> Commit:
        """Replace what the app is held to: `client.security`."""

    async def replace_client_secrets(
        self,
        client_id: str,
        secrets: tuple[SecretHash, ...],
        *,
        known: tuple[SecretHash, ...] | None = None,
        now: int,
        origin: Origin = SYSTEM,
    ) -> Commit:
        """Replace the client's secrets; those left out fail from then on. `LOST` if there is no such client, or if its
        secrets are no longer the `known` ones."""

    async def find_secret_uses(self, client_id: str) -> Mapping[str, int]:
        """When the client's secrets were last used, by `secret_id`, to the hour or so."""

    async def find_client_approval(self, client_id: str, organization_id: str) -> ClientApprovalRecord | None:
        """The approval, whether it lasts or has ended."""

    async def find_client_approvals(
        self, *, client_id: str | None, organization_id: str | None
    ) -> Sequence[ClientApprovalRecord]:
        """Approvals for an operator's list, by client and organization, at most 1,000."""

    async def approve_client(
        self,
        client_id: str,
        organization_id: str,
        *,
        scope: tuple[str, ...],
        by: str,
        now: int,
        origin: Origin = SYSTEM,
    ) -> Commit:
        """Insert an approval, or replace the one before by the next generation; `LOST` if there is no such
        organization."""

    async def end_client_approval(
        self, client_id: str, organization_id: str, *, by: str, now: int, origin: Origin = SYSTEM
    ) -> Commit:
        """End an approval that lasts."""

    async def save_registered_client(self, client: ClientRecord) -> Commit:
        """Keep what a client has registered instead; `LOST` if it was deleted."""

    async def end_registered_client(
        self, client: ClientRecord, *, reason: str, now: int, origin: Origin = SYSTEM
    ) -> None:
        """Delete a client that registered itself and end its grants, in one transaction. The row stays until
        `expires_at`, for as long as its id would else be good. Idempotent."""

    async def create_registration_token(self, token: RegistrationTokenRecord) -> None:
        """Insert an initial access token."""

    async def find_registration_tokens(self) -> Sequence[RegistrationTokenRecord]:
        """The initial access tokens, newest first."""

    async def end_registration_token(self, hint: str) -> Commit:
        """Delete the initial access tokens that begin like that; `LOST` if there are none."""

    async def has_registration_token(self, token_hash: bytes, *, now: int) -> bool:
        """Whether one more client may be registered by that initial access token."""

    async def use_registration_token(self, token_hash: bytes, *, now: int) -> Commit:
        """Count one registration by that initial access token; `LOST` if it has expired or is used up."""

    async def find_clients(self, *, after: str) -> Sequence[ClientRecord]:
        """Clients that have not been deleted, by id, from the one after that id on, at most 1,000."""

    async def find_clients_for_user(self, user_id: str) -> Sequence[ClientRecord]:
        """The clients owned by the user's organizations, newest first."""


class SigningKeyStore(Protocol):
    """The keys that sign, a few rows."""

    async def find_signing_keys(self) -> Sequence[SigningKeyRecord]:
        """Every key, by algorithm and sequence."""

    async def create_signing_key(self, key: SigningKeyRecord, *, forgotten: Sequence[str] = ()) -> Commit:
        """Insert the key of that algorithm and sequence, and delete those `forgotten` by id; `LOST` if there is one
        of that sequence already, on whichever server it was made: nothing changes then."""


class PeopleStore(Protocol):
    """Users, organizations, memberships and browser sessions."""

    async def create_user(self, user: UserRecord, *, origin: Origin = SYSTEM) -> Commit:
        """Insert a user; `LOST` if the email is taken."""

    async def find_operators(self) -> Sequence[UserRecord]:
        """Who looks after the whole deployment, by email."""

    async def set_operator(self, user_id: str, *, is_operator: bool, now: int, origin: Origin = SYSTEM) -> Commit:
        """Make the user an operator, or no longer one; `LOST` if nothing changes."""

    async def create_organization(self, organization: OrganizationRecord, *, origin: Origin = SYSTEM) -> None:
        """Insert an organization with a new id."""

    async def find_user(self, user_id: str) -> UserRecord | None:
        """The user with that id."""

    async def find_user_by_email(self, email: str) -> UserRecord | None:
        """The user with that email, without regard to case."""

    async def find_organization(self, organization_id: str) -> OrganizationRecord | None:
        """The organization with that id."""

    async def find_memberships(self, user_id: str) -> Sequence[MembershipRecord]:
        """The user's current memberships, by organization name."""

    async def find_membership(self, user_id: str, organization_id: str) -> MembershipRecord | None:
        """The membership, whether it lasts or has ended."""

    async def create_session(self, session: SessionRecord) -> None:
        """Insert a session."""

    async def find_session(self, session_hash: bytes, now: int) -> SessionRecord | None:
        """The session, if it has not expired."""

    async def end_session(self, session_hash: bytes) -> None:
        """Delete the session. Idempotent."""


class EventStore(Protocol):
    """What has happened. Events are recorded by the other methods, in the transaction of what they tell of."""

    async def find_events(self, wanted: EventFilter, *, before: bytes | None, at_most: int) -> Sequence[EventRecord]:
        """Events, the newest first, from the one before that id on."""

    async def find_events_after(self, wanted: EventFilter, *, after: bytes, at_most: int) -> Sequence[EventRecord]:
        """Events, the oldest first, from the one after that id on."""

    async def find_ending_events(self, after: bytes, *, at_most: int) -> Sequence[EventRecord]:
        """Events that may end tokens (`revocation_feed.ENDING`), the oldest first, from the one after that id on."""


class Store(
    ConnectionStore,
    GrantStore,
    DeviceStore,
    ClientStore,
    SigningKeyStore,
    PeopleStore,
    EventStore,
    LifeCycleStore,
    Protocol,
):
    """All of it, from one database."""
