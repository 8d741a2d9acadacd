"""The states that a case can begin from, by name. Every case has people, an organization and an app of its own.

Before anything: Ann is a member of `${acorn}` (which owns the app) and `${birch}`, and not of `${chestnut}`; the app
is confidential, published and registered for every scope and grant type, with `${redirect_uri}` alone.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import httpx
import msgspec

from latchstring.authorization_server.identifiers import CLIENT, GRANT, render_identifier
from latchstring.authorization_server.life_cycle_ports import MembershipChange
from latchstring.authorization_server.ports import Commit, Fetched
from latchstring.authorization_server.records import ClientSecurity
from latchstring.authorization_server.refusals import ENDED_BY_OPERATOR
from latchstring.protocol.client_assertion import JWT_BEARER_ASSERTION
from latchstring.protocol.client_metadata import GRANT_TYPES, TOKEN_EXCHANGE
from latchstring.protocol.errors import StoreUnavailable
from latchstring.protocol.token_exchange import ACCESS_TOKEN_TYPE
from latchstring.storage.engine import Engine
from latchstring.web.cookies import session_cookie_name
from tests.conformance.placeholders import Values
from tests.support.deployment import PASSWORD, REDIRECT_URI, App, Deployment
from tests.support.forms import find_form
from tests.support.journey import exchange, follow, grant_code, refresh

# RFC 7636 Appendix B.
VERIFIER: Final = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE: Final = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
SCOPE: Final = "all.full_access contacts.read offline_access"


class Shared:
    """One deployment, and what all cases on it have in common: an organization of strangers, a guarded API, and
    `documents` that the server can read at other hosts, by URL."""

    def __init__(
        self,
        deployment: Deployment,
        api: httpx.AsyncClient,
        guard: tuple[str, str],
        chestnut: str,
        documents: dict[str, bytes | Fetched],
    ) -> None:
        self.deployment = deployment
        self.api = api
        self.guard = guard
        self.chestnut = chestnut
        self.documents = documents
        self.serial = 0
        self.serial_of_assertion = 0


class World:
    """One case's people, app, browsers and grant."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.deployment = shared.deployment
        self.values = Values()
        self.apps: dict[str, App] = {}
        self.browsers: dict[str, httpx.AsyncClient] = {}
        self.user_id = ""
        self.grant_id: bytes | None = None
        self._engine: Engine = self.deployment.store._engine

    async def settle(self) -> None:
        """Make the people and their organizations."""
        deployment, values = self.deployment, self.values
        self.shared.serial += 1
        email = f"ann-{self.shared.serial}@example.com"
        acorn, birch, self.user_id = await asyncio.gather(
            deployment.organization("Acorn Partners"),
            deployment.organization("Birch & Co"),
            deployment.user(email),
        )
        await asyncio.gather(deployment.member(self.user_id, acorn, "admin"), deployment.member(self.user_id, birch))
        values["issuer"] = deployment.settings.issuer
        values["redirect_uri"] = REDIRECT_URI
        values["jwt_bearer"] = JWT_BEARER_ASSERTION
        values["acorn"], values["birch"], values["chestnut"] = acorn, birch, self.shared.chestnut
        values["ann"] = self.user_id
        values["email"], values["password"] = email, PASSWORD
        values["verifier"], values["challenge"] = VERIFIER, CHALLENGE
        values["guard_id"], values["guard_secret"] = self.shared.guard
        values["exchange"], values["access_token_type"] = TOKEN_EXCHANGE, ACCESS_TOKEN_TYPE

    async def close(self) -> None:
        """Undo what would reach the next case."""
        self.deployment.store._engine = self._engine
        for browser in self.browsers.values():
            await browser.aclose()

    def browser(self, name: str = "ann's") -> httpx.AsyncClient:
        """A browser or program with cookies of its own; each case's come from an address of their own, and
        another browser from yet another."""
        if name not in self.browsers:
            high, low = divmod(self.shared.serial, 250)
            address = f"198.{18 + (name == 'another')}.{high}.{low}"
            transport = httpx.ASGITransport(
                self.deployment.application, raise_app_exceptions=False, client=(address, 40000)
            )
            self.browsers[name] = httpx.AsyncClient(transport=transport, base_url=self.deployment.settings.issuer)
        return self.browsers[name]

    async def app(self, name: str = "app") -> App:
        """The case's app; made as the tables assume it unless `given` has made another."""
        if name not in self.apps:
            await self.make_app(name)
        return self.apps[name]

    async def make_app(
        self,
        app_name: str,
        *,
        public: bool = False,
        published: bool = True,
        redirect_uris: list[str] | None = None,
        scope: str = SCOPE,
        grant_types: list[str] | None = None,
        name: str = "Mailloop",
        owner: str = "${acorn}",
        acts_for_resource: str | None = None,
        token_endpoint_auth_method: str | None = None,
        security: ClientSecurity | dict[str, Any] | None = None,
    ) -> None:
        """Register an app; its placeholders begin with `second_` for the second one, `third_` for the third."""
        assert app_name not in self.apps, f"there is already the {app_name}: it comes first in `given`"
        uris = tuple(redirect_uris or [REDIRECT_URI])
        app = await self.deployment.app(
            self.values.fill(owner),
            name=name,
            redirect_uris=uris,
            is_public=public,
            is_published=published,
            scope=tuple(scope.split(" ")),
            grant_types=GRANT_TYPES if grant_types is None else tuple(grant_types),
            created_by=self.user_id,
            acts_for_resource=acts_for_resource,
            token_endpoint_auth_method=token_endpoint_auth_method,
            security=None if security is None else msgspec.convert(security, ClientSecurity),
        )
        self.apps[app_name] = app
        prefix = "" if app_name == "app" else f"{app_name.partition(' ')[0]}_"
        self.values[f"{prefix}client_id"] = app.client_id
        self.values["redirect_uri"] = self.apps["app"].record.redirect_uris[0] if "app" in self.apps else uris[0]
        if app.secret is not None:
            self.values[f"{prefix}client_secret"] = app.secret
            self.values[f"{prefix}basic"] = f"{app.client_id}:{app.secret}"
            self.values[f"{prefix}escaped_basic"] = ":".join(
                "".join(f"%{byte:02X}" for byte in text.encode()) for text in (app.client_id, app.secret)
            )

    async def find_grant(self) -> Any:
        """The case's grant, as last committed."""
        assert self.grant_id is not None, "the case has no grant of its own"
        return await self.deployment.store.find_grant(self.grant_id)

    def remember_tokens(self, answer: dict[str, Any], prefix: str = "") -> None:
        """Note a token answer; what it replaces becomes `old_`, and what that replaced `oldest_`."""
        for name in ("access_token", "refresh_token"):
            if name not in answer:
                continue
            for older, newer in (("oldest_", "old_"), ("old_", "")):
                if f"{newer}{prefix}{name}" in self.values:
                    self.values[f"{older}{prefix}{name}"] = self.values[f"{newer}{prefix}{name}"]
            self.values[f"{prefix}{name}"] = answer[name]


