"""A member's receipt of a consent: to read, to print, to keep."""

from starlette.responses import Response

from latchstring.authorization_server.authorization_details import describe
from latchstring.authorization_server.identifiers import GRANT, parse_identifier
from latchstring.authorization_server.receipts import read_receipt
from latchstring.web.pages.page import Page, PageRefused


async def show_receipt(page: Page) -> Response:
    """GET /connections/{grant_id}/receipt: of the member's own grants, whether they live or have ended. With
    `?download` it is a file."""
    user = await page.require_user()
    store = page.services.store
    identifier: str = page.request.path_params["grant_id"]
    grant_id = parse_identifier(GRANT, identifier)
    grant = None if grant_id is None else await store.find_grant(grant_id)
    if grant is None or grant.user_id != user.user_id or grant.status == "pending":
        raise PageRefused("not_found")
    text = await store.find_receipt(grant.id)
    if text is None:
        raise PageRefused("not_found")
    receipt = read_receipt(text)
    types = page.services.settings.authorization_details_types
    context = {
        "receipt": receipt,
        "grant_id": identifier,
        "client_id": grant.client_id,
        "organization_id": grant.organization_id,
        "scopes": [
            {"name": scope.name, "title": scope.title, "description": scope.description} for scope in receipt.scopes
        ],
        "details": describe(receipt.authorization_details, types),
        "ended_at": grant.ended_at,
    }
    response = page.render("receipt.html", context)
    if "download" in page.request.query_params:
        response.headers["content-disposition"] = f'attachment; filename="{identifier}.html"'
    return response
