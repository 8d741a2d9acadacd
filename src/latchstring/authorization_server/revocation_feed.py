"""The revocation feed: the events that end tokens, read in an order that no commit can slip behind
(`docs/decisions/0024`)."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from latchstring.authorization_server.client_authentication import ClientAuthenticator
from latchstring.authorization_server.events import Action, Event, EventRecord
from latchstring.authorization_server.identifiers import RESOURCE_SERVER
from latchstring.authorization_server.ports import Clock, EventStore
from latchstring.authorization_server.settings import MAX_ACCESS_TOKEN_LIFETIME
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.revocation_feed import FeedAnswer, Revocation
from latchstring.protocol.token_request import ClientCredentials

# A transaction may commit that many seconds after it has named its event's time, clocks of servers apart included.
OVERLAP: Final = 30
PAGE: Final = 1000
# More than that within the overlap, and guards are told to ask about everything rather than read it all each time.
MAX_RECENT: Final = 5000
_CURSOR: Final = re.compile(r"([0-9]{1,12})\.(?:([0-9a-f]{32})|([0-9]{1,6})-([0-9a-f]{32}))", re.ASCII)

ENDING: Final = frozenset(
    {
        Action.GRANT_ENDED,
        Action.GRANT_SUSPENDED,
        Action.GRANT_TAKEN_OVER,
        Action.GRANT_REUSE_DETECTED,
        Action.TOKEN_REVOKED,
        Action.MEMBERSHIP_CHANGED,
        Action.MEMBERSHIP_SUSPENDED,
        Action.MEMBERSHIP_ENDED,
        Action.APP_WITHDRAWN,
        Action.APP_SUSPENDED,
        Action.APP_DELETED,
        Action.APP_APPROVED,
        Action.APP_APPROVAL_ENDED,
        Action.POLICY_CHANGED,
        Action.POLICY_APP_BLOCKED,
        Action.POLICY_APP_FORGOTTEN,
        Action.ORGANIZATION_CLOSED,
        Action.USER_DISABLED,
        Action.USER_DELETED,
        Action.DATABASE_RESTORED,
        Action.KEY_RETIRED,
    }
)
"""What may end tokens or narrow them. An approval that is given anew ends those of the one before."""


class Cursor(msgspec.Struct, frozen=True):
    """Where a guard stands. In what is long committed: behind the event `after_id`. Else: it has seen everything up to
    the second `until`, and of the overlap before that, where a commit may still come in, as many events as `count`,
    whose ids together are `digest`."""

    until: int
    after_id: bytes | None = None
    count: int = 0
    digest: int = 0


def parse_cursor(text: str) -> Cursor:
    """The cursor; refuses what is none."""
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise OAuthError("invalid_request", "after is not a cursor of this feed; leave it out to begin.")
    until, after_id, count, digest = match.groups()
    if after_id is not None:
        return Cursor(int(until), bytes.fromhex(after_id))
    return Cursor(int(until), None, int(count), int(digest, 16))


def render_cursor(cursor: Cursor) -> str:
    """The cursor as a guard keeps it."""
    if cursor.after_id is not None:
        return f"{cursor.until}.{cursor.after_id.hex()}"
    return f"{cursor.until}.{cursor.count}-{cursor.digest:032x}"


def find_first_id(at: int) -> bytes:
    """What sorts before every event of that second and later."""
    return max(at, 0).to_bytes(5, "big") + bytes(11)


def find_revocation(event: Event) -> Revocation:
    """Whose tokens the event is about. One that was exchanged names another client and another id than what it came
    from, and dies with it: so member and organization count, and for an app every token does."""
    match event.subject_kind:
        case "grant" | "token" | "membership":
            return Revocation(at=event.at, user_id=event.user_id, organization_id=event.organization_id)
        case "approval" | "organization" | "policy":
            return Revocation(at=event.at, organization_id=event.organization_id)
        case "user":
            return Revocation(at=event.at, user_id=event.subject_id)
    return Revocation(at=event.at)


def decide_answer(cursor: Cursor, found: Sequence[EventRecord], *, at_most: int, now: int) -> FeedAnswer:
    """What is new to the guard among the events found behind its cursor, oldest first, `at_most` of them."""
    is_full = len(found) >= at_most
    if cursor.after_id is not None and is_full and found[-1].event.at <= now - OVERLAP:
        end = Cursor(found[-1].event.at, found[-1].id)
        return FeedAnswer(revocations=_tell(found), cursor=render_cursor(end), has_more=True)
    if cursor.after_id is None and is_full:
        # So many that reading them again and again would be dearer than asking about every token once.
        return FeedAnswer(revocations=[Revocation(at=now)], cursor=render_cursor(Cursor(now)))
    new = found
    if cursor.after_id is None:
        seen = [each for each in found if each.event.at <= cursor.until]
        if (len(seen), _digest(seen)) == (cursor.count, cursor.digest):
            new = found[len(seen) :]
    until = max(now, found[-1].event.at) if found and not is_full else now
    recent = [each for each in found if each.event.at > until - OVERLAP]
    end = Cursor(until, None, len(recent), _digest(recent))
    return FeedAnswer(revocations=_tell(new), cursor=render_cursor(end), has_more=is_full)


def _digest(events: Sequence[EventRecord]) -> int:
    together = 0
    for each in events:
        together ^= int.from_bytes(each.id, "big")
    return together


def _tell(events: Sequence[EventRecord]) -> list[Revocation]:
    return list(dict.fromkeys(find_revocation(each.event) for each in events))


class RevocationFeed:
    """Tells guards what has ended. Each read is of the store as it stands, on whichever server the change was made."""

    def __init__(self, *, authenticator: ClientAuthenticator, store: EventStore, clock: Clock) -> None:
        self._authenticator = authenticator
        self._store = store
        self._clock = clock

    async def find_cursor(self, after: str | None, credentials: ClientCredentials) -> Cursor:
        """Where a resource server stands, once it has proven itself. One that begins learns of everything that may
        concern a token that still lives."""
        if not credentials.client_id.startswith(RESOURCE_SERVER + "_"):
            raise OAuthError("unauthorized_client", "The revocation feed is for resource servers.", status=403)
        await self._authenticator.authenticate_resource_server(credentials)
        if after is not None:
            return parse_cursor(after)
        begin = self._clock() - MAX_ACCESS_TOKEN_LIFETIME - OVERLAP
        return Cursor(begin, find_first_id(begin))

    async def read(self, cursor: Cursor) -> FeedAnswer:
        """What has ended behind the cursor, as far as it is committed now."""
        now = self._clock()
        if cursor.after_id is not None:
            after, at_most = cursor.after_id, PAGE
        else:
            after, at_most = find_first_id(cursor.until - OVERLAP + 1), MAX_RECENT
        found = await self._store.find_ending_events(after, at_most=at_most)
        return decide_answer(cursor, found, at_most=at_most, now=now)
