"""Whatever is sent, nothing breaks: no 5xx, no redirect off the server, no half answer (bounded, repeatable)."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from latchstring.web.cookies import session_cookie_name
from tests.support.deployment import REDIRECT_URI, deploy, hash_password
from tests.web.answers import REQUEST_ID
from tests.web.conftest import World, build_world
from tests.web.state import connect
from tests.web.wire import FORM, Answer, ask

MACHINES = ["/oauth2/token", "/oauth2/revoke", "/oauth2/introspect", "/oauth2/par"]
PAGES = ["/oauth2/authorize", "/sign-in", "/sign-out", "/consent", "/apps/new", "/apps/x", "/connections/x/disconnect"]

NAMES = st.sampled_from(
    [
        "client_id", "client_secret", "grant_type", "code", "refresh_token", "token", "token_type_hint", "redirect_uri",
        "code_verifier", "scope", "state", "response_type", "response_mode", "code_challenge", "code_challenge_method",
        "organization_id", "resource", "request", "request_uri", "decision", "email", "password", "csrf_token",
        "continue", "name", "description", "redirect_uris", "terms_uri", "policy_uri", "is_public", "", "x",
    ]
)  # fmt: skip
HEADERS = st.sampled_from(
    [
        b"authorization", b"content-type", b"content-length", b"cookie", b"accept-language", b"accept", b"host",
        b"origin", b"referer", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"forwarded", b"dpop",
        b"transfer-encoding", b"user-agent", b"x-request-id", b"if-none-match", b"range", b"x",
    ]
)  # fmt: skip
PIECES = st.sampled_from(
    [b"Basic ", b"Bearer ", b"ls_at_", b"ls_rt_", b"ls_ac_", b"=", b"%00", b"%", b"\r\n", b"\0", b";q="]
)
NOISE = st.binary(max_size=200) | st.lists(PIECES | st.binary(max_size=20), max_size=6).map(b"".join)
EXAMPLES = settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
Result = TypeVar("Result")


class Bench:
    """One deployment for all examples of a test, in a loop of its own: Hypothesis calls, and is not a coroutine."""

    def __init__(self, directory: Path) -> None:
        self._runner = asyncio.Runner()
        self._deployed = deploy(directory)
        self._runner.run(self._begin())

    async def _begin(self) -> None:
        deployment = await self._deployed.__aenter__()
        directory: Any = deployment.services.authenticate
        directory.__self__._decoy = hash_password()
        self.world: World = await build_world(deployment, deployment.http())
        self.session = await deployment.services.login.begin(self.world.ann)
        self.tokens = await connect(self.world)

    def close(self) -> None:
        self._runner.run(self._deployed.__aexit__(None, None, None))
        self._runner.close()

    def run(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        return self._runner.run(work())

    def ask(self, method: str, path: str, **options: Any) -> Answer:
        """One request; what holds for every answer to a stranger is asserted here."""
        answer = self.run(lambda: ask(self.world.deployment.application, method, path, **options))
        assert answer.status < 500, (method, path, options, answer)
        assert REQUEST_ID.fullmatch(answer.find("x-request-id")[0])
        for name, value in answer.headers:
            assert b"\r" not in name + value, answer.headers
            assert b"\n" not in name + value, answer.headers
        for location in answer.find("location"):
            assert location.startswith(("/", REDIRECT_URI)), location
            assert not location.startswith(("//", "/\\")), location
        if path.startswith("/oauth2/") and "authorize" not in path:
            assert answer.find("content-type") == ["application/json"]
            assert answer.find("cache-control") == ["no-store"]
        return answer


@pytest.fixture(scope="module")
def bench(empty_database: Path):
    with tempfile.TemporaryDirectory(prefix="latchstring-") as directory:
        shutil.copyfile(empty_database, Path(directory) / "latchstring.db")
        bench = Bench(Path(directory))
        yield bench
        bench.close()


def credentials(bench: Bench) -> dict[str, str]:
    """The app's own, so that noise gets past the authentication."""
    return bench.world.app.body()


@EXAMPLES
@given(path=st.sampled_from(MACHINES + PAGES), body=NOISE)
def test_random_body_is_never_a_5xx(bench: Bench, path: str, body: bytes) -> None:
    bench.ask("POST", path, headers=[FORM], body=body)


@EXAMPLES
@given(path=st.sampled_from(MACHINES), pairs=st.lists(st.tuples(NAMES, st.text(max_size=60)), max_size=8))
def test_random_parameters_of_an_authenticated_client_are_never_a_5xx(
    bench: Bench, path: str, pairs: list[tuple[str, str]]
) -> None:
    grant_types = ("authorization_code", "refresh_token", "client_credentials")
    for grant_type in grant_types if path == "/oauth2/token" else grant_types[:1]:
        given = {**credentials(bench), "grant_type": grant_type, "response_type": "code"}
        content = urlencode([*given.items(), *pairs]).encode()
        bench.ask("POST", path, headers=[FORM], body=content)


@EXAMPLES
@given(
    path=st.sampled_from(MACHINES),
    kind=st.sampled_from(["access_token", "refresh_token"]),
    at=st.integers(0, 200),
    noise=st.text(max_size=8),
    keeps_end=st.booleans(),
)
def test_damaged_token_is_never_a_5xx(bench: Bench, path: str, kind: str, at: int, noise: str, keeps_end: bool) -> None:
    """Issue 2: cut, extended or bit-flipped is inactive, never an error page."""
    token = bench.tokens[kind]
    damaged = token[:at] + noise + (token[at + 1 :] if keeps_end else "")
    if damaged == token:
        return
    given = {"token": damaged, "code": damaged, "refresh_token": damaged}
    for grant_type in ("authorization_code", "refresh_token"):
        content = urlencode({**credentials(bench), **given, "grant_type": grant_type}).encode()
        answer = bench.ask("POST", path, headers=[FORM], body=content)
        if path == "/oauth2/introspect" and damaged and "\0" not in damaged:
            assert (answer.status, answer.body) == (200, b'{"active":false}')


