"""The panel: every request and answer of the loop, in order, as the page shows them. Credentials come cut."""

import re
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import httpx
import msgspec

from latchstring.client import Exchange, redact_url, show_response
from latchstring.demo.sample_app_words import API, APP, BROWSER, MEANINGS, SERVER, explain_browser, explain_exchange

_KEPT: Final = 40
_MAX_LINES: Final = 40
_SHOWN_HEADERS: Final = ("Location", "Retry-After", "WWW-Authenticate", "Cache-Control", "X-Request-Id")
_FLAT_LIST: Final = re.compile(r"\[\s+([^\[\]{}]*?)\s+\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter and what it is for."""

    name: str
    value: str
    meaning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One request, and its answer if Mailloop saw it."""

    number: int
    sender: str
    receiver: str
    sentence: str
    method: str
    url: str
    parameters: Sequence[Parameter] = ()
    headers: Sequence[tuple[str, str]] = ()
    status: str = ""
    is_refused: bool = False
    answer_headers: Sequence[tuple[str, str]] = ()
    body: str = ""


@dataclass(slots=True, kw_only=True, eq=False)
class Action:
    """One press of a button, the steps that it took, and how it ended.

    `tone` is good, note or bad. `sentence` takes the place of the steps' own where the action is a lesson.
    """

    title: str
    at: str
    steps: list[Step] = field(default_factory=list)
    outcome: str = ""
    tone: str = "good"
    sentence: str = ""


class Note(str):
    """An outcome that is neither a success nor a failure."""

    __slots__ = ()


_current: ContextVar[Action | None] = ContextVar("_current", default=None)


class Panel:
    """The last actions, newest first. One for the whole app: Mailloop has no accounts of its own."""

    def __init__(self, *, issuer: str, api_base_url: str) -> None:
        self._issuer = issuer
        self._api = api_base_url
        self._count = 0
        self._logins: dict[str, Action] = {}
        self.actions: deque[Action] = deque(maxlen=_KEPT)

    @contextmanager
    def action(self, title: str, *, state: str | None = None) -> Iterator[Action]:
        """What happens inside belongs to one action; a callback's to the login with its `state`."""
        action = self._logins.pop(state, None) if state else None
        if action is None:
            action = Action(title=title, at=time.strftime("%H:%M:%S"))
        if action in self.actions:
            self.actions.remove(action)
        self.actions.appendleft(action)
        token = _current.set(action)
        try:
            yield action
        finally:
            _current.reset(token)

    def add_authorization(self, url: str) -> None:
        """The browser is sent to the server."""
        action = self._add_browser_step(url, is_callback=False)
        self._logins[dict(parse_qsl(urlsplit(url).query)).get("state", "")] = action
        while len(self._logins) > _KEPT:
            del self._logins[next(iter(self._logins))]

    def add_callback(self, url: str) -> None:
        """The browser is sent back."""
        self._add_browser_step(url, is_callback=True)

    def add_exchange(self, exchange: Exchange) -> None:
        """A request of Mailloop's own: the client's `on_exchange`."""
        is_call = exchange.url.startswith(self._api)
        headers = {name.lower(): value for name, value in exchange.request_headers.items()}
        answered = exchange.status is not None
        action = self._action()
        action.steps.append(
            Step(
                number=self._next(),
                sender=APP,
                receiver=API if is_call else SERVER,
                sentence=action.sentence or explain_exchange(exchange),
                method=exchange.method,
                url=exchange.url,
                parameters=_show_parameters(exchange.request_form or {}),
                headers=[("Authorization", headers["authorization"])] if "authorization" in headers else [],
                status=_show_status(exchange.status) if exchange.status is not None else exchange.failure or "",
                is_refused=not answered or (exchange.status or 0) >= 400,
                answer_headers=_show_headers(exchange.response_headers),
                body=_show_body(exchange),
            )
        )

    async def add_response(self, response: httpx.Response) -> None:
        """A request of Mailloop's own, made with httpx: a response hook."""
        await response.aread()
        self.add_exchange(show_response(response))

    def _add_browser_step(self, url: str, *, is_callback: bool) -> Action:
        url = redact_url(url)
        query = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
        action = self._action()
        action.steps.append(
            Step(
                number=self._next(),
                sender=BROWSER,
                receiver=APP if is_callback else SERVER,
                sentence=explain_browser(query, is_callback=is_callback),
                method="GET",
                url=url.partition("?")[0],
                parameters=_show_parameters(query),
            )
        )
        return action

    def _action(self) -> Action:
        action = _current.get()
        if action is None:
            action = Action(title="In the background", at=time.strftime("%H:%M:%S"))
            self.actions.appendleft(action)
        return action

    def explain(self, sentence: str) -> None:
        """Say this of the steps to come in the current action."""
        self._action().sentence = sentence

    def _next(self) -> int:
        self._count += 1
        return self._count


def _show_parameters(form: Mapping[str, str]) -> list[Parameter]:
    return [Parameter(name=name, value=value, meaning=MEANINGS.get(name, "")) for name, value in form.items()]


def _show_status(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _show_headers(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    lowered = {name.lower(): value for name, value in headers.items()}
    return [(name, lowered[name.lower()]) for name in _SHOWN_HEADERS if name.lower() in lowered]


def _show_body(exchange: Exchange) -> str:
    if exchange.response_json is None:
        return exchange.response_text
    json = msgspec.json.format(msgspec.json.encode(exchange.response_json), indent=2).decode()
    lines = _FLAT_LIST.sub(lambda found: f"[{' '.join(found[1].split())}]", json).split("\n")
    return "\n".join([*lines[:_MAX_LINES], "…"] if len(lines) > _MAX_LINES else lines)
