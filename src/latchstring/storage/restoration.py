"""The beginning of a new epoch, in one transaction, once for both engines (ADR 0017)."""

import asyncio
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import URL, create_engine, delete, func, insert, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from latchstring.authorization_server.events import COMMAND_LINE, Action, Event
from latchstring.authorization_server.refusals import RESTORED
from latchstring.protocol.errors import ConfigurationError
from latchstring.storage.hosts import split_hosts
from latchstring.storage.recording import new_event_id, write_event
from latchstring.storage.schema import audit_event, client_approval, epoch, grant, metadata

_BY: Final = "operator"
_SERVED: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'latchstring'"
)
_LOOKS: Final = 20
# Begun before the backup and perhaps finished, used or taken back after it: whoever is in the midst of it begins again,
# and members are asked again. The keys that sign go too: what was signed may have been revoked by itself, and APIs that
# check by themselves must know.
FORGOTTEN: Final = (
    "access_request",
    "browser_session",
    "device_authorization",
    "mail",
    "passkey",
    "password_reset",
    "pushed_request",
    "recovery_code",
    "registration_token",
    "remembered_consent",
    "signing_key",
    "webhook_delivery",
)


class Restored(msgspec.Struct, frozen=True):
    """What a restoration has ended: how many rows of which table."""

    began_at: int
    ended: dict[str, int]


def begin_epoch(connection: Connection, *, salt: bytes, now: int) -> Restored:
    """End all that may have been used up or revoked since the backup, and let nothing made before count again."""
    sequence = connection.scalar(select(func.coalesce(func.max(epoch.c.sequence), 0)))
    assert sequence is not None
    connection.execute(insert(epoch).values(sequence=sequence + 1, salt=salt, began_at=now))
    ending: dict[str, Any] = {"ended_at": now, "ended_by": _BY}
    grants = update(grant).where(grant.c.status != "ended").values(status="ended", ended_reason=RESTORED, **ending)
    approvals = update(client_approval).where(client_approval.c.ended_at.is_(None)).values(**ending)
    ended = {
        "oauth_grant": connection.execute(grants).rowcount,
        "client_approval": connection.execute(approvals).rowcount,
    }
    for table in metadata.sorted_tables:
        if table.name in FORGOTTEN:
            ended[table.name] = connection.execute(delete(table)).rowcount
    # Guards that keep answers hear by it that none of them counts any more.
    event = Event(
        action=Action.DATABASE_RESTORED,
        at=now,
        origin=COMMAND_LINE,
        subject_kind="database",
        subject_id=str(sequence + 1),
        after=ended,
    )
    connection.execute(insert(audit_event).values(write_event(new_event_id(now), event)))
    return Restored(now, ended)


def begin_epoch_in_sqlite(path: Path, *, salt: bytes, now: int) -> Restored:
    """The same in a file that nobody serves."""
    # Not from a string: a path may have a `?` or `%` in it.
    engine = create_engine(URL.create("sqlite", database=str(path)))
    try:
        with engine.begin() as connection:
            return begin_epoch(connection, salt=salt, now=now)
    except SQLAlchemyError as error:
        raise _refuse(str(path), error) from None
    finally:
        engine.dispose()


async def begin_epoch_in_postgres(url: str, *, salt: bytes, now: int) -> Restored:
    """The same in a PostgreSQL database; refuses while servers are connected to it."""
    from latchstring.storage import postgres  # SQLite alone does without the driver

    hosts = split_hosts(url)
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: postgres.connect(hosts))
    try:
        async with engine.begin() as connection:
            await _verify_unserved(connection)
            return await connection.run_sync(lambda sync: begin_epoch(sync, salt=salt, now=now))
    except (SQLAlchemyError, *postgres.FAILURES) as error:
        raise _refuse("--database", error) from None
    finally:
        await engine.dispose()


async def _verify_unserved(connection: AsyncConnection) -> None:
    number = 0
    for _ in range(_LOOKS):
        await connection.exec_driver_sql("SELECT pg_stat_clear_snapshot()")
        number = (await connection.exec_driver_sql(_SERVED)).scalar_one()
        if not number:
            return
        await asyncio.sleep(0.1)  # one that was closed a moment ago may still be there
    raise ConfigurationError(f"--database: {number} connections of servers are open; stop every server first")


def _refuse(database: str, error: Exception) -> ConfigurationError:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return ConfigurationError(f"{database}: cannot be taken back into use ({type(cause).__name__}: {cause})")
