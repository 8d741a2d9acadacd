"""What every answer of a kind has in common, asserted in one place."""

import re
from html.parser import HTMLParser

import httpx

REQUEST_ID = re.compile(r"req_[0-9a-f]{20,40}")
# RFC 6749 §5.2: what error_description may be made of.
_DESCRIBABLE = {chr(c) for c in range(0x20, 0x7F)} - {'"', "\\"}


def assert_refused(response: httpx.Response, status: int, error: str, description: str = "") -> None:
    """A refusal of a machine endpoint: exact status and code, never cached, nothing but what OAuth defines."""
    assert response.headers.get("content-type") == "application/json", response.text
    body = response.json()
    assert (response.status_code, body.get("error")) == (status, error), response.text
    assert body.keys() == {"error", "error_description"}
    assert body["error_description"].startswith(description), body["error_description"]
    assert set(body["error_description"]) <= _DESCRIBABLE
    assert_machine_headers(response)


def assert_machine_headers(response: httpx.Response) -> None:
    """What a machine endpoint always sends, and what it never does."""
    headers = response.headers
    assert headers.get_list("cache-control") == ["no-store"]
    assert headers.get_list("pragma") == ["no-cache"]
    assert headers["x-content-type-options"] == "nosniff"
    assert REQUEST_ID.fullmatch(headers["x-request-id"])
    assert "location" not in headers
    assert "set-cookie" not in headers
    assert not [name for name in headers if name.startswith("access-control-")]


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))


def read_elements(html: str) -> list[tuple[str, dict[str, str]]]:
    """Every start tag with its attributes."""
    reader = _Elements()
    reader.feed(html)
    return reader.found


def assert_page(response: httpx.Response, status: int) -> None:
    """A page with every header it needs (A19, A20), no inline script, and nothing from a third party."""
    assert response.status_code == status, f"{response.status_code} instead of {status}\n{response.text[:3000]}"
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "location" not in response.headers
    assert_page_headers(response)
    for tag, attributes in read_elements(response.text):
        if tag in {"script", "img", "iframe", "embed", "object", "video", "audio"}:
            assert attributes.get("src", "").startswith("/static/"), (tag, attributes)
        if tag == "link":
            assert attributes["href"].startswith("/static/"), attributes
        assert tag not in {"style", "base", "iframe", "object", "embed"}
        assert not [name for name in attributes if name.startswith("on") or name == "style"], (tag, attributes)


def assert_page_headers(response: httpx.Response) -> None:
    """The headers of pages and of the redirects between them."""
    headers = response.headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == "'none'"
    assert (policy["script-src"], policy["style-src"]) == ("'self'", "'self'")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "camera=()" in headers["permissions-policy"]
    if response.url.scheme == "https":
        assert headers["strict-transport-security"] == "max-age=31536000"
    assert REQUEST_ID.fullmatch(headers["x-request-id"])
    assert not [name for name in headers if name.startswith("access-control-")]


def assert_leads_nowhere(response: httpx.Response, uri: str = "") -> None:
    """An error page from which neither header, refresh nor link leads off the server (A1, A2)."""
    assert "location" not in response.headers
    assert "refresh" not in response.headers
    for tag, attributes in read_elements(response.text):
        assert "http-equiv" not in attributes, (tag, attributes)
        for name in ("href", "action", "formaction", "src", "data", "content", "srcdoc"):
            target = attributes.get(name, "")
            assert "://" not in target, (tag, attributes)
            assert not uri or uri not in target, (tag, attributes)
            assert not re.match(r"(?i)\s*(javascript|data|//|\\)", target), (tag, attributes)


def assert_sent_back(response: httpx.Response, redirect_uri: str, error: str) -> dict[str, str]:
    """A refusal that goes to the app: by 303, with `iss`; the answer's parameters."""
    from tests.support.journey import answer_of

    answer = answer_of(response)
    assert response.headers["location"].startswith(redirect_uri), response.headers["location"]
    assert answer["error"] == error, answer
    assert set(answer["error_description"]) <= _DESCRIBABLE
    assert "code" not in answer
    assert answer["iss"] == "https://auth.example"
    assert_page_headers(response)
    return answer