State = Callable[..., Awaitable[None]]
STATES: Final[dict[str, State]] = {}
_LATER: Final = re.compile(r"([0-9]+) (second|minute|hour|day)s? later")
_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 24 * 3600}


def _state(name: str) -> Callable[[State], State]:
    def register(state: State) -> State:
        assert name not in STATES
        STATES[name] = state
        return state

    return register


async def bring_about(world: World, step: str | dict[str, Any]) -> None:
    """Bring about one named state; a table gives it parameters: `{ code = { pkce = true } }`."""
    step = world.values.fill_all(step)
    if isinstance(step, str):
        later = _LATER.fullmatch(step)
        if later is not None:
            world.deployment.clock.advance(int(later[1]) * _SECONDS[later[2]])
            return
        name = step
        parameters: Any = {}
    else:
        assert len(step) == 1, f"a state with parameters is one table: {step}"
        step = {world.values.fill(name): parameters for name, parameters in step.items()}
        ((name, parameters),) = step.items()
    assert name in STATES, f"there is no state {name!r}; there are {', '.join(sorted(STATES))} and '61 seconds later'"
    await STATES[name](world, **parameters)


# -- apps


@_state("app")
async def _app(world: World, **parameters: Any) -> None:
    await world.make_app("app", **parameters)


@_state("public app")
async def _public_app(world: World, **parameters: Any) -> None:
    await world.make_app("app", public=True, **parameters)


@_state("private app")
async def _private_app(world: World) -> None:
    """Of an organization that is not Ann's."""
    await world.make_app("app", published=False, owner="${chestnut}")


@_state("app with a scheme of its own")
async def _native_app(world: World) -> None:
    await world.make_app("app", redirect_uris=["com.example.app:/callback"])


@_state("app that registered itself")
async def _own_app(world: World, **parameters: Any) -> None:
    """Of no organization: everybody may connect it, and nobody vouches for it."""
    await world.make_app("app", **parameters)
    client_id = render_identifier(CLIENT, world.shared.serial.to_bytes(16, "big"))
    record = msgspec.structs.replace(world.apps["app"].record, client_id=client_id, organization_id=None)
    await world.deployment.store.create_client(record)
    world.apps["app"] = App(record, world.apps["app"].secret)
    world.values["client_id"] = client_id


@_state("second app")
async def _second_app(world: World, **parameters: Any) -> None:
    await world.app()
    await world.make_app("second app", **parameters)


