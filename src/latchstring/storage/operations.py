"""Every write of more than one statement, once for every engine: what happens in one transaction, and its outcome."""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final

import msgspec

from latchstring.authorization_server.events import Action, Event, Origin
from latchstring.authorization_server.organization_policy import Rulebook, Verdict, list_asked
from latchstring.authorization_server.ports import AssertionRefusal, Claim, Commit, ConsentCommit
from latchstring.authorization_server.refusals import (
    CODE_REPLAYED,
    DEVICE_CODE_REPLAYED,
    REFRESH_TOKEN_REUSE,
    REPLACED,
)
from latchstring.authorization_server.settings import DEFAULT_EVENT_LIFETIME, MAX_REGISTRATION_LIFETIME
from latchstring.storage.engine import Row, Steps
from latchstring.storage.life_cycle import end_left_grants
from latchstring.storage.policy_operations import judge
from latchstring.storage.recording import first_event_id, record_event, record_grant_event
from latchstring.storage.statements import (
    access_requests,
    apps,
    consents,
    devices,
    events,
    grants,
    keys,
    mails,
    people,
    registrations,
    sweeping,
    webhooks,
)
from latchstring.storage.statements.statement import Statement


class Swept(Enum):
    """How a step of the sweeper ended."""

    GOES_ON = "goes_on"
    ROUND_ENDED = "round_ended"
    NOT_DUE = "not_due"
    BY_ANOTHER = "by_another"


class SweepPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How to sweep. In seconds: how long ended grants and events are kept, how long after a round the next begins, for
    how long a step holds the sweep; `batch` is the rows that one step looks at."""

    retention: int
    event_retention: int = DEFAULT_EVENT_LIFETIME
    interval: int = 3600
    lease: int = 60
    batch: int = 500


# A page may be open for an hour after its request has expired; later nobody can be answering it.
_STALE_AFTER: Final = 24 * 3600
_CLOCK_SKEW: Final = 600
DELIVERY_RETENTION: Final = 30 * 24 * 3600
"""Seconds for which deliveries of webhooks and mail that was given up are kept to be looked at."""
# A credential came twice: somebody may have stolen it.
_REUSED: Final = frozenset({CODE_REPLAYED, DEVICE_CODE_REPLAYED, REFRESH_TOKEN_REUSE})
# For a while a device can still be told that its code has expired, rather than that it is unknown.
_DEVICE_STALE_AFTER: Final = 600


def consent(
    grant_row: dict[str, Any],
    client_row: dict[str, Any] | None,
    pushed_request_id: bytes | None,
    rulebook: Rulebook,
    consent_row: dict[str, Any] | None,
    origin: Origin,
    *,
    recalled: bytes | None = None,
    role: str | None = None,
    receipt: str | None = None,
    access_request_id: bytes | None = None,
) -> Steps[ConsentCommit]:
    """Insert a pending grant, use up the pushed request, keep the row of a client that registered itself, remember the
    consent; when a condition does not hold, say which. `recalled` is the grant whose remembered consent stands in for
    the member's answer. `role` is the one that the scope is for, where it depends on that. `access_request_id` is of
    the request to their admins with which the app's own was parked."""
    pushed = {"request_id": pushed_request_id}
    if pushed_request_id is not None and (yield grants.LOCK_PUSHED_REQUEST, pushed) is None:
        is_answered = yield grants.FIND_GRANT, {"grant_id": grant_row["id"]}
        return ConsentCommit.REQUEST_USED if is_answered is None else ConsentCommit.ANSWERED
    role_now = yield from _lock_what_it_stands_on(grant_row, locks_client=client_row is None)
    if role_now is None:
        return ConsentCommit.MEMBERSHIP_ENDED
    if role is not None and role_now != role:
        return ConsentCommit.ROLE_CHANGED
    verdict = yield from _judge_grant(grant_row, grant_row["scope"], rulebook)
    if verdict is not Verdict.ALLOWED:
        return ConsentCommit(verdict.value)
    parked = {"request_id": access_request_id, "of_user": grant_row["user_id"]}
    if access_request_id is not None and (yield access_requests.LOCK_PARKED, parked) is None:
        is_answered = yield grants.FIND_GRANT, {"grant_id": grant_row["id"]}
        return ConsentCommit.REQUEST_USED if is_answered is None else ConsentCommit.ANSWERED
    of_consent = {"of_client": grant_row["client_id"], "of_user": grant_row["user_id"]}
    of_consent["of_organization"] = grant_row["organization_id"]
    if recalled is not None:
        seen = {"seen_grant_id": recalled, "now": grant_row["created_at"]}
        if (yield consents.LOCK_REMEMBERED_CONSENT, {**of_consent, **seen}) is None:
            return ConsentCommit.NOT_REMEMBERED
    if client_row is not None:
        # What the member agreed to is what the document said just now; a registration is its row's, where there is one.
        has_document = client_row["public_id"].startswith("https://")
        keep = registrations.SAVE_REGISTERED_CLIENT if has_document else registrations.KEEP_REGISTERED_CLIENT
        if (yield keep, client_row) is None:
            return ConsentCommit.APP_UNAVAILABLE
    row = yield grants.INSERT_CONSENT, grant_row
    if row is None:
        is_answered = yield grants.FIND_GRANT, {"grant_id": grant_row["id"]}
        return ConsentCommit.APP_UNAVAILABLE if is_answered is None else ConsentCommit.ANSWERED
    if pushed_request_id is not None:
        yield grants.USE_PUSHED_REQUEST, pushed
    if receipt is not None:
        yield consents.INSERT_RECEIPT, {"grant_id": grant_row["id"], "receipt": receipt}
    if access_request_id is not None:
        yield access_requests.USE_PARKED, {"request_id": access_request_id}
    if consent_row is not None:
        yield consents.REMEMBER_CONSENT, consent_row
    elif recalled is not None:
        yield consents.NOTE_REMEMBERED_CONSENT, {**of_consent, "now": grant_row["created_at"]}
    yield from _record_created(grant_row, origin, is_remembered=recalled is not None)
    return ConsentCommit.CREATED