@EXAMPLES
@given(pairs=st.lists(st.tuples(NAMES, st.text(max_size=60)), max_size=8), is_known=st.booleans())
def test_random_authorization_request_is_never_a_5xx(
    bench: Bench, pairs: list[tuple[str, str]], is_known: bool
) -> None:
    known = [("client_id", bench.world.app.client_id), ("response_type", "code")] if is_known else []
    query = urlencode([*known, *pairs]).encode()
    for headers in ([], [(b"cookie", cookie_of(bench))]):
        bench.ask("GET", "/oauth2/authorize", query=query, headers=headers)
        bench.ask("POST", "/oauth2/authorize/", body=query, headers=[FORM, *headers])


@EXAMPLES
@given(query=NOISE)
def test_random_query_bytes_are_never_a_5xx(bench: Bench, query: bytes) -> None:
    known = b"client_id=%s&response_type=code&state=" % bench.world.app.client_id.encode()
    for path in ("/oauth2/authorize", "/sign-in", "/connections", "/apps"):
        for prefix in (b"", known, b"continue=", b"disconnected="):
            bench.ask("GET", path, query=prefix + query)


@EXAMPLES
@given(path=st.sampled_from(MACHINES + PAGES), headers=st.lists(st.tuples(HEADERS, NOISE), max_size=6))
def test_random_headers_are_never_a_5xx(bench: Bench, path: str, headers: list[tuple[bytes, bytes]]) -> None:
    for method in ("GET", "POST"):
        bench.ask(method, path, headers=headers, body=urlencode(credentials(bench)).encode())
        bench.ask(method, path, headers=[FORM, *headers], body=urlencode(credentials(bench)).encode())


@EXAMPLES
@given(
    path=st.sampled_from(PAGES),
    pairs=st.lists(st.tuples(NAMES, st.text(max_size=60)), max_size=8),
    organization=st.sampled_from(["acorn", "birch"]),
)
def test_random_form_of_a_signed_in_member_is_never_a_5xx(
    bench: Bench, path: str, pairs: list[tuple[str, str]], organization: str
) -> None:
    """With the right CSRF token, so that the noise reaches what is behind it."""
    if path == "/sign-out":
        return
    codec = bench.world.deployment.codec
    token = codec.render_page_value(b"csrf", bench.session.encode(), b"")
    path = path.replace("/apps/x", f"/apps/{bench.world.app.client_id}")
    given = [("csrf_token", token), ("organization_id", getattr(bench.world, organization)), *pairs]
    headers = [FORM, (b"cookie", cookie_of(bench))]
    bench.ask("POST", path, headers=headers, body=urlencode(given).encode())


@EXAMPLES
@given(path=st.text(max_size=60), method=st.sampled_from(["GET", "POST", "HEAD", "DELETE", "OPTIONS", "X"]))
def test_random_path_is_never_a_5xx(bench: Bench, path: str, method: str) -> None:
    if path.startswith("static/"):
        return
    bench.ask(method, "/" + path)
    bench.ask(method, "/apps/" + path, headers=[(b"cookie", cookie_of(bench))])


def cookie_of(bench: Bench) -> bytes:
    """A signed-in member's."""
    return f"{session_cookie_name(bench.world.deployment.settings)}={bench.session}".encode()


@pytest.mark.parametrize("path", MACHINES + PAGES)
def test_long_headers_and_bodies_are_refused_without_a_5xx(bench: Bench, path: str) -> None:
    """Section 3, drill 7 in small: 100 KB of anything, a thousand headers, a body in a thousand pieces."""
    many = [(b"x-%d" % number, b"x" * 100) for number in range(1000)]
    for name in (b"authorization", b"cookie", b"accept-language", b"content-type", b"host"):
        bench.ask("POST", path, headers=[(name, b"x" * 100_000)])
        bench.ask("POST", path, headers=[FORM, (name, b"x," * 50_000)], body=b"a=b")
    bench.ask("POST", path, headers=[FORM, *many], body=b"a=b")
    assert bench.ask("POST", path, headers=[FORM], body=b"x" * 1_000_000).status in {303, 403, 413}
    assert bench.ask("POST", path, headers=[FORM], body=[b"a=b&"] * 30_000).status in {303, 400, 403, 413}
    bench.ask("POST", path, headers=[FORM], body=quote("🔑" * 5000).encode())
    if path not in MACHINES:
        bench.ask("GET", path, query=b"x=" + b"y" * 100_000)


def test_body_that_never_ends_is_cut_at_the_limit(bench: Bench) -> None:
    """A slow flood costs one buffer of the limit's size, not the sender's patience."""
    taken = 0

    async def work() -> int:
        nonlocal taken
        statuses = []

        async def receive() -> dict[str, Any]:
            nonlocal taken
            taken += 1
            return {"type": "http.request", "body": b"x" * 1024, "more_body": True}

        async def send(message: Any) -> None:
            statuses.append(message.get("status"))

        scope = {"type": "http", "method": "POST", "path": "/oauth2/token/", "query_string": b"", "headers": [FORM]}
        await bench.world.deployment.application(scope, receive, send)
        return int(statuses[0])

    assert bench.run(work) == 413
    assert taken <= 66
