"""What both drivers share: how a request is rendered, what bounds its answer, who watches."""

import logging
from collections.abc import Callable
from typing import Final
from urllib.parse import urlencode

import httpx
import msgspec

from latchstring import __version__
from latchstring.client.errors import Misconfigured, TemporaryFailure
from latchstring.client.events import Event, Listener
from latchstring.client.exchange import Answer, Exchange, Request, Unanswered, show_exchange
from latchstring.protocol.errors import StoreUnavailable

Observer = Callable[[Exchange], None]

TIME_LIMIT: Final = 12.0
_MAX_ANSWER_SIZE: Final = 262_144
_NEVER_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    Misconfigured,
)
# The phases together take the time limit: httpx times each by itself.
_SHARES: Final = {"pool": 0.1, "connect": 0.25, "write": 0.15, "read": 0.5}
_log: Final = logging.getLogger("latchstring.client")


class AnswerRefused(Exception):
    """The answer is too big, too slow, or compressed although none of that was asked for."""


# Misconfigured: the address was refused (`reach`).
FAILURES: Final = (
    httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, TimeoutError, AnswerRefused, Misconfigured,
)  # fmt: skip


class Body:
    """An answer's body as it comes in; refuses one that is too big or compressed."""

    def __init__(self, response: httpx.Response) -> None:
        if response.headers.get("Content-Encoding", "").lower() not in {"", "identity"}:
            raise AnswerRefused("the answer is compressed although none was asked for")
        self.content = bytearray()

        if response.is_stream_consumed:  # a transport of the app's own may hand over the whole
            self.add(response.content)

    def add(self, chunk: bytes) -> None:
        self.content += chunk
        if len(self.content) > _MAX_ANSWER_SIZE:
            raise AnswerRefused("the answer is too big")


class Driver:
    """`clock` gives epoch seconds, `time_limit` (seconds) bounds an exchange, `on_exchange` is shown each, `on_event`
    is told what becomes of connections."""

    def __init__(
        self,
        on_exchange: Observer | None,
        on_event: Listener | None,
        clock: Callable[[], float],
        time_limit: float,
    ) -> None:
        self._on_exchange = on_exchange
        self._on_event = on_event
        self._clock = clock
        self._time_limit = time_limit

    def _render(self, request: Request) -> httpx.Request:
        """The request with no header of the httpx client's: no cookie, no default authorization."""
        headers = {
            "User-Agent": f"latchstring/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            **request.headers,
        }
        body = None
        if request.form is not None:
            headers["Content-Type"] = "application/json" if request.is_json else "application/x-www-form-urlencoded"
            body = msgspec.json.encode(request.form) if request.is_json else urlencode(request.form).encode("ascii")
        extensions = {"timeout": {phase: share * self._time_limit for phase, share in _SHARES.items()}}
        return httpx.Request(request.method, request.url, headers=headers, content=body, extensions=extensions)

    def _observe(self, request: Request, outcome: Answer | Unanswered, seconds: float) -> None:
        """Show the exchange; an observer that fails must not cost the tokens that just arrived."""
        if self._on_exchange is None:
            return
        try:
            self._on_exchange(show_exchange(request, outcome, seconds))
        except Exception:  # noqa: BLE001
            _log.exception("The on_exchange observer failed; the exchange itself goes on.")

    def _tell(self, event: Event) -> None:
        """Let the app know; what was committed stands whatever its listener does."""
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception:  # noqa: BLE001
            _log.exception("The on_event listener failed; the connection is as it should be.")


def unanswered(error: Exception) -> Unanswered:
    """The failure, and whether the request can have arrived all the same."""
    return Unanswered(may_have_arrived=not isinstance(error, _NEVER_SENT), cause=error)


def answer(response: httpx.Response, body: Body, sent_at: float) -> Answer:
    """The whole answer."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(status=response.status_code, headers=headers, body=bytes(body.content), sent_at=sent_at)


def store_unavailable(error: StoreUnavailable) -> TemporaryFailure:
    """What a failing store means to the app."""
    return TemporaryFailure("store_unavailable", f"The connection store did not answer: {error}", cause=error)