def _record_created(grant_row: dict[str, Any], origin: Origin, *, is_remembered: bool = False) -> Steps[None]:
    facts = [grant_row[name] for name in ("id", "client_id", "user_id", "organization_id")]
    told = ("scope", "resource", "redirect_uri", "asserted_by")
    after = {name: grant_row[name] for name in told if grant_row[name]}
    if is_remembered:
        after["is_remembered"] = True
    yield from record_grant_event(Action.GRANT_CREATED, facts, origin, grant_row["created_at"], after)


def end_grant(grant_id: bytes, by: str, reason: str, now: int, origin: Origin) -> Steps[Commit]:
    """End a grant that has not ended yet."""
    row = yield grants.END_GRANT, {"grant_id": grant_id, "by": by, "reason": reason, "now": now}
    if row is None:
        return Commit.LOST
    if reason in _REUSED:
        yield from record_grant_event(Action.GRANT_REUSE_DETECTED, row, origin, now, {"reason": reason})
    yield from record_grant_event(Action.GRANT_ENDED, row, origin, now, {"reason": reason})
    return Commit.APPLIED


def issue_codes(
    grant_ids: Sequence[bytes], user_id: str, now: int, expires_at: int
) -> Steps[list[tuple[bytes, bytes]]]:
    """Let the codes of waiting grants live from now on; those that wait no longer are left out."""
    issued = []
    for grant_id in grant_ids:
        issuing = {"of_grant": grant_id, "of_user": user_id, "now": now, "new_expires_at": expires_at}
        row = yield grants.ISSUE_CODE, issuing
        if row is not None:
            issued.append((bytes(row[0]), bytes(row[1])))
    return issued


def redeem_replacing(
    statement: Statement, redemption: dict[str, Any], grant_row: dict[str, Any], origin: Origin
) -> Steps[Commit]:
    """Redeem a grant, and end the one that it was to renew: not before, so that neither is ever missing."""
    if (yield statement, redemption) is None:
        return Commit.LOST
    yield from end_grant(grant_row["replaces"], grant_row["user_id"], REPLACED, redemption["now"], origin)
    return Commit.APPLIED


