"""Webhooks end to end but for TLS: signed, retried, turned off, and none waiting for another."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from latchstring.authorization_server.apps import AppRefused
from latchstring.authorization_server.mail import Post
from latchstring.authorization_server.ports import Commit, FetchRefused
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.webhook_records import Posted, WebhookRecord
from latchstring.authorization_server.webhooks import MAX_WEBHOOKS, OVERLAP, Webhooks, find_next_delivery
from latchstring.outbound.poster import DEADLINE
from latchstring.outbound.webhook_sender import LEASE, MAX_AT_ONCE_TO_ENDPOINT, WebhookSender
from latchstring.storage.store import SqlStore
from latchstring.storage.url import migrate, open_store
from tests.authorization_server.builders import ACORN, ANN, MAILLOOP, NOW, build_client, build_codec, build_grant
from tests.storage.conftest import people

DAY = 24 * 3600
URL = "https://app.test/hook"


class Receiver:
    """The hosts that are posted to: each answers as told."""

    def __init__(self) -> None:
        self.answers: dict[str, Posted | Exception] = {}
        self.got: list[tuple[str, bytes, Mapping[str, str]]] = []
        self.holds: dict[str, asyncio.Event] = {}
        self.at_once: dict[str, int] = {}
        self.most: dict[str, int] = {}

    async def __call__(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> Posted:
        self.got.append((url, body, dict(headers)))
        self.at_once[url] = self.at_once.get(url, 0) + 1
        self.most[url] = max(self.most.get(url, 0), self.at_once[url])
        try:
            if url in self.holds:
                await self.holds[url].wait()
            answer = self.answers.get(url, Posted(204, ""))
            if isinstance(answer, Exception):
                raise answer
            return answer
        finally:
            self.at_once[url] -= 1


class House:
    def __init__(self, store: SqlStore) -> None:
        self.now = NOW
        self.store = store
        codec = build_codec()
        clock: Callable[[], int] = lambda: self.now  # noqa: E731
        self.post = Post(codec=codec, clock=clock, entropy=os.urandom)
        settings = Settings(issuer="https://auth.example")
        self.webhooks = Webhooks(
            store=store, codec=codec, settings=settings, post=self.post, clock=clock, entropy=os.urandom
        )
        self.receiver = Receiver()
        self.sender = WebhookSender(store, self.webhooks, post=self.receiver, clock=clock)

    async def create(self, url: str = URL, **given: Any) -> tuple[WebhookRecord, Webhook]:
        given = {"client_id": MAILLOOP, "created_by": ANN} | given
        webhook, secret = await self.webhooks.create(url, given.pop("event_types", ["*"]), **given)
        return webhook, Webhook(secret)

    async def send_all(self) -> None:
        while await self.sender.step():
            await self.sender.settle()

    async def happen(self, number: int = 0) -> None:
        """Something that the app is told of."""
        await self.store.update_client_details(build_client(name=f"Name {number} at {self.now}"), now=self.now)

    async def current(self, webhook: WebhookRecord) -> WebhookRecord:
        found = await self.store.find_webhook(webhook.endpoint_id)
        assert found is not None
        return found


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as house:
        yield house


@asynccontextmanager
async def open_house(directory: Path) -> AsyncIterator[House]:
    url = f"sqlite:///{directory}/latchstring.db"
    migrate(url)
    store = open_store(url)
    await people(store)
    try:
        yield House(store)
    finally:
        await store.close()


def verify(key: Webhook, got: tuple[str, bytes, Mapping[str, str]], monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the receiver's library says of it; its clock is the test's."""
    _, body, headers = got
    monkeypatch.setattr(Webhook, "_Webhook__verify_timestamp", _read_timestamp)
    return key.verify(body, dict(headers))


def _read_timestamp(self: Webhook, text: str) -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(float(text), UTC)


