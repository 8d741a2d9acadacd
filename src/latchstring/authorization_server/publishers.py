"""Who has shown that a domain is theirs: a publisher's mark, by a DNS record that only its owner can set
(`docs/decisions/0022`)."""

import re
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.ports import Clock, Commit, Entropy

RECORD_NAME: Final = "_latchstring"
_RECORD_PREFIX: Final = "latchstring-publisher="
MAX_DOMAINS: Final = 10
# A record that is there is looked at once a day; one that is not, every hour, for some days.
CHECK_INTERVAL: Final = 24 * 3600
RETRY_INTERVAL: Final = 3600
GIVE_UP_AFTER: Final = 3 * 24 * 3600
GRACE: Final = 3 * 24 * 3600
_AGAIN_AFTER: Final = 10
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NEVER: Final = frozenset({"localhost", "local", "internal", "invalid", "onion", "arpa"})


class ResolutionFailed(Exception):
    """The name could not be looked up: nobody knows whether the record is there."""


class ResolveText(Protocol):
    """Looks up TXT records, within bounds of time and size."""

    async def __call__(self, name: str) -> Sequence[str]:
        """The records, none where there are none; `ResolutionFailed` where that cannot be told."""


class DomainRefused(ValueError):
    """What was entered is no domain that can be shown to be somebody's."""


class PublisherDomainRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A domain that an organization says is its own. It counts while `verified_at` is set; `failing_since` is when the
    record was first missed since. `next_check_at` is None where nobody looks any more but by a click."""

    organization_id: str
    domain: str
    challenge: str
    claimed_by: str
    claimed_at: int
    verified_at: int | None
    checked_at: int | None
    failing_since: int | None
    next_check_at: int | None

    @property
    def record_name(self) -> str:
        """Where the record has to be."""
        return f"{RECORD_NAME}.{self.domain}"

    @property
    def record_value(self) -> str:
        """What it has to say."""
        return _RECORD_PREFIX + self.challenge


class PublisherStore(Protocol):
    """Organizations' domains."""

    async def claim_domain(self, record: PublisherDomainRecord, *, at_most: int, origin: Origin) -> Commit:
        """Keep a claim unless there is one; `LOST` beyond the limit, or where who asks is no admin."""

    async def end_domain(self, organization_id: str, domain: str, *, now: int, origin: Origin) -> Commit:
        """Forget a claim."""

    async def find_domains(self, organization_id: str) -> Sequence[PublisherDomainRecord]:
        """The organization's domains, by name."""

    async def find_domain(self, organization_id: str, domain: str) -> PublisherDomainRecord | None:
        """One of them."""

    async def find_verified_domain(self, organization_id: str) -> str | None:
        """The domain that the organization is known by: the first that it has shown to be its own."""

    async def take_due_domain(self, *, now: int, lease: int) -> PublisherDomainRecord | None:
        """One that is due, for one process at a time: the next `lease` seconds are its turn."""

    async def save_check(self, seen: PublisherDomainRecord, checked: PublisherDomainRecord, *, now: int) -> Commit:
        """Keep what a check found, unless another one has been there since."""


def clean_domain(text: str) -> str:
    """The domain in its ASCII form, so that no letter passes for another; `DomainRefused` for what is none."""
    domain = text.strip().rstrip(".").lower()
    try:
        domain = domain.encode("idna").decode("ascii")
    except UnicodeError:
        raise DomainRefused from None
    labels = domain.split(".")
    if len(labels) < 2 or len(domain) > 200 or labels[-1] in _NEVER or labels[-1].isdigit():
        raise DomainRefused
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise DomainRefused
    return domain


def decide_check(record: PublisherDomainRecord, is_found: bool, now: int) -> PublisherDomainRecord:
    """What follows from a check. A mark outlives a record that is missing for less than the grace, and no longer."""
    if is_found:
        return msgspec.structs.replace(
            record,
            verified_at=now if record.verified_at is None else record.verified_at,
            checked_at=now,
            failing_since=None,
            next_check_at=now + CHECK_INTERVAL,
        )
    if record.verified_at is None:
        goes_on = now - record.claimed_at < GIVE_UP_AFTER
        return msgspec.structs.replace(record, checked_at=now, next_check_at=now + RETRY_INTERVAL if goes_on else None)
    failing_since = now if record.failing_since is None else record.failing_since
    is_lost = now - failing_since >= GRACE
    return msgspec.structs.replace(
        record,
        verified_at=None if is_lost else record.verified_at,
        checked_at=now,
        failing_since=failing_since,
        next_check_at=None if is_lost else now + RETRY_INTERVAL,
    )


class Publishers:
    """Claims domains and checks them."""

    def __init__(self, *, store: PublisherStore, resolve: ResolveText, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._resolve = resolve
        self._clock = clock
        self._entropy = entropy

    async def claim(self, organization_id: str, text: str, *, origin: Origin) -> tuple[str, Commit]:
        """The domain, and whether it is claimed; `DomainRefused` for what is none."""
        now, domain = self._clock(), clean_domain(text)
        record = PublisherDomainRecord(
            organization_id=organization_id,
            domain=domain,
            challenge=self._entropy(16).hex(),
            claimed_by=origin.decider,
            claimed_at=now,
            verified_at=None,
            checked_at=None,
            failing_since=None,
            next_check_at=now + RETRY_INTERVAL,
        )
        return domain, await self._store.claim_domain(record, at_most=MAX_DOMAINS, origin=origin)

    async def end(self, organization_id: str, domain: str, *, origin: Origin) -> Commit:
        """Forget a domain: its mark is gone when this returns."""
        return await self._store.end_domain(organization_id, domain, now=self._clock(), origin=origin)

    async def find(self, organization_id: str) -> Sequence[PublisherDomainRecord]:
        """The organization's domains."""
        return await self._store.find_domains(organization_id)

    async def find_verified(self, organization_id: str | None) -> str | None:
        """The domain that a publisher is known by, if it has shown one to be its own."""
        return None if organization_id is None else await self._store.find_verified_domain(organization_id)

    async def check_now(self, organization_id: str, domain: str) -> PublisherDomainRecord | None:
        """The domain as it is after a look; None where it is not claimed. Clicks in a row are one look."""
        record = await self._store.find_domain(organization_id, domain)
        if record is None:
            return None
        if record.checked_at is not None and self._clock() - record.checked_at < _AGAIN_AFTER:
            return record
        return await self._check(record)

    async def check_due(self, *, lease: int) -> bool:
        """Look at one domain whose time has come, if it is this process's turn; whether there was one."""
        record = await self._store.take_due_domain(now=self._clock(), lease=lease)
        if record is None:
            return False
        await self._check(record)
        return True

    async def _check(self, record: PublisherDomainRecord) -> PublisherDomainRecord:
        is_found = await self._is_there(record)
        now = self._clock()
        checked = decide_check(record, is_found, now)
        await self._store.save_check(record, checked, now=now)
        return checked

    async def _is_there(self, record: PublisherDomainRecord) -> bool:
        """Whether the record was found; one that could not be looked up was not."""
        try:
            return record.record_value in await self._resolve(record.record_name)
        except ResolutionFailed:
            return False
