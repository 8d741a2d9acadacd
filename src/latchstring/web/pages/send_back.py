"""The one funnel through which every answer of the authorization endpoint goes to an app, code or error alike."""

from starlette.responses import Response

from latchstring.authorization_server.authorization_endpoint import AuthorizationResponse
from latchstring.authorization_server.records import ClientRecord
from latchstring.protocol.authorization_response import FORM_POST, render_redirect
from latchstring.protocol.redirect_uri import redirect_host
from latchstring.web.headers import form_action_to
from latchstring.web.pages.page import Page
from latchstring.web.rendering.messages import Text, detail


def send_back(page: Page, response: AuthorizationResponse, *, stranger: ClientRecord | None = None) -> Response:
    """The answer on its way: a redirect, or a page whose form posts itself (OAuth 2.0 Form Post Response Mode §2).

    `stranger` is a client for which nobody vouches: then a page says first where the browser is about to go, and
    nothing leads there but a click (RFC 9700 §4.11.2).
    """
    target = response.target
    is_posted = target.response_mode == FORM_POST
    location = render_redirect(target.redirect_uri, response.parameters)
    if stranger is None and not is_posted:
        return page.redirect(location)
    code, description = response.parameters.get("error"), response.parameters.get("error_description")
    context = {
        "host": redirect_host(target.redirect_uri),
        "href": None if is_posted else location,
        "action": target.redirect_uri,
        "fields": [(name, value) for name, value in response.parameters.items() if value is not None],
        "is_automatic": stranger is None,
        "app": None if stranger is None else stranger.name,
        "details": None if stranger is None else render_error_details(page, code or "", description or ""),
    }
    form_action = form_action_to(target.redirect_uri) if is_posted else "'self'"
    return page.render("send_back.html", context, 200 if stranger is None else 400, form_action=form_action)


def render_error_details(page: Page, code: str, description: str) -> list[tuple[Text, str]]:
    """What the app's developer reads of an error."""
    return [detail("error", code), detail("error_description", description), detail("request_id", page.request_id)]
