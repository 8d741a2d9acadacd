"""A member who is asked for a stronger sign-in than their account has a way to (RFC 9470 §5)."""

from starlette.responses import Response

from latchstring.authorization_server.authorization_endpoint import AuthorizationPrompt
from latchstring.authorization_server.interaction import Visit
from latchstring.authorization_server.records import ClientRecord, UserRecord
from latchstring.authorization_server.sign_in_levels import find_strongest, find_weakest
from latchstring.protocol.authentication_context import meets
from latchstring.web.headers import form_action_for
from latchstring.web.pages.asked import render_location
from latchstring.web.pages.page import Page
from latchstring.web.pages.question import Question
from latchstring.web.pages.visit import render_visit


async def can_meet(page: Page, user: UserRecord, prompt: AuthorizationPrompt) -> bool:
    """Whether the member has set up what the request asks for."""
    services = page.services
    has_passkey = services.passkeys.relying_party is not None and bool(await services.passkeys.find_all(user.user_id))
    has_second_factor = await services.second_factors.find(user.user_id) is not None
    strongest = find_strongest(has_second_factor=has_second_factor, has_passkey=has_passkey)
    return meets(strongest, prompt.acr_values)


def refuse_weak(
    page: Page, question: Question, client: ClientRecord, prompt: AuthorizationPrompt, visit: Visit
) -> Response:
    """The page that says what is missing and where to set it up: from there to a sign-in by it, or back to the app."""
    again = render_visit(page, render_location(prompt), visit.at("must_sign_in"))
    context = {
        "wanted": find_weakest(prompt.acr_values),
        "app_name": client.name,
        "has_passkeys": page.services.passkeys.relying_party is not None,
        "again_continue": page.seal_continue(again),
        "action": question.action,
        "request": question.request,
        "sign_out_continue": page.seal_continue(question.location),
    }
    return page.render("stronger_sign_in.html", context, 403, form_action=form_action_for(prompt.redirect_uri))
