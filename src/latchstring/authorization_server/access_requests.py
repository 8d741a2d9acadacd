"""A member who meets a wall asks, an admin decides, and the app's parked authorization goes on where it stood
(`docs/decisions/0022`)."""

from collections.abc import Sequence
from typing import Final

import msgspec

from latchstring.authorization_server.access_request_ports import (
    AccessRequestRecord,
    AccessRequestStore,
    Administered,
    Asking,
    ListedRequest,
)
from latchstring.authorization_server.apps import clean_name
from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.identifiers import (
    ACCESS_REQUEST,
    new_grant_id,
    parse_identifier,
    render_identifier,
)
from latchstring.authorization_server.mail import Mail, MailKey, MailRecord, Post
from latchstring.authorization_server.ports import Clock, Commit, Entropy
from latchstring.authorization_server.records import ClientRecord, UserRecord
from latchstring.authorization_server.sealing import NONCE_SIZE, Sealer
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.tokens import KeyNotOpened, TokenCodec

MAX_REASON_LENGTH: Final = 500
MAX_WORD_LENGTH: Final = 500
MAX_WAITING: Final = 20
"""How many apps a member may wait for at once."""
_MAX_ADMINS_TOLD: Final = 20
_KEPT_AFTER: Final = 90 * 24 * 3600


class Parked(msgspec.Struct, frozen=True):
    """An authorization request that waits for an admin, as a query; and whether its client had pushed or signed it."""

    query: str
    is_pushed: bool
    is_signed: bool


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Parked)


class AccessRequests:
    """Keeps, decides and goes on with requests."""

    def __init__(
        self,
        *,
        store: AccessRequestStore,
        post: Post,
        codec: TokenCodec,
        settings: Settings,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._store = store
        self._post = post
        self._sealer = Sealer(codec, b"parked-seal")
        self._settings = settings
        self._clock = clock
        self._entropy = entropy

    async def ask(
        self,
        client: ClientRecord,
        user: UserRecord,
        organization_id: str,
        organization_name: str,
        *,
        asked: tuple[str, ...],
        reason: str,
        parked: Parked | None,
        pushed_request_id: bytes | None,
        origin: Origin,
    ) -> bytes | Asking:
        """The id of the request that waits now. The organization's admins are told of a new one, in the same
        transaction; one that waits already is renewed, and its latest authorization is the one that goes on."""
        now = self._clock()
        open_until = now + self._settings.access_request_lifetime
        name = _name_parking(organization_id, client.client_id, user.user_id)
        request = AccessRequestRecord(
            id=new_grant_id(now, self._entropy(12)),
            organization_id=organization_id,
            client_id=client.client_id,
            user_id=user.user_id,
            state="waiting",
            asked=asked,
            reason=clean_name(reason)[:MAX_REASON_LENGTH],
            parked=None if parked is None else self._sealer.seal(name, _encode(parked), self._entropy(NONCE_SIZE)),
            created_at=now,
            open_until=open_until,
            expires_at=open_until + _KEPT_AFTER,
        )
        values = {"app": client.name, "person": user.name, "organization": organization_name}
        link = f"{self._settings.issuer}/organizations/{organization_id}/requests"
        admins = await self._store.find_admin_addresses(organization_id, at_most=_MAX_ADMINS_TOLD)
        mails = [
            self._post.seal(Mail(to=address, template="access_requested", values={**values, "link": link}))
            for address in admins
        ]
        return await self._store.create_access_request(
            request,
            rulebook=self._settings.rulebook,
            pushed_request_id=pushed_request_id,
            max_waiting=MAX_WAITING,
            mails=mails,
            self_registered=client if client.is_self_registered else None,
            origin=origin,
        )

    async def find_own(self, identifier: str, user_id: str) -> AccessRequestRecord | None:
        """The member's own request of that name."""
        request_id = parse_identifier(ACCESS_REQUEST, identifier)
        request = None if request_id is None else await self._store.find_access_request(request_id)
        return request if request is not None and request.user_id == user_id else None

    def open_parked(self, request: AccessRequestRecord) -> Parked | None:
        """What the member was about to do, if it can still go on."""
        if request.parked is None or not request.is_open(self._clock()):
            return None
        name = _name_parking(request.organization_id, request.client_id, request.user_id)
        try:
            return _decoder.decode(self._sealer.open(name, request.parked))
        except KeyNotOpened:
            return None

    async def end_parking(self, request: AccessRequestRecord) -> Commit:
        """Let go of the authorization request: the app is about to be answered. `LOST` if it has been."""
        return await self._store.end_parking(request.id, user_id=request.user_id, now=self._clock())

    async def find_waiting(self, organization_id: str, *, after: str, at_most: int) -> Sequence[ListedRequest]:
        """Those that wait for the organization's admins, from the one after that id on, the oldest first."""
        after_id = parse_identifier(ACCESS_REQUEST, after) or b""
        return await self._store.find_waiting_requests(
            organization_id, now=self._clock(), after=after_id, at_most=at_most
        )

    async def find_decided(self, organization_id: str, *, at_most: int) -> Sequence[ListedRequest]:
        """Those that were decided, the latest first."""
        return await self._store.find_decided_requests(organization_id, at_most=at_most)

    async def find_in(self, organization_id: str, identifier: str) -> AccessRequestRecord | None:
        """The organization's request of that name."""
        request_id = parse_identifier(ACCESS_REQUEST, identifier)
        request = None if request_id is None else await self._store.find_access_request(request_id)
        return request if request is not None and request.organization_id == organization_id else None

    async def find_administered(self, user_id: str) -> Sequence[Administered]:
        """The organizations that the user is an admin of."""
        return await self._store.find_administered(user_id, self._clock())

    async def decide(
        self,
        request: AccessRequestRecord,
        app_name: str,
        organization_name: str,
        *,
        granted: tuple[str, ...] | None,
        is_for_everyone: bool,
        word: str,
        origin: Origin,
    ) -> Commit:
        """Approve the request for what is granted, or decline it where that is None; the member is told in the same
        transaction. Of two admins at once one decides, and the other has `LOST`."""
        now = self._clock()
        open_until = now + self._settings.access_request_lifetime
        template: MailKey = "access_declined" if granted is None else "access_approved"
        values = {"app": app_name, "organization": organization_name}

        def tell(decided: AccessRequestRecord, address: str) -> MailRecord:
            link = f"{self._settings.issuer}/access-requests/{render_identifier(ACCESS_REQUEST, decided.id)}"
            return self._post.seal(Mail(to=address, template=template, values={**values, "link": link}))

        return await self._store.decide_access_request(
            request.id,
            request.organization_id,
            granted=granted,
            is_for_everyone=is_for_everyone,
            word=clean_name(word)[:MAX_WORD_LENGTH],
            now=now,
            open_until=open_until,
            expires_at=open_until + _KEPT_AFTER,
            tell=tell,
            origin=origin,
        )


def _name_parking(organization_id: str, client_id: str, user_id: str) -> bytes:
    return f"{organization_id}\0{client_id}\0{user_id}".encode()
