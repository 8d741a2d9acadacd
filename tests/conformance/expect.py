"""Checks a case's answers: everything the table expects, and what every answer of its kind owes (`_verify_kind`)."""

import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx

from tests.conformance.given import World
from tests.conformance.tables import Expect, Send
from tests.support.journey import introspect

# RFC 6749 §5.2: what error and error_description may be made of.
_DESCRIBABLE: Final = frozenset(chr(c) for c in range(0x20, 0x7F)) - {'"', "\\"}
_REQUEST_ID: Final = re.compile(r"req_[0-9a-f]{16,64}")
_CHALLENGE: Final = re.compile(r'([a-z_]+)="([^"]*)"')
_ANYTHING: Final = "*"


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))


def _read_elements(response: httpx.Response) -> list[tuple[str, dict[str, str]]]:
    reader = _Elements()
    reader.feed(response.text)
    return reader.found


# -- what every answer of a kind owes, whatever the case is about


def _verify_kind(response: httpx.Response, send: Send) -> None:
    """No answer names another origin's rights, shows an error beyond RFC 6749's characters, or may be kept."""
    headers = response.headers
    path = response.request.url.path.rstrip("/")
    is_document = path.startswith(("/.well-known/", "/oauth2/jwks")) and response.status_code == 200
    assert _REQUEST_ID.fullmatch(headers["x-request-id"]) or send.to == "api"
    if not is_document:
        assert not [name for name in headers if name.startswith("access-control-")], headers
        assert headers["cache-control"] == "no-store"
    if response.status_code == 204:
        assert not response.content
        return
    if headers["content-type" if response.status_code != 303 else "cache-control"].startswith("application/"):
        _verify_machine(response, is_document=is_document, is_api=send.to == "api")
    else:
        _verify_page(response)


def _verify_machine(response: httpx.Response, *, is_document: bool, is_api: bool) -> None:
    headers = response.headers
    assert "location" not in headers
    assert "set-cookie" not in headers
    if is_document:
        return
    assert headers["x-content-type-options"] == "nosniff"
    if not is_api:
        assert headers["pragma"] == "no-cache"
    if response.status_code >= 400:
        body = response.json()
        if not is_api:
            assert body.keys() == {"error", "error_description"}
        assert set(body["error_description"]) <= _DESCRIBABLE
    if response.status_code == 503:
        assert int(headers["retry-after"]) > 0


def _verify_page(response: httpx.Response) -> None:
    headers = response.headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    for tag, attributes in _read_elements(response):
        assert tag not in {"iframe", "object", "embed", "base", "style"}, tag
        assert not [name for name in attributes if name.startswith("on") or name == "style"], (tag, attributes)
        if tag in {"script", "img", "link"}:
            assert (attributes.get("src") or attributes.get("href", "")).startswith("/static/"), (tag, attributes)
    if response.status_code == 503:
        assert int(headers["retry-after"]) > 0


# -- what the table expects


async def verify_step(world: World, send: Send, expect: Expect, responses: list[httpx.Response]) -> None:
    """Everything that the step expects of its answers and of the state they leave."""
    for response in responses:
        _verify_kind(response, send)
    if send.times > 1:
        _verify_many(expect, responses)
    response = responses[0]
    if expect.status is not None:
        status = int(world.values.fill(str(expect.status)))
        assert response.status_code == status, f"{response.status_code}: {response.text[:3000]}"
    _verify_json(world, expect, response)
    _verify_redirect(world, expect, response)
    _verify_texts(world, expect, response)
    _verify_headers(world, expect, response)
    for name, source in expect.keep.items():
        world.values.define(name, _find(source, response))
    await _verify_state(world, expect)
    if expect.same:
        assert len({world.values[name] for name in expect.same}) == 1, f"not the same: {expect.same}"
    if expect.differ:
        assert len({world.values[name] for name in expect.differ}) == len(expect.differ), (
            f"not all differ: {expect.differ}"
        )


def _name_answer(response: httpx.Response) -> str:
    if response.status_code < 400:
        return str(response.status_code)
    return f"{response.status_code} {response.json()['error']}"


def _verify_many(expect: Expect, responses: list[httpx.Response]) -> None:
    assert Counter(map(_name_answer, responses)) == expect.answers
    for member, count in expect.distinct.items():
        found = {response.json()[member] for response in responses if response.status_code == 200}
        assert len(found) == count, f"{len(found)} different values of {member}, not {count}"


def _verify_json(world: World, expect: Expect, response: httpx.Response) -> None:
    expected: dict[str, Any] = world.values.fill_all(expect.json)
    if expect.error is not None:
        assert response.headers["content-type"] == "application/json", response.text
        assert response.json()["error"] == world.values.fill(expect.error), response.text
    for name, value in expected.items():
        body = response.json()
        if value is False and name not in body:
            continue
        assert name in body, f"{name} is missing: {body}"
        if value == _ANYTHING:
            assert body[name], f"{name} is empty"
        else:
            assert body[name] == value, f"{name} is {body[name]!r}, not {value!r}"
            assert type(body[name]) is type(value)
    if expect.only:
        assert response.json().keys() == {name for name, value in expected.items() if value is not False}
    if expect.body is not None:
        assert response.text == world.values.fill(expect.body)


def _read_answer(location: str) -> dict[str, str]:
    pairs = parse_qsl(urlsplit(location).query, keep_blank_values=True, strict_parsing=True)
    assert len({name for name, _ in pairs}) == len(pairs), f"a parameter stands twice: {pairs}"
    return dict(pairs)


