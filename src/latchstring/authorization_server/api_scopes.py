"""What a token needs for the server's own API: scopes that a deployment has while it serves that API, beside its own
(`docs/decisions/0025`). What they say to people is in `web/rendering/renderer.py`."""

from typing import Final

import msgspec

from latchstring.authorization_server.organization_policy import Risk
from latchstring.authorization_server.records import Role

PREFIX: Final = "latchstring:"
ORGANIZATION_READ: Final = "latchstring:organization.read"
ORGANIZATION_MANAGE: Final = "latchstring:organization.manage"
APPS_READ: Final = "latchstring:apps.read"
APPS_MANAGE: Final = "latchstring:apps.manage"
OPERATOR_READ: Final = "latchstring:operator.read"
OPERATOR_MANAGE: Final = "latchstring:operator.manage"


class ApiScope(msgspec.Struct, frozen=True):
    """How much a scope gives away, and who can give it: an operator is whoever is one when the API is called."""

    risk: Risk
    roles: tuple[Role, ...] | None


_ADMINS: Final[tuple[Role, ...]] = ("admin",)
API_SCOPES: Final[dict[str, ApiScope]] = {
    ORGANIZATION_READ: ApiScope("medium", _ADMINS),
    ORGANIZATION_MANAGE: ApiScope("high", _ADMINS),
    APPS_READ: ApiScope("low", _ADMINS),
    APPS_MANAGE: ApiScope("high", _ADMINS),
    OPERATOR_READ: ApiScope("high", None),
    OPERATOR_MANAGE: ApiScope("high", None),
}
IMPLIED: Final[dict[str, list[str]]] = {
    ORGANIZATION_MANAGE: [ORGANIZATION_READ],
    APPS_MANAGE: [APPS_READ],
    OPERATOR_MANAGE: [OPERATOR_READ],
}
"""What a scope is good for besides itself: who may change may look."""
OPERATOR_SCOPES: Final = frozenset({OPERATOR_READ, OPERATOR_MANAGE})
