"""Who looks after an organization: its admins of this moment, on pages and by the API alike."""

from latchstring.authorization_server.ports import PeopleStore
from latchstring.authorization_server.records import OrganizationRecord


async def find_administered(store: PeopleStore, user_id: str, organization_id: str) -> OrganizationRecord | None:
    """The organization, if it is open and the user is an admin of it now."""
    membership = await store.find_membership(user_id, organization_id)
    if membership is None or not membership.is_active or membership.role != "admin":
        return None
    organization = await store.find_organization(organization_id)
    return None if organization is None or organization.closed_at is not None else organization


def is_confirmed(typed: str, name: str) -> bool:
    """Whether somebody has typed out the name of what they are about to end."""
    return typed.strip() == name