def _verify_redirect(world: World, expect: Expect, response: httpx.Response) -> None:
    if expect.redirect_to is not None:
        target = world.values.fill(expect.redirect_to)
        location = response.headers["location"]
        assert location.startswith(target), location
        assert location[len(target) :][:1] == ("&" if "?" in target else "?"), location
        _verify_answer(world, expect, target, _read_answer(location))
    elif expect.leads_to is not None:
        location = response.headers["location"]
        assert location.startswith("/"), location
        assert not location.startswith("//"), location
        assert urlsplit(location).path == world.values.fill(expect.leads_to), location
    else:
        assert "location" not in response.headers, response.headers["location"]
    if expect.posts_to is not None:
        target = world.values.fill(expect.posts_to)
        _verify_answer(world, expect, target, _read_posted(response, target, is_automatic=True))
        source = target.partition("?")[0]
        assert f"form-action {source} https:;" in response.headers["content-security-policy"]
    if expect.announces is not None:
        target = world.values.fill(expect.announces)
        links = [attributes.get("href", "") for tag, attributes in _read_elements(response) if tag == "a"]
        if links:
            [link] = links
            assert link.startswith(target), link
            _verify_answer(world, expect, target, _read_answer(link))
        else:
            _verify_answer(world, expect, target, _read_posted(response, target, is_automatic=False))


def _verify_answer(world: World, expect: Expect, target: str, answer: dict[str, str]) -> None:
    own = dict(parse_qsl(urlsplit(target).query, keep_blank_values=True))
    answer = {name: value for name, value in answer.items() if name not in own}
    if "error" in expect.query:
        assert set(answer.pop("error_description", "")) <= _DESCRIBABLE
    expected = world.values.fill_all(expect.query)
    assert answer.keys() == expected.keys(), answer
    for name, value in expected.items():
        assert answer[name] == value or (value == _ANYTHING and answer[name]), f"{name}: {answer}"


def _read_posted(response: httpx.Response, target: str, *, is_automatic: bool) -> dict[str, str]:
    """The fields of the page's only form, which posts there; by itself exactly where it may."""
    assert "http-equiv" not in response.text
    elements = _read_elements(response)
    [form] = [attributes for tag, attributes in elements if tag == "form"]
    assert (form["action"], form["method"]) == (target, "post")
    assert ("data-automatic" in form) is is_automatic
    assert [tag for tag, attributes in elements if tag == "button" and attributes.get("type") == "submit"]
    fields = [(attributes["name"], attributes["value"]) for tag, attributes in elements if tag == "input"]
    assert len(dict(fields)) == len(fields), f"a field stands twice: {fields}"
    return dict(fields)


def _verify_texts(world: World, expect: Expect, response: httpx.Response) -> None:
    if expect.page or expect.form is not None:
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert "refresh" not in response.headers
    if expect.page:
        for tag, attributes in _read_elements(response):
            assert "http-equiv" not in attributes, (tag, attributes)
            for name in ("href", "action", "formaction", "src", "data", "srcdoc"):
                target = attributes.get(name, "/").strip()
                assert re.match(r"/(?!/)|#|\?", target) or not target, (tag, attributes)
    if expect.form is not None:
        actions = [attributes.get("action", "") for tag, attributes in _read_elements(response) if tag == "form"]
        assert expect.form in actions, f"the forms post to {actions}"
    for text in world.values.fill_all(expect.says):
        assert text in response.text, f"not there: {text}"
    everything = response.text + "\n".join(f"{name}: {value}" for name, value in response.headers.items())
    for text in world.values.fill_all(expect.never):
        assert text
        assert text not in everything, f"reflected: {text}"


def _verify_headers(world: World, expect: Expect, response: httpx.Response) -> None:
    for name, expected in expect.headers.items():
        if isinstance(expected, bool):
            assert (name in response.headers) is expected, response.headers
        else:
            assert response.headers.get_list(name) == [world.values.fill(expected)]
    if expect.challenge:
        (header,) = response.headers.get_list("www-authenticate")
        scheme, _, rest = header.partition(" ")
        given = {"scheme": scheme, **dict(_CHALLENGE.findall(rest))}
        for name, expected in expect.challenge.items():
            if expected is False:
                assert name not in given, header
            else:
                assert isinstance(expected, str)
                assert given.get(name) == world.values.fill(expected) or (expected == _ANYTHING and given[name]), header


async def _verify_state(world: World, expect: Expect) -> None:
    if expect.grant is not None or expect.ended_reason is not None:
        grant = await world.find_grant()
        assert grant is not None
        assert grant.status == (expect.grant or "ended"), f"the grant is {grant.status} ({grant.ended_reason})"
        if expect.ended_reason is not None:
            assert grant.ended_reason == expect.ended_reason
    if expect.grants is not None:
        grants = await world.deployment.store.find_grants(user_id=world.user_id, organization_id=None)
        assert len(grants) == expect.grants
    for name, is_alive in (*((name, True) for name in expect.alive), *((name, False) for name in expect.dead)):
        answer = await introspect(world.browser("a guard"), world.shared.guard, world.values[name])
        assert answer["active"] is is_alive, f"{name} is {'alive' if answer['active'] else 'dead'}"


def _find(source: str, response: httpx.Response) -> str:
    kind, _, name = source.partition(".")
    if kind == "json":
        return str(response.json()[name])
    if kind == "query":
        return _read_answer(response.headers["location"])[name]
    if kind == "location":
        return urlsplit(response.headers["location"]).query
    if kind == "field":
        return next(a["value"] for tag, a in _read_elements(response) if tag == "input" and a.get("name") == name)
    if kind == "header":
        return str(response.headers[name])
    raise AssertionError(f"an answer has no {source!r}")
