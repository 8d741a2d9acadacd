"""Webhooks as people make, change and replay them: how many, for what, by whom, and when one is given up."""

import os
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.apps import AppRefused
from latchstring.authorization_server.events import Action, EventFilter, Origin
from latchstring.authorization_server.mail import Mail, Post
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.webhook_records import ORGANIZATION_TYPES, DeliveryRecord, WebhookRecord
from latchstring.authorization_server.webhooks import (
    MAX_URL_LENGTH,
    MAX_WEBHOOKS,
    REPLAYED_FOR,
    Webhooks,
    find_next_delivery,
    must_disable,
)
from tests.authorization_server.builders import ACORN, ANN, MAILLOOP, NOW, build_client, build_organization
from tests.authorization_server.conftest import House

DAY = 24 * 3600
URL = "https://hooks.example/crm"
BIRCH = "orga_00000000000000000Birch"
OTHER = "oa2client_0000000000000000Other"
BY_ANN = Origin("user", ANN, "192.0.2.1", "req_1")


@pytest.fixture
def post(house: House) -> Post:
    return Post(codec=house.codec, clock=house.clock, entropy=os.urandom)


@pytest.fixture
async def webhooks(house: House, post: Post) -> Webhooks:
    """For two apps and two organizations."""
    await house.client(OTHER)
    await house.store.create_organization(build_organization(BIRCH, "Birch & Co"))
    return Webhooks(
        store=house.store,
        codec=house.codec,
        settings=house.settings,
        post=post,
        clock=house.clock,
        entropy=os.urandom,
    )


def build_webhook(**given: Any) -> WebhookRecord:
    """One of Mailloop's that is in no store."""
    values: dict[str, Any] = {
        "endpoint_id": "whep_1",
        "client_id": MAILLOOP,
        "organization_id": None,
        "url": URL,
        "event_types": ("*",),
        "sealed_secret": b"",
        "created_at": NOW - 90 * DAY,
    }
    return WebhookRecord(**(values | given))


async def create(webhooks: Webhooks, owner: str = MAILLOOP, *event_types: str) -> WebhookRecord:
    of_organization = owner.startswith("orga_")
    webhook, _ = await webhooks.create(
        URL,
        event_types or ["*"],
        client_id=None if of_organization else owner,
        organization_id=owner if of_organization else None,
        created_by=ANN,
        origin=BY_ANN,
    )
    return webhook


async def happen(house: House, name: str = "Mailloop Pro") -> None:
    """Something that Mailloop and its owner Acorn are told of."""
    await house.store.update_client_details(build_client(name=name), now=house.now)


async def deliveries(webhooks: Webhooks, webhook: WebhookRecord) -> list[DeliveryRecord]:
    return list(await webhooks.find_deliveries(webhook, is_failed=False, before=None, at_most=100))


@pytest.mark.parametrize("full, others", [(MAILLOOP, (OTHER, ACORN, BIRCH)), (ACORN, (MAILLOOP, OTHER, BIRCH))])
async def test_webhooks_are_limited_for_each_app_and_each_organization(
    webhooks: Webhooks, full: str, others: tuple[str, ...]
) -> None:
    for _ in range(MAX_WEBHOOKS):
        await create(webhooks, full)
    with pytest.raises(AppRefused) as refused:
        await create(webhooks, full)
    (problem,) = refused.value.problems
    assert (problem.field, problem.code, problem.values) == ("url", "webhooks_too_many", {"limit": str(MAX_WEBHOOKS)})
    assert str(MAX_WEBHOOKS) in problem.message
    for other in others:
        assert (await create(webhooks, other)).endpoint_id.startswith("whep_")


async def test_webhook_is_for_what_its_owner_may_read(webhooks: Webhooks) -> None:
    """An app's developer reads nothing of who is a member, made or changed; an organization's admins read that."""
    of_app, of_organization = await create(webhooks), await create(webhooks, ACORN, "membership.ended")
    assert of_organization.event_types == ("membership.ended",)
    await webhooks.update(of_organization, URL, ["membership.added"], origin=BY_ANN)
    changed = await webhooks.find(of_organization.endpoint_id)
    assert changed is not None
    assert changed.event_types == ("membership.added",)
    for attempt in (create(webhooks, MAILLOOP, "membership.ended"), webhooks.update(of_app, URL, ["membership.ended"])):
        with pytest.raises(AppRefused) as refused:
            await attempt
        assert [problem.code for problem in refused.value.problems] == ["webhook_types_missing"]


