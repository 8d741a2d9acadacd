"""The pages on webhooks: whose they are, what is shown once, what cannot be reached."""

import msgspec
import pytest

from latchstring.authorization_server.events import Action, EventFilter
from latchstring.authorization_server.webhook_records import Attempt, WebhookRecord
from tests.support.forms import find_form, submit
from tests.web.answers import assert_page
from tests.web.conftest import World

URL = "https://hooks.example.com/crm"


def of_app(world: World) -> str:
    return f"/apps/{world.app.client_id}/webhooks"


def of_organization(world: World) -> str:
    return f"/organizations/{world.acorn}/webhooks"


async def webhooks(world: World) -> list[WebhookRecord]:
    return list(await world.deployment.store.find_webhooks(client_id=None, organization_id=None))


async def create(world: World, path: str, **given: str) -> WebhookRecord:
    before = await webhooks(world)
    page = await world.http.get(path)
    assert_page(page, 200)
    made = await submit(world.http, page, find_form(page, path), url=URL, **given)
    assert_page(made, 200)
    (webhook,) = [one for one in await webhooks(world) if one not in before]
    return webhook


@pytest.mark.parametrize("owner", [of_app, of_organization])
async def test_webhook_is_made_and_its_secret_shown_once(world: World, owner) -> None:
    await world.arrive(world.ann)
    path = owner(world)
    page = await world.http.get(path)
    made = await submit(world.http, page, find_form(page, path), url=URL)
    assert_page(made, 200)
    assert made.text.count("whsec_") == 1
    (webhook,) = await webhooks(world)
    assert (webhook.url, webhook.event_types, webhook.created_by) == (URL, ("*",), world.ann)
    shown = await world.http.get(f"{path}/{webhook.endpoint_id}")
    assert_page(shown, 200)
    assert "whsec_" not in shown.text
    assert URL in (await world.http.get(path)).text


async def test_webhook_is_told_only_what_was_chosen(world: World) -> None:
    await world.arrive(world.ann)
    path = of_app(world)
    page = await world.http.get(path)
    form = find_form(page, path)
    form.checked.clear()
    await submit(world.http, page, form, url=URL, **{"type_grant.ended": "true", "type_membership.ended": "true"})
    (webhook,) = await webhooks(world)
    assert webhook.event_types == ("grant.ended",)


@pytest.mark.parametrize(
    "url, said",
    [
        ("http://hooks.example.com/", "starting with https://"),
        ("", "starting with https://"),
        ("https://a:b@c.example/", "user name"),
    ],
)
async def test_webhook_elsewhere_than_https_is_refused(world: World, url: str, said: str) -> None:
    await world.arrive(world.ann)
    page = await world.http.get(of_app(world))
    refused = await submit(world.http, page, find_form(page, of_app(world)), url=url)
    assert_page(refused, 422)
    assert said in refused.text
    assert await webhooks(world) == []


async def test_webhook_without_any_kind_of_event_is_refused(world: World) -> None:
    await world.arrive(world.ann)
    page = await world.http.get(of_app(world))
    form = find_form(page, of_app(world))
    form.checked.clear()
    assert_page(await submit(world.http, page, form, url=URL), 422)


async def test_webhooks_are_nobody_elses(world: World) -> None:
    """Neither a member's, nor another organization's, nor by way of another owner's path."""
    await world.arrive(world.ann)
    webhook = await create(world, of_organization(world))
    other = await create(world, of_app(world))
    ids = [webhook.endpoint_id, other.endpoint_id]
    for path, own in ((of_organization(world), ids[0]), (of_app(world), ids[1])):
        listed = (await world.http.get(path)).text
        assert [each for each in ids if each in listed] == [own]
    for path in (
        f"{of_app(world)}/{webhook.endpoint_id}",
        f"{of_organization(world)}/{other.endpoint_id}",
        f"{of_organization(world)}/whep_nowhere",
        f"/organizations/{world.birch}/webhooks/{webhook.endpoint_id}",
        f"/organizations/{world.birch}/webhooks",
    ):
        assert_page(await world.http.get(path), 404)
    page = await world.http.get(of_organization(world))
    token = find_form(page, of_organization(world)).fields
    for verb in ("delete", "rotate", "test", "disable", "replay", "nonsense"):
        answer = await world.http.post(f"{of_app(world)}/{webhook.endpoint_id}/{verb}", data=token)
        assert_page(answer, 404)
    store, now = world.deployment.store, world.deployment.clock.now
    await store.add_membership(user_id=world.ann, organization_id=world.acorn, role="member", now=now)
    assert_page(await world.http.get(f"{of_organization(world)}/{webhook.endpoint_id}"), 404)
    assert (await world.http.get(f"{of_app(world)}/{other.endpoint_id}")).status_code == 404
    assert len(await webhooks(world)) == 2


