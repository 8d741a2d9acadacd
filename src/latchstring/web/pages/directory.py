"""The directory: apps that the operator has reviewed and listed."""

from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from latchstring.authorization_server.publication import CATEGORIES
from latchstring.web.pages.consent_words import render_scopes
from latchstring.web.pages.page import Page
from latchstring.web.rendering.renderer import initial_for, tint_for

_AT_ONCE: Final = 50


async def show_directory(page: Page) -> Response:
    """GET /directory: by name, with a search and a category in the address."""
    await page.require_user()
    services, query = page.services, page.request.query_params
    words, category = query.get("q", "").replace("\0", "")[:80], query.get("category", "")
    category = category if category in CATEGORIES else ""
    after = (query.get("name", "").replace("\0", "")[:200], query.get("after", "").replace("\0", "")[:64])
    found = await services.publication.find_listed(words=words, category=category, after=after)
    shown = found[:_AT_ONCE]
    apps = [
        {
            "client_id": app.client_id,
            "name": app.name,
            "description": app.description,
            "publisher": app.publisher,
            "category": app.category,
            "scopes": render_scopes(app.scope, services.settings),
            "tint": tint_for(app.client_id),
            "initial": initial_for(app.name),
        }
        for app in shown
    ]
    onward = None
    if len(found) > len(shown):
        place = {"q": words, "category": category, "name": shown[-1].name, "after": shown[-1].client_id}
        onward = f"/directory?{urlencode({name: value for name, value in place.items() if value})}"
    context = {"apps": apps, "words": words, "category": category, "categories": CATEGORIES, "next": onward}
    return page.render("directory.html", context)
