"""What is measured, and what DESIGN.md §9 asks of it."""

from typing import Final

import msgspec


class Operation(msgspec.Struct, frozen=True):
    """One kind of request. `target` is in CPU-ms per request, on the machine of DESIGN.md §9."""

    name: str
    title: str
    target: float | None


FLOOR: Final = Operation("floor", "read a body, answer a constant", 0.019)
METADATA: Final = Operation("metadata", "metadata", None)
CLIENT_CREDENTIALS: Final = Operation("client-credentials", "client credentials", 0.05)
EXCHANGE: Final = Operation("exchange", "code exchange, PKCE", 0.09)
REFRESH: Final = Operation("refresh", "refresh, rotation", 0.08)
INTROSPECTION: Final = Operation("introspection", "introspection, Basic", 0.035)
INTROSPECTION_POST: Final = Operation("introspection-post", "introspection, secret in body", 0.035)
REVOCATION: Final = Operation("revocation", "revocation, refresh token", 0.06)
REVOCATION_ACCESS: Final = Operation("revocation-access", "revocation, access token", 0.06)

ALL: Final = {
    operation.name: operation
    for operation in (
        FLOOR,
        METADATA,
        CLIENT_CREDENTIALS,
        EXCHANGE,
        REFRESH,
        INTROSPECTION,
        INTROSPECTION_POST,
        REVOCATION,
        REVOCATION_ACCESS,
    )
}
