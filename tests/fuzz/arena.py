"""A deployment to throw requests at, and live credentials for them: made when a request names them, for it alone."""

import asyncio
import os
import re
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import msgspec

from latchstring.authorization_server.events import SYSTEM
from latchstring.authorization_server.identifiers import GRANT, render_identifier
from latchstring.authorization_server.settings import ScopeDefinition
from latchstring.authorization_server.webhook_records import WebhookRecord
from latchstring.authorization_server.webhooks import WEBHOOK
from latchstring.protocol.client_metadata import GRANT_TYPES
from latchstring.web.cookies import session_cookie_name
from tests.fuzz.requests import CERTIFICATE, LIVE, Sent
from tests.support.authenticator import Passkey
from tests.support.deployment import REDIRECT_URI, App, Deployment, deploy
from tests.support.forms import find_form
from tests.support.journey import exchange, grant_code
from tests.web.wire import Answer, ask

_LIVE = re.compile(b"{(" + "|".join(name.strip("{}") for name in (*LIVE, "basic")).encode() + b")}")
# Everything that can be turned on.
_SETTINGS: Final[dict[str, Any]] = {
    "registration": "open",
    "trusted_proxies": 1,
    "trusted_proxy_networks": ("198.18.0.0/15",),
    "client_certificate_header": CERTIFICATE.decode(),
    "scopes": {"all.full_access": ScopeDefinition(risk="high"), "contacts.read": ScopeDefinition()},
}
_SCOPE = ("all.full_access", "contacts.read", "offline_access")


class Cast:
    """One request's app, and what it, Ann and her browser hold."""

    def __init__(self, arena: "Arena", *, is_of_app: bool) -> None:
        self._arena = arena
        self._is_of_app = is_of_app
        self._deployment = arena.deployment
        self._app: App | None = None
        self._values: dict[str, str] = {
            "redirect_uri": REDIRECT_URI,
            "acorn": arena.acorn,
            "birch": arena.birch,
            "organization_id": arena.acorn,
            "verb": "disable",
            "email": arena.email,
            "guard_id": arena.guard[0],
            "guard_secret": arena.guard[1],
        }

    async def find(self, name: str) -> str:
        """The value, made at its first use."""
        if name not in self._values:
            await getattr(self, f"_make_{_MAKER.get(name, name)}")()
        return self._values[name]

    def _http(self, **options: Any) -> httpx.AsyncClient:
        """A caller from an address of its own, so that it is never throttled."""
        return self._deployment.http(headers={"x-forwarded-for": self._arena.source}, **options)

    async def _make_app(self) -> None:
        app = await self._find_app()
        assert app.secret is not None
        self._values |= {
            "client_id": app.client_id,
            "client_secret": app.secret,
            "basic": b64encode(f"{app.client_id}:{app.secret}".encode()).decode(),
        }

    async def _find_app(self) -> App:
        if self._app is None:
            self._app = await self._deployment.app(self._arena.acorn, scope=_SCOPE, grant_types=GRANT_TYPES)
        return self._app

    async def _make_public_id(self) -> None:
        app = await self._deployment.app(self._arena.acorn, is_public=True, scope=_SCOPE)
        self._values["public_id"] = app.client_id

    async def _make_private_id(self) -> None:
        app = await self._deployment.app(self._arena.chestnut, is_published=False)
        self._values["private_id"] = app.client_id

    async def _make_endpoint_id(self) -> None:
        client_id = (await self._find_app()).client_id if self._is_of_app else None
        organization_id = None if self._is_of_app else self._arena.acorn
        webhook = WebhookRecord(
            endpoint_id=render_identifier(WEBHOOK, os.urandom(16)),
            client_id=client_id,
            organization_id=organization_id,
            url="https://hooks.example.com/",
            event_types=("*",),
            sealed_secret=b"",
            created_at=self._deployment.clock.now,
        )
        await self._deployment.store.create_webhook(webhook)
        self._values["endpoint_id"] = webhook.endpoint_id

    async def _make_code(self) -> None:
        app = await self._find_app()
        self._values["code"] = await grant_code(self._deployment, app, self._arena.ann, self._arena.acorn)

    async def _make_tokens(self) -> None:
        await self._make_code()
        async with self._http() as http:
            answer = (await exchange(http, await self._find_app(), self._values.pop("code"))).json()
        self._values |= {name: answer[name] for name in ("access_token", "refresh_token")}
        parsed = self._deployment.codec.parse_refresh_token(answer["refresh_token"])
        assert parsed is not None
        self._values["grant_id"] = render_identifier(GRANT, parsed.grant_id)

    async def _make_client_token(self) -> None:
        body = (await self._find_app()).body(grant_type="client_credentials")
        async with self._http() as http:
            self._values["client_token"] = (await http.post("/oauth2/token", data=body)).json()["access_token"]

    async def _make_request_uri(self) -> None:
        body = (await self._find_app()).body(response_type="code", redirect_uri=REDIRECT_URI)
        async with self._http() as http:
            self._values["request_uri"] = (await http.post("/oauth2/par", data=body)).json()["request_uri"]

    async def _make_registration(self) -> None:
        asked = {"client_name": "Mailloop", "redirect_uris": [REDIRECT_URI]}
        async with self._http() as http:
            made = (await http.post("/oauth2/register", json=asked)).json()
        self._values |= {"registered_id": made["client_id"], "registration_token": made["registration_access_token"]}

    async def _make_passkey(self) -> None:
        """Ann's answers in her browser: to the page that adds a passkey, and by one that she has, at the sign-in."""
        deployment, origin = self._deployment, self._deployment.settings.issuer
        cookie = await self.find("cookie")
        user = await deployment.store.find_user(self._arena.ann)
        assert user is not None
        passkeys = deployment.services.passkeys

        def answer_new(passkey: Passkey) -> str:
            question = passkeys.ask_for_new(user, [], cookie=cookie)
            assert question is not None
            return msgspec.json.encode(passkey.create(question, origin=origin)).decode()

        own = Passkey()
        await deployment.store.end_passkeys(user.user_id, now=deployment.clock.now, origin=SYSTEM)  # never too many
        await passkeys.add(user, answer_new(own), "Key ring", cookie=cookie, locale="en", origin=SYSTEM)
        question = passkeys.ask_for_sign_in(cookie=cookie)
        assert question is not None
        self._values |= {
            "attestation": answer_new(Passkey()),
            "assertion": msgspec.json.encode(own.get(question, origin=origin)).decode(),
        }

    async def _make_browser(self) -> None:
        cookie = await self._deployment.services.login.begin(self._arena.ann)
        query = urlencode({"client_id": (await self._find_app()).client_id, "response_type": "code"})
        cookies = {session_cookie_name(self._deployment.settings): cookie}
        async with self._http(cookies=cookies) as http:
            fields = find_form(await http.get(f"/oauth2/authorize?{query}"), "/consent").fields
        self._values |= {"cookie": cookie, "csrf_token": fields["csrf_token"], "consent": fields["request"]}


