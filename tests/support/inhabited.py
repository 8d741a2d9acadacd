"""A deployment in which something has happened everywhere: no page of it is empty."""

import os
from dataclasses import dataclass, field

from latchstring.authorization_server.events import COMMAND_LINE, SYSTEM
from latchstring.authorization_server.identifiers import GRANT, render_identifier
from latchstring.authorization_server.mail import Mail
from latchstring.authorization_server.organization_policy import OrganizationPolicy
from latchstring.authorization_server.passkey_ports import PasskeyRecord
from latchstring.authorization_server.passkeys import MAX_PASSKEYS, clean_name
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.publication import render_facts
from latchstring.authorization_server.webhook_records import Attempt
from tests.support import device
from tests.support.deployment import App, Deployment
from tests.support.forms import find_form, submit
from tests.support.journey import decide, exchange, grant_code, open_consent

HOOK = "https://hooks.example.com/" + "a-long-way/" * 20


async def read_link(deployment: Deployment, begins: str) -> str:
    """The link below that path in the newest mail that has one; all mail is gone then."""
    found = ""
    while (record := await deployment.store.claim_mail(now=deployment.clock.now, lease=60)) is not None:
        link = deployment.services.post.open(record).values.get("link", "")
        found = link if link.startswith(deployment.settings.issuer + begins) else found
        await deployment.store.end_mail(record)
    return found


@dataclass(frozen=True)
class Names:
    """What people call things, here."""

    organization: str = "Acorn Partners"
    other: str = "Birch & Co"
    app: str = "Mailloop"
    member: str = "Mia Meyer"
    email: str = "{}@example.com"


# What a name may be at most, without a place to break it; and one that would turn the line around.
LONG = Names("W" * 200, "\u202e" + "M" * 199, "W" * 80, "w" * 200, "{}-" + "w" * 180 + "@" + "long." * 8 + "example")


