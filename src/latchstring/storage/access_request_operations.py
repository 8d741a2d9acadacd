"""What happens to a member's request that an app be approved: one transaction each, and the event that tells."""

from collections.abc import Sequence
from typing import Any, Final

from latchstring.authorization_server.access_request_ports import AccessRequestRecord, Asking, TellOfDecision
from latchstring.authorization_server.events import Action, Event, Facts, Origin
from latchstring.authorization_server.identifiers import ACCESS_REQUEST, render_identifier
from latchstring.authorization_server.mail import MailRecord
from latchstring.authorization_server.organization_policy import AppRule, Rulebook, Verdict
from latchstring.authorization_server.ports import Commit
from latchstring.storage.engine import Row, Steps
from latchstring.storage.policy_operations import add_to_rule, judge, lock_for, put_rule
from latchstring.storage.recording import queue_mail, record_event
from latchstring.storage.statements import access_requests, grants, people, registrations

_REFUSALS: Final = {Verdict.ALLOWED: Asking.ALLOWED, Verdict.BLOCKED: Asking.BLOCKED}


def create_access_request(
    request: AccessRequestRecord,
    rulebook: Rulebook,
    pushed_request_id: bytes | None,
    max_waiting: int,
    mails: Sequence[MailRecord],
    client_row: dict[str, Any] | None,
    origin: Origin,
) -> Steps[bytes | Asking]:
    """Keep a request, if at that moment it is one: the member is one, the app within reach and not let through."""
    pushed = {"request_id": pushed_request_id}
    if pushed_request_id is not None and (yield grants.LOCK_PUSHED_REQUEST, pushed) is None:
        return Asking.REQUEST_USED
    of_member = {"user_id": request.user_id, "organization_id": request.organization_id}
    if (yield grants.LOCK_MEMBERSHIP, of_member) is None:
        return Asking.MEMBERSHIP_ENDED
    of_client = {"client_id": request.client_id, "user_id": request.user_id}
    place = request.organization_id, request.client_id, request.user_id
    verdict = yield from judge(*place, request.asked, rulebook)
    if verdict in _REFUSALS:
        return _REFUSALS[verdict]
    counted = yield access_requests.COUNT_WAITING, {**of_client, "now": request.created_at}
    assert counted is not None
    if counted[0] >= max_waiting:
        return Asking.TOO_MANY
    if client_row is not None:
        # Its admins have to see which app they decide about: the row is kept as by a consent.
        has_document = client_row["public_id"].startswith("https://")
        keep = registrations.SAVE_REGISTERED_CLIENT if has_document else registrations.KEEP_REGISTERED_CLIENT
        if (yield keep, client_row) is None:
            return Asking.APP_UNAVAILABLE
    row = yield access_requests.UPSERT_ACCESS_REQUEST, write_access_request(request)
    assert row is not None
    if pushed_request_id is not None:
        yield grants.USE_PUSHED_REQUEST, pushed
    kept = bytes(row[0])
    if kept == request.id:
        told = {"asked": list(request.asked), "reason": request.reason}
        yield from record_event(_event(Action.REQUEST_MADE, request, origin, request.created_at, told))
        for mail in mails:
            yield from queue_mail(mail)
    return kept


def decide_access_request(
    request_id: bytes,
    organization_id: str,
    granted: tuple[str, ...] | None,
    is_for_everyone: bool,
    decision: dict[str, Any],
    tell: TellOfDecision,
    origin: Origin,
) -> Steps[Commit]:
    """Decide a request that waits, and make the rule that follows from it. `decision` is what the rows get: `word`,
    `now`, `new_open_until`, `new_expires_at`."""
    if (yield from lock_for(organization_id, origin)) is Commit.LOST:
        return Commit.LOST
    now: int = decision["now"]
    deciding = {**decision, "by": origin.decider, "of_organization": organization_id}
    state = "declined" if granted is None else "approved"
    of_request = {"request_id": request_id, "new_state": state, "granted": " ".join(granted or ())}
    row = yield access_requests.DECIDE_ACCESS_REQUEST, {**deciding, **of_request}
    if row is None:
        return Commit.LOST
    request = read_access_request(row)
    yield from _tell(request, origin, tell)
    if granted is None:
        return Commit.APPLIED
    rule = yield from _approve(request, granted, is_for_everyone, now, origin)
    if is_for_everyone:
        yield from _approve_others(request, rule, deciding, tell, origin)
    return Commit.APPLIED


