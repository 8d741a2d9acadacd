"""Who may open an organization's pages: its admins, and nobody else learns that it is there."""

import msgspec

from latchstring.authorization_server.administration import find_administered
from latchstring.authorization_server.records import OrganizationRecord, UserRecord
from latchstring.web.pages.page import Page, PageRefused


class Administration(msgspec.Struct, frozen=True):
    """An admin at work."""

    user: UserRecord
    organization: OrganizationRecord


async def require_admin(page: Page) -> Administration:
    """The organization in the path, for one of its admins; for everybody else there is nothing at this address."""
    user = await page.require_user()
    organization_id: str = page.request.path_params["organization_id"]
    organization = await find_administered(page.services.store, user.user_id, organization_id)
    if organization is None:
        raise PageRefused("not_found")
    return Administration(user, organization)
