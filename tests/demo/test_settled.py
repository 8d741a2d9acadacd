"""The demo's organization that has been in use: what its pages have to show."""

import asyncio

from latchstring.authorization_server.events import EventFilter
from latchstring.demo.settled import settle
from latchstring.storage.url import open_store
from latchstring.wiring import build_directory, epoch_seconds, prepare

PASSWORD = "apple-otter-plum-tulip-42"


async def test_settled_organization_has_something_on_every_page(tmp_path):
    database = f"sqlite:///{tmp_path / 'latchstring.db'}"
    prepare(database, None)
    store = open_store(database)
    try:
        birch = await build_directory(store).create_organization("Birch & Co")
    finally:
        await store.close()

    dogwood, dora = await asyncio.to_thread(settle, database, birch.organization_id, PASSWORD)
    store = open_store(database)
    try:
        directory = build_directory(store)
        signed_in = await directory.authenticate(dora.email, PASSWORD)
        assert signed_in is not None
        assert signed_in.user_id == dora.user_id
        assert await directory.authenticate("eli@example.com", "") is None
        here = dogwood.organization_id
        grants = await store.find_grants(user_id=None, organization_id=here)
        assert sorted(grant.status for grant in grants) == ["active", "active", "active", "ended", "suspended"]
        policy = await store.find_organization_policy(here)
        assert policy is not None
        assert policy.high == "approval"
        [waiting] = await store.find_administered(dora.user_id, epoch_seconds())
        assert waiting.waiting == 1
        [webhook] = await store.find_webhooks(client_id=None, organization_id=here)
        assert not webhook.is_enabled
        deliveries = await store.find_deliveries(webhook.endpoint_id, is_failed=False, before=None, at_most=50)
        assert deliveries
        events = await store.find_events(EventFilter(organization_id=here), before=None, at_most=50)
        assert len(events) > 15
        assert len(await store.find_reviews(is_waiting=True, at_most=9)) == 1
        assert await store.count_mail() == (0, 0, None)
    finally:
        await store.close()