@_state("secret replaced")
async def _secret_replaced(world: World) -> None:
    app = await world.app()
    world.values["old_client_secret"] = world.values["client_secret"]
    secret = await world.deployment.services.client_secrets.replace(app.record)
    assert secret is not None
    world.apps["app"] = App(app.record, secret)
    world.values["client_secret"] = secret


@_state("secret added")
async def _secret_added(world: World) -> None:
    """The first one becomes `${old_client_secret}`, and works on."""
    app = await world.app()
    world.values["old_client_secret"] = world.values["client_secret"]
    secret = await world.deployment.services.client_secrets.add(app.record)
    world.apps["app"] = App(app.record, secret)
    world.values["client_secret"] = secret


async def _retire_first_secret(world: World, after: int) -> None:
    client = await world.deployment.store.find_client(world.values["client_id"])
    assert client is not None
    await world.deployment.services.client_secrets.retire(client, client.secrets[0].secret_id, after=after)


@_state("first secret retired")
async def _first_secret_retired(world: World) -> None:
    await _retire_first_secret(world, 0)


@_state("first secret retired in 7 days")
async def _first_secret_ending(world: World) -> None:
    await _retire_first_secret(world, 7 * 24 * 3600)


@_state("redirect URI dropped")
async def _redirect_uri_dropped(world: World) -> None:
    """The app registers another one in its place."""
    app = await world.app()
    changed = msgspec.structs.replace(app.record, redirect_uris=("https://app.example/moved",))
    store, now = world.deployment.store, world.deployment.clock.now
    assert await store.update_client_details(changed, now=now) is Commit.APPLIED


# -- codes and tokens


async def _make_code(
    world: World,
    of: str,
    *,
    pkce: bool = False,
    redirect_uri: str | None = None,
    scope: str | None = None,
    organization: str = "${acorn}",
    resource: Sequence[str] = (),
    dpop_jkt: str | None = None,
) -> str:
    app = await world.app(of)
    uses_pkce = pkce or app.secret is None
    return await grant_code(
        world.deployment,
        app,
        world.user_id,
        world.values.fill(organization),
        sent_redirect_uri=redirect_uri,
        code_challenge=CHALLENGE if uses_pkce else None,
        resource=tuple(resource),
        dpop_jkt=dpop_jkt,
        **({} if scope is None else {"scope": tuple(scope.split(" "))}),
    )


@_state("code")
async def _code(world: World, **parameters: Any) -> None:
    """Consented to and not redeemed. `pkce`, `redirect_uri` (sent with the request), `scope`, `organization`,
    `resource`."""
    code = await _make_code(world, "app", **parameters)
    world.values["code"] = code
    parsed = world.deployment.codec.parse_code(code)
    assert parsed is not None
    world.grant_id = parsed.grant_id
    world.values["grant_id"] = render_identifier(GRANT, parsed.grant_id)


@_state("code with PKCE")
async def _code_with_pkce(world: World) -> None:
    await _code(world, pkce=True)


async def _redeem(world: World, of: str, code: str, *, pkce: bool) -> dict[str, Any]:
    app = await world.app(of)
    with_verifier = {"code_verifier": VERIFIER} if pkce or app.secret is None else {}
    response = await exchange(world.browser("a program"), app, code, **with_verifier)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


@_state("tokens")
async def _tokens(world: World, **parameters: Any) -> None:
    """The code has been redeemed; parameters as for `code`, but for `redirect_uri`."""
    await _code(world, **parameters)
    answer = await _redeem(world, "app", world.values["code"], pkce=parameters.get("pkce", False))
    world.remember_tokens(answer)


@_state("tokens with PKCE")
async def _tokens_with_pkce(world: World) -> None:
    await _tokens(world, pkce=True)


@_state("tokens of the second app")
async def _second_tokens(world: World) -> None:
    if "second app" not in world.apps:
        await _second_app(world)
    code = await _make_code(world, "second app")
    world.remember_tokens(await _redeem(world, "second app", code, pkce=False), "second_")


@_state("client credentials token")
async def _client_credentials(world: World) -> None:
    app = await world.app()
    body = app.body(grant_type="client_credentials")
    response = await world.browser("a program").post("/oauth2/token", data=body)
    assert response.status_code == 200, response.text
    world.remember_tokens(response.json())


@_state("refreshed")
async def _refreshed(world: World) -> None:
    response = await refresh(world.browser("a program"), await world.app(), world.values["refresh_token"])
    assert response.status_code == 200, response.text
    world.remember_tokens(response.json())


async def _revoke(world: World, name: str) -> None:
    body = (await world.app()).body(token=world.values[name])
    response = await world.browser("a program").post("/oauth2/revoke", data=body)
    assert response.status_code == 200, response.text


@_state("grant revoked by the app")
async def _refresh_token_revoked(world: World) -> None:
    await _revoke(world, "refresh_token")


