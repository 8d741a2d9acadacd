"""The states of the tables at another server, as far as they can be reached over HTTP.

It has what `tests/conformance/send.py` asks of a world, so that requests are built by the one runner. What a case
needs beyond that is `NotApplicable`, with the reason.
"""

import asyncio
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx

from tests.conformance.given import CHALLENGE, SCOPE, VERIFIER
from tests.conformance.placeholders import Values
from tests.conformance.send import build_request
from tests.conformance.tables import Case, Send
from tests.peers.peer import Peer
from tests.support.deployment import PASSWORD, REDIRECT_URI
from tests.support.forms import read_forms

GRANT_TYPES: Final = ("authorization_code", "refresh_token", "client_credentials")
_LIMIT: Final = 30.0
_HOPS: Final = 10


class NotApplicable(Exception):
    """The case is about something that this server has not, or that cannot be reached from outside."""


class PeerApp:
    """A client, as the tables mean it."""

    def __init__(self, client_id: str, secret: str | None, redirect_uris: list[str], scope: str) -> None:
        self.client_id = client_id
        self.secret = secret
        self.redirect_uris = redirect_uris
        self.scope = scope

    def body(self, **parameters: str) -> dict[str, str]:
        """Form parameters with the client's own credentials in the body."""
        secret = {} if self.secret is None else {"client_secret": self.secret}
        return {"client_id": self.client_id, **secret, **parameters}