def _tell(request: AccessRequestRecord, origin: Origin, tell: TellOfDecision) -> Steps[None]:
    """The event of a decision, and the mail to whom it is about."""
    action = Action.REQUEST_DECLINED if request.state == "declined" else Action.REQUEST_APPROVED
    told = {"granted": list(request.granted), "word": request.word}
    assert request.decided_at is not None
    yield from record_event(_event(action, request, origin, request.decided_at, told))
    user = yield people.FIND_USER, {"user_id": request.user_id}
    if user is not None:
        yield from queue_mail(tell(request, user[1]))


def _approve(
    request: AccessRequestRecord, granted: tuple[str, ...], is_for_everyone: bool, now: int, origin: Origin
) -> Steps[AppRule]:
    """The rule, which adds to the approval that there is."""
    approval = AppRule(
        organization_id=request.organization_id,
        client_id=request.client_id,
        user_id=None if is_for_everyone else request.user_id,
        is_blocked=False,
        scope=granted,
        left_out=tuple(item for item in request.asked if item not in granted),
        decided_by=origin.decider,
        decided_at=now,
    )
    rule = yield from add_to_rule(approval)
    yield from put_rule(rule, origin)
    return rule


def _approve_others(
    decided: AccessRequestRecord, rule: AppRule, deciding: dict[str, Any], tell: TellOfDecision, origin: Origin
) -> Steps[None]:
    settled, after = {*rule.scope, *rule.left_out}, b""
    waiting = {"of_organization": decided.organization_id, "of_client": decided.client_id, "now": deciding["now"]}
    while (row := (yield access_requests.FIND_NEXT_WAITING, {**waiting, "after": after})) is not None:
        request = read_access_request(row)
        after = request.id
        granted = [item for item in request.asked if item in rule.scope]
        if not set(request.asked) <= settled or not granted:
            continue
        of_request = {"request_id": request.id, "new_state": "approved", "granted": " ".join(granted)}
        decided_row = yield access_requests.DECIDE_ACCESS_REQUEST, {**deciding, **of_request}
        if decided_row is not None:
            yield from _tell(read_access_request(decided_row), origin, tell)


def _event(action: Action, request: AccessRequestRecord, origin: Origin, now: int, after: Facts) -> Event:
    return Event(
        action=action,
        at=now,
        origin=origin,
        subject_kind="request",
        subject_id=render_identifier(ACCESS_REQUEST, request.id),
        organization_id=request.organization_id,
        client_id=request.client_id,
        user_id=request.user_id,
        after=after,
    )


def read_access_request(row: Sequence[Any] | Row) -> AccessRequestRecord:
    """The columns of a request."""
    return AccessRequestRecord(
        id=bytes(row[0]),
        organization_id=row[1],
        client_id=row[2],
        user_id=row[3],
        state=row[4],
        asked=tuple(row[5].split()),
        reason=row[6],
        parked=None if row[7] is None else bytes(row[7]),
        created_at=row[8],
        open_until=row[9],
        expires_at=row[10],
        granted=tuple(row[11].split()),
        decided_by=row[12],
        decided_at=row[13],
        word=row[14],
    )


def write_access_request(request: AccessRequestRecord) -> dict[str, Any]:
    """A request's columns."""
    return {
        "id": request.id,
        "organization_id": request.organization_id,
        "client_id": request.client_id,
        "user_id": request.user_id,
        "state": request.state,
        "asked": " ".join(request.asked),
        "reason": request.reason,
        "parked": request.parked,
        "created_at": request.created_at,
        "open_until": request.open_until,
        "expires_at": request.expires_at,
        "granted": " ".join(request.granted),
        "decided_by": request.decided_by,
        "decided_at": request.decided_at,
        "word": request.word,
    }
