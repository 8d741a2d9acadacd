"""How all connections fare, at a glance: from what is recorded, without a request."""

from collections.abc import Sequence

import msgspec

from latchstring.client.connection import Connection, ConnectionKey
from latchstring.client.errors import Verdict
from latchstring.client.settings import Context
from latchstring.client.steps import Flow, ask


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """One connection. `code` and `reason` say why it is not `ok`, `request_id` is the provider's for the failure;
    `retry_at` (epoch seconds) is when it is tried again by itself, `reconnect_url` where the person mends it."""

    key: ConnectionKey
    verdict: Verdict
    code: str | None = None
    reason: str | None = None
    request_id: str | None = None
    failures: int = 0
    retry_at: float | None = None
    refreshed_at: float
    expires_at: float | None = None
    reconnect_url: str | None = None


def find_health(context: Context) -> Flow[Sequence[Health]]:
    """Every connection at the provider, those that need somebody first."""
    connections = yield from ask(context.store.find_connections, context.providers.issuer)
    order = [Verdict.REAUTHORIZE, Verdict.MISCONFIGURED, Verdict.TEMPORARY, Verdict.OK]
    found = [_judge(context, connection) for connection in connections]
    return sorted(found, key=lambda each: (order.index(each.verdict), each.key))


def _judge(context: Context, connection: Connection) -> Health:
    failure, verdict = connection.failure, connection.verdict
    code, reason = (None, None) if failure is None else (failure.code, failure.description)
    if connection.disconnected_at is not None:
        code, reason = "disconnected", "The app has disconnected it."
    is_lost = verdict is Verdict.REAUTHORIZE
    return Health(
        key=connection.key,
        verdict=verdict,
        code=code,
        reason=reason,
        request_id=None if failure is None else failure.request_id,
        failures=0 if failure is None else failure.count,
        retry_at=None if failure is None else failure.retry_at,
        refreshed_at=connection.refreshed_at,
        expires_at=connection.expires_at,
        reconnect_url=context.settings.find_reconnect_url(connection.key) if is_lost else None,
    )
