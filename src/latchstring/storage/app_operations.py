"""What happens to an app in one transaction: its row, its secrets, its approvals, and the event that tells of it."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from latchstring.authorization_server.events import Action, Event, Facts, Origin
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import SecretHash
from latchstring.storage.engine import Steps
from latchstring.storage.lapsing import lapse_requests
from latchstring.storage.recording import change_each_grant, record_event
from latchstring.storage.schema import resource_server
from latchstring.storage.statements import apps, clients, consents, people, registrations
from latchstring.storage.statements.statement import Statement

_decode_secrets = msgspec.json.Decoder(tuple[SecretHash, ...]).decode
# Where a secret may stand: how its holder is found, in which column it is, and how it is replaced.
_SECRETS_OF: Final = (
    (clients.FIND_CLIENT, clients.CLIENT_COLUMNS.index("secrets"), apps.REPLACE_KNOWN_SECRETS),
    (
        apps.FIND_RESOURCE_SERVER,
        list(resource_server.columns).index(resource_server.c.secrets),
        apps.REPLACE_KNOWN_RESOURCE_SERVER_SECRETS,
    ),
)


def create_client(client_row: dict[str, Any], origin: Origin) -> Steps[None]:
    """Insert a client with a new id."""
    yield clients.INSERT_CLIENT, client_row
    told = {name: client_row[name] for name in ("name", "scope", "token_endpoint_auth_method")}
    organization_id, now = client_row["organization_id"], client_row["created_at"]
    yield from record_event(
        app_event(Action.APP_CREATED, client_row["client_id"], organization_id, origin, now, after=told)
    )


def update_details(client_row: dict[str, Any], now: int, origin: Origin) -> Steps[Commit]:
    """Replace what an app says of itself, and tell what of it has changed."""
    return (yield from _update(clients.UPDATE_DETAILS, clients.DETAILS, client_row, now, origin))


def update_security(client_row: dict[str, Any], now: int, origin: Origin) -> Steps[Commit]:
    """Replace what an app is held to, and tell what of it has changed."""
    return (yield from _update(clients.UPDATE_SECURITY, clients.SECURITY, client_row, now, origin))


def _update(
    statement: Statement, columns: Sequence[str], client_row: dict[str, Any], now: int, origin: Origin
) -> Steps[Commit]:
    client_id: str = client_row["client_id"]
    found = yield clients.FIND_CLIENT, {"client_id": client_id}
    if found is None or (yield statement, {**client_row, "id": client_id}) is None:
        return Commit.LOST
    before = dict(zip(clients.CLIENT_COLUMNS, found, strict=True))
    changed = [name for name in columns if before[name] != client_row[name]]
    if changed:
        was = {name: _read_column(name, before[name]) for name in changed}
        becomes = {name: _read_column(name, client_row[name]) for name in changed}
        owner = before["organization_id"]
        yield from record_event(app_event(Action.APP_CHANGED, client_id, owner, origin, now, before=was, after=becomes))
    return Commit.APPLIED


def _read_column(name: str, value: Any) -> Any:
    return msgspec.json.decode(value) if name in {"redirect_uris", "security"} else value


def app_event(
    action: Action,
    client_id: str,
    organization_id: str | None,
    origin: Origin,
    now: int,
    *,
    before: Facts | None = None,
    after: Facts | None = None,
) -> Event:
    """The event of an app; `organization_id` is its owner."""
    return Event(
        action=action,
        at=now,
        origin=origin,
        subject_kind="app",
        subject_id=client_id,
        organization_id=organization_id,
        client_id=client_id,
        before=before,
        after=after,
    )


def end_registered_client(client_row: dict[str, Any], reason: str, now: int, origin: Origin) -> Steps[None]:
    """Delete a client that registered itself: its grants end, and its row says so until its id has lapsed."""
    client_id: str = client_row["client_id"]
    if (yield registrations.END_REGISTERED_CLIENT, {**client_row, "ended_at": now}) is not None:
        yield from record_event(app_event(Action.APP_DELETED, client_id, None, origin, now))
    ending = {"of_client": client_id, "now": now, "by": client_id, "reason": reason}
    of_client = registrations.END_NEXT_GRANT_OF_CLIENT
    yield from change_each_grant(of_client, ending, Action.GRANT_ENDED, origin, now, {"reason": reason})
    yield consents.FORGET_CONSENTS_OF_CLIENT, {"of_client": client_id}
    yield from lapse_requests(now, origin, client_id=client_id)


def replace_secrets(
    client_id: str, secrets: tuple[SecretHash, ...], known: tuple[SecretHash, ...] | None, now: int, origin: Origin
) -> Steps[Commit]:
    """Replace a client's secrets, if they are the `known` ones where those are given; forget when the dropped ones were
    used. The event tells of each only what is safe to show."""
    found = yield clients.FIND_CLIENT, {"client_id": client_id}
    if found is None:
        return Commit.LOST
    row = dict(zip(clients.CLIENT_COLUMNS, found, strict=True))
    replacing = {"id": client_id, "secrets": render_secrets(secrets)}
    if known is None:
        replaced = yield apps.REPLACE_SECRETS, replacing
    else:
        replaced = yield apps.REPLACE_KNOWN_SECRETS, {**replacing, "known": render_secrets(known)}
    if replaced is None:
        return Commit.LOST
    before = _decode_secrets(row["secrets"])
    if known is None:
        yield apps.FORGET_SECRET_USES, {"of_client": client_id}
    else:
        for secret_id in sorted({kept.secret_id for kept in before} - {kept.secret_id for kept in secrets}):
            yield apps.FORGET_SECRET_USE, {"of_client": client_id, "of_secret": secret_id}
    owner, was, becomes = row["organization_id"], {"secrets": _tell(before)}, {"secrets": _tell(secrets)}
    yield from record_event(
        app_event(Action.APP_SECRETS_CHANGED, client_id, owner, origin, now, before=was, after=becomes)
    )
    return Commit.APPLIED


def renew_secret_hash(client_id: str, kept: SecretHash, renewed: SecretHash) -> Steps[Commit]:
    """Put the renewed hash of a secret in the place of the kept one, where that still stands. Nothing else about the
    secret changes, and nobody is told: it is the same secret."""
    for find, column, replace in _SECRETS_OF:
        found = yield find, {"client_id": client_id}
        if found is not None:
            known: str = found[column]
            secrets = tuple(renewed if secret == kept else secret for secret in _decode_secrets(known))
            replacing = {"id": client_id, "known": known, "secrets": render_secrets(secrets)}
            return Commit.LOST if (yield replace, replacing) is None else Commit.APPLIED
    return Commit.LOST


def render_secrets(secrets: tuple[SecretHash, ...]) -> str:
    """The secrets' hashes as the client's row has them."""
    return msgspec.json.encode(secrets).decode()


def _tell(secrets: tuple[SecretHash, ...]) -> list[dict[str, Any]]:
    return [{"hint": kept.hint, "name": kept.name, "expires_at": kept.expires_at} for kept in secrets]


def approve_client(
    client_id: str, organization_id: str, scope: str, by: str, now: int, origin: Origin
) -> Steps[Commit]:
    """Approve a client, once more if it was before."""
    if (yield people.FIND_ORGANIZATION, {"organization_id": organization_id}) is None:
        return Commit.LOST
    of_approval = {"of_client": client_id, "of_organization": organization_id}
    yield apps.APPROVE_CLIENT, {**of_approval, "scope": scope, "by": by, "now": now}
    yield from record_event(
        _approval_event(Action.APP_APPROVED, client_id, organization_id, origin, now, after={"scope": scope})
    )
    return Commit.APPLIED


def end_approval(client_id: str, organization_id: str, by: str, now: int, origin: Origin) -> Steps[Commit]:
    """End an approval that lasts."""
    of_approval = {"of_client": client_id, "of_organization": organization_id}
    row = yield apps.END_CLIENT_APPROVAL, {**of_approval, "by": by, "now": now}
    if row is None:
        return Commit.LOST
    yield from record_event(
        _approval_event(Action.APP_APPROVAL_ENDED, client_id, organization_id, origin, now, before={"scope": row[0]})
    )
    return Commit.APPLIED


def _approval_event(
    action: Action,
    client_id: str,
    organization_id: str,
    origin: Origin,
    now: int,
    *,
    before: Facts | None = None,
    after: Facts | None = None,
) -> Event:
    return Event(
        action=action,
        at=now,
        origin=origin,
        subject_kind="approval",
        subject_id=client_id,
        organization_id=organization_id,
        client_id=client_id,
        before=before,
        after=after,
    )