@_state("access token revoked by the app")
async def _access_token_revoked(world: World) -> None:
    await _revoke(world, "access_token")


@_state("disconnected by the member")
async def _disconnected(world: World) -> None:
    ended = await world.deployment.services.connections.end(world.values["grant_id"], world.user_id)
    assert ended is not None


@_state("ended by the operator")
async def _ended_by_operator(world: World) -> None:
    assert world.grant_id is not None
    store, now = world.deployment.store, world.deployment.clock.now
    ended = await store.end_grant(world.grant_id, by="operator", reason=ENDED_BY_OPERATOR, now=now)
    assert ended is Commit.APPLIED


# -- people


@_state("membership ended")
async def _membership_ended(world: World) -> None:
    """Ann leaves Acorn."""
    ended = await world.deployment.store.end_membership(
        user_id=world.user_id, organization_id=world.values["acorn"], now=world.deployment.clock.now
    )
    assert ended is MembershipChange.APPLIED


@_state("membership resumed")
async def _membership_resumed(world: World) -> None:
    await world.deployment.member(world.user_id, world.values["acorn"])


async def _arrive(world: World, browser: str, user_id: str, acr: str | None = None) -> None:
    cookie = await world.deployment.services.login.begin(user_id, acr)
    settings = world.deployment.settings
    world.browser(browser).cookies.set(session_cookie_name(settings), cookie, domain=httpx.URL(settings.issuer).host)


@_state("signed in")
async def _signed_in(world: World) -> None:
    """Ann, in her browser."""
    await _arrive(world, "ann's", world.user_id)


@_state("another browser signed in as Ann")
async def _signed_in_again(world: World) -> None:
    await _arrive(world, "another", world.user_id)


@_state("another browser signed in as Bob")
async def _bob_signed_in(world: World) -> None:
    """Bob is a member of Acorn too."""
    deployment = world.deployment
    bob = await deployment.user(f"bob-{world.shared.serial}@example.com", "Bob")
    await deployment.member(bob, world.values["acorn"])
    await _arrive(world, "another", bob)


@_state("page")
async def _page(world: World, *, path: str, form: str, browser: str = "ann's") -> None:
    """A page is open; `${csrf_token}`, and `${request}` if there is one, are of the form that posts to `form`."""
    http = world.browser(browser)
    page = await follow(http, await http.get(path))
    fields = find_form(page, form).fields
    for name in {"csrf_token", "request"} & fields.keys():
        world.values[name] = fields[name]


@_state("consent page")
async def _consent_page(world: World, **query: str) -> None:
    """Ann, signed in, has the app's consent page before her: `${csrf_token}` and `${request}` are its own."""
    app = await world.app()
    if not world.browser().cookies:
        await _signed_in(world)
    asked = {"client_id": app.client_id, "response_type": "code", **query}
    if app.secret is None:
        asked |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    page = await world.browser().get("/oauth2/authorize/", params=asked)
    fields = find_form(page, "/consent").fields
    world.values["csrf_token"], world.values["request"] = fields["csrf_token"], fields["request"]


# -- the database


class _FailingEngine:
    """An engine whose database does not answer, or takes no writes."""

    def __init__(self, engine: Engine, *, is_readable: bool) -> None:
        self._engine = engine
        self._is_readable = is_readable

    async def read(self, *arguments: Any) -> Any:
        return await (self._engine.read if self._is_readable else self._fail)(*arguments)

    async def read_all(self, *arguments: Any) -> Any:
        return await (self._engine.read_all if self._is_readable else self._fail)(*arguments)

    async def write(self, *arguments: Any) -> Any:
        return await self._fail(*arguments)

    async def commit(self, *arguments: Any) -> Any:
        return await self._fail(*arguments)

    async def commit_shared(self, *arguments: Any) -> Any:
        return await self._fail(*arguments)

    async def _fail(self, *_: Any) -> Any:
        raise StoreUnavailable("as the case wants it")

    def find_version(self) -> int | None:
        return None

    async def close(self) -> None:
        raise AssertionError("the case puts the engine back")


@_state("database down")
async def _database_down(world: World) -> None:
    await world.app()
    world.deployment.store._engine = _FailingEngine(world._engine, is_readable=False)


@_state("database takes no writes")
async def _database_read_only(world: World) -> None:
    await world.app()
    world.deployment.store._engine = _FailingEngine(world._engine, is_readable=True)


@_state("database up again")
async def _database_up(world: World) -> None:
    world.deployment.store._engine = world._engine


# States of single features; each registers its own by being imported.
from tests.conformance import (  # noqa: E402, F401
    given_assertion,
    given_certificate,
    given_consent,
    given_details,
    given_device,
    given_document,
    given_exchange,
    given_jwt,
    given_jwt_bearer,
    given_proofs,
    given_registration,
    given_request_object,
    given_step_up,
)
