"""An organization that has been here for months: members, connections old and new, a policy, a request that waits, a
webhook, and the history of it all. Each is written as of the day on which it would have come about."""

import asyncio
import os
from typing import Final

from latchstring.authorization_server.access_request_ports import AccessRequestRecord
from latchstring.authorization_server.answers import Answer
from latchstring.authorization_server.apps import AppDetails
from latchstring.authorization_server.authorization_endpoint import AuthorizationPrompt
from latchstring.authorization_server.consent import Consent
from latchstring.authorization_server.events import COMMAND_LINE, Origin
from latchstring.authorization_server.identifiers import USER, render_identifier
from latchstring.authorization_server.organization_policy import OrganizationPolicy
from latchstring.authorization_server.publication import Category, render_facts
from latchstring.authorization_server.records import ClientRecord, UserRecord
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.webhook_records import Attempt
from latchstring.demo.state import DemoOrganization, Person
from latchstring.storage.store import SqlStore
from latchstring.storage.url import open_store
from latchstring.wiring import (
    Deployment,
    build_apps,
    build_directory,
    build_organization_policies,
    build_publication,
    build_webhooks,
    epoch_seconds,
    prepare,
)

DOGWOOD: Final = "Dogwood Foods"
_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR
_OFFICE: Final = "203.0.113.24"
_HOME: Final = "198.51.100.7"
_APP: Final = "192.0.2.61"
_FULL_ACCESS: Final = "all.full_access"


class _Months:
    """The parts of the server that make such things, with a clock that is set from one day to the next."""

    def __init__(self, store: SqlStore, deployment: Deployment) -> None:
        settings = Settings(issuer="http://127.0.0.1")  # it stands in none of what is made here
        self.today = self.now = epoch_seconds()
        self.settings, self.store, self.codec = settings, store, deployment.codec
        self.directory = build_directory(store, self._clock)
        self.apps = build_apps(store, self.codec, settings, self._clock)
        self.policies = build_organization_policies(store, settings, self._clock)
        self.publication = build_publication(store, self.codec, None, self._clock)
        self.webhooks = build_webhooks(store, self.codec, settings, self._clock)
        self.consent = Consent(
            store=store,
            policies=self.policies,
            codec=self.codec,
            settings=settings,
            clock=self._clock,
            entropy=os.urandom,
        )

    def _clock(self) -> int:
        return self.now

    def go_back(self, days: int) -> None:
        """Go on as of so many days ago."""
        self.now = self.today - days * _DAY

    async def join(self, organization_id: str, name: str) -> str:
        """A member who cannot sign in: nobody has a password for them."""
        user_id = render_identifier(USER, os.urandom(16))
        email = f"{name.split(maxsplit=1)[0].lower()}@example.com"
        user = UserRecord(user_id=user_id, email=email, name=name, password_hash="", created_at=self.now)
        await self.store.create_user(user, origin=COMMAND_LINE)
        await self.store.add_membership(
            user_id=user_id, organization_id=organization_id, role="member", now=self.now, origin=COMMAND_LINE
        )
        return user_id

    async def register(self, organization_id: str, name: str, description: str) -> ClientRecord:
        """An app of somebody's, as a developer registers it."""
        host = f"{name.split(maxsplit=1)[0].lower()}.example"
        details = AppDetails(name=name, description=description, redirect_uris=(f"https://{host}/callback",))
        client, _ = await self.apps.create(
            details, organization_id=organization_id, created_by=None, origin=COMMAND_LINE
        )
        return client

    async def ask_review(self, client: ClientRecord, category: Category, note: str) -> None:
        """Its developer would like it in the directory."""
        origin = Origin("cli")
        await self.publication.ask(client, wants_listing=True, category=category, note=note, origin=origin)

    async def publish(self, client: ClientRecord, category: Category) -> None:
        """Reviewed, and in the directory."""
        await self.ask_review(client, category, "")
        seen = render_facts(client)
        await self.publication.decide(client.client_id, seen=seen, is_approved=True, word="", origin=COMMAND_LINE)

    async def connect(
        self, client: ClientRecord, user_id: str, organization_id: str, used_ago: int | None = None
    ) -> bytes:
        """A member allows the app, which takes its tokens at once, and has used them since."""
        prompt = AuthorizationPrompt(
            client_id=client.client_id,
            redirect_uri=client.redirect_uris[0],
            sent_redirect_uri=None,
            state=None,
            scope=client.scope,
            code_challenge=None,
            organization_id=None,
        )
        origin = Origin("user", user_id, _OFFICE)
        answer = Answer(organization_id=organization_id)
        code = await self.consent.allow(prompt, client, user_id, answer, origin=origin)
        parsed = self.codec.parse_code(code) if isinstance(code, str) else None
        if parsed is None:
            raise RuntimeError(f"{client.name} was not connected: {code}")
        idle = self.settings.refresh_token_idle_lifetime or 0
        await self.store.commit_redemption(
            parsed.grant_id, generation=1, now=self.now, expires_at=self.today + idle, absolute_expires_at=None
        )
        if used_ago is not None:
            await self.store.note_grant_uses({parsed.grant_id: (_APP, self.today - used_ago)})
        return parsed.grant_id


