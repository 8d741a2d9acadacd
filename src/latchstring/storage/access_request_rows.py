"""The port `AccessRequestStore` over an engine."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from latchstring.authorization_server.access_request_ports import (
    AccessRequestRecord,
    Administered,
    Asking,
    ListedRequest,
    TellOfDecision,
)
from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.mail import MailRecord
from latchstring.authorization_server.organization_policy import Rulebook
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import ClientRecord
from latchstring.storage import access_request_operations as operations
from latchstring.storage.engine import Engine, Row
from latchstring.storage.statements import access_requests


class AccessRequestRows:
    """Members' requests, in rows."""

    _engine: Engine
    _write_registered: Callable[[ClientRecord], dict[str, Any]]

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
        kept = None if self_registered is None else self._write_registered(self_registered)
        create = partial(
            operations.create_access_request, request, rulebook, pushed_request_id, max_waiting, mails, kept, origin
        )
        return await self._engine.commit(create)

    async def find_access_request(self, request_id: bytes) -> AccessRequestRecord | None:
        row = await self._engine.read(access_requests.FIND_ACCESS_REQUEST, {"request_id": request_id})
        return None if row is None else operations.read_access_request(row)

    async def find_waiting_requests(
        self, organization_id: str, *, now: int, after: bytes, at_most: int
    ) -> Sequence[ListedRequest]:
        waiting = {"organization_id": organization_id, "now": now, "after": after, "at_most": at_most}
        return [_read_listed(row) for row in await self._engine.read_all(access_requests.FIND_WAITING, waiting)]

    async def find_decided_requests(self, organization_id: str, *, at_most: int) -> Sequence[ListedRequest]:
        decided = {"organization_id": organization_id, "at_most": at_most}
        return [_read_listed(row) for row in await self._engine.read_all(access_requests.FIND_DECIDED, decided)]

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
        decision = {"word": word, "now": now, "new_open_until": open_until, "new_expires_at": expires_at}
        decide = partial(
            operations.decide_access_request,
            request_id,
            organization_id,
            granted,
            is_for_everyone,
            decision,
            tell,
            origin,
        )
        return await self._engine.commit(decide)

    async def end_parking(self, request_id: bytes, *, user_id: str, now: int) -> Commit:
        of_request = {"request_id": request_id, "of_user": user_id, "now": now}
        row = await self._engine.write(access_requests.END_PARKING, of_request)
        return Commit.LOST if row is None else Commit.APPLIED

    async def find_admin_addresses(self, organization_id: str, *, at_most: int) -> Sequence[str]:
        of_organization = {"organization_id": organization_id, "at_most": at_most}
        return [row[0] for row in await self._engine.read_all(access_requests.FIND_ADMIN_ADDRESSES, of_organization)]

    async def find_administered(self, user_id: str, now: int) -> Sequence[Administered]:
        rows = await self._engine.read_all(access_requests.FIND_ADMINISTERED, {"user_id": user_id, "now": now})
        return [Administered(organization_id=row[0], name=row[1], waiting=row[2]) for row in rows]


def _read_listed(row: Row) -> ListedRequest:
    return ListedRequest(request=operations.read_access_request(row), user_name=row[15], user_email=row[16])
