"""No secret in logs, addresses or error pages (I7): the whole loop is walked, with all that can go wrong."""

import base64
import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any

import httpx
import pytest
import structlog

from latchstring.protocol.errors import StoreUnavailable
from tests.support.deployment import PASSWORD, REDIRECT_URI
from tests.support.forms import find_form, submit
from tests.support.journey import answer_of, decide, exchange, introspect, open_consent, refresh
from tests.web.conftest import World
from tests.web.state import CHALLENGE, VERIFIER, connect, find_grant

SESSION = "__Host-latchstring_session"


class Log:
    """Everything that was logged, as it was written."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.sink = StringIO()
        self._caplog = caplog

    def read(self) -> str:
        """All of it so far, whichever library it came from."""
        return self.sink.getvalue() + self._caplog.text

    def assert_free_of(self, *secrets: str) -> None:
        """No secret, nor a good part of one, nor its bytes in another dress."""
        written = self.read()
        assert written, "something was logged"
        for secret in secrets:
            assert len(secret) >= 8
            # A token's first characters (kind and key) are safe to show; a run from its middle is not.
            middle = secret if len(secret) < 24 else secret[len(secret) // 2 : len(secret) // 2 + 12]
            for form in (secret, middle, base64.b64encode(secret.encode()).decode().rstrip("=")):
                assert form not in written, f"{secret[:8]}… was logged"


@pytest.fixture(params=["serve", "default"])
def log(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[Log]:
    """The log as `latchstring serve` configures it, and as structlog does for an application that embeds us."""
    from latchstring.cli.workers import configure_logging

    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.ERROR, logger="httpx")  # the test's own browser
    log = Log(caplog)
    structlog.reset_defaults()
    if request.param == "serve":
        configure_logging()
    structlog.configure(cache_logger_on_first_use=False, logger_factory=structlog.PrintLoggerFactory(log.sink))
    yield log
    structlog.reset_defaults()


async def test_log_of_the_whole_loop_and_its_refusals_holds_no_secret(world: World, log: Log) -> None:
    """I7, DOT #1735."""
    http, app = world.http, world.app
    secret = app.secret
    assert secret is not None
    seen: list[str] = [secret, world.guard[1], PASSWORD, VERIFIER]

    challenge = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    page = await open_consent(http, app, redirect_uri=REDIRECT_URI, **challenge)
    form = find_form(page, "/consent")
    seen += [http.cookies[SESSION], form.fields["csrf_token"], form.fields["request"]]
    await submit(http, page, form, decision="allow", organization_id="x", csrf_token="not-the-right-one")
    code = answer_of(await decide(http, page, "allow", world.acorn))["code"]
    seen.append(code)
    for parameters in (
        {},
        {"code_verifier": "A" * 43},
        {"code_verifier": VERIFIER, "redirect_uri": "https://x.example"},
    ):
        await exchange(http, app, code, **parameters)
    await exchange(http, await world.deployment.app(world.acorn), code)
    first = (await exchange(http, app, code, code_verifier=VERIFIER, redirect_uri=REDIRECT_URI)).json()
    seen += [first["access_token"], first["refresh_token"]]
    second = (await refresh(http, app, first["refresh_token"])).json()
    third = (await refresh(http, app, second["refresh_token"], scope="all.full_access")).json()
    await refresh(http, app, third["refresh_token"], scope="everything")
    seen += [token for answer in (second, third) for token in (answer["access_token"], answer["refresh_token"])]
    await introspect(http, world.guard, third["access_token"])
    await http.post("/oauth2/introspect/", data={"token": third["access_token"]}, auth=(world.guard[0], secret))
    await http.get("/oauth2/token/", params=app.body(refresh_token=third["refresh_token"]))
    await http.post(
        "/oauth2/token/", params=app.body(code=code), data=app.body(grant_type="password", password=PASSWORD)
    )
    await http.post("/oauth2/token/", data=app.body(refresh_token=third["refresh_token"]), auth=(app.client_id, secret))
    await http.post("/oauth2/token/", json=app.body(refresh_token=third["refresh_token"]))
    await http.post("/oauth2/token/", data={**app.body(), "client_secret": secret[:-1], "grant_type": "refresh_token"})
    await refresh(http, app, first["refresh_token"])  # reuse
    await refresh(http, app, third["refresh_token"])
    fourth = await connect(world)
    seen += [fourth["access_token"], fourth["refresh_token"]]
    await http.post("/oauth2/revoke/", data=app.body(token=fourth["access_token"]))
    await http.post("/oauth2/revoke/", data={"token": fourth["refresh_token"], "client_id": app.client_id})
    replaced = await world.deployment.services.client_secrets.replace(app.record)
    assert replaced is not None
    await refresh(http, app, fourth["refresh_token"])
    log.assert_free_of(*seen, replaced)


