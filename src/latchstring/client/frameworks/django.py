"""Connecting in Django, bound to the session of `SessionMiddleware`.

`urlpatterns = [*connect_urls(crm, connected=…), …]` in the project's root URL configuration.
"""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path as url

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


def connect_urls(
    client: OAuthClient,
    *,
    connected: Callable[[HttpRequest, Connection], HttpResponse],
    failed: Callable[[HttpRequest, ClientError], HttpResponse] | None = None,
    path: str = "/connect",
) -> list[Any]:
    """Two URL patterns: `path` sends the browser to the provider, that of the client's `redirect_uri` takes it back.

    `connected` answers when the connection is stored, `failed` when there is none: declined, a link that is not this
    browser's, a provider that does not answer. Without it there is a plain page.
    """

    def refuse(request: HttpRequest, error: ClientError) -> HttpResponse:
        return _render(render_failure(error)) if failed is None else failed(request, error)

    def begin(request: HttpRequest) -> HttpResponse:
        if must_spend_nothing(request.method or "", request.headers):
            return _render(NOT_NOW)
        try:
            address = client.begin(browser_session=make_browser_session(request.session))
        except ClientError as error:
            return refuse(request, error)
        return HttpResponse(status=303, headers={**HEADERS, "Location": address})

    def callback(request: HttpRequest) -> HttpResponse:
        if must_spend_nothing(request.method or "", request.headers):
            return _render(NOT_NOW)
        browser_session = find_browser_session(request.session)
        try:
            refuse_stranger(browser_session)
            connection = client.complete(f"?{request.META['QUERY_STRING']}", browser_session=browser_session)
        except ClientError as error:
            return refuse(request, error)
        return connected(request, connection)

    return [
        url(path.removeprefix("/"), begin, name="latchstring_connect"),
        url(find_callback_path(client.redirect_uri).removeprefix("/"), callback, name="latchstring_callback"),
    ]


def _render(page: Page) -> HttpResponse:
    return HttpResponse(
        page.text, status=page.status, headers=dict(page.headers), content_type="text/plain; charset=utf-8"
    )
