"""Connecting in Flask, bound to its session.

`app.register_blueprint(connect_blueprint(crm, connected=…))`
"""

from collections.abc import Callable

from flask import Blueprint, Response, redirect, request, session
from flask.typing import ResponseReturnValue

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
from latchstring.client.oauth_client import OAuthClient


def connect_blueprint(
    client: OAuthClient,
    *,
    connected: Callable[[Connection], ResponseReturnValue],
    failed: Callable[[ClientError], ResponseReturnValue] | None = None,
    path: str = "/connect",
    name: str = "latchstring",
) -> Blueprint:
    """Two routes: `path` sends the browser to the provider, the path of the client's `redirect_uri` takes it back.

    `connected` answers when the connection is stored, `failed` when there is none: declined, a link that is not this
    browser's, a provider that does not answer. Without it there is a plain page. A second
    provider takes another `name`.
    """
    blueprint = Blueprint(name, __name__)

    def refuse(error: ClientError) -> ResponseReturnValue:
        return _render(render_failure(error)) if failed is None else failed(error)

    @blueprint.get(path)
    def connect() -> ResponseReturnValue:
        if _must_spend_nothing():
            return _render(NOT_NOW)
        try:
            url = client.begin(browser_session=make_browser_session(session))
        except ClientError as error:
            return refuse(error)
        response = redirect(url, 303)
        response.headers.update(HEADERS)
        return response

    @blueprint.get(find_callback_path(client.redirect_uri))
    def callback() -> ResponseReturnValue:
        if _must_spend_nothing():
            return _render(NOT_NOW)
        browser_session = find_browser_session(session)
        try:
            refuse_stranger(browser_session)
            query = request.query_string.decode("ascii", "replace")
            connection = client.complete(f"?{query}", browser_session=browser_session)
        except ClientError as error:
            return refuse(error)
        return connected(connection)

    return blueprint


def _must_spend_nothing() -> bool:
    return must_spend_nothing(request.method, {name.lower(): value for name, value in request.headers.items()})


def _render(page: Page) -> Response:
    return Response(page.text, page.status, dict(page.headers), content_type="text/plain; charset=utf-8")