class PeerWorld:
    """One case's apps, browsers and tokens at that server."""

    def __init__(self, peer: Peer, issuer: str, case: Case) -> None:
        self.peer = peer
        self.issuer = issuer
        self.values = Values()
        self.apps: dict[str, PeerApp] = {}
        self._browsers: dict[str, httpx.AsyncClient] = {}
        self._page: httpx.Response | None = None
        # A client has one method, where ours may use both: the one that the case uses.
        self._method = "client_secret_basic" if "basic" in repr(case.steps).lower().replace("basic=none", "") else ""
        is_on_its_own = "client_credentials" in repr(case.steps) and not re.search("'(code|tokens)", repr(case.steps))
        self._kinds = ("client_credentials",) if is_on_its_own else GRANT_TYPES
        self.deployment = SimpleNamespace(settings=SimpleNamespace(issuer=issuer))
        self.shared = SimpleNamespace(guard=("", ""), api=None)

    async def settle(self) -> None:
        """The names that the tables begin with, and somebody who may introspect."""
        guard = await self._register(method=self._method or "client_secret_post", redirect_uris=[REDIRECT_URI])
        assert guard.secret is not None
        self.shared.guard = (guard.client_id, guard.secret)
        self.values["guard_id"], self.values["guard_secret"] = self.shared.guard
        self.values["issuer"] = self.issuer
        self.values["redirect_uri"] = REDIRECT_URI
        self.values["verifier"], self.values["challenge"] = VERIFIER, CHALLENGE
        self.values["email"], self.values["password"] = "ann@example.com", PASSWORD
        for organization in ("acorn", "birch", "chestnut", "ann"):
            self.values[organization] = f"{organization}_0000000000000000000000"

    async def close(self) -> None:
        """Hang up."""
        for browser in self._browsers.values():
            await browser.aclose()

    def browser(self, name: str = "ann's") -> httpx.AsyncClient:
        """A browser or program with cookies of its own."""
        if name not in self._browsers:
            self._browsers[name] = httpx.AsyncClient(base_url=self.issuer, timeout=_LIMIT)
        return self._browsers[name]

    async def _register(self, *, method: str, redirect_uris: list[str], **asked: Any) -> PeerApp:
        body = {"grant_types": GRANT_TYPES, "scope": SCOPE.split(" "), **asked}
        body |= {"method": method, "redirect_uris": redirect_uris}
        response = await self.browser("the operator's").post("/test/clients", json=body)
        if response.status_code != 200:
            raise NotApplicable(f"such a client cannot be made there: {response.text[:100]}")
        made = response.json()
        return PeerApp(made["client_id"], made["client_secret"], redirect_uris, " ".join(body["scope"]))

    async def app(self, name: str = "app") -> PeerApp:
        """The case's app; made as the tables assume it unless `given` has made another."""
        if name not in self.apps:
            await self.make_app(name)
        return self.apps[name]

    async def make_app(
        self,
        app_name: str,
        *,
        public: bool = False,
        redirect_uris: list[str] | None = None,
        scope: str = SCOPE,
        grant_types: list[str] | None = None,
        name: str = "",
        published: bool = True,
    ) -> None:
        """Register an app; its placeholders begin with `second_` for the second one."""
        if not published:
            raise NotApplicable("an app for one organization alone")
        app = await self._register(
            method="none" if public else self._method or "client_secret_post",
            redirect_uris=redirect_uris or [REDIRECT_URI],
            scope=scope.split(" "),
            # No public client acts on its own, and not every server lets one app do both.
            grant_types=[kind for kind in grant_types or self._kinds if not (public and kind == "client_credentials")],
        )
        self.apps[app_name] = app
        prefix = "" if app_name == "app" else "second_"
        self.values[f"{prefix}client_id"] = app.client_id
        if app_name == "app":
            self.values["redirect_uri"] = app.redirect_uris[0]
        if app.secret is not None:
            self.values[f"{prefix}client_secret"] = app.secret
            self.values[f"{prefix}basic"] = f"{app.client_id}:{app.secret}"
            self.values[f"{prefix}escaped_basic"] = ":".join(
                "".join(f"%{byte:02X}" for byte in text.encode()) for text in (app.client_id, app.secret)
            )

    # -- requests

    def find_path(self, path: str) -> str:
        """Its path for one of ours."""
        own = self.peer.paths.get(path.rstrip("/"))
        if own is None:
            raise NotApplicable(f"it has no {path}")
        return own

    async def send(self, send: Send) -> list[httpx.Response]:
        """The answers, each after the redirects within the server."""
        if send.request == "POST /consent":
            return [await self._answer_consent(send)]
        world: Any = self
        try:
            method, url, headers, body = await build_request(world, send)
        except (AssertionError, AttributeError) as error:
            raise NotApplicable(str(error).partition(";")[0]) from None
        url = url.copy_with(path=self.find_path(url.path))
        http = self.browser(send.browser)
        try:
            responses = await _send_at_once(http, send.times, method, url, headers, body)
        except httpx.LocalProtocolError:
            raise NotApplicable("no HTTP library sends such a header") from None
        return [await self.follow(http, response) for response in responses]

    async def follow(self, http: httpx.AsyncClient, response: httpx.Response) -> httpx.Response:
        """Follow redirects that stay on the server."""
        for _ in range(_HOPS):
            location = urljoin(str(response.url), response.headers.get("location", ""))
            if not response.is_redirect or not location.startswith(f"{self.issuer}/"):
                break
            response = await http.get(location)
        return response

    async def post(self, path: str, body: dict[str, str], auth: tuple[str, str] | None = None) -> httpx.Response:
        """A program's request to the endpoint that stands for ours."""
        if auth is None and self._method and "client_secret" in body:
            body = dict(body)
            auth = (body["client_id"], body.pop("client_secret"))
        extra = {} if auth is None else {"authorization": f"Basic {b64encode(':'.join(auth).encode()).decode()}"}
        return await self.browser("a program").post(self.find_path(path), data=body, headers=extra)

    async def is_active(self, token: str) -> bool:
        """What introspection says of the token."""
        client_id, secret = self.shared.guard
        body = {"client_id": client_id, "client_secret": secret, "token": token}
        response = await self.post("/oauth2/introspect", body)
        assert response.status_code == 200, f"introspection answers {response.status_code}: {response.text[:200]}"
        return bool(response.json()["active"])

    # -- the member

    async def open_consent(self, query: dict[str, str]) -> httpx.Response:
        """What stands before the member; refused unless it asks."""
        http = self.browser()
        response = await self.follow(http, await http.get(self.find_path("/oauth2/authorize"), params=query))
        if not asks_member(response):
            raise NotApplicable(f"it does not ask the member: {response.status_code} {response.text[:100]!r}")
        self._page = response
        return response

    async def decide(self, decision: str) -> httpx.Response:
        """Answer the page."""
        assert self._page is not None
        (form,) = [form for form in read_forms(self._page.text) if form.method == "POST"][:1]
        fields = {**form.fields, "decision": decision}
        fields.pop("allow", None)
        if decision == "allow":
            fields["allow"] = "Authorize"
        http = self.browser()
        response = await http.post(urljoin(str(self._page.url), form.action or str(self._page.url)), data=fields)
        return await self.follow(http, response)

    async def _answer_consent(self, send: Send) -> httpx.Response:
        form = dict(send.form) if not isinstance(send.form, str) else {}
        plain = {"csrf_token": "${csrf_token}", "request": "${request}"}
        if (
            self._page is None
            or send.browser != "ann's"
            or any(form.get(name) != value for name, value in plain.items())
        ):
            raise NotApplicable("the page is the application's own there")
        if form.get("organization_id", "${acorn}") not in {"${acorn}", "${birch}"} or len(form) > 4:
            raise NotApplicable("it knows no organizations")
        return await self.decide(self.values.fill(form.get("decision", "")))


async def _send_at_once(
    http: httpx.AsyncClient, times: int, method: str, url: httpx.URL, headers: list[tuple[str, str]], body: bytes
) -> list[httpx.Response]:
    encoded = [(name.encode(), value.encode()) for name, value in headers]
    requests = [http.build_request(method, url, headers=encoded, content=body) for _ in range(times)]
    return list(await asyncio.gather(*(http.send(request) for request in requests)))


def asks_member(response: httpx.Response) -> bool:
    """Whether the request was good, and it is the member's turn now."""
    if response.status_code == 303:  # ours, before the member has signed in
        return response.headers["location"].startswith("/sign-in")
    is_page = response.status_code == 200 and response.headers.get("content-type", "").startswith("text/html")
    return is_page and any(form.method == "POST" for form in read_forms(response.text))


