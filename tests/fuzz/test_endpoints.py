"""Every endpoint, with whatever: an answer of its own kind, never a 5xx, never what was sent (RFC 6749 §5.2)."""

import inspect
from collections.abc import Iterator
from functools import cache

import pytest

from latchstring.web.app import Application
from latchstring.web.asgi import MAX_BODY_SIZE
from tests.fuzz.arena import Arena, open_arena
from tests.fuzz.endpoints import Endpoint, build_search, find_endpoints, verify_answer, was_reached
from tests.fuzz.linear import verify_linear
from tests.fuzz.requests import Sent, sweep
from tests.fuzz.vocabulary import header_names, parameter_names
from tests.web.wire import FORM, Answer

pytestmark = pytest.mark.xdist_group("fuzz-endpoints")
EXAMPLES = 60


@cache
def _endpoints() -> list[Endpoint]:
    with open_arena() as arena:
        return list(find_endpoints(arena.deployment.application))


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with open_arena() as opened:
        yield opened


EVERY_ENDPOINT = pytest.mark.parametrize("endpoint", _endpoints(), ids=str)


@EVERY_ENDPOINT
def test_endpoint_with_nearly_right_requests_answers_within_its_alphabet(arena: Arena, endpoint: Endpoint) -> None:
    """T11, A2, A16: no 5xx, no byte of the request's in an error, no way off the server."""
    arena.renew()
    statuses: set[int] = set()
    build_search(arena, endpoint, statuses, EXAMPLES)()
    assert was_reached(statuses), f"it was never reached: {statuses}"


@EVERY_ENDPOINT
def test_endpoint_with_any_field_hostile_answers_within_its_alphabet(arena: Arena, endpoint: Endpoint) -> None:
    """The same, with nothing left to chance: each field of a good request in turn."""
    arena.renew()
    for sent in sweep(*endpoint):
        answer, secret = arena.send(sent)
        if answer.status == 405:
            break
        verify_answer(answer, secret, sent.method)


# Where a request can be long, and what has been slow in others: pairs, escapes, preferences, nesting.
_PIECES = (b"a", b"a=1&", b"%41", b"+", b"en;q=0.1,", b", 1.2.3.4", b"a=b; ", b"A.", b"[", b"\\", b" ", b"=")


@EVERY_ENDPOINT
def test_endpoint_with_a_long_request_takes_linear_time(arena: Arena, endpoint: Endpoint) -> None:
    """CVE-2026-4634: body, query and every header that is read."""
    arena.renew()
    path = endpoint.path.replace("{", "").replace("}", "")
    places = [("body", b""), ("query", b""), *(("header", name) for name in header_names())]
    for place, header in places:
        for piece in _PIECES if place != "header" else _PIECES[::3]:

            def run(size: int, place: str = place, header: bytes = header, piece: bytes = piece) -> None:
                text = b"client_id=x&" * (place != "header") + piece * (size // len(piece))
                headers = [(header, text)] if place == "header" else []
                query, body = (text, b"") if place == "query" else (b"", text if place == "body" else b"")
                sent = Sent(endpoint.method, path, query, (FORM, *headers), body)
                answer, secret = arena.send(sent)
                verify_answer(answer, secret, endpoint.method)

            verify_linear(run, MAX_BODY_SIZE if place == "body" else MAX_BODY_SIZE // 4)


def test_endpoints_are_found_and_words_with_them() -> None:
    """A search that finds nothing would pass everything above."""
    names = {str(endpoint) for endpoint in _endpoints()}
    assert {
        "POST /oauth2/token",
        "GET /oauth2/authorize",
        "POST /consent",
        "GET /.well-known/oauth-authorization-server",
    } <= names
    told_by_their_beginning = inspect.getsource(Application.__call__).count("startswith(")
    assert told_by_their_beginning == 2, "a route that is in no table: add it to find_endpoints"
    assert {"grant_type", "code_verifier", "redirect_uri", "decision", "csrf_token"} <= set(parameter_names())
    assert {b"authorization", b"accept-language", b"cookie"} <= set(header_names())


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(500, [], b""), id="5xx"),
        pytest.param(Answer(303, [(b"location", b"https://zebra.example/cb?code=1")], b""), id="open redirect"),
        pytest.param(Answer(303, [(b"location", b"//zebra.example/")], b""), id="open redirect without a scheme"),
        pytest.param(
            Answer(303, [(b"location", b"https://app.example/callback?error=a%22b")], b""), id="quote in an error"
        ),
        pytest.param(Answer(303, [(b"location", "/sign-in?x=é".encode())], b""), id="bytes beyond ASCII"),
        pytest.param(Answer(200, [(b"x-a", b"1\r\nX-Zebra: 1")], b""), id="split header"),
        pytest.param(
            Answer(
                400,
                [(b"content-type", b"application/json"), (b"cache-control", b"no-store")],
                b'{"error":"invalid_grant","error_description":"no zebra here"}',
            ),
            id="reflected",
        ),
        pytest.param(
            Answer(
                400,
                [(b"content-type", b"application/json"), (b"cache-control", b"no-store")],
                b'{"error":"invalid_grant","error_description":"caf\\u00e9"}',
            ),
            id="beyond the alphabet",
        ),
        pytest.param(
            Answer(
                200,
                [
                    (b"content-type", b"text/html; charset=utf-8"),
                    (b"x-content-type-options", b"nosniff"),
                    (b"content-security-policy", b"default-src 'none'"),
                ],
                b"<p><zebra \"'></p>",
            ),
            id="markup",
        ),
    ],
)
def test_answer_that_breaks_a_rule_is_a_finding(answer: Answer) -> None:
    with pytest.raises(AssertionError):
        verify_answer(answer)
