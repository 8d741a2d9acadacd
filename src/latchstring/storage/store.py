"""The server's ports over an engine: records to rows and back; no SQL and no driver here."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from secrets import randbits
from typing import Any, Final, TypeVar

import msgspec

from latchstring.authorization_server.events import SYSTEM, Origin
from latchstring.authorization_server.organization_policy import Rulebook
from latchstring.authorization_server.ports import DEFAULT_RULEBOOK, AssertionRefusal, Claim, Commit, ConsentCommit
from latchstring.authorization_server.publication import render_facts
from latchstring.authorization_server.records import (
    AccessTokenFormat,
    ClientApprovalRecord,
    ClientRecord,
    ClientSecurity,
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
from latchstring.protocol.confirmation import render_confirmation
from latchstring.storage import app_operations, operations, people_operations
from latchstring.storage.access_request_rows import AccessRequestRows
from latchstring.storage.app_operations import render_secrets
from latchstring.storage.connection_rows import ConnectionRows
from latchstring.storage.consent_rows import read_consent, write_consent
from latchstring.storage.engine import Engine, Row, Steps
from latchstring.storage.event_rows import EventRows
from latchstring.storage.grant_rows import read_grant, write_grant
from latchstring.storage.head import HEAD
from latchstring.storage.life_cycle_store import LifeCycleStore
from latchstring.storage.mail_rows import MailRows
from latchstring.storage.marks import Marks
from latchstring.storage.operations import SweepPlan
from latchstring.storage.passkey_rows import PasskeyRows
from latchstring.storage.policy_rows import PolicyRows
from latchstring.storage.publication_operations import compare
from latchstring.storage.publication_rows import PublicationRows
from latchstring.storage.publisher_rows import PublisherRows
from latchstring.storage.sign_in_rows import SignInRows
from latchstring.storage.statements import apps, clients, consents, devices, grants, health, keys, people, registrations
from latchstring.storage.statements.statement import Parameters, Statement
from latchstring.storage.sweeper import Sweeper
from latchstring.storage.webhook_rows import WebhookRows

MAX_LISTED: Final = 1000
MAX_REMEMBERED: Final = 10_000

Remembered = TypeVar("Remembered", ClientRecord, ResourceServerRecord)

_encode = msgspec.json.Encoder().encode
_decode_secrets = msgspec.json.Decoder(tuple[SecretHash, ...]).decode
_decode_strings = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_security = msgspec.json.Decoder(ClientSecurity).decode


class SqlStore(
    ConnectionRows,
    EventRows,
    LifeCycleStore,
    MailRows,
    PolicyRows,
    AccessRequestRows,
    PublicationRows,
    PublisherRows,
    WebhookRows,
    SignInRows,
    PasskeyRows,
):
    """Implements `authorization_server.ports.Store`, and the ports of single subjects, on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # A mark for each redemption and rotation: no two writes of one grant ever have the same, in whichever process.
        self._marks = count(randbits(62))
        # Clients and resource servers as read while the engine's version stood at `_version`.
        self._remembered: dict[str, ClientRecord | ResourceServerRecord] = {}
        self._version: int | None = None

    def sweeper(self, clock: Callable[[], int], plan: SweepPlan) -> Sweeper:
        """What keeps this store's size a formula."""
        return Sweeper(self._engine, clock, plan, self._forget)

    async def has_pending_migrations(self) -> bool:
        """Whether the schema is older than this version's. A newer one serves this version as well."""
        row = await self._engine.read(health.FIND_SCHEMA_VERSION, {})
        return row is None or bool(row[0] < HEAD)

    def marks(self) -> Marks:
        """What the database says of the deployment itself."""
        return Marks(self._engine)

    async def close(self) -> None:
        """Finish what is under way and let go of the database."""
        await self._engine.close()

    async def _write(self, statement: Statement, parameters: Parameters) -> Commit:
        """One conditional write that returns a row exactly when its condition held."""
        return Commit.LOST if await self._engine.write(statement, parameters) is None else Commit.APPLIED

    async def _write_client_row(self, client_id: str, statement: Statement, parameters: Parameters) -> Commit:
        def change() -> Steps[Commit]:
            row = yield statement, parameters
            self._forget(client_id)
            return Commit.LOST if row is None else Commit.APPLIED

        return await self._engine.commit(change)

    def _write_registered(self, client: ClientRecord) -> dict[str, Any]:
        # The row of a client that registered itself, which does not lapse by itself any more.
        return {**_write_client(client), "expires_at": None}

    def _forget(self, client_id: str) -> None:
        # Within the transaction that changes it: nothing reads between here and its commit, and whoever asked for the
        # change may have gone away before it is done.
        self._remembered.pop(client_id, None)

    def _forget_all(self) -> None:
        self._remembered.clear()

    def _recall(self, client_id: str) -> ClientRecord | ResourceServerRecord | None:
        version = self._engine.find_version()
        if version is None or version != self._version or len(self._remembered) > MAX_REMEMBERED:
            self._version = version
            self._remembered.clear()
            return None
        return self._remembered.get(client_id)

    def _remember(self, client_id: str, record: Remembered) -> Remembered:
        # On an engine with a version nothing can have been written since `_recall`: such a read does not wait.
        if self._version is not None:
            self._remembered[client_id] = record
        return record

    # -- grants

    async def find_grant(self, grant_id: bytes) -> GrantRecord | None:
        row = await self._engine.read(grants.FIND_GRANT, {"grant_id": grant_id})
        return None if row is None else read_grant(row)

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
        kept = None if self_registered is None else {**_write_client(self_registered), "expires_at": None}

        consent_row = None if consent is None else write_consent(consent)

        def commit() -> Steps[ConsentCommit]:
            outcome = yield from operations.consent(
                write_grant(grant),
                kept,
                pushed_request_id,
                rulebook,
                consent_row,
                origin,
                recalled=recalled,
                role=role,
                receipt=receipt,
                access_request_id=access_request_id,
            )
            self._forget(grant.client_id)
            return outcome

        return await self._engine.commit(commit)

    async def find_receipt(self, grant_id: bytes) -> str | None:
        row = await self._engine.read(consents.FIND_RECEIPT, {"grant_id": grant_id})
        return None if row is None else row[0]

    async def issue_codes(
        self, grant_ids: Sequence[bytes], *, user_id: str, now: int, expires_at: int
    ) -> Sequence[tuple[bytes, bytes]]:
        return await self._engine.commit(partial(operations.issue_codes, grant_ids, user_id, now, expires_at))

    async def find_remembered_consents(self, client_id: str, user_id: str) -> Sequence[ConsentRecord]:
        of_member = {"client_id": client_id, "user_id": user_id}
        return [read_consent(row) for row in await self._engine.read_all(consents.FIND_REMEMBERED_CONSENTS, of_member)]

    async def disconnect(
        self, grant: GrantRecord, *, by: str, reason: str, now: int, origin: Origin = SYSTEM
    ) -> Commit:
        return await self._engine.commit(partial(operations.disconnect, write_grant(grant), by, reason, now, origin))

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
        row, judged = write_grant(grant), " ".join(grant.scope if scope is None else scope)
        commit = partial(operations.commit_assertion, row, judged, rulebook, digest, digest_expires_at, now, origin)
        return await self._engine.commit(commit)

    async def create_pushed_request(self, pushed: PushedRequestRecord, *, now: int) -> None:
        await self._engine.commit(partial(operations.create_pushed_request, msgspec.structs.asdict(pushed), now))

    async def find_pushed_request(self, request_id: bytes) -> PushedRequestRecord | None:
        row = await self._engine.read(grants.FIND_PUSHED_REQUEST, {"request_id": request_id})
        if row is None:
            return None
        return PushedRequestRecord(id=bytes(row[0]), client_id=row[1], parameters=row[2], expires_at=row[3])

    async def end_pushed_request(self, request_id: bytes) -> None:
        await self._engine.write(grants.USE_PUSHED_REQUEST, {"request_id": request_id})

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
        redemption = _write_redemption(grant_id, generation, now, expires_at, absolute_expires_at)
        redemption["mark"] = next(self._marks)
        statement = grants.REDEEM
        if rebinding is not None:
            statement, redemption = grants.REDEEM_REBOUND, redemption | _write_rebinding(rebinding)
        if replacing is not None:
            return await self._engine.commit(
                partial(operations.redeem_replacing, statement, redemption, write_grant(replacing), origin)
            )
        return await self._write(statement, redemption)

    async def commit_rotation(
        self, grant_id: bytes, *, generation: int, now: int, expires_at: int | None, rebinding: Rebinding | None = None
    ) -> Commit:
        rotation = {
            "grant_id": grant_id,
            "at_generation": generation,
            "now": now,
            "new_expires_at": expires_at,
            "mark": next(self._marks),
        }
        if rebinding is not None:
            return await self._write(grants.ROTATE_REBOUND, rotation | _write_rebinding(rebinding))
        return await self._write(grants.ROTATE, rotation)

    async def commit_renewal(
        self, grant_id: bytes, *, generation: int, expires_at: int | None, rebinding: Rebinding | None = None
    ) -> Commit:
        renewal = {"grant_id": grant_id, "at_generation": generation, "new_expires_at": expires_at}
        if rebinding is not None:
            return await self._write(grants.RENEW_REBOUND, renewal | _write_rebinding(rebinding))
        return await self._write(grants.RENEW, renewal)

    async def commit_retry(self, grant_id: bytes, *, generation: int) -> Commit:
        return await self._write(grants.COUNT_RETRY, {"grant_id": grant_id, "at_generation": generation})

    async def end_grant(self, grant_id: bytes, *, by: str, reason: str, now: int, origin: Origin = SYSTEM) -> Commit:
        end = partial(operations.end_grant, grant_id, by, reason, now, origin)
        return await self._engine.commit_shared("end_grant", grant_id, end)

    async def revoke_access_token(
        self, grant_id: bytes, token_id: bytes, *, expires_at: int, now: int, origin: Origin = SYSTEM
    ) -> None:
        revoke = partial(operations.revoke_access_token, grant_id, token_id, expires_at, now, origin)
        await self._engine.commit_shared("revoke_access_token", grant_id, revoke)

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
        def revoke() -> Steps[None]:
            yield from operations.revoke_client_access_token(
                client_id, token_id, organization_id, expires_at, now, origin
            )
            self._forget(client_id)

        await self._engine.commit(revoke)

    async def use_once(self, digest: bytes, *, expires_at: int, now: int) -> Commit:
        return await self._engine.commit(partial(operations.use_once, digest, expires_at, now))

    async def is_access_token_revoked(self, token_id: bytes) -> bool:
        return await self._engine.read(grants.FIND_REVOKED_TOKEN, {"token_id": token_id}) is not None

    async def find_grants(self, *, user_id: str | None, organization_id: str | None) -> Sequence[GrantRecord]:
        rows = await self._engine.read_all(
            grants.FIND_GRANTS, {"user_id": user_id, "organization_id": organization_id, "at_most": MAX_LISTED}
        )
        return [read_grant(row) for row in rows]

    # -- devices

    async def create_device_authorization(self, device: DeviceAuthorizationRecord, *, now: int) -> Commit:
        return await self._engine.commit(partial(operations.create_device, _write_device(device), now))

    async def find_device_authorization(self, device_id: bytes) -> DeviceAuthorizationRecord | None:
        row = await self._engine.read(devices.FIND_DEVICE, {"device_id": device_id})
        return None if row is None else _read_device(row)

    async def commit_poll(self, seen: DeviceAuthorizationRecord, *, interval: int, now: int) -> Commit:
        poll = {
            "device_id": seen.id,
            "seen_polled_at": seen.polled_at or 0,
            "seen_interval": seen.interval,
            "now": now,
            "new_interval": interval,
        }
        return await self._write(devices.NOTE_POLL, poll)

    async def claim_device_authorization(
        self, user_code: str, *, user_id: str, session_hash: bytes, now: int, window: int, max_wrong: int
    ) -> DeviceAuthorizationRecord | Claim:
        claim = partial(operations.claim_device, user_code, user_id, session_hash, now, now + window, max_wrong)
        outcome = await self._engine.commit(claim)
        return outcome if isinstance(outcome, Claim) else _read_device(outcome)

    async def commit_device_consent(
        self,
        grant: GrantRecord,
        *,
        session_hash: bytes,
        now: int,
        consent: ConsentRecord | None = None,
        role: Role | None = None,
        receipt: str | None = None,
        rulebook: Rulebook = DEFAULT_RULEBOOK,
        origin: Origin = SYSTEM,
    ) -> ConsentCommit:
        consent_row = None if consent is None else write_consent(consent)
        row = write_grant(grant)
        commit = partial(
            operations.device_consent, row, consent_row, session_hash, now, rulebook, origin, role, receipt
        )
        return await self._engine.commit(commit)

    async def deny_device_authorization(self, device_id: bytes, *, session_hash: bytes, now: int) -> Commit:
        denial = {"device_id": device_id, "session": session_hash, "now": now}
        return await self._write(devices.DENY_DEVICE, denial)

    # -- clients and resource servers

    async def find_client(self, client_id: str) -> ClientRecord | None:
        remembered = self._recall(client_id)
        if isinstance(remembered, ClientRecord):
            return remembered
        row = await self._engine.read(clients.FIND_CLIENT, {"client_id": client_id})
        return None if row is None else self._remember(client_id, _read_client(row))

    async def find_resource_server(self, client_id: str) -> ResourceServerRecord | None:
        remembered = self._recall(client_id)
        if isinstance(remembered, ResourceServerRecord):
            return remembered
        row = await self._engine.read(apps.FIND_RESOURCE_SERVER, {"client_id": client_id})
        return None if row is None else self._remember(client_id, _read_resource_server(row))

    async def find_resource_servers(self) -> Sequence[ResourceServerRecord]:
        """All of them: APIs are few."""
        return [_read_resource_server(row) for row in await self._engine.read_all(apps.FIND_RESOURCE_SERVERS, {})]

    async def has_resource(self, resource: str) -> bool:
        return await self._engine.read(apps.FIND_RESOURCE, {"resource": resource}) is not None

    async def find_access_token_formats(self, resource: str) -> Sequence[AccessTokenFormat]:
        rows = await self._engine.read_all(apps.FIND_ACCESS_TOKEN_FORMATS, {"resource": resource})
        return [row[0] for row in rows]

    async def create_client(self, client: ClientRecord, *, origin: Origin = SYSTEM) -> None:
        await self._engine.commit(partial(app_operations.create_client, _write_client(client), origin))

    async def create_resource_server(self, resource_server: ResourceServerRecord) -> None:
        row = msgspec.structs.asdict(resource_server)
        row["secrets"] = _encode(resource_server.secrets).decode()
        await self._engine.write(apps.INSERT_RESOURCE_SERVER, row)

    async def update_client_details(self, client: ClientRecord, *, now: int, origin: Origin = SYSTEM) -> Commit:
        return await self._update_client(app_operations.update_details, client, now, origin)

    async def update_client_security(self, client: ClientRecord, *, now: int, origin: Origin = SYSTEM) -> Commit:
        return await self._update_client(app_operations.update_security, client, now, origin)

    async def _update_client(
        self,
        update: Callable[[dict[str, Any], int, Origin], Steps[Commit]],
        client: ClientRecord,
        now: int,
        origin: Origin,
    ) -> Commit:
        def commit() -> Steps[Commit]:
            outcome = yield from update(_write_client(client), now, origin)
            row = yield clients.FIND_CLIENT, {"client_id": client.client_id}
            if row is not None:
                yield from compare(client.client_id, render_facts(_read_client(row)), now, origin)
            self._forget(client.client_id)
            return outcome

        return await self._engine.commit(commit)

    async def replace_client_secrets(
        self,
        client_id: str,
        secrets: tuple[SecretHash, ...],
        *,
        known: tuple[SecretHash, ...] | None = None,
        now: int,
        origin: Origin = SYSTEM,
    ) -> Commit:
        def replace() -> Steps[Commit]:
            commit = yield from app_operations.replace_secrets(client_id, secrets, known, now, origin)
            self._forget(client_id)
            return commit

        return await self._engine.commit(replace)

    async def find_secret_uses(self, client_id: str) -> Mapping[str, int]:
        rows = await self._engine.read_all(apps.FIND_SECRET_USES, {"client_id": client_id})
        return {row[0]: row[1] for row in rows}

    async def note_secret_uses(self, uses: Mapping[tuple[str, str], int]) -> None:
        """Note when secrets were used, by `client_id` and `secret_id`."""
        await self._engine.commit(partial(operations.note_secret_uses, uses))

    async def renew_secret_hash(self, client_id: str, kept: SecretHash, renewed: SecretHash) -> bool:
        """Put the same secret's new hash in the place of the kept one; False where somebody else has just changed the
        holder's secrets, a client or a resource server."""

        def renew() -> Steps[Commit]:
            commit = yield from app_operations.renew_secret_hash(client_id, kept, renewed)
            self._forget(client_id)
            return commit

        return await self._engine.commit(renew) is Commit.APPLIED

    async def find_client_approval(self, client_id: str, organization_id: str) -> ClientApprovalRecord | None:
        of_approval = {"of_client": client_id, "of_organization": organization_id}
        row = await self._engine.read(apps.FIND_CLIENT_APPROVAL, of_approval)
        return None if row is None else _read_approval(row)

    async def find_client_approvals(
        self, *, client_id: str | None, organization_id: str | None
    ) -> Sequence[ClientApprovalRecord]:
        listed = {"client_id": client_id, "organization_id": organization_id, "at_most": MAX_LISTED}
        return [_read_approval(row) for row in await self._engine.read_all(apps.FIND_CLIENT_APPROVALS, listed)]

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
        asked = " ".join(scope)
        approve = partial(app_operations.approve_client, client_id, organization_id, asked, by, now, origin)
        return await self._engine.commit(approve)

    async def end_client_approval(
        self, client_id: str, organization_id: str, *, by: str, now: int, origin: Origin = SYSTEM
    ) -> Commit:
        end = partial(app_operations.end_approval, client_id, organization_id, by, now, origin)
        return await self._engine.commit(end)

    async def save_registered_client(self, client: ClientRecord) -> Commit:
        return await self._write_client_row(
            client.client_id, registrations.SAVE_REGISTERED_CLIENT, _write_client(client)
        )

    async def end_registered_client(
        self, client: ClientRecord, *, reason: str, now: int, origin: Origin = SYSTEM
    ) -> None:
        def end() -> Steps[None]:
            yield from app_operations.end_registered_client(_write_client(client), reason, now, origin)
            self._forget(client.client_id)

        await self._engine.commit(end)

    async def create_registration_token(self, token: RegistrationTokenRecord) -> None:
        await self._engine.write(registrations.INSERT_REGISTRATION_TOKEN, msgspec.structs.asdict(token))

    async def find_registration_tokens(self) -> Sequence[RegistrationTokenRecord]:
        rows = await self._engine.read_all(registrations.FIND_REGISTRATION_TOKENS, {})
        return [
            RegistrationTokenRecord(
                token_hash=bytes(row[0]),
                hint=row[1],
                note=row[2],
                remaining=row[3],
                created_at=row[4],
                expires_at=row[5],
            )
            for row in rows
        ]

    async def end_registration_token(self, hint: str) -> Commit:
        return await self._write(registrations.END_REGISTRATION_TOKEN, {"by_hint": hint})

    async def has_registration_token(self, token_hash: bytes, *, now: int) -> bool:
        parameters = {"by_hash": token_hash, "now": now}
        return await self._engine.read(registrations.FIND_REGISTRATION_TOKEN, parameters) is not None

    async def use_registration_token(self, token_hash: bytes, *, now: int) -> Commit:
        return await self._write(registrations.USE_REGISTRATION_TOKEN, {"by_hash": token_hash, "now": now})

    async def find_clients(self, *, after: str) -> Sequence[ClientRecord]:
        rows = await self._engine.read_all(apps.FIND_CLIENTS, {"after": after, "at_most": MAX_LISTED})
        return [_read_client(row) for row in rows]

    async def find_clients_for_user(self, user_id: str) -> Sequence[ClientRecord]:
        rows = await self._engine.read_all(apps.FIND_CLIENTS_FOR_USER, {"user_id": user_id})
        return [_read_client(row) for row in rows]

    # -- signing keys

    async def find_signing_keys(self) -> Sequence[SigningKeyRecord]:
        rows = await self._engine.read_all(keys.FIND_SIGNING_KEYS, {})
        return [
            SigningKeyRecord(
                algorithm=row[0],
                sequence=row[1],
                key_id=row[2],
                public_key=row[3],
                sealed_private_key=bytes(row[4]),
                created_at=row[5],
                used_from=row[6],
            )
            for row in rows
        ]

    async def create_signing_key(self, key: SigningKeyRecord, *, forgotten: Sequence[str] = ()) -> Commit:
        return await self._engine.commit(partial(operations.create_signing_key, msgspec.structs.asdict(key), forgotten))

    # -- people

    async def create_user(self, user: UserRecord, *, origin: Origin = SYSTEM) -> Commit:
        row = msgspec.structs.asdict(user)
        row["email_key"] = _email_key(user.email)
        return await self._engine.commit(partial(people_operations.create_user, row, origin))

    async def find_operators(self) -> Sequence[UserRecord]:
        return [_read_user(row) for row in await self._engine.read_all(people.FIND_OPERATORS, {})]

    async def set_operator(self, user_id: str, *, is_operator: bool, now: int, origin: Origin = SYSTEM) -> Commit:
        return await self._engine.commit(partial(people_operations.set_operator, user_id, is_operator, now, origin))

    async def create_organization(self, organization: OrganizationRecord, *, origin: Origin = SYSTEM) -> None:
        row = msgspec.structs.asdict(organization)
        await self._engine.commit(partial(people_operations.create_organization, row, origin))

    async def find_user(self, user_id: str) -> UserRecord | None:
        row = await self._engine.read(people.FIND_USER, {"user_id": user_id})
        return None if row is None else _read_user(row)

    async def find_user_by_email(self, email: str) -> UserRecord | None:
        row = await self._engine.read(people.FIND_USER_BY_EMAIL, {"email_key": _email_key(email)})
        return None if row is None else _read_user(row)

    async def find_organization(self, organization_id: str) -> OrganizationRecord | None:
        row = await self._engine.read(people.FIND_ORGANIZATION, {"organization_id": organization_id})
        return None if row is None else _read_organization(row)

    async def find_memberships(self, user_id: str) -> Sequence[MembershipRecord]:
        rows = await self._engine.read_all(people.FIND_MEMBERSHIPS, {"user_id": user_id})
        return [_read_membership(row) for row in rows]

    async def find_membership(self, user_id: str, organization_id: str) -> MembershipRecord | None:
        parameters = {"user_id": user_id, "organization_id": organization_id}
        row = await self._engine.read(people.FIND_MEMBERSHIP, parameters)
        return None if row is None else _read_membership(row)

    async def create_session(self, session: SessionRecord) -> None:
        await self._engine.commit(partial(operations.create_session, msgspec.structs.asdict(session)))

    async def find_session(self, session_hash: bytes, now: int) -> SessionRecord | None:
        row = await self._engine.read(people.FIND_SESSION, {"session_hash": session_hash, "now": now})
        if row is None:
            return None
        return SessionRecord(
            session_hash=bytes(row[0]), user_id=row[1], created_at=row[2], expires_at=row[3], acr=row[4]
        )

    async def end_session(self, session_hash: bytes) -> None:
        await self._engine.write(people.END_SESSION, {"session_hash": session_hash})


