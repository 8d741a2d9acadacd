"""A member's request that an admin approve an app, and what the server asks of the store about it."""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Literal, Protocol

import msgspec

from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.mail import MailRecord
from latchstring.authorization_server.organization_policy import Rulebook
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import ClientRecord

AccessRequestState = Literal["waiting", "approved", "declined", "connected", "lapsed"]


class AccessRequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One member's request for one app in one organization; asking again puts another in its place.

    `asked` is what the app asks for, as `list_asked` has it; `granted` what of that was approved. `parked` is the app's
    authorization request, sealed; None where there is none to go on with. Nobody can decide or go on after
    `open_until`; the row is kept until `expires_at`. `word` is what the admin said.
    """

    id: bytes
    organization_id: str
    client_id: str
    user_id: str
    state: AccessRequestState
    asked: tuple[str, ...]
    reason: str
    parked: bytes | None
    created_at: int
    open_until: int
    expires_at: int
    granted: tuple[str, ...] = ()
    decided_by: str | None = None
    decided_at: int | None = None
    word: str = ""

    def is_open(self, now: int) -> bool:
        """Whether the request can still be decided, or gone on with."""
        return now < self.open_until


class ListedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request with the names that an admin knows."""

    request: AccessRequestRecord
    user_name: str
    user_email: str


class Administered(msgspec.Struct, frozen=True):
    """An organization of which somebody is an admin, and how many requests wait there."""

    organization_id: str
    name: str
    waiting: int


class Asking(Enum):
    """Why a request was not kept."""

    ALLOWED = "allowed"
    BLOCKED = "blocked"
    MEMBERSHIP_ENDED = "membership_ended"
    APP_UNAVAILABLE = "app_unavailable"
    REQUEST_USED = "request_used"
    TOO_MANY = "too_many"


TellOfDecision = Callable[[AccessRequestRecord, str], MailRecord]
"""The mail to a member, at that address, about a request of theirs that was decided."""


class AccessRequestStore(Protocol):
    """Requests, one row for each member, organization and app."""

    async def create_access_request(
        self,
        request: AccessRequestRecord,
        *,
        rulebook: Rulebook,
        pushed_request_id: bytes | None,
        max_waiting: int,
        mails: Sequence[MailRecord],
        self_registered: ClientRecord | None = None,
        origin: Origin,
    ) -> bytes | Asking:
        """The id of the request that waits from now on: the one that waits already for the same app, renewed, or the
        one given, with the mails that tell of it. A pushed request is used up by it, in the same transaction."""

    async def find_access_request(self, request_id: bytes) -> AccessRequestRecord | None:
        """The request."""

    async def find_waiting_requests(
        self, organization_id: str, *, now: int, after: bytes, at_most: int
    ) -> Sequence[ListedRequest]:
        """An organization's requests that wait and are open, from the one after that id on, the oldest first."""

    async def find_decided_requests(self, organization_id: str, *, at_most: int) -> Sequence[ListedRequest]:
        """Those that were decided, the latest first."""

    async def decide_access_request(
        self,
        request_id: bytes,
        organization_id: str,
        *,
        granted: tuple[str, ...] | None,
        is_for_everyone: bool,
        word: str,
        now: int,
        open_until: int,
        expires_at: int,
        tell: TellOfDecision,
        origin: Origin,
    ) -> Commit:
        """Approve the request for what is `granted`, and make the rule that lets the app through; or decline it where
        that is None. With a rule for everyone, the others' requests that it settles are approved too. `LOST` if it does
        not wait any more, or who asks is no admin there."""

    async def end_parking(self, request_id: bytes, *, user_id: str, now: int) -> Commit:
        """Let go of what was parked: the app has been answered."""

    async def find_admin_addresses(self, organization_id: str, *, at_most: int) -> Sequence[str]:
        """The email addresses of the organization's admins."""

    async def find_administered(self, user_id: str, now: int) -> Sequence[Administered]:
        """The organizations that the user is an admin of, by name."""
