"""What is recorded of a connection, and what follows from it. Pure: the time is an argument."""

from typing import Final

from latchstring.client.connection import Connection, Failure
from latchstring.client.errors import ClientError, IdentityChanged, ReauthorizeRequired, Verdict

_FIRST_BACKOFF: Final = 1.0
_LAST_BACKOFF: Final = 60.0


def is_due(connection: Connection, now: float, margin: float) -> bool:
    """Whether to refresh before use: near its end, or an earlier refresh is unaccounted for."""
    if connection.refreshing_since is not None:
        return True
    if connection.expires_at is None:
        return False
    lifetime = connection.expires_at - connection.refreshed_at
    return now >= connection.expires_at - min(margin, lifetime / 5)


def must_wait(connection: Connection, now: float) -> bool:
    """Whether the last refresh failed so that none is tried by itself yet."""
    failure = connection.failure
    return failure is not None and (failure.retry_at is None or now < failure.retry_at)


def refuse_ended(connection: Connection) -> None:
    """Refuse a connection that only a person can mend, whatever its token says."""
    if connection.disconnected_at is not None:
        raise disconnected()
    if connection.failure is not None:
        error = connection.failure.as_error()
        if error.verdict is Verdict.REAUTHORIZE or isinstance(error, IdentityChanged):
            raise error


def find_objection(connection: Connection, now: float) -> ClientError | None:
    """What stands against a refresh that nobody asked for by name; None when nothing does."""
    if connection.disconnected_at is not None:
        return disconnected()
    if connection.failure is not None and (connection.verdict is Verdict.REAUTHORIZE or must_wait(connection, now)):
        return recorded_failure(connection, now)
    return None


def record_failure(leased: Connection, error: ClientError, now: float) -> Failure:
    """The failure to write down: the wait doubles from 1 s to 60 s, and is never shorter than was asked."""
    count = 1 if leased.failure is None else leased.failure.count + 1
    wait = min(_FIRST_BACKOFF * 2 ** min(count - 1, 10), _LAST_BACKOFF)
    is_final = error.verdict is Verdict.REAUTHORIZE or isinstance(error, IdentityChanged)
    return Failure(
        verdict=error.verdict,
        code=error.code,
        description=error.description,
        at=now,
        retry_at=None if is_final else now + max(wait, error.retry_after or 0.0),
        count=count,
        request_id=error.request_id,
        provider_answer=None if isinstance(error.cause, Exception) else error.cause,
    )


def recorded_failure(connection: Connection, now: float) -> ClientError:
    """The error of the last refresh, with what is left to wait."""
    assert connection.failure is not None
    error = connection.failure.as_error()
    if connection.failure.retry_at is not None:
        error.retry_after = max(connection.failure.retry_at - now, 0.0)
    return error


def disconnected() -> ReauthorizeRequired:
    """The error of a connection that was ended here."""
    return ReauthorizeRequired("disconnected", "The connection was disconnected here.")