_MAKER = {
    **dict.fromkeys(("client_id", "client_secret", "basic"), "app"),
    **dict.fromkeys(("access_token", "refresh_token", "grant_id"), "tokens"),
    **dict.fromkeys(("cookie", "csrf_token", "consent"), "browser"),
    **dict.fromkeys(("attestation", "assertion"), "passkey"),
    **dict.fromkeys(("registered_id", "registration_token"), "registration"),
}


class Arena:
    """The deployment on an event loop of its own, for callers that have none."""

    acorn: str
    birch: str
    chestnut: str
    ann: str
    email: str
    guard: tuple[str, str]

    def __init__(self, deployment: Deployment, runner: asyncio.Runner) -> None:
        self.deployment = deployment
        self._runner = runner
        self._serial = 0
        runner.run(self._settle())

    async def _settle(self) -> None:
        deployment = self.deployment
        self.chestnut = await deployment.organization("Chestnut Ltd")
        self.guard = await deployment.resource_server()
        await self._renew()

    async def _renew(self) -> None:
        """A new Ann and new organizations: pages can change what the last ones may do, and list all that they have."""
        self._serial += 1
        self.acorn = await self.deployment.organization("Acorn Partners")
        self.birch = await self.deployment.organization("Birch & Co")
        self.email = f"ann-{self._serial}@example.com"
        self.ann = await self.deployment.user(self.email)
        await self.deployment.member(self.ann, self.acorn, "admin")
        await self.deployment.member(self.ann, self.birch)

    @property
    def source(self) -> str:
        """An address for each request."""
        return f"198.18.{self._serial // 250 % 250}.{self._serial % 250}"

    def renew(self) -> None:
        """The same for those outside the loop."""
        self._runner.run(self._renew())

    def send(self, sent: Sent) -> tuple[Answer, bytes]:
        """The answer, and the secret that must not be in it."""
        return self._runner.run(self._send(sent))

    async def _send(self, sent: Sent) -> tuple[Answer, bytes]:
        cast = Cast(self, is_of_app=sent.path.startswith("/apps/"))
        self._serial += 1
        answer = await ask(
            self.deployment.application,
            sent.method,
            (await _fill(cast, sent.path.encode())).decode(),
            query=await _fill(cast, sent.query),
            headers=[(name, await _fill(cast, value)) for name, value in sent.headers],
            body=await _fill(cast, sent.body),
            source=self.source,
        )
        return answer, (await cast.find("client_secret")).encode()


async def _fill(cast: Cast, text: bytes) -> bytes:
    parts = _LIVE.split(text)
    for position in range(1, len(parts), 2):
        parts[position] = (await cast.find(parts[position].decode())).encode()
    return b"".join(parts)


def in_memory() -> Path | None:
    """Where files cost no disk, if there is such a place: durability is tested elsewhere."""
    folder = Path("/dev/shm")
    return folder if folder.is_dir() else None


@contextmanager
def open_arena(folder: Path | None = None) -> Iterator[Arena]:
    """An arena that is gone afterwards; its database is in that folder or one of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="latchstring-", dir=folder or in_memory()) as own,
        asyncio.Runner() as runner,
    ):
        deployed = deploy(Path(own), **_SETTINGS)
        deployment = runner.run(deployed.__aenter__())
        try:
            yield Arena(deployment, runner)
        finally:
            runner.run(deployed.__aexit__(None, None, None))
