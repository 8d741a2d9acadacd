"""Finds every route of the application, and says what no answer of any may be."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import msgspec
from hypothesis import given, settings

from latchstring.protocol.errors import STATUS_BY_CODE
from latchstring.web.app import Application
from tests.fuzz.arena import Arena
from tests.fuzz.requests import CANARY, Sent, requests
from tests.protocol.properties import PROPERTY
from tests.support.deployment import REDIRECT_URI
from tests.web.wire import Answer

# RFC 6749 §5.2: what error and error_description may be made of; RFC 9110 §5.5 and RFC 3986: a header, a Location.
_DESCRIBABLE: Final = frozenset(chr(c) for c in range(0x20, 0x7F)) - {'"', "\\"}
_HEADER: Final = frozenset(range(0x20, 0x7F))
_URI: Final = frozenset(range(0x21, 0x7F)) - frozenset(b'"<>\\^`{|}')
_TRUSTED: Final = urlsplit(REDIRECT_URI).netloc
# What a route answers where nothing of its own has begun.
_ELSEWHERE: Final = frozenset({404, 405, 415})


class Endpoint(NamedTuple):
    """A method and a path, which may have `{parameters}`."""

    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def find_endpoints(application: Application) -> Iterator[Endpoint]:
    """Every route there is, read from the application."""
    for path in sorted(application._machines):
        if not path.endswith("/"):
            yield from (Endpoint(method, path) for method in ("GET", "POST"))
    for route, _ in application._routes:
        for method in sorted((route.methods or set()) - {"HEAD"}):
            yield Endpoint(method, route.path)
    # The two that are told by the beginning of their paths (`Application.__call__`).
    yield from (Endpoint(method, "/oauth2/register/{registered_id}") for method in ("GET", "PUT", "DELETE"))
    yield Endpoint("GET", "/static/{name}")


def build_search(
    arena: Arena, endpoint: Endpoint, statuses: set[int], max_examples: int = PROPERTY.max_examples
) -> Callable[[], None]:
    """A property to run, or to hand bytes to (its `hypothesis.fuzz_one_input`); notes the statuses it has met."""

    @settings(PROPERTY, max_examples=max_examples)
    @given(sent=requests(endpoint.method, endpoint.path))
    def search(sent: Sent) -> None:
        answer, secret = arena.send(sent)
        if sent.method == endpoint.method:
            statuses.add(answer.status)
        verify_answer(answer, secret, sent.method)

    return search


def was_reached(statuses: set[int]) -> bool:
    """Whether any of the answers came from the endpoint itself, be it that the method is not one of its."""
    return bool(statuses - _ELSEWHERE) or 405 in statuses


def verify_answer(answer: Answer, secret: bytes = b"\0", method: str = "GET") -> None:
    """Never a 5xx, never a header or an error beyond its alphabet, never a way off the server that nobody
    registered, never markup or secrets of the request's."""
    assert 200 <= answer.status < 500, answer
    for name, value in answer.headers:
        assert _HEADER.issuperset(name + value), (name, value)
        assert b"zebra" not in name.lower(), (name, value)
    locations = answer.find("location")
    assert len(locations) == (300 <= answer.status < 400), answer.headers
    for location in locations:
        _verify_location(location)
    (kind,) = answer.find("content-type") or [""]
    if kind == "application/json" and answer.status >= 400 and method != "HEAD":
        _verify_refusal(answer, secret)
    elif kind.startswith("text/html"):
        assert kind == "text/html; charset=utf-8"
        assert answer.find("x-content-type-options") == ["nosniff"]
        assert b"default-src 'none'" in dict(answer.headers)[b"content-security-policy"]
        assert CANARY.encode() not in answer.body
        assert b"<zebra" not in answer.body
    else:
        assert answer.status < 400 or not answer.body or method == "HEAD", answer


def _verify_refusal(answer: Answer, secret: bytes) -> None:
    body = msgspec.json.decode(answer.body, type=dict[str, str])
    assert body["error"] in STATUS_BY_CODE, body
    assert _DESCRIBABLE.issuperset(body["error"] + body["error_description"]), body
    assert answer.find("cache-control") == ["no-store"]
    assert b"zebra" not in answer.body.lower(), answer.body
    assert secret not in answer.body


def _verify_location(location: str) -> None:
    assert _URI.issuperset(location.encode()), location
    parts = urlsplit(location)
    if not parts.scheme:
        assert location.startswith("/"), location
        assert not location.startswith(("//", "/\\")), location
        return
    assert (parts.scheme, parts.netloc) == ("https", _TRUSTED), location
    answer = dict(parse_qsl(parts.query, keep_blank_values=True))
    assert not parts.fragment
    assert ("code" in answer) != ("error" in answer), location
    assert _DESCRIBABLE.issuperset(answer.get("error", "") + answer.get("error_description", "")), location
    assert answer.get("error", "invalid_request") in STATUS_BY_CODE, location