async def test_webhook_form_that_is_forged_changes_nothing(world: World) -> None:
    await world.arrive(world.ann)
    webhook = await create(world, of_app(world))
    path = f"{of_app(world)}/{webhook.endpoint_id}"
    for verb in ("", "/delete", "/rotate", "/disable"):
        assert_page(await world.http.post(path + verb, data={"url": "https://evil.example/"}), 403)
    assert await webhooks(world) == [webhook]


async def test_webhook_is_changed_paused_tested_and_deleted(world: World) -> None:
    await world.arrive(world.ann)
    webhook = await create(world, of_app(world))
    path = f"{of_app(world)}/{webhook.endpoint_id}"

    async def act(verb: str, **given: str) -> None:
        page = await world.http.get(path)
        answer = await submit(world.http, page, find_form(page, f"{path}{verb}"), **given)
        assert answer.status_code == 303, verb

    await act("", url="https://other.example/hook")
    await act("/disable")
    (changed,) = await webhooks(world)
    assert (changed.url, changed.is_enabled) == ("https://other.example/hook", False)
    assert changed.disabled_reason == "by_person"
    await world.deployment.store.update_webhook(
        webhook.endpoint_id,
        lambda current: msgspec.structs.replace(current, failing_since=1),
        now=world.deployment.clock.now,
    )
    await act("/enable")
    (enabled,) = await webhooks(world)
    assert (enabled.is_enabled, enabled.disabled_reason, enabled.failing_since) == (True, None, None)
    store = world.deployment.store
    for action, count in ((Action.WEBHOOK_CHANGED, 2), (Action.WEBHOOK_DISABLED, 1)):
        told = await store.find_events(EventFilter(action=action), before=None, at_most=9)
        assert [one.event.origin.actor_id for one in told].count(world.ann) == count, action
    await act("/test")
    (delivery,) = await world.deployment.store.find_deliveries(
        webhook.endpoint_id, is_failed=False, before=None, at_most=9
    )
    assert delivery.action == "webhook.test"
    await act("/replay", event_id="evnt_0000000000000000000000")
    await act("/replay-since", since="2027-01-01")
    page = await world.http.get(path)
    assert_page(await submit(world.http, page, find_form(page, f"{path}/replay-since"), since="yesterday"), 400)
    rotated = await submit(world.http, page, find_form(page, f"{path}/rotate"))
    assert rotated.text.count("whsec_") == 1
    assert "The secret before signs too until" in rotated.text
    await act("/delete")
    assert await webhooks(world) == []


async def test_what_a_receiver_answers_is_shown_as_text(world: World) -> None:
    await world.arrive(world.ann)
    webhook = await create(world, of_app(world))
    store, now = world.deployment.store, world.deployment.clock.now
    await store.test_webhook(webhook.endpoint_id, now=now)
    claimed = await store.claim_delivery(webhook.endpoint_id, now=now, lease=60)
    assert claimed is not None
    attempt = Attempt(status=500, error="answered 500", excerpt="<script>alert(1)</script>")
    await store.end_attempt(claimed[0], attempt, due_at=now + 60, now=now)
    shown = await world.http.get(f"{of_app(world)}/{webhook.endpoint_id}")
    assert_page(shown, 200)
    assert "What failed last" in shown.text
    assert "{&#34;type&#34;:&#34;webhook.test&#34;," in shown.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown.text
    assert "<script>alert" not in shown.text
