"""Connecting a program on the person's own computer: their browser, and a listener on loopback (RFC 8252 §7.3).

The registered redirect URI is `http://127.0.0.1/callback`; any port of it will do.
"""

import secrets
import time
import webbrowser
from collections.abc import Callable
from html import escape
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Final
from urllib.parse import parse_qs, urlsplit

from latchstring.client.connection import Connection, ConnectionKey
from latchstring.client.errors import CallbackRefused, ClientError, Declined
from latchstring.client.metadata import verify_url
from latchstring.client.oauth_client import OAuthClient

PATH: Final = "/callback"
_PAGE: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    "<title>{text}</title><style>body{{font:16px/1.5 system-ui;margin:4rem auto;max-width:27rem;padding:0 1rem;"
    "color-scheme:light dark}}</style><p>{text}</p></html>"
)


def connect_in_browser(
    client: OAuthClient,
    *,
    open_browser: Callable[[str], object] = webbrowser.open,
    organization_id: str | None = None,
    reconnects: ConnectionKey | None = None,
    patience: float = 300.0,
    port: int = 0,
) -> Connection:
    """The stored connection, once the person has answered in the browser that was opened; waits `patience` seconds.

    The listener is on 127.0.0.1 alone, on a free port unless one is given, and closes after the one callback that is of
    this login; others who find the port learn and change nothing. `reconnects` is a connection to renew, and no other
    (`OAuthClient.begin_reconnect`). Raises as `OAuthClient.complete`, or `CallbackRefused` (`login_expired`).
    """
    browser_session = secrets.token_urlsafe(32)
    with _Listener(port) as listener:
        redirect_uri = f"http://127.0.0.1:{listener.server_port}{PATH}"
        if reconnects is not None:
            url = client.begin_reconnect(reconnects, browser_session=browser_session, redirect_uri=redirect_uri)
        else:
            url = client.begin(
                browser_session=browser_session, organization_id=organization_id, redirect_uri=redirect_uri
            )
        verify_url(url, "The authorization URL")  # nothing else is given to the system to open (CVE-2025-6514)
        listener.state = parse_qs(urlsplit(url).query)["state"][0]
        listener.complete = lambda query: client.complete(query, browser_session=browser_session)
        open_browser(url)
        deadline = time.monotonic() + patience
        while listener.outcome is None:
            listener.timeout = deadline - time.monotonic()
            if listener.timeout <= 0:
                raise CallbackRefused("login_expired", "The browser did not come back in time; begin again.")
            listener.handle_request()
    if isinstance(listener.outcome, ClientError):
        raise listener.outcome
    return listener.outcome


class _Listener(HTTPServer):
    """Takes one request at a time, and of them the one whose `state` is that of the login."""

    allow_reuse_address = False
    state = ""
    complete: Callable[[str], Connection]
    outcome: Connection | ClientError | None = None

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Callback)

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that hangs up is none of the person's business."""


class _Callback(BaseHTTPRequestHandler):
    server: _Listener
    timeout = 5

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        is_ours = self.headers.get("Host") == f"127.0.0.1:{self.server.server_port}" and path == PATH
        if not is_ours or not secrets.compare_digest(_find_state(query), self.server.state.encode()):
            self._answer(404, "There is nothing here.")
            return
        try:
            self.server.outcome = self.server.complete(query)
        except ClientError as error:
            self.server.outcome = error
            text = "Nothing was connected." if isinstance(error, Declined) else f"It did not work: {error.description}"
            self._answer(200 if isinstance(error, Declined) else 400, text)
        else:
            self._answer(200, "Connected. You can close this window.")

    def _answer(self, status: int, text: str) -> None:
        body = _PAGE.format(text=escape(text)).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """The address has the code: it is not logged."""


def _find_state(query: str) -> bytes:
    try:
        return parse_qs(query, max_num_fields=50).get("state", [""])[0].encode("utf-8", "replace")
    except ValueError:
        return b""
