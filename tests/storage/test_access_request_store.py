"""Requests in rows: one for each member, organization and app; decided once, gone on with once."""

import asyncio
import os
from collections import Counter
from functools import partial
from typing import Any

from latchstring.authorization_server.access_request_ports import AccessRequestRecord, Asking
from latchstring.authorization_server.events import COMMAND_LINE, Origin
from latchstring.authorization_server.mail import MailRecord
from latchstring.authorization_server.organization_policy import OrganizationPolicy
from latchstring.authorization_server.ports import DEFAULT_RULEBOOK, Commit, ConsentCommit
from latchstring.storage.lapsing import lapse_requests
from latchstring.storage.store import SqlStore
from tests.authorization_server.builders import ACORN, ANN, MAILLOOP, NOW, build_organization, build_user
from tests.storage.conftest import OpenStore
from tests.storage.test_grant_store import fresh_grant

FULL = "all.full_access"
BEN = "user_0000000000000000000Ben"


def build_request(**given: Any) -> AccessRequestRecord:
    values: dict[str, Any] = {
        "id": NOW.to_bytes(4, "big") + os.urandom(12),
        "organization_id": ACORN,
        "client_id": MAILLOOP,
        "user_id": ANN,
        "state": "waiting",
        "asked": (FULL,),
        "reason": "",
        "parked": b"parked",
        "created_at": NOW,
        "open_until": NOW + 1000,
        "expires_at": NOW + 2000,
    }
    return AccessRequestRecord(**{**values, **given})


def build_mail() -> MailRecord:
    return MailRecord(id=os.urandom(16), template="access_requested", sealed=b"", created_at=NOW)


def tell(request: AccessRequestRecord, address: str) -> MailRecord:
    assert "@" in address
    return build_mail()


async def close(store: SqlStore) -> None:
    policy = OrganizationPolicy(low="approval", medium="approval", high="approval")
    await store.save_organization_policy(ACORN, policy, now=NOW, origin=COMMAND_LINE)


async def ask(store: SqlStore, request: AccessRequestRecord, **given: Any) -> bytes | Asking:
    values: dict[str, Any] = {
        "rulebook": DEFAULT_RULEBOOK,
        "pushed_request_id": None,
        "max_waiting": 5,
        "mails": [build_mail()],
        "origin": Origin("user", ANN),
    }
    return await store.create_access_request(request, **{**values, **given})


async def decide(store: SqlStore, request_id: bytes, **given: Any) -> Commit:
    values: dict[str, Any] = {
        "granted": (FULL,),
        "is_for_everyone": False,
        "word": "",
        "now": NOW + 10,
        "open_until": NOW + 1000,
        "expires_at": NOW + 2000,
        "tell": tell,
        "origin": COMMAND_LINE,
    }
    return await store.decide_access_request(request_id, ACORN, **{**values, **given})


async def find_state(store: SqlStore, request_id: bytes) -> str:
    request = await store.find_access_request(request_id)
    assert request is not None
    return request.state


async def test_request_is_kept_and_found_as_it_was(peopled: SqlStore):
    await close(peopled)
    request = build_request(reason="For the newsletter")
    assert await ask(peopled, request) == request.id
    assert await peopled.find_access_request(request.id) == request
    [listed] = await peopled.find_waiting_requests(ACORN, now=NOW, after=b"", at_most=5)
    assert (listed.request, listed.user_email) == (request, "ann@example.com")
    assert await peopled.find_waiting_requests("orga_other", now=NOW, after=b"", at_most=5) == []
    assert (await peopled.count_mail())[0] == 1


async def test_request_again_keeps_the_id_while_it_waits_and_tells_nobody_twice(peopled: SqlStore):
    await close(peopled)
    first, second = build_request(), build_request(reason="again", parked=b"later", created_at=NOW + 5)
    assert await ask(peopled, first) == await ask(peopled, second) == first.id
    kept = await peopled.find_access_request(first.id)
    assert kept is not None
    assert (kept.reason, kept.parked, kept.created_at) == ("again", b"later", NOW)
    assert (await peopled.count_mail())[0] == 1
    late = build_request(created_at=NOW + 1000, open_until=NOW + 2000)
    assert await ask(peopled, late) == late.id, "the one before was over"


async def test_request_that_is_none_is_not_kept(peopled: SqlStore):
    assert await ask(peopled, build_request()) is Asking.ALLOWED
    await close(peopled)
    assert await ask(peopled, build_request(user_id="user_nobody")) is Asking.MEMBERSHIP_ENDED
    assert await ask(peopled, build_request(), pushed_request_id=b"\0" * 16) is Asking.REQUEST_USED
    assert await ask(peopled, build_request(), max_waiting=0) is Asking.TOO_MANY
    closed = OrganizationPolicy(high="none")
    await peopled.save_organization_policy(ACORN, closed, now=NOW, origin=COMMAND_LINE)
    assert await ask(peopled, build_request()) is Asking.BLOCKED
    assert (await peopled.count_mail())[0] == 0


