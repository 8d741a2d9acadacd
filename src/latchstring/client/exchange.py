"""One HTTP request and its answer, as the flows see them and as an observer is shown them."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

import httpx
import msgspec

from latchstring.client.redact import redact_form, redact_headers, redact_json, redact_url, scrub

_SHOWN_TEXT = 500


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a flow asks to be sent: a GET, or a POST of a form, as JSON for those who read nothing else."""

    url: str
    form: Mapping[str, str] | None = None
    headers: Mapping[str, str] = {}
    is_json: bool = False

    @property
    def method(self) -> str:
        return "GET" if self.form is None else "POST"

    def __repr__(self) -> str:
        return f"Request({self.method} {redact_url(self.url)})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("method", self.method), ("url", redact_url(self.url))]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back, whole and within the size cap. `sent_at` is when the request left (epoch seconds)."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent_at: float

    def __repr__(self) -> str:
        return f"Answer(status={self.status}, {len(self.body)} bytes)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("status", self.status), ("size", len(self.body))]


class Unanswered(msgspec.Struct, frozen=True, kw_only=True):
    """No usable answer. `may_have_arrived` is false when the request certainly never reached the server."""

    may_have_arrived: bool
    cause: Exception


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """A request and its answer for people to read: every credential is already cut (`redact`).

    `status` is None and `failure` says why when no answer came. `response_text` holds the beginning of an
    answer that is not JSON. `seconds` is how long it took.
    """

    method: str
    url: str
    request_headers: Mapping[str, str]
    request_form: Mapping[str, str] | None
    status: int | None = None
    response_headers: Mapping[str, str] = {}
    response_json: object = None
    response_text: str = ""
    failure: str | None = None
    seconds: float = 0.0


def show_exchange(request: Request, outcome: Answer | Unanswered, seconds: float) -> Exchange:
    """A flow's own exchange, with its credentials cut."""
    shown = Exchange(
        method=request.method,
        url=redact_url(request.url),
        request_headers=redact_headers(request.headers),
        request_form=None if request.form is None else redact_form(request.form),
        seconds=seconds,
    )
    if isinstance(outcome, Unanswered):
        cause = f"{type(outcome.cause).__name__}: {outcome.cause}"
        return msgspec.structs.replace(shown, failure=scrub(cause.rstrip(": ")))
    json, text = _show_body(outcome.body)
    return msgspec.structs.replace(
        shown,
        status=outcome.status,
        response_headers=redact_headers(outcome.headers),
        response_json=json,
        response_text=text,
    )


def show_response(response: httpx.Response) -> Exchange:
    """An exchange of the app's own, such as an API call whose body has been read; its credentials are cut."""
    request = response.request
    form = None
    if request.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
        form = redact_form(dict(parse_qsl(request.content.decode("utf-8", "replace"), keep_blank_values=True)))
    json, text = _show_body(response.content)
    return Exchange(
        method=request.method,
        url=redact_url(str(request.url)),
        request_headers=redact_headers(dict(request.headers)),
        request_form=form,
        status=response.status_code,
        response_headers=redact_headers(dict(response.headers)),
        response_json=json,
        response_text=text,
        seconds=response.elapsed.total_seconds(),
    )


def _show_body(body: bytes) -> tuple[object, str]:
    try:
        return redact_json(msgspec.json.decode(body)), ""
    except (ValueError, RecursionError):
        return None, scrub(body[:_SHOWN_TEXT].decode("utf-8", "replace"))