async def test_event_arrives_signed_over_the_raw_body_with_ids_and_no_token(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, key = await house.create()
    grant = build_grant()
    await house.store.commit_consent(grant)
    await house.send_all()
    (got,) = house.receiver.got
    payload = verify(key, got, monkeypatch)
    assert payload["type"] == "grant.created"
    assert payload["timestamp"] == "2027-01-15T08:00:00Z"
    data = payload["data"]
    assert set(data) == {"organization_id", "client_id", "user_id", "grant_id", "scope"}
    assert (data["organization_id"], data["client_id"], data["user_id"]) == (ACORN, MAILLOOP, ANN)
    assert got[2]["webhook-id"].startswith("evnt_")
    assert got[2]["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        verify(key, (got[0], got[1] + b" ", got[2]), monkeypatch)
    with pytest.raises(WebhookVerificationError):
        verify(key, (got[0], got[1], {**got[2], "webhook-id": "evnt_other"}), monkeypatch)


async def test_organization_is_told_who_did_it(house: House) -> None:
    await house.create(client_id=None, organization_id=ACORN)
    await house.store.end_membership(user_id=ANN, organization_id=ACORN, now=house.now)
    await house.send_all()
    payload = json.loads(house.receiver.got[-1][1])
    assert payload["type"] == "membership.ended"
    assert payload["data"]["actor"] == {"kind": "system", "id": None}
    assert payload["data"]["subject"] == {"kind": "membership", "id": ANN}


async def test_event_not_taken_is_sent_again_for_three_days_with_the_same_id_and_body(house: House) -> None:
    webhook, _ = await house.create()
    await house.happen()
    house.receiver.answers[URL] = Posted(500, "oops")
    for _ in range(100):
        await house.send_all()
        house.now += 3600
    assert len({(body, headers["webhook-id"]) for _, body, headers in house.receiver.got}) == 1
    assert len({headers["webhook-timestamp"] for _, _, headers in house.receiver.got}) == 10 == len(house.receiver.got)
    (failed,) = await house.store.find_deliveries(webhook.endpoint_id, is_failed=True, before=None, at_most=9)
    assert failed.due_at is None
    assert failed.failed_at is not None
    assert 2.5 * DAY < failed.failed_at - NOW < 4 * DAY


async def test_endpoint_that_fails_for_days_is_turned_off_with_one_mail(house: House) -> None:
    webhook, _ = await house.create()
    house.receiver.answers[URL] = FetchRefused("no answer within 15 s")
    for number in range(6 * 4):
        await house.happen(number)
        await house.send_all()
        house.now += 6 * 3600
    current = await house.current(webhook)
    assert (current.is_enabled, current.disabled_reason) == (False, "failing")
    assert await house.store.count_mail() != (0, 0, None)
    record = await house.store.claim_mail(now=house.now, lease=60)
    assert record is not None
    mail = house.post.open(record)
    assert mail.to == "ann@example.com"
    assert mail.values["link"] == f"https://auth.example/apps/{MAILLOOP}/webhooks/{webhook.endpoint_id}"
    assert await house.store.claim_mail(now=house.now, lease=60) is None
    count = len(house.receiver.got)
    await house.happen(1000)
    await house.send_all()
    assert len(house.receiver.got) == count


async def test_endpoint_that_answers_now_and_then_is_never_turned_off(house: House) -> None:
    webhook, _ = await house.create()
    for number in range(10 * 2):
        house.receiver.answers[URL] = Posted(200 if number % 4 == 0 else 503, "")
        await house.happen(number)
        await house.send_all()
        house.now += 12 * 3600
    assert (await house.current(webhook)).is_enabled


async def test_endpoint_that_is_gone_is_turned_off_at_once(house: House) -> None:
    webhook, _ = await house.create()
    house.receiver.answers[URL] = Posted(410, "")
    await house.happen()
    await house.send_all()
    current = await house.current(webhook)
    assert (current.is_enabled, current.disabled_reason) == (False, "gone")


async def test_redirect_is_a_failure(house: House) -> None:
    webhook, _ = await house.create()
    house.receiver.answers[URL] = Posted(302, "")
    await house.happen()
    await house.send_all()
    (failed,) = await house.store.find_deliveries(webhook.endpoint_id, is_failed=True, before=None, at_most=9)
    assert failed.last_error == "answered 302"


async def test_slow_endpoint_holds_up_no_other_and_has_few_attempts_at_a_time(house: House) -> None:
    slow, quick = "https://slow.test/", "https://quick.test/"
    await house.create(slow)
    await house.create(quick)
    house.receiver.holds[slow] = asyncio.Event()
    for number in range(20):
        await house.happen(number)
    for _ in range(40):
        await house.sender.step()
        await asyncio.sleep(0.01)
    assert sum(url == quick for url, _, _ in house.receiver.got) == 20
    assert house.receiver.most[slow] == MAX_AT_ONCE_TO_ENDPOINT
    house.receiver.holds[slow].set()
    await house.sender.settle()
    await house.send_all()
    assert sum(url == slow for url, _, _ in house.receiver.got) == 20
    assert house.receiver.most[slow] == MAX_AT_ONCE_TO_ENDPOINT


async def test_secret_before_the_last_signs_too_for_a_day(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    webhook, old = await house.create()
    new = Webhook(await house.webhooks.rotate(webhook))
    await house.happen()
    await house.send_all()
    for key in (old, new):
        assert verify(key, house.receiver.got[-1], monkeypatch)["type"] == "app.changed"
    house.now += OVERLAP
    await house.happen(1)
    await house.send_all()
    assert verify(new, house.receiver.got[-1], monkeypatch)
    with pytest.raises(WebhookVerificationError):
        verify(old, house.receiver.got[-1], monkeypatch)


async def test_secret_is_sealed_and_opened_by_its_keyring_alone(house: House) -> None:
    webhook, secret = await house.webhooks.create(URL, ["*"], client_id=MAILLOOP)
    from base64 import b64decode

    assert b64decode(secret.removeprefix("whsec_")) not in webhook.sealed_secret
    assert house.webhooks.open_secrets(webhook) == [b64decode(secret.removeprefix("whsec_"))]
    moved = msgspec.structs.replace(webhook, endpoint_id="whep_other")
    from latchstring.authorization_server.tokens import KeyNotOpened

    with pytest.raises(KeyNotOpened):
        house.webhooks.open_secrets(moved)


@pytest.mark.parametrize(
    "url, types, field",
    [
        ("http://app.test/", ["*"], "url"),
        ("https://ann:secret@app.test/", ["*"], "url"),
        ("https://app.test/#x", ["*"], "url"),
        ("https://app.test/" + "x" * 2000, ["*"], "url"),
        ("", ["*"], "url"),
        (URL, [], "event_types"),
        (URL, ["nothing.known"], "event_types"),
        (URL, ["membership.ended"], "event_types"),
        (URL, ["grant.ended' OR 1=1"], "event_types"),
    ],
)
async def test_webhook_that_cannot_be_is_refused(house: House, url: str, types: list[str], field: str) -> None:
    with pytest.raises(AppRefused) as refused:
        await house.webhooks.create(url, types, client_id=MAILLOOP)
    assert [problem.field for problem in refused.value.problems] == [field]
    assert await house.store.find_webhooks(client_id=MAILLOOP, organization_id=None) == []


async def test_webhooks_of_an_app_are_few(house: House) -> None:
    for _ in range(MAX_WEBHOOKS):
        await house.create()
    with pytest.raises(AppRefused):
        await house.create()
    await house.create(client_id=None, organization_id=ACORN)


async def test_test_event_and_replay_reach_the_receiver(house: House) -> None:
    webhook, _ = await house.create(event_types=["grant.ended"])
    assert await house.webhooks.test(webhook) is Commit.APPLIED
    await house.send_all()
    (got,) = house.receiver.got
    assert json.loads(got[1])["type"] == "webhook.test"
    (delivery,) = await house.store.find_deliveries(webhook.endpoint_id, is_failed=False, before=None, at_most=9)
    assert await house.store.replay_delivery(webhook.endpoint_id, delivery.event_id, now=house.now) is Commit.APPLIED
    await house.send_all()
    assert [headers["webhook-id"] for _, _, headers in house.receiver.got] == [got[2]["webhook-id"]] * 2


def test_attempts_come_later_each_time_and_end_after_three_days() -> None:
    pauses: list[int] = []
    while (due_at := find_next_delivery(len(pauses) + 1, NOW, 0.0)) is not None:
        pauses.append(due_at - NOW)
    assert pauses == sorted(pauses)
    assert 2.9 * DAY < sum(pauses) < 3.1 * DAY
    late = find_next_delivery(1, NOW, 1.0)
    assert late is not None
    assert late > NOW + pauses[0]


def test_attempt_has_a_longer_lease_than_its_deadline() -> None:
    assert LEASE >= 2 * DEADLINE