def _write_redemption(
    grant_id: bytes, generation: int, now: int, expires_at: int | None, absolute_expires_at: int | None
) -> dict[str, Any]:
    return {
        "grant_id": grant_id,
        "now": now,
        "new_generation": generation,
        "new_expires_at": expires_at,
        "new_absolute_expires_at": absolute_expires_at,
    }


def _write_device(device: DeviceAuthorizationRecord) -> dict[str, Any]:
    row = msgspec.structs.asdict(device)
    row["scope"] = " ".join(device.scope)
    row["resource"] = " ".join(device.resource)
    return row


def _read_device(row: Row) -> DeviceAuthorizationRecord:
    return DeviceAuthorizationRecord(
        id=bytes(row[0]),
        client_id=row[1],
        user_code=row[2],
        row_secret=bytes(row[3]),
        scope=tuple(row[4].split(" ")),
        resource=tuple(row[5].split(" ")) if row[5] else (),
        organization_id=row[6],
        is_denied=bool(row[7]),
        session_hash=None if row[8] is None else bytes(row[8]),
        interval=row[9],
        polled_at=row[10],
        expires_at=row[11],
    )


def _write_rebinding(rebinding: Rebinding) -> dict[str, Any]:
    return {"new_confirmation": render_confirmation(rebinding.confirmation)}