@dataclass
class Inhabited:
    """Who and what there is, by the names that paths give them."""

    deployment: Deployment
    names: Names
    people: dict[str, str] = field(default_factory=dict)
    apps: dict[str, App] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    async def settle(self) -> "Inhabited":
        """Fill it, in the order in which it would come about."""
        await self._gather()
        await self._connect()
        await self._make_webhooks()
        await self._publish()
        await self._ask()
        await self._add_passkeys()
        await self._send_reset()
        return self

    async def _gather(self) -> None:
        deployment, names = self.deployment, self.names
        organization = self.ids["organization_id"] = await deployment.organization(names.organization)
        self.ids["other_id"] = await deployment.organization(names.other)
        for person in ("admin", "member", "leaver", "operator", "stranger"):
            user_id = await deployment.user(names.email.format(person), names.member)
            self.people[person] = user_id
            if person not in {"operator", "stranger"}:
                await deployment.member(user_id, organization, "admin" if person == "admin" else "member")
        await deployment.member(self.people["member"], self.ids["other_id"])
        await deployment.member(self.people["stranger"], self.ids["other_id"], "admin")
        await deployment.store.set_operator(self.people["operator"], is_operator=True, now=deployment.clock.now)
        self.ids["email"] = names.email.format("member")

    async def _app(self, name: str, organization_id: str, **given: object) -> App:
        app = await self.deployment.app(organization_id, name=self.names.app, **given)  # type: ignore[arg-type]
        self.apps[name] = app
        return app

    async def _connect(self) -> None:
        """Three members connect apps; one connection is used, one is ended, one is held because its member left."""
        deployment, organization = self.deployment, self.ids["organization_id"]
        admin = self.people["admin"]
        app = await self._app("own", organization, created_by=admin)
        self.ids["client_id"] = app.client_id
        private = await self._app("private", self.ids["other_id"], is_published=False)
        self.ids["private_app"] = private.client_id
        await self._app("asked", self.ids["other_id"])
        await deployment.services.client_secrets.add(app.record, "Server in Frankfurt", origin=SYSTEM)
        http = deployment.http()
        for person in ("admin", "member", "leaver", "member"):
            code = await grant_code(deployment, app, self.people[person], organization)
            answer = (await exchange(http, app, code)).json()
            parsed = deployment.codec.parse_access_token(answer["access_token"])
            assert parsed is not None
            self.ids[f"{person}_grant"] = render_identifier(GRANT, parsed.grant_id)  # type: ignore[union-attr]
        code = await grant_code(deployment, app, self.people["member"], self.ids["other_id"])
        await exchange(http, app, code)
        self.ids["grant_id"] = self.ids["member_grant"]
        await deployment.store.end_membership(
            user_id=self.people["leaver"], organization_id=organization, now=deployment.clock.now, origin=SYSTEM
        )

    async def _make_webhooks(self) -> None:
        """One of the app's and one of the organization's; of what they were told, some was taken and some was not."""
        deployment, store = self.deployment, self.deployment.store
        for owner in ({"client_id": self.ids["client_id"]}, {"organization_id": self.ids["organization_id"]}):
            webhook, _ = await deployment.services.webhooks.create(HOOK, ["*"], **owner)  # type: ignore[arg-type]
            self.ids["app_endpoint" if "client_id" in owner else "endpoint_id"] = webhook.endpoint_id
        for _ in range(3):
            code = await grant_code(deployment, self.apps["own"], self.people["admin"], self.ids["organization_id"])
            await exchange(deployment.http(), self.apps["own"], code)
        now = deployment.clock.now
        failed = Attempt(status=500, error="answered 500", excerpt="<h1>" + "oops" * 60)
        for endpoint_id in (self.ids["app_endpoint"], self.ids["endpoint_id"]):
            for attempt in (failed, Attempt(status=204)):
                claimed = await store.claim_delivery(endpoint_id, now=now, lease=60)
                assert claimed is not None
                due_at = None if attempt.error is None else now + 3600
                await store.end_attempt(claimed[0], attempt, due_at=due_at, now=now)

    async def _publish(self) -> None:
        """One app is in the directory, one waits to be; a domain is claimed."""
        publication = self.deployment.services.publication
        for name in ("asked", "own"):
            record = self.apps[name].record
            await publication.ask(record, wants_listing=True, category="other", note="w" * 200, origin=SYSTEM)
        seen = render_facts(self.apps["asked"].record)
        await publication.decide(
            self.apps["asked"].client_id, seen=seen, is_approved=True, word="", origin=COMMAND_LINE
        )
        organization = self.ids["organization_id"]
        domain = "a-long-name-of-a-host." * 6 + organization.replace("_", "-") + ".example"
        _, claimed = await self.deployment.services.publishers.claim(organization, domain, origin=COMMAND_LINE)
        assert claimed is Commit.APPLIED

    async def _ask(self) -> None:
        """By policy, high risk takes an approval: the member asks, one request is approved, one waits."""
        deployment, organization = self.deployment, self.ids["organization_id"]
        policies = deployment.services.organization_policies
        await policies.change_policy(organization, OrganizationPolicy(high="approval"), origin=COMMAND_LINE)
        await policies.approve(
            organization, self.ids["client_id"], scope=("all.full_access",), left_out=(), origin=COMMAND_LINE
        )
        http = deployment.http()
        email = self.names.email.format("member")
        other = await self._app("waiting", self.ids["other_id"])
        for app, name in ((self.apps["asked"], "approved_request"), (other, "request_id")):
            page = await open_consent(http, app, email)
            wall = await decide(http, page, "allow", organization)
            form = find_form(wall, "/consent")
            asked = await submit(http, wall, form, decision="request", reason="w" * 200, organization_id=organization)
            self.ids[name] = asked.headers["location"].rpartition("/")[2]
            if name == "approved_request":
                await self._approve(organization, self.ids[name])

    async def _approve(self, organization: str, identifier: str) -> None:
        requests = self.deployment.services.access_requests
        request = await requests.find_in(organization, identifier)
        assert request is not None
        names = self.names
        await requests.decide(
            request,
            names.app,
            names.organization,
            granted=request.asked,
            is_for_everyone=False,
            word="",
            origin=COMMAND_LINE,
        )

    async def _add_passkeys(self) -> None:
        """One that was used and one that never was."""
        deployment, now = self.deployment, self.deployment.clock.now
        member = self.people["member"]
        for number in range(2):
            passkey = PasskeyRecord(
                credential_id=os.urandom(32),
                user_id=member,
                name=clean_name(self.names.app),
                public_key=b"",
                sign_count=0,
                is_synced=number == 0,
                created_at=now,
            )
            challenges = [os.urandom(32) for _ in range(2)]
            mail = deployment.services.post.seal(Mail(to="", template="passkey_added"))
            await deployment.store.save_passkey(
                passkey,
                challenge_digest=challenges[0],
                challenge_expires_at=now,
                at_most=MAX_PASSKEYS,
                origin=SYSTEM,
                mail=mail,
            )
            if number == 0:
                await deployment.store.use_passkey(
                    passkey.credential_hash,
                    0,
                    challenge_digest=challenges[1],
                    challenge_expires_at=now,
                    now=now,
                    origin=SYSTEM,
                )

    async def _send_reset(self) -> None:
        """The member has asked for another password."""
        await self.deployment.services.accounts.send_reset(self.ids["email"], locale="en")
        self.ids["token"] = (await read_link(self.deployment, "/reset/")).rpartition("/")[2]

    async def ask_as_device(self) -> str:
        """A device's code, fresh."""
        answer = await device.ask(self.deployment.http(), self.apps["own"])
        return str(answer["user_code"])
