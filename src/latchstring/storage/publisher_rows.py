"""The port `PublisherStore` over an engine, and what happens to a domain in one transaction."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from latchstring.authorization_server.events import SYSTEM, Action, Event, Origin
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.publishers import PublisherDomainRecord
from latchstring.storage.engine import Engine, Row, Steps
from latchstring.storage.policy_operations import lock_for
from latchstring.storage.recording import record_event
from latchstring.storage.statements import publishers


class PublisherRows:
    """Organizations' domains, in rows."""

    _engine: Engine

    async def claim_domain(self, record: PublisherDomainRecord, *, at_most: int, origin: Origin) -> Commit:
        return await self._engine.commit(partial(_claim, record, at_most, origin))

    async def end_domain(self, organization_id: str, domain: str, *, now: int, origin: Origin) -> Commit:
        return await self._engine.commit(partial(_end, organization_id, domain, now, origin))

    async def find_domains(self, organization_id: str) -> Sequence[PublisherDomainRecord]:
        rows = await self._engine.read_all(publishers.FIND_DOMAINS, {"organization_id": organization_id})
        return [_read(row) for row in rows]

    async def find_domain(self, organization_id: str, domain: str) -> PublisherDomainRecord | None:
        of_domain = {"of_organization": organization_id, "of_domain": domain}
        row = await self._engine.read(publishers.FIND_DOMAIN, of_domain)
        return None if row is None else _read(row)

    async def find_verified_domain(self, organization_id: str) -> str | None:
        row = await self._engine.read(publishers.FIND_VERIFIED_DOMAIN, {"organization_id": organization_id})
        return None if row is None else str(row[0])

    async def take_due_domain(self, *, now: int, lease: int) -> PublisherDomainRecord | None:
        if await self._engine.read(publishers.HAS_DUE_DOMAIN, {"now": now}) is None:
            return None  # by a read alone: an idle server writes nothing
        row = await self._engine.write(publishers.TAKE_DUE_DOMAIN, {"now": now, "until": now + lease})
        return None if row is None else _read(row)

    async def save_check(self, seen: PublisherDomainRecord, checked: PublisherDomainRecord, *, now: int) -> Commit:
        return await self._engine.commit(partial(_save_check, seen, checked, now))


def _claim(record: PublisherDomainRecord, at_most: int, origin: Origin) -> Steps[Commit]:
    if (yield from lock_for(record.organization_id, origin)) is Commit.LOST:
        return Commit.LOST
    counted = yield publishers.COUNT_DOMAINS, {"organization_id": record.organization_id}
    assert counted is not None
    if counted[0] >= at_most:
        return Commit.LOST
    row = yield publishers.CLAIM_DOMAIN, msgspec.structs.asdict(record)
    if row is not None:
        yield from record_event(_event(Action.PUBLISHER_CLAIMED, record, origin, record.claimed_at))
    return Commit.APPLIED


def _end(organization_id: str, domain: str, now: int, origin: Origin) -> Steps[Commit]:
    if (yield from lock_for(organization_id, origin)) is Commit.LOST:
        return Commit.LOST
    of_domain = {"of_organization": organization_id, "of_domain": domain}
    found = yield publishers.FIND_DOMAIN, of_domain
    if found is None or (yield publishers.END_DOMAIN, of_domain) is None:
        return Commit.LOST
    yield from record_event(_event(Action.PUBLISHER_ENDED, _read(found), origin, now))
    return Commit.APPLIED


def _save_check(seen: PublisherDomainRecord, checked: PublisherDomainRecord, now: int) -> Steps[Commit]:
    row = yield (
        publishers.SAVE_CHECK,
        {
            "of_organization": seen.organization_id,
            "of_domain": seen.domain,
            "of_challenge": seen.challenge,
            "seen_checked_at": seen.checked_at or 0,
            "new_verified_at": checked.verified_at,
            "new_checked_at": checked.checked_at,
            "new_failing_since": checked.failing_since,
            "new_next_check_at": checked.next_check_at,
        },
    )
    if row is None:
        return Commit.LOST
    if (seen.verified_at is None) != (checked.verified_at is None):
        action = Action.PUBLISHER_LOST if checked.verified_at is None else Action.PUBLISHER_VERIFIED
        yield from record_event(_event(action, checked, SYSTEM, now))
    return Commit.APPLIED


def _event(action: Action, record: PublisherDomainRecord, origin: Origin, now: int) -> Event:
    return Event(
        action=action,
        at=now,
        origin=origin,
        subject_kind="organization",
        subject_id=record.organization_id,
        organization_id=record.organization_id,
        after={"domain": record.domain},
    )


def _read(row: Row | Sequence[Any]) -> PublisherDomainRecord:
    return PublisherDomainRecord(
        organization_id=row[0],
        domain=row[1],
        challenge=row[2],
        claimed_by=row[3],
        claimed_at=row[4],
        verified_at=row[5],
        checked_at=row[6],
        failing_since=row[7],
        next_check_at=row[8],
    )