def _email_key(email: str) -> str:
    return email.strip().casefold()


def _read_client(row: Row) -> ClientRecord:
    return ClientRecord(
        client_id=row[0],
        organization_id=row[1],
        created_by=row[2],
        name=row[3],
        description=row[4],
        redirect_uris=_decode_strings(row[5]),
        scope=tuple(row[6].split(" ")),
        grant_types=tuple(row[7].split(" ")),
        token_endpoint_auth_method=row[8],
        secrets=_decode_secrets(row[9]),
        terms_uri=row[10],
        policy_uri=row[11],
        is_published=bool(row[12]),
        retry_window=row[13],
        access_revoked_until=row[14],
        created_at=row[15],
        security=_decode_security(row[16]),
        acts_for_resource=row[17],
        public_id=row[18],
        client_uri=row[19],
        expires_at=row[20],
        ended_at=row[21],
        suspended_at=row[22],
        suspended_by=row[23],
        suspended_reason=row[24],
        owner_closed_at=row[25],
    )


def _read_resource_server(row: Row) -> ResourceServerRecord:
    return ResourceServerRecord(
        client_id=row[0],
        name=row[1],
        resource=row[2],
        secrets=_decode_secrets(row[3]),
        created_at=row[4],
        access_token_format=row[5],
    )


