"""What the app's developer does with its secrets: add, retire, replace."""

from starlette.responses import Response

from latchstring.authorization_server.apps import AppRefused
from latchstring.authorization_server.client_secrets import OVERLAP
from latchstring.web.pages.apps import find_app, render_app
from latchstring.web.pages.page import Page


async def add_secret(page: Page) -> Response:
    """POST /apps/{client_id}/secrets: one more secret, shown on the answer only; the others live on."""
    user = await page.require_user()
    form = await page.read_form()
    client = await find_app(page, user, to_edit=True)
    try:
        secret = await page.services.client_secrets.add(client, form.get("secret_name", ""), origin=page.origin)
    except AppRefused as refused:
        return await render_app(page, user, client, refused=refused)
    changed = await page.services.store.find_client(client.client_id)
    return await render_app(page, user, changed or client, secret=secret)


async def retire_secret(page: Page) -> Response:
    """POST /apps/{client_id}/secrets/{secret_id}/retire: it ends now, or in a week if `in_a_week` is sent."""
    user = await page.require_user()
    form = await page.read_form()
    client = await find_app(page, user, to_edit=True)
    after = OVERLAP if "in_a_week" in form else 0
    try:
        secret_id = page.request.path_params["secret_id"]
        await page.services.client_secrets.retire(client, secret_id, after=after, origin=page.origin)
    except AppRefused as refused:
        return await render_app(page, user, client, refused=refused)
    return page.redirect(f"/apps/{client.client_id}?{'ending' if after else 'retired'}")


async def replace_secret(page: Page) -> Response:
    """POST /apps/{client_id}/secret: the old secrets are dead, the new one is shown on the answer only."""
    user = await page.require_user()
    await page.read_form()
    client = await find_app(page, user, to_edit=True)
    secret = await page.services.client_secrets.replace(client, origin=page.origin)
    changed = await page.services.store.find_client(client.client_id)
    return await render_app(page, user, changed or client, secret=secret)
