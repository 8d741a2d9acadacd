"""What a request needs beyond a token that is good: scope, and a member who signed in lately or strongly enough (RFC
9470). Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from latchstring.protocol.authentication_context import is_acr_value, meets
from latchstring.protocol.errors import ConfigurationError
from latchstring.resource_server.refusal import Refusal
from latchstring.resource_server.settings import verify_scopes
from latchstring.resource_server.verify import Access

# Each scope, and every scope that it stands for besides.
Hierarchy: TypeAlias = Mapping[str, frozenset[str]]


class Requirement(msgspec.Struct, frozen=True):
    """All of `scope`; where `max_age` (seconds) is given, a sign-in of the member that is no older; and where there are
    `acr_values`, one that does for any of them."""

    scope: tuple[str, ...] = ()
    max_age: int | None = None
    acr_values: tuple[str, ...] = ()


NOTHING: Final = Requirement()


def make_requirement(scope: Sequence[str], max_age: int | None = None, acr_values: Sequence[str] = ()) -> Requirement:
    """What an API asks for; refuses at start what no token can ever meet."""
    verify_scopes(scope)
    if max_age is not None and (type(max_age) is not int or max_age < 1):
        raise ConfigurationError(f"Guard: max_age is a whole number of seconds, 1 or more, not {max_age!r}.")
    if isinstance(acr_values, str) or not all(is_acr_value(value) for value in acr_values):
        raise ConfigurationError(f"Guard: acr_values is a list of names, such as ['mfa'], not {acr_values!r}.")
    return Requirement(tuple(scope), max_age, tuple(acr_values))


def close_hierarchy(implied: Mapping[str, Iterable[str]]) -> Hierarchy:
    """Each scope with everything that it implies, by whatever steps; refuses a scope that would imply itself."""
    for scope, others in implied.items():
        verify_scopes([scope])
        verify_scopes(others if isinstance(others, str) else tuple(others))
    direct = {scope: frozenset(others) for scope, others in implied.items()}
    closed: dict[str, frozenset[str]] = {}
    for scope, others in direct.items():
        found: set[str] = set()
        waiting = list(others)
        while waiting:
            other = waiting.pop()
            if other == scope:
                raise ConfigurationError(f"Guard: implied_scopes go in a circle: {scope!r} implies itself.")
            if other not in found:
                found.add(other)
                waiting.extend(direct.get(other, ()))
        closed[scope] = frozenset(found)
    return closed


def has_scope(access: Access, required: Iterable[str], hierarchy: Hierarchy) -> bool:
    """Whether the token has all of them, by name or by a scope that implies them."""
    missing = [scope for scope in required if scope not in access.scope]
    if not missing:
        return True
    implied = {other for scope in access.scope for other in hierarchy.get(scope, ())}
    return implied.issuperset(missing)


def decide_requirement(access: Access, requirement: Requirement, hierarchy: Hierarchy, now: float) -> None:
    """Refuse access that lacks what the request needs.

    The refusal names every scope asked for, not those that imply them (RFC 6750 §3.1). Where the sign-in is too old or
    too weak, or no member ever signed in for the token, it names all that the request needs: one visit of the member's
    is to answer everything (RFC 9470 §3).
    """
    max_age = requirement.max_age
    is_old = max_age is not None and (access.signed_in_at is None or now - access.signed_in_at > max_age)
    if is_old or not meets(access.acr, requirement.acr_values):
        raise _refuse_sign_in(access, requirement)
    if not has_scope(access, requirement.scope, hierarchy):
        raise Refusal(
            "insufficient_scope",
            "The access token lacks a scope that this request needs: reconnect and ask for it.",
            f"has {access.scope}, needs {requirement.scope}",
            scope=requirement.scope,
        )


def _refuse_sign_in(access: Access, requirement: Requirement) -> Refusal:
    max_age, wanted = requirement.max_age, requirement.acr_values
    when = "" if max_age is None else f" within the last {max_age} seconds"
    how = f" by {' or '.join(wanted)}" if wanted else ""
    names = " and ".join((["max_age"] if max_age is not None else []) + (["acr_values"] if wanted else []))
    return Refusal(
        "insufficient_user_authentication",
        f"This request needs a member who signed in{when}{how}: reconnect with {names}.",
        f"signed in at {access.signed_in_at} by {access.acr}, needed{when}{how}",
        scope=requirement.scope,
        max_age=max_age,
        acr_values=wanted,
    )