@pytest.mark.parametrize("error", [RuntimeError("broken"), StoreUnavailable("gone")], ids=["defect", "store"])
async def test_log_of_a_failure_in_the_middle_of_everything_holds_no_secret(
    world: World, log: Log, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """CVE-2023-37260: a traceback tells where, not with what."""
    http, app, store = world.http, world.app, world.deployment.store
    secret = app.secret
    assert secret is not None
    tokens = await connect(world)
    grant = await find_grant(world, tokens["access_token"])
    page = await open_consent(http, app)
    consent = find_form(page, "/consent")
    sign_in = {"email": "ann@example.com", "password": PASSWORD, "csrf_token": consent.fields["csrf_token"]}

    async def broken(*_: Any, **__: Any) -> None:
        raise error

    for name in ("find_grant", "commit_rotation", "commit_consent", "create_session", "find_clients_for_user"):
        monkeypatch.setattr(store, name, broken)
    answers: list[httpx.Response] = [
        await refresh(http, app, tokens["refresh_token"]),
        await http.post(
            "/oauth2/token/",
            data={"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]},
            auth=(app.client_id, secret),
        ),
        await http.post("/oauth2/revoke/", data=app.body(token=tokens["refresh_token"])),
        await http.post("/oauth2/introspect/", data={"token": tokens["access_token"]}, auth=world.guard),
        await submit(http, page, consent, decision="allow", organization_id=world.acorn),
        await http.get("/apps"),
        await http.post("/sign-in", data=sign_in),
    ]
    assert {answer.status_code for answer in answers} == ({500} if isinstance(error, RuntimeError) else {503})
    secrets = [secret, world.guard[1], PASSWORD, *(tokens[name] for name in ("access_token", "refresh_token"))]
    secrets += [http.cookies[SESSION], consent.fields["request"], consent.fields["csrf_token"]]
    written = log.read()
    assert written.count("store_unavailable" if isinstance(error, StoreUnavailable) else "server_error") >= 6
    assert not isinstance(error, RuntimeError) or "in broken" in written, "the defect can be found"
    log.assert_free_of(*secrets)
    assert grant.row_secret.hex() not in written
    assert repr(grant.row_secret)[2:-1] not in written
    for answer in answers:
        for value in secrets:
            assert value not in answer.text
            assert value not in str(answer.headers)


async def test_addresses_of_the_loop_hold_no_secret_but_the_code_on_its_way(world: World) -> None:
    """I7, CVE-2026-34969: nothing else ever stands in a URL."""
    addresses: list[str] = []

    async def note(response: httpx.Response) -> None:
        addresses.extend((str(response.request.url), response.headers.get("location", "")))

    world.http.event_hooks["response"].append(note)
    page = await open_consent(world.http, world.app, redirect_uri=REDIRECT_URI, state="s")
    cookie, request = world.http.cookies[SESSION], find_form(page, "/consent").fields["request"]
    code = answer_of(await decide(world.http, page, "allow", world.acorn))["code"]
    tokens = (await exchange(world.http, world.app, code, redirect_uri=REDIRECT_URI)).json()
    await refresh(world.http, world.app, tokens["refresh_token"])
    await world.http.post("/oauth2/revoke/", data=world.app.body(token=tokens["refresh_token"]))
    with_code = [address for address in addresses if code in address]
    assert [address.partition("?")[0] for address in with_code] == [REDIRECT_URI]
    for secret in (tokens["access_token"], tokens["refresh_token"], world.app.secret or "", cookie, request, PASSWORD):
        assert not [address for address in addresses if secret in address]


async def test_records_and_settings_print_without_their_secrets(world: World) -> None:
    """DESIGN §10: every repr is safe to log."""
    tokens = await connect(world)
    grant = await find_grant(world, tokens["access_token"])
    user = await world.deployment.store.find_user(world.ann)
    assert user is not None
    record = world.app.record
    codec = world.deployment.codec
    parsed = [
        codec.parse_refresh_token(tokens["refresh_token"]),
        codec.parse_access_token(tokens["access_token"]),
    ]
    shown = " ".join(map(repr, [grant, user, record, world.deployment.settings, codec, *parsed]))
    assert user.password_hash not in shown
    assert repr(grant.row_secret)[2:-1] not in shown
    assert repr(record.secrets[0].secret_hash)[2:-1] not in shown
    for token in (tokens["access_token"], tokens["refresh_token"], world.app.secret or ""):
        assert token not in shown
    refresh_token = codec.parse_refresh_token(tokens["refresh_token"])
    assert refresh_token is not None
    assert repr(refresh_token.mac)[2:-1] not in shown
