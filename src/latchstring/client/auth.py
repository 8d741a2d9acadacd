"""Authorization of API calls for httpx: the token in the header, one refresh if the API says it is bad
(RFC 6750 §2.1, §3.1)."""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Final

import httpx

from latchstring.client.connection import Connection

_INVALID_TOKEN: Final = re.compile(r"""\berror\s*=\s*(?:"invalid_token"|invalid_token\b)""", re.IGNORECASE)


def is_token_rejected(response: httpx.Response) -> bool:
    """Whether a 401 is about the token (RFC 6750 §3.1): its Bearer challenge says `invalid_token`.

    So is one without any challenge: many APIs send none. Any other challenge is the API's own matter, and a
    refresh would not help.
    """
    if response.status_code != 401:
        return False
    challenges = response.headers.get_list("WWW-Authenticate")
    if not challenges:
        return True
    return any("bearer" in each.lower() and _INVALID_TOKEN.search(each) for each in challenges)


def render_authorization(access_token: str, token_header: str | None) -> tuple[str, str]:
    """The header that carries the token (RFC 6750 §2.1), or the one in which a provider wants it instead."""
    return ("Authorization", f"Bearer {access_token}") if token_header is None else (token_header, access_token)


def _may_be_sent_again(request: httpx.Request) -> bool:
    """Whether the body is still there; a stream or a file has been read."""
    return isinstance(request.stream, httpx.ByteStream)


class ConnectionAuth(httpx.Auth):
    """For `httpx.Client`. After one refresh and one more try the API's answer stands, whatever it is."""

    def __init__(self, find_usable: Callable[[int | None], Connection], token_header: str | None = None) -> None:
        self._find_usable = find_usable
        self._token_header = token_header

    def _authorize(self, request: httpx.Request, connection: Connection) -> None:
        name, value = render_authorization(connection.access_token, self._token_header)
        request.headers[name] = value

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        connection = self._find_usable(None)
        self._authorize(request, connection)
        response = yield request
        if is_token_rejected(response):
            renewed = self._find_usable(connection.generation)
            if _may_be_sent_again(request):
                self._authorize(request, renewed)
                yield request

    def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        raise RuntimeError("This auth is OAuthClient's; httpx.AsyncClient takes AsyncOAuthClient's.")


class AsyncConnectionAuth(httpx.Auth):
    """For `httpx.AsyncClient`; otherwise as `ConnectionAuth`."""

    def __init__(
        self, find_usable: Callable[[int | None], Awaitable[Connection]], token_header: str | None = None
    ) -> None:
        self._find_usable = find_usable
        self._token_header = token_header

    def _authorize(self, request: httpx.Request, connection: Connection) -> None:
        name, value = render_authorization(connection.access_token, self._token_header)
        request.headers[name] = value

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        connection = await self._find_usable(None)
        self._authorize(request, connection)
        response = yield request
        if is_token_rejected(response):
            renewed = await self._find_usable(connection.generation)
            if _may_be_sent_again(request):
                self._authorize(request, renewed)
                yield request

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        raise RuntimeError("This auth is AsyncOAuthClient's; httpx.Client takes OAuthClient's.")