async def test_hundred_requests_at_once_are_one(peopled: SqlStore, open_another: OpenStore):
    await close(peopled)
    stores = [peopled, *(open_another() for _ in range(3))]
    outcomes = await asyncio.gather(*(ask(stores[n % 4], build_request()) for n in range(60)))
    assert len(set(outcomes)) == 1
    assert (await peopled.count_mail())[0] == 1


async def test_many_admins_at_once_decide_once(peopled: SqlStore, open_another: OpenStore):
    await close(peopled)
    stores = [peopled, *(open_another() for _ in range(3))]
    for number in range(3):
        request = build_request(created_at=NOW + number)
        await ask(peopled, request)
        granted = [None, (FULL,)]
        outcomes = await asyncio.gather(*(decide(stores[n % 4], request.id, granted=granted[n % 2]) for n in range(40)))
        assert Counter(outcomes) == {Commit.APPLIED: 1, Commit.LOST: 39}
        await peopled.end_app_rule(ACORN, MAILLOOP, user_id=ANN, now=NOW, origin=COMMAND_LINE)


async def test_decision_needs_an_admin_of_that_organization(peopled: SqlStore):
    await close(peopled)
    request = build_request()
    await ask(peopled, request)
    assert await decide(peopled, request.id, origin=Origin("user", ANN)) is Commit.LOST
    await peopled.create_organization(build_organization("orga_other", "Birch"))
    await peopled.add_membership(user_id=ANN, organization_id="orga_other", role="admin", now=NOW)
    assert await decide(peopled, request.id, origin=Origin("user", ANN)) is Commit.LOST
    assert await find_state(peopled, request.id) == "waiting"
    assert await peopled.find_app_rules(ACORN) == []


async def test_approval_adds_to_the_one_before(peopled: SqlStore):
    await close(peopled)
    first = build_request(asked=("contacts.read", "mail.send"))
    await ask(peopled, first)
    await decide(peopled, first.id, granted=("contacts.read",))
    second = build_request(asked=("contacts.read", "mail.send", FULL), created_at=NOW + 20, open_until=NOW + 5000)
    await ask(peopled, second)
    await decide(peopled, second.id, granted=("mail.send", FULL), now=NOW + 30)
    [listed] = await peopled.find_app_rules(ACORN)
    assert (listed.rule.scope, listed.rule.left_out) == (("contacts.read", "mail.send", FULL), ())


async def test_approval_for_everyone_leaves_those_who_asked_for_more(peopled: SqlStore):
    await close(peopled)
    await peopled.create_user(build_user(BEN, "ben@example.com"))
    await peopled.add_membership(user_id=BEN, organization_id=ACORN, role="member", now=NOW)
    anns, bens = build_request(), build_request(user_id=BEN, asked=(FULL, "contacts.delete"))
    await ask(peopled, anns)
    await ask(peopled, bens)
    await decide(peopled, anns.id, is_for_everyone=True)
    assert (await find_state(peopled, anns.id), await find_state(peopled, bens.id)) == ("approved", "waiting")


async def test_parked_request_goes_on_once_with_the_grant(peopled: SqlStore, open_another: OpenStore):
    await close(peopled)
    request = build_request()
    await ask(peopled, request)
    assert await peopled.commit_consent(fresh_grant(), access_request_id=request.id) is ConsentCommit.NEEDS_APPROVAL
    await decide(peopled, request.id)
    stores = [peopled, *(open_another() for _ in range(3))]
    outcomes = await asyncio.gather(
        *(stores[n % 4].commit_consent(fresh_grant(), access_request_id=request.id) for n in range(40))
    )
    assert Counter(outcomes) == {ConsentCommit.CREATED: 1, ConsentCommit.REQUEST_USED: 39}
    assert await find_state(peopled, request.id) == "connected"


async def test_parked_request_answered_by_going_back_does_not_go_on(peopled: SqlStore):
    await close(peopled)
    request = build_request()
    await ask(peopled, request)
    assert await peopled.end_parking(request.id, user_id=BEN, now=NOW) is Commit.LOST
    ended = await asyncio.gather(*(peopled.end_parking(request.id, user_id=ANN, now=NOW) for _ in range(10)))
    assert Counter(ended) == {Commit.APPLIED: 1, Commit.LOST: 9}
    await decide(peopled, request.id)
    assert await peopled.commit_consent(fresh_grant(), access_request_id=request.id) is ConsentCommit.REQUEST_USED


async def test_requests_lapse_by_app_organization_or_member(peopled: SqlStore):
    await close(peopled)
    for which in ({"client_id": MAILLOOP}, {"organization_id": ACORN}, {"user_id": ANN}):
        request = build_request()
        kept = await ask(peopled, request)
        assert isinstance(kept, bytes)
        lapse = partial(lapse_requests, NOW, COMMAND_LINE, **which)
        assert [await peopled._engine.commit(lapse) for _ in range(2)] == [1, 0]
        assert await find_state(peopled, kept) == "lapsed"
        assert await decide(peopled, kept) is Commit.LOST
