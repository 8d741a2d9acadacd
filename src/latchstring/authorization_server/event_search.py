"""Which events somebody looks for, as they name them."""

from typing import Final

from latchstring.authorization_server.events import Action, EventFilter
from latchstring.authorization_server.ports import PeopleStore

_NOBODY: Final = "nobody"


async def find_filter(
    store: PeopleStore,
    *,
    organization_id: str | None,
    action: Action | None,
    person: str,
    client_id: str,
) -> EventFilter:
    """The filter; a person goes by email or id, and one who is nobody matches nothing."""
    return EventFilter(
        organization_id=organization_id,
        client_id=client_id or None,
        user_id=await _find_user_id(store, person) if person else None,
        action=action,
    )


async def _find_user_id(store: PeopleStore, person: str) -> str:
    if "@" not in person:
        return person
    user = await store.find_user_by_email(person)
    return _NOBODY if user is None else user.user_id