async def test_webhook_for_anything_is_for_what_comes_later_too(webhooks: Webhooks) -> None:
    everything = [*(str(action) for action in ORGANIZATION_TYPES), "*"]
    assert (await create(webhooks, ACORN, *everything)).event_types == ("*",)


async def test_webhook_url_at_the_limit_is_kept(webhooks: Webhooks) -> None:
    url = "https://hooks.example/".ljust(MAX_URL_LENGTH, "x")
    webhook, _ = await webhooks.create(url, ["*"], client_id=MAILLOOP)
    assert webhook.url == url


@pytest.mark.parametrize(
    "action, change",
    [
        (Action.WEBHOOK_CREATED, lambda webhooks, webhook: create(webhooks)),
        (Action.WEBHOOK_CHANGED, lambda webhooks, webhook: webhooks.rotate(webhook, origin=BY_ANN)),
        (Action.WEBHOOK_TESTED, lambda webhooks, webhook: webhooks.test(webhook, origin=BY_ANN)),
        (Action.WEBHOOK_DELETED, lambda webhooks, webhook: webhooks.end(webhook, origin=BY_ANN)),
    ],
)
async def test_change_of_a_webhook_is_written_down_with_who_made_it(
    house: House, webhooks: Webhooks, action: Action, change: Callable[[Webhooks, WebhookRecord], Awaitable[object]]
) -> None:
    webhook, _ = await webhooks.create(URL, ["*"], client_id=MAILLOOP)
    house.now += 60
    await change(webhooks, webhook)
    (told, *_) = await house.store.find_events(EventFilter(action=action), before=None, at_most=9)
    assert (told.event.origin, told.event.at) == (BY_ANN, NOW + 60)


async def test_secret_that_was_made_before_an_upgrade_signs_after_it(webhooks: Webhooks) -> None:
    """Servers of two versions sign with what either has made."""
    sealed = b64decode("AAEAAQIDBAUGBwgJCgty63j4Ddfy/1vUb/IUHtzePTIQVjB1csnCcE8G6CwDd7oAcX5y2MsWmtLosmoVc38=")
    assert webhooks.open_secrets(build_webhook(endpoint_id="whep_1", sealed_secret=sealed)) == [b"\x11" * 32]


async def test_change_of_one_thing_takes_back_nothing_that_was_changed_meanwhile(webhooks: Webhooks) -> None:
    """Two people at one webhook, or a person and the server that gives it up: nobody's page is the newest."""
    seen = await create(webhooks)
    (first,) = webhooks.open_secrets(seen)
    rotated = await webhooks.rotate(seen)
    again = await webhooks.rotate(seen)
    await webhooks.give_up(seen, "gone")
    await webhooks.update(seen, "https://hooks.example/other", ["grant.ended"])
    kept = await webhooks.find(seen.endpoint_id)
    assert kept is not None
    assert (kept.url, kept.event_types) == ("https://hooks.example/other", ("grant.ended",))
    assert (kept.is_enabled, kept.disabled_reason) == (False, "gone")
    signing = [f"whsec_{b64encode(secret).decode()}" for secret in webhooks.open_secrets(kept)]
    assert signing == [again, rotated]
    assert first not in webhooks.open_secrets(kept)


@pytest.mark.parametrize(
    "failing_since, status, is_over",
    [
        (None, 500, False),
        (None, None, False),
        (None, 410, True),
        (NOW - 5 * DAY + 1, 500, False),
        (NOW - 5 * DAY, 500, True),
        (NOW - 5 * DAY, None, True),
    ],
)
def test_webhook_is_over_when_it_is_gone_or_has_failed_for_five_days(
    failing_since: int | None, status: int | None, is_over: bool
) -> None:
    assert must_disable(build_webhook(failing_since=failing_since), status, NOW) is is_over