def settle(database: str, developer_organization_id: str, password: str) -> tuple[DemoOrganization, Person]:
    """Make it, with apps of the developers'; its admin can sign in."""
    deployment = prepare(database, None)

    async def work() -> tuple[DemoOrganization, Person]:
        store = open_store(database)
        try:
            return await _live(_Months(store, deployment), developer_organization_id, password)
        finally:
            await store.close()

    return asyncio.run(work())


async def _live(months: _Months, developers: str, password: str) -> tuple[DemoOrganization, Person]:
    store = months.store
    months.go_back(120)
    dogwood = (await months.directory.create_organization(DOGWOOD, origin=COMMAND_LINE)).organization_id
    dora = await months.directory.create_user(
        email="dora@example.com", name="Dora Dale", password=password, origin=COMMAND_LINE
    )
    await store.add_membership(
        user_id=dora.user_id, organization_id=dogwood, role="admin", now=months.now, origin=COMMAND_LINE
    )
    by_dora = Origin("user", dora.user_id, _OFFICE)
    eli, fay, gil = [await months.join(dogwood, name) for name in ("Eli Elm", "Fay Fern", "Gil Gorse")]

    tally = await months.register(developers, "Tally", "Turns deals that you win into invoices.")
    postbird = await months.register(developers, "Postbird", "Newsletters to the people you know.")
    stock = await months.register(dogwood, "Stock Sync", "Tells the shelves what was sold.")
    months.go_back(100)
    await months.publish(tally, "finance")
    await months.publish(postbird, "communication")
    for client, member, days, used_ago in (
        (tally, dora.user_id, 90, 2 * _HOUR),
        (tally, eli, 60, 5 * _DAY),
        (postbird, gil, 45, 30 * _DAY),
        (tally, fay, 40, None),
    ):
        months.go_back(days)
        await months.connect(client, member, dogwood, used_ago)
    months.go_back(35)
    ended = await months.connect(postbird, eli, dogwood, 20 * _DAY)

    months.go_back(30)
    hook = "https://hooks.dogwood.example/northwind"
    webhook, _ = await months.webhooks.create(hook, ["*"], organization_id=dogwood, origin=by_dora)
    months.go_back(10)
    await store.end_grant(ended, by=eli, reason="disconnected", now=months.now, origin=Origin("user", eli, _HOME))
    months.go_back(8)
    await months.policies.change_policy(dogwood, OrganizationPolicy(high="approval"), origin=by_dora)
    await months.policies.approve(dogwood, tally.client_id, scope=(_FULL_ACCESS,), left_out=(), origin=by_dora)
    months.go_back(6)
    await store.end_membership(user_id=gil, organization_id=dogwood, now=months.now, origin=by_dora)
    await _deliver(months, webhook.endpoint_id)
    months.go_back(2)
    await months.webhooks.disable(webhook, origin=by_dora)
    await months.ask_review(stock, "productivity", "Grocers in three countries have asked us for it.")
    months.go_back(1)
    await _ask(months, postbird, fay, dogwood)
    organization = DemoOrganization(organization_id=dogwood, name=DOGWOOD, user_ids=[dora.user_id, eli, fay])
    shows = f"admin of {DOGWOOD}, which has been in use for months"
    return organization, Person(user_id=dora.user_id, email=dora.email, password=password, shows=shows)


async def _deliver(months: _Months, endpoint_id: str) -> None:
    """What the webhook was told: all of it was taken but the last, which met a server on its knees."""
    claimed = await months.store.claim_delivery(endpoint_id, now=months.now, lease=60)
    while claimed is not None:
        following = await months.store.claim_delivery(endpoint_id, now=months.now, lease=60)
        attempt = (
            Attempt(status=204, excerpt="") if following else Attempt(status=500, error="answered 500", excerpt="")
        )
        await months.store.end_attempt(claimed[0], attempt, due_at=None, now=months.now)
        claimed = following


async def _ask(months: _Months, client: ClientRecord, user_id: str, organization_id: str) -> None:
    """A member asks for an app that needs an approval."""
    request = AccessRequestRecord(
        id=months.consent.new_grant_id(),
        organization_id=organization_id,
        client_id=client.client_id,
        user_id=user_id,
        state="waiting",
        asked=(_FULL_ACCESS,),
        reason="For the newsletter about the spring menu. Two hundred guests have asked for it.",
        parked=None,
        created_at=months.now,
        open_until=months.now + months.settings.access_request_lifetime,
        expires_at=months.now + 2 * months.settings.access_request_lifetime,
    )
    await months.store.create_access_request(
        request,
        rulebook=months.settings.rulebook,
        pushed_request_id=None,
        max_waiting=1,
        mails=[],
        origin=Origin("user", user_id, _HOME),
    )
