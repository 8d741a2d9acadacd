"""The end of an app, by its developer: typed out, because nothing brings it back."""

from starlette.responses import Response

from latchstring.authorization_server.administration import is_confirmed
from latchstring.authorization_server.apps import AppRefused, Problem
from latchstring.web.pages.apps import find_app, render_app
from latchstring.web.pages.page import Page


async def delete_app(page: Page) -> Response:
    """POST /apps/{client_id}/delete: by whoever types its name. Its connections are dead when this answers."""
    user = await page.require_user()
    form = await page.read_form()
    client = await find_app(page, user, to_edit=True)
    if not is_confirmed(form.get("confirmation", ""), client.name):
        problem = Problem("confirmation", "name_not_typed", "The name was not typed.", {"name": client.name})
        return await render_app(page, user, client, refused=AppRefused(problem))
    await page.services.apps.end(client.client_id, origin=page.origin)
    return page.message("app_deleted", {"app": client.name})