def _write_client(client: ClientRecord) -> dict[str, Any]:
    row = msgspec.structs.asdict(client)
    row["redirect_uris"] = _encode(client.redirect_uris).decode()
    row["scope"] = " ".join(client.scope)
    row["grant_types"] = " ".join(client.grant_types)
    row["secrets"] = render_secrets(client.secrets)
    row["security"] = _encode(client.security).decode()
    return row


def _read_approval(row: Row) -> ClientApprovalRecord:
    return ClientApprovalRecord(
        client_id=row[0],
        organization_id=row[1],
        scope=tuple(row[2].split(" ")),
        generation=row[3],
        approved_by=row[4],
        approved_at=row[5],
        ended_by=row[6],
        ended_at=row[7],
    )


def _read_membership(row: Row) -> MembershipRecord:
    return MembershipRecord(
        user_id=row[0],
        organization_id=row[1],
        organization_name=row[2],
        role=row[3],
        created_at=row[4],
        ended_at=row[5],
        suspended_at=row[6],
    )


def _read_organization(row: Row) -> OrganizationRecord:
    return OrganizationRecord(
        organization_id=row[0], name=row[1], created_at=row[2], closed_at=row[3], leaver_grants_end_after=row[4]
    )


def _read_user(row: Row) -> UserRecord:
    return UserRecord(
        user_id=row[0],
        email=row[1],
        name=row[3],
        password_hash=row[4],
        created_at=row[5],
        is_operator=bool(row[6]),
        disabled_at=row[7],
        deleted_at=row[8],
    )