def read_answer(response: httpx.Response) -> dict[str, str]:
    """The parameters of a redirect, in its query or (for what is not a code) in its fragment."""
    parts = urlsplit(response.headers.get("location", ""))
    return dict(parse_qsl(parts.query or parts.fragment, keep_blank_values=True))


# -- states

State = Callable[..., Awaitable[None]]


async def _code(world: PeerWorld, *, of: str = "app", **parameters: Any) -> None:
    """Consented to and not redeemed."""
    parameters.pop("organization", None)
    app = await world.app(of)
    query = {"client_id": app.client_id, "response_type": "code"}
    scope = parameters.pop("scope", None) or app.scope
    query["scope"] = " ".join(word for word in scope.split(" ") if word != "offline_access")
    if parameters.pop("pkce", False) or app.secret is None:
        query |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    await world.open_consent({**query, **{name: world.values.fill(text) for name, text in parameters.items()}})
    answer = read_answer(await world.decide("allow"))
    assert "code" in answer, answer
    world.values["code" if of == "app" else "second_code"] = answer["code"]


async def _tokens(world: PeerWorld, *, of: str = "app", **parameters: Any) -> None:
    """The code has been redeemed."""
    prefix = "" if of == "app" else "second_"
    await _code(world, of=of, **parameters)
    app = await world.app(of)
    verifier = {"code_verifier": VERIFIER} if parameters.get("pkce") or app.secret is None else {}
    uri = world.values.fill(parameters.get("redirect_uri") or app.redirect_uris[0])
    code = world.values[f"{prefix}code"]
    body = app.body(grant_type="authorization_code", code=code, redirect_uri=uri, **verifier)
    _remember(world, await world.post("/oauth2/token", body), prefix)


def _remember(world: PeerWorld, response: httpx.Response, prefix: str = "") -> None:
    assert response.status_code == 200, f"{response.status_code} {response.text[:200]}"
    for name in ("access_token", "refresh_token"):
        if name in response.json():
            for older, newer in (("oldest_", "old_"), ("old_", "")):
                if f"{newer}{prefix}{name}" in world.values:
                    world.values[f"{older}{prefix}{name}"] = world.values[f"{newer}{prefix}{name}"]
            world.values[f"{prefix}{name}"] = response.json()[name]


async def _refreshed(world: PeerWorld) -> None:
    app = await world.app()
    body = app.body(grant_type="refresh_token", refresh_token=world.values["refresh_token"])
    _remember(world, await world.post("/oauth2/token", body))


async def _client_token(world: PeerWorld) -> None:
    app = await world.app()
    scope = " ".join(word for word in app.scope.split(" ") if word != "offline_access")
    _remember(world, await world.post("/oauth2/token", app.body(grant_type="client_credentials", scope=scope)))


async def _revoke(world: PeerWorld, name: str) -> None:
    app = await world.app()
    response = await world.post("/oauth2/revoke", app.body(token=world.values[name]))
    assert response.status_code == 200, f"{response.status_code} {response.text[:200]}"


async def _consent_page(world: PeerWorld, **query: str) -> None:
    app = await world.app()
    asked = {"client_id": app.client_id, "response_type": "code", "scope": "contacts.read", **query}
    asked.pop("organization_id", None)
    if app.secret is None:
        asked |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    await world.open_consent(asked)


async def _nothing(world: PeerWorld) -> None:
    """Ann signs in on the way, where the server asks her."""


STATES: Final[dict[str, State]] = {
    "app": lambda world, **given: world.make_app("app", **given),
    "public app": lambda world, **given: world.make_app("app", public=True, **given),
    "second app": lambda world, **given: world.make_app("second app", **given),
    "signed in": _nothing,
    "consent page": _consent_page,
    "code": _code,
    "code with PKCE": lambda world: _code(world, pkce=True),
    "tokens": _tokens,
    "tokens with PKCE": lambda world: _tokens(world, pkce=True),
    "tokens of the second app": lambda world: _tokens(world, of="second app"),
    "client credentials token": _client_token,
    "refreshed": _refreshed,
    "grant revoked by the app": lambda world: _revoke(world, "refresh_token"),
    "access token revoked by the app": lambda world: _revoke(world, "access_token"),
}


async def bring_about(world: PeerWorld, step: str | dict[str, Any]) -> None:
    """Bring about one named state, or say that it is out of reach."""
    step = world.values.fill_all(step)
    name, parameters = (step, {}) if isinstance(step, str) else next(iter(step.items()))
    name = world.values.fill(name)
    if name not in STATES:
        why = "time cannot be moved there" if re.fullmatch(r"[0-9]+ \w+ later", name) else f"no {name!r} from outside"
        raise NotApplicable(why)
    try:
        await STATES[name](world, **parameters)
    except (AssertionError, TypeError, KeyError) as error:
        raise NotApplicable(f"{name!r} cannot be brought about: {str(error)[:120]}") from None
