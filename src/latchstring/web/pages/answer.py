"""A member's Allow, as the consent page's form sends it."""

from collections.abc import Sequence
from typing import Final

import msgspec

from latchstring.authorization_server.answers import Answer, find_lifetimes, find_optional
from latchstring.authorization_server.records import MembershipRecord
from latchstring.authorization_server.scope_roles import depends_on_role, fingerprint
from latchstring.protocol.parameters import Parameters
from latchstring.web.pages.page import Page, PageRefused

_ROLES: Final = b"roles"
KEEP: Final = "keep."
"""Before an optional scope's name, the name of its box."""
# A page remembers this many roles; of more organizations than anybody has.
_MAX_ROLES: Final = 400


def read_answer(page: Page, form: Parameters, scope: Sequence[str]) -> Answer | None:
    """What the form says, or None where no organization was chosen. No field can add to what was asked for."""
    organization_id = form.get("organization_id", "")
    settings = page.services.settings
    until = form.get("until", "")
    if until and until not in map(str, find_lifetimes(settings)):
        raise PageRefused("unreadable_request")
    if not organization_id:
        return None
    return Answer(
        organization_id=organization_id,
        kept=frozenset(value for value in find_optional(scope, settings) if KEEP + value in form),
        lifetime=int(until) if until else None,
        told_roles=_open_roles(page, form.get("roles", "")) if depends_on_role(scope, settings) else None,
    )


def seal_roles(page: Page, scope: Sequence[str], memberships: Sequence[MembershipRecord]) -> str:
    """Which role the page was made for in each organization; empty where nothing depends on it."""
    if not depends_on_role(scope, page.services.settings):
        return ""
    told = b"".join(fingerprint(own.organization_id, own.role) for own in memberships[:_MAX_ROLES])
    return page.services.codec.render_page_value(_ROLES, page.cookie.encode(), told)


def _open_roles(page: Page, sealed: str) -> frozenset[bytes]:
    told = page.services.codec.parse_page_value(_ROLES, page.cookie.encode(), sealed) or b""
    return frozenset(told[at : at + 4] for at in range(0, len(told), 4))


class Given(msgspec.Struct, frozen=True):
    """What the member had entered on a page that is shown again."""

    kept: frozenset[str] | None = None
    lifetime: int | None = None