def disconnect(grant_row: dict[str, Any], by: str, reason: str, now: int, origin: Origin) -> Steps[Commit]:
    """End a grant and forget the consent behind it: the app has to ask again. Idempotent."""
    commit = yield from end_grant(grant_row["id"], by, reason, now, origin)
    of_consent = {"of_client": grant_row["client_id"], "of_user": grant_row["user_id"]}
    yield consents.FORGET_CONSENT, {**of_consent, "of_organization": grant_row["organization_id"]}
    return commit


def _judge_grant(grant_row: dict[str, Any], scope: str, rulebook: Rulebook) -> Steps[Verdict]:
    granted = list_asked(scope.split(), grant_row["authorization_details"])
    place = grant_row["organization_id"], grant_row["client_id"], grant_row["user_id"]
    return (yield from judge(*place, granted, rulebook))


def _lock_what_it_stands_on(grant_row: dict[str, Any], *, locks_client: bool = True) -> Steps[str | None]:
    """Hold still what a grant stands on until the transaction's end, so that whatever ends any of it finds the grant.
    The member's role, or None if the user is no active member; whether the app is reachable is asked in the write. A
    client whose row is about to be written is held by that: many who share it first would wait for each other."""
    of_user = {"user_id": grant_row["user_id"]}
    member = yield grants.LOCK_MEMBERSHIP, {**of_user, "organization_id": grant_row["organization_id"]}
    if member is None:
        return None
    row = (yield grants.LOCK_CLIENT, {"client_id": grant_row["client_id"]}) if locks_client else None
    if row is not None and not row[0]:
        yield grants.LOCK_OWNER_MEMBERSHIP, {**of_user, "client_id": grant_row["client_id"]}
    role: str = member[3]
    return role


def commit_assertion(
    grant_row: dict[str, Any],
    scope: str,
    rulebook: Rulebook,
    digest: bytes,
    digest_expires_at: int,
    now: int,
    origin: Origin,
) -> Steps[bytes | AssertionRefusal]:
    """Use up an assertion for the grant that its issuer's earlier ones have made, or for a new one. Every refusal comes
    before the first write."""
    membership = {"user_id": grant_row["user_id"], "organization_id": grant_row["organization_id"]}
    yield grants.LOCK_MEMBERSHIP_ALONE, membership
    if (yield from _lock_what_it_stands_on(grant_row)) is None:
        return AssertionRefusal.MEMBERSHIP_ENDED
    of_client = {"client_id": grant_row["client_id"], "user_id": grant_row["user_id"]}
    if (yield grants.FIND_REACHABLE, of_client) is None:
        return AssertionRefusal.APP_UNAVAILABLE
    verdict = yield from _judge_grant(grant_row, scope, rulebook)
    if verdict is not Verdict.ALLOWED:
        return AssertionRefusal(verdict.value)
    if (yield from use_once(digest, digest_expires_at, now)) is Commit.LOST:
        return AssertionRefusal.USED
    earlier = {
        "of_user": grant_row["user_id"],
        "of_organization": grant_row["organization_id"],
        "of_client": grant_row["client_id"],
        "of_issuer": grant_row["asserted_by"],
        "of_scope": grant_row["scope"],
    }
    row = yield grants.PROLONG_ASSERTED, {**earlier, "new_expires_at": grant_row["expires_at"]}
    if row is not None:
        return bytes(row[0])
    yield grants.INSERT_GRANT, grant_row
    yield from _record_created(grant_row, origin)
    made: bytes = grant_row["id"]
    return made


def create_pushed_request(pushed_row: dict[str, Any], now: int) -> Steps[None]:
    """Insert a pushed request and clear away those that nobody can be answering any more."""
    yield grants.END_STALE_PUSHED_REQUESTS, {"stale_at": now - _STALE_AFTER}
    yield grants.INSERT_PUSHED_REQUEST, pushed_row


def create_device(device_row: dict[str, Any], now: int) -> Steps[Commit]:
    """Insert a device's request; clear away those that have long expired, and wrong codes that no longer count."""
    yield devices.END_STALE_DEVICES, {"stale_at": now - _DEVICE_STALE_AFTER}
    yield devices.FORGET_GUESSES, {"stale_at": now}
    row = yield devices.INSERT_DEVICE, device_row
    return Commit.LOST if row is None else Commit.APPLIED