def test_pause_between_attempts_is_prolonged_by_lot_by_a_fifth_at_most() -> None:
    assert find_next_delivery(2, NOW, 0.0) == NOW + 300
    assert find_next_delivery(2, NOW, 1.0) == NOW + 360
    assert find_next_delivery(9, NOW, 1.0) == NOW + 86_400
    assert find_next_delivery(10, NOW, 0.0) is None


@pytest.mark.parametrize("owner, page", [(MAILLOOP, f"/apps/{MAILLOOP}"), (ACORN, f"/organizations/{ACORN}")])
async def test_webhook_that_is_given_up_is_told_to_whoever_made_it(
    house: House, webhooks: Webhooks, post: Post, owner: str, page: str
) -> None:
    webhook = await create(webhooks, owner)
    assert await webhooks.give_up(webhook, "failing") is Commit.APPLIED
    assert await webhooks.give_up(webhook, "failing") is Commit.LOST
    queued = await house.store.claim_mail(now=NOW, lease=60)
    assert queued is not None
    link = f"https://auth.example{page}/webhooks/{webhook.endpoint_id}"
    assert post.open(queued) == Mail(
        to="ann@example.com", template="webhook_disabled", values={"url": URL, "link": link}
    )
    assert await house.store.claim_mail(now=NOW, lease=60) is None


async def test_deliveries_go_on_from_the_last_one_shown(house: House, webhooks: Webhooks) -> None:
    webhook = await create(webhooks, MAILLOOP, "app.changed")
    for number in range(3):
        house.now += 60
        await happen(house, f"Name {number}")
    first = await webhooks.find_deliveries(webhook, is_failed=False, before=None, at_most=2)
    rest = await webhooks.find_deliveries(webhook, is_failed=False, before=first[-1].event_id, at_most=2)
    assert [each.created_at - NOW for each in (*first, *rest)] == [180, 120, 60]


async def test_payload_is_what_its_owner_is_sent(house: House, webhooks: Webhooks) -> None:
    """An app's developer is not told who in an organization did it; its admins are."""
    for owner, tells_actor in ((MAILLOOP, False), (ACORN, True)):
        webhook = await create(webhooks, owner, "app.changed")
        await happen(house, f"Name for {owner}")
        (delivery, *_) = await deliveries(webhooks, webhook)
        payload = await webhooks.find_payload(webhook, delivery)
        assert payload is not None
        assert ("actor" in msgspec.json.decode(payload)["data"]) is tells_actor


async def test_payload_of_an_event_that_is_not_kept_any_more_is_none(house: House, webhooks: Webhooks) -> None:
    webhook = await create(webhooks, MAILLOOP, "app.changed")
    await happen(house)
    (delivery,) = await deliveries(webhooks, webhook)
    assert await webhooks.find_payload(webhook, msgspec.structs.replace(delivery, event_id=b"\1" * 16)) is None


async def test_replayed_event_is_due_at_once(house: House, webhooks: Webhooks) -> None:
    webhook = await create(webhooks, MAILLOOP, "app.changed")
    await happen(house)
    (delivery,) = await deliveries(webhooks, webhook)
    house.now += 60
    assert await webhooks.replay(webhook, delivery.event_id) is Commit.APPLIED
    (replayed,) = await deliveries(webhooks, webhook)
    assert (replayed.event_id, replayed.due_at) == (delivery.event_id, NOW + 60)
    assert await webhooks.replay(webhook, b"\1" * 16) is Commit.LOST


async def test_replay_of_all_since_a_day_goes_back_thirty_days_and_no_further(house: House, webhooks: Webhooks) -> None:
    for _ in range(3):
        await happen(house, f"Name at {house.now}")
        house.now += DAY
    house.now = NOW + REPLAYED_FOR + DAY
    webhook, other = await create(webhooks, MAILLOOP, "app.changed"), await create(webhooks, MAILLOOP, "app.changed")
    await webhooks.replay_since(webhook, NOW + 2 * DAY)
    assert [(each.created_at, each.due_at) for each in await deliveries(webhooks, webhook)] == [
        (NOW + 2 * DAY, house.now)
    ]
    await webhooks.replay_since(webhook, 0)
    assert [each.created_at for each in await deliveries(webhooks, webhook)] == [NOW + 2 * DAY, NOW + DAY]
    assert await deliveries(webhooks, other) == []
