"""The schema's history (Alembic): expand first, contract later, so that two versions can serve side by side."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from latchstring.protocol.errors import ConfigurationError
from latchstring.storage.hosts import split_hosts

_LOCK: Final = 0x6C617463680001  # any number that no other program takes for its advisory lock


def migrate_sqlite(path: Path, revision: str = "head") -> None:
    """Bring the file's schema to the newest revision, or to an older one's that a test needs, in one transaction; two
    processes at once take turns."""
    # Not from a string: a path may have a `?` or `%` in it.
    url = URL.create("sqlite", database=str(path))
    engine = create_engine(url, connect_args={"timeout": 30, "isolation_level": None})

    @event.listens_for(engine, "begin")
    def take_the_write_lock(connection: Connection) -> None:
        # The driver would begin only at the first write, after the version was read.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        with engine.begin() as connection:
            _upgrade(connection, revision)
    except SQLAlchemyError as error:
        raise _refuse(f"database {path}", error) from None
    finally:
        engine.dispose()


async def migrate_postgres(url: str, revision: str = "head") -> None:
    """The same for a PostgreSQL database; several servers at once take turns."""
    from latchstring.storage import postgres  # SQLite alone does without the driver

    hosts = split_hosts(url)
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: postgres.connect(hosts))
    try:
        async with engine.begin() as connection:
            await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            await connection.run_sync(_upgrade, revision)
    except (SQLAlchemyError, *postgres.FAILURES) as error:
        raise _refuse("--database", error) from None
    finally:
        await engine.dispose()


def _refuse(database: str, error: Exception) -> ConfigurationError:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return ConfigurationError(f"{database}: its schema cannot be brought up to date ({type(cause).__name__}: {cause})")


def _upgrade(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, revision)
    except CommandError as error:
        raise ConfigurationError(
            f"--database: its schema is not one of this version's ({error}); a newer version made it, so use that one"
        ) from None