def claim_device(
    user_code: str, user_id: str, session_hash: bytes, now: int, until: int, max_wrong: int
) -> Steps[Row | Claim]:
    """Bind the waiting request of that code to the session. Counted first and forgiven if right: a hundred guesses at
    once are a hundred guesses."""
    counted = yield devices.COUNT_GUESS, {"user_id": user_id, "now": now, "until": until}
    assert counted is not None
    if counted[0] > max_wrong:
        return Claim.TOO_MANY
    row = yield devices.CLAIM_DEVICE, {"code": user_code, "session": session_hash, "now": now}
    if row is None:
        return Claim.UNKNOWN
    yield devices.FORGIVE_GUESS, {"of_user": user_id}
    return row


def device_consent(
    grant_row: dict[str, Any],
    consent_row: dict[str, Any] | None,
    session_hash: bytes,
    now: int,
    rulebook: Rulebook,
    origin: Origin,
    role: str | None = None,
    receipt: str | None = None,
) -> Steps[ConsentCommit]:
    """Insert the pending grant in place of the request that the session has claimed."""
    device = {"device_id": grant_row["id"], "session": session_hash, "now": now}
    if (yield devices.LOCK_DEVICE, device) is None:
        return ConsentCommit.REQUEST_USED
    commit = yield from consent(grant_row, None, None, rulebook, consent_row, origin, role=role, receipt=receipt)
    if commit is ConsentCommit.CREATED:
        yield devices.END_DEVICE, {"device_id": grant_row["id"]}
    return commit


def revoke_access_token(grant_id: bytes, token_id: bytes, expires_at: int, now: int, origin: Origin) -> Steps[None]:
    """Note the dead token, and on the grant's row until when it matters."""
    is_new = yield grants.INSERT_REVOKED_TOKEN, {"token_id": token_id, "expires_at": expires_at}
    row = yield grants.MARK_REVOKED_TOKEN, {"grant_id": grant_id, "until": expires_at}
    if is_new is not None and row is not None:
        _, client_id, user_id, organization_id = row
        yield from record_event(_token_event(token_id, now, origin, client_id, user_id, organization_id))


def revoke_client_access_token(
    client_id: str, token_id: bytes, organization_id: str, expires_at: int, now: int, origin: Origin
) -> Steps[None]:
    """The same for a token that stands on a client."""
    is_new = yield grants.INSERT_REVOKED_TOKEN, {"token_id": token_id, "expires_at": expires_at}
    yield grants.MARK_REVOKED_CLIENT_TOKEN, {"of_client": client_id, "until": expires_at}
    if is_new is not None:
        yield from record_event(_token_event(token_id, now, origin, client_id, None, organization_id))


def _token_event(
    token_id: bytes, now: int, origin: Origin, client_id: str, user_id: str | None, organization_id: str | None
) -> Event:
    return Event(
        action=Action.TOKEN_REVOKED,
        at=now,
        origin=origin,
        subject_kind="token",
        subject_id=token_id.hex(),
        organization_id=organization_id,
        client_id=client_id,
        user_id=user_id,
    )


def note_secret_uses(uses: Mapping[tuple[str, str], int]) -> Steps[None]:
    """Note when secrets were used; sorted, so that two servers lock in the same order."""
    for (client_id, secret_id), used_at in sorted(uses.items()):
        yield apps.NOTE_SECRET_USE, {"of_client": client_id, "of_secret": secret_id, "used_at": used_at}


def use_once(digest: bytes, expires_at: int, now: int) -> Steps[Commit]:
    """Note that the thing of that digest was used, unless it was before; clear away what can no longer be used."""
    row = yield keys.USE_ONCE, {"digest": digest, "until": expires_at}
    if row is None:
        return Commit.LOST
    # Beyond the clocks' differences: what is forgotten must have expired on every server.
    yield keys.FORGET_USED, {"stale_at": now - _CLOCK_SKEW}
    return Commit.APPLIED


def sweep_limits(now: int, plan: SweepPlan) -> dict[str, int]:
    """Since when ended grants and unredeemed codes are kept."""
    return {"kept_since": now - plan.retention, "pending_since": now - _STALE_AFTER}


