"""What a member says to the question, and what is granted by it."""

from collections.abc import Sequence
from enum import Enum
from typing import Final

import msgspec

from latchstring.authorization_server.records import Role
from latchstring.authorization_server.remembered_consents import is_something
from latchstring.authorization_server.scope_roles import find_removed
from latchstring.authorization_server.settings import Settings
from latchstring.protocol.scope import OFFLINE_ACCESS

LIFETIMES: Final = (90 * 24 * 3600, 24 * 3600)
"""For how many seconds a member may let an app in; or until they disconnect it."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An Allow. `kept` is what they left ticked of the optional scopes, None for all of them; `lifetime` (seconds) is
    how long it counts, None until they disconnect. `told_roles` are fingerprints of the roles that the page was made
    for, None where nothing depends on a role."""

    organization_id: str
    kept: frozenset[str] | None = None
    lifetime: int | None = None
    told_roles: frozenset[bytes] | None = None


class AnswerRefusal(Enum):
    """Why an Allow grants nothing, before anything is written."""

    NOTHING_LEFT = "nothing_left"
    OTHER_ORGANIZATION = "other_organization"


class Agreed(msgspec.Struct, frozen=True):
    """What an Allow comes to: the scope granted, what was struck out of it, until when. `role` is the one that it was
    worked out for, where it depends on that."""

    scope: tuple[str, ...]
    declined: tuple[str, ...]
    expires_at: int | None
    role: Role | None


def decide(
    asked: Sequence[str], answer: Answer, role: Role | None, settings: Settings, now: int, *, has_details: bool
) -> Agreed | AnswerRefusal:
    """What is granted: of what was asked for, what the member's role can give and they have not struck out."""
    removed = find_removed(asked, role, settings)
    declined = () if answer.kept is None else tuple(find_struck_out(asked, answer.kept, settings))
    scope = tuple(value for value in asked if value not in removed and value not in declined)
    if not is_something(scope) and not has_details:
        return AnswerRefusal.NOTHING_LEFT
    lifetime = answer.lifetime if OFFLINE_ACCESS in scope else None
    return Agreed(scope, declined, None if lifetime is None else now + lifetime, role)


def find_optional(asked: Sequence[str], settings: Settings) -> list[str]:
    """What a member may strike out."""
    return [value for value in asked if value in settings.scopes and settings.scopes[value].is_optional]


def find_struck_out(asked: Sequence[str], kept: frozenset[str], settings: Settings) -> list[str]:
    """What they did strike out: nothing but what is optional."""
    return [value for value in find_optional(asked, settings) if value not in kept]


def find_lifetimes(settings: Settings) -> tuple[int, ...]:
    """The lifetimes to choose from: those shorter than every grant's."""
    longest = settings.refresh_token_absolute_lifetime
    return tuple(lifetime for lifetime in LIFETIMES if longest is None or lifetime < longest)
