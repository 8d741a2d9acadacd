"""What a member's role in an organization lets them give away: a scope for other roles is no part of any grant."""

import hashlib
from collections.abc import Sequence

from latchstring.authorization_server.records import Role
from latchstring.authorization_server.settings import Settings


def find_removed(scope: Sequence[str], role: Role | None, settings: Settings) -> tuple[str, ...]:
    """What of the scope a member of that role cannot give, in its order. One of no known role gives what anyone can."""
    return tuple(value for value in scope if not _is_for(value, role, settings))


def limit_to_role(
    granted: tuple[str, ...], narrowed: tuple[str, ...] | None, role: Role, settings: Settings
) -> tuple[str, ...] | None:
    """What a token may have of a grant whose member has another role since: of what was asked, or of all that was
    granted. None is all that was granted."""
    asked = granted if narrowed is None else narrowed
    removed = find_removed(asked, role, settings)
    return tuple(value for value in asked if value not in removed) if removed else narrowed


def depends_on_role(scope: Sequence[str], settings: Settings) -> bool:
    """Whether there is anything in the scope that only some roles can give."""
    definitions = (settings.scopes.get(value) for value in scope)
    return any(definition is not None and definition.roles is not None for definition in definitions)


def fingerprint(organization_id: str, role: Role) -> bytes:
    """Four bytes by which a page remembers which role it was made for, of many organizations."""
    return hashlib.blake2b(f"{organization_id} {role}".encode(), digest_size=4).digest()


def _is_for(value: str, role: Role | None, settings: Settings) -> bool:
    definition = settings.scopes.get(value)
    return definition is None or definition.roles is None or role in definition.roles