def sweep(holder: bytes, now: int, plan: SweepPlan, forget: Callable[[str], None]) -> Steps[Swept]:
    """One step of the sweeper's walk, by the one process that holds it: a stretch of the grants in the order of their
    ids, behind them one of the clients, or at the end some of everything else that has expired. The longest transaction
    is one batch. `forget` is told of each client that goes."""
    claim = {"holder": holder, "until": now + plan.lease, "start": b"", "now": now}
    row = yield sweeping.CLAIM_SWEEP, claim
    if row is None:
        return Swept.BY_ANOTHER
    position, next_round_at, began_at = bytes(row[0]), row[1], row[2]
    if next_round_at > now:
        return Swept.NOT_DUE
    if not position:
        began_at = now
    moved = {"began_at": began_at, "ended_at": None, "next_at": next_round_at}
    if position < sweeping.END_OF_GRANTS:
        row = yield sweeping.FIND_NEXT_GRANTS_END, {"position": position, "skipped": plan.batch - 1}
        end = sweeping.END_OF_GRANTS if row is None else bytes(row[0])
        stretch = {"position": position, "end": end}
        yield from end_left_grants(stretch, now)
        yield sweeping.SWEEP_GRANTS, {**stretch, **sweep_limits(now, plan)}
        yield sweeping.SWEEP_GRANT_USES, stretch
        yield consents.SWEEP_RECEIPTS, stretch
        yield sweeping.MOVE_SWEEP, {**moved, "new_position": end}
        return Swept.GOES_ON
    after = position.removeprefix(sweeping.END_OF_GRANTS).decode()
    row = yield sweeping.FIND_NEXT_CLIENTS_END, {"after": after, "at_most": plan.batch}
    if row is not None and row[0] is not None:
        yield from _sweep_clients(after, row[0], now, forget)
        position = sweeping.END_OF_GRANTS + row[0].encode()
        yield sweeping.MOVE_SWEEP, {**moved, "new_position": position}
        return Swept.GOES_ON
    stale = {"stale_at": now - _STALE_AFTER, "at_most": plan.batch}
    is_clean = True
    for statement in sweeping.SWEEPS:
        row = yield statement, stale
        is_clean = is_clean and row is None
    oldest = {"first_id": first_event_id(max(0, now - plan.event_retention)), "at_most": plan.batch}
    row = yield events.SWEEP_EVENTS, oldest
    is_clean = is_clean and row is None
    for statement in (webhooks.SWEEP_DELIVERIES, mails.SWEEP_FAILED_MAIL):
        row = yield statement, {"kept_since": now - DELIVERY_RETENTION, "at_most": plan.batch}
        is_clean = is_clean and row is None
    if not is_clean:
        return Swept.GOES_ON
    ended = {"new_position": b"", "ended_at": now, "next_at": now + plan.interval}
    yield sweeping.MOVE_SWEEP, {**moved, **ended}
    return Swept.ROUND_ENDED


def _sweep_clients(after: str, end: str, now: int, forget: Callable[[str], None]) -> Steps[None]:
    """Delete those that registered themselves, of whom no grant is left and whose id cannot be used any more."""
    since = {"registered_since": now - MAX_REGISTRATION_LIFETIME - _STALE_AFTER}
    while (row := (yield sweeping.LOCK_UNCONNECTED_CLIENT, {"after": after, "end": end, **since})) is not None:
        after = row[0]
        if (yield sweeping.SWEEP_UNCONNECTED_CLIENT, {"id": after, **since}) is not None:
            yield apps.FORGET_SECRET_USES, {"of_client": after}
            yield consents.FORGET_CONSENTS_OF_CLIENT, {"of_client": after}
            forget(after)


def create_signing_key(key_row: dict[str, Any], forgotten: Sequence[str]) -> Steps[Commit]:
    """Insert a signing key unless another server has made that one already, and clear away those that are over."""
    row = yield keys.INSERT_SIGNING_KEY, key_row
    if row is None:
        return Commit.LOST
    for key_id in forgotten:
        yield keys.FORGET_SIGNING_KEY, {"forgotten_id": key_id}
    return Commit.APPLIED


def create_session(session_row: dict[str, Any]) -> Steps[None]:
    """Insert a session and clear away the user's expired ones."""
    yield people.END_EXPIRED_SESSIONS, {"user_id": session_row["user_id"], "now": session_row["created_at"]}
    yield people.INSERT_SESSION, session_row
