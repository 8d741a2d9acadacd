"""Connecting in Starlette and FastAPI, bound to the session of `SessionMiddleware`.

`Starlette(routes=connect_routes(crm, connected=…), middleware=[Middleware(SessionMiddleware, secret_key=…)])`
"""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from latchstring.client.async_oauth_client import AsyncOAuthClient
from latchstring.client.connection import Connection
from latchstring.client.errors import ClientError
from latchstring.client.frameworks.arrivals import (
    HEADERS,
    NOT_NOW,
    Page,
    find_browser_session,
    find_callback_path,
    make_browser_session,
    must_spend_nothing,
    refuse_stranger,
    render_failure,
)


def connect_routes(
    client: AsyncOAuthClient,
    *,
    connected: Callable[[Request, Connection], Awaitable[Response]],
    failed: Callable[[Request, ClientError], Awaitable[Response]] | None = None,
    path: str = "/connect",
) -> list[Route]:
    """Two routes: `path` sends the browser to the provider, the path of the client's `redirect_uri` takes it back.

    `connected` answers when the connection is stored, `failed` when there is none: declined, a link that is not this
    browser's, a provider that does not answer. Without it there is a plain page.
    """

    async def refuse(request: Request, error: ClientError) -> Response:
        return _render(render_failure(error)) if failed is None else await failed(request, error)

    async def begin(request: Request) -> Response:
        if must_spend_nothing(request.method, request.headers):
            return _render(NOT_NOW)
        try:
            url = await client.begin(browser_session=make_browser_session(request.session))
        except ClientError as error:
            return await refuse(request, error)
        return RedirectResponse(url, 303, headers=HEADERS)

    async def callback(request: Request) -> Response:
        if must_spend_nothing(request.method, request.headers):
            return _render(NOT_NOW)
        browser_session = find_browser_session(request.session)
        try:
            refuse_stranger(browser_session)
            connection = await client.complete(f"?{request.url.query}", browser_session=browser_session)
        except ClientError as error:
            return await refuse(request, error)
        return await connected(request, connection)

    return [
        Route(path, begin, methods=["GET"], name="latchstring_connect"),
        Route(find_callback_path(client.redirect_uri), callback, methods=["GET"], name="latchstring_callback"),
    ]


def _render(page: Page) -> Response:
    return PlainTextResponse(page.text, page.status, headers=page.headers)
