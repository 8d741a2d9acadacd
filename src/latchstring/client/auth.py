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


def _authorize(request: httpx.Request, connection: Connection) -> None:
    request.headers["Authorization"] = f"Bearer {connection.access_token}"


def _may_be_sent_again(request: httpx.Request) -> bool:
    """Whether the body is still there; a stream or a file has been read."""
    return isinstance(request.stream, httpx.ByteStream)


class ConnectionAuth(httpx.Auth):
    """For `httpx.Client`. After one refresh and one more try the API's answer stands, whatever it is."""

    def __init__(self, find_usable: Callable[[int | None], Connection]) -> None:
        self._find_usable = find_usable

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        connection = self._find_usable(None)
        _authorize(request, connection)
        response = yield request
        if is_token_rejected(response):
            renewed = self._find_usable(connection.generation)
            if _may_be_sent_again(request):
                _authorize(request, renewed)
                yield request

    def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        raise RuntimeError("This auth is OAuthClient's; httpx.AsyncClient takes AsyncOAuthClient's.")


class AsyncConnectionAuth(httpx.Auth):
    """For `httpx.AsyncClient`; otherwise as `ConnectionAuth`."""

    def __init__(self, find_usable: Callable[[int | None], Awaitable[Connection]]) -> None:
        self._find_usable = find_usable

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        connection = await self._find_usable(None)
        _authorize(request, connection)
        response = yield request
        if is_token_rejected(response):
            renewed = await self._find_usable(connection.generation)
            if _may_be_sent_again(request):
                _authorize(request, renewed)
                yield request

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        raise RuntimeError("This auth is AsyncOAuthClient's; httpx.Client takes OAuthClient's.")
