"""The schema's history (Alembic): expand first, contract later, so that two versions can serve side by side."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection

HEAD: Final = "0001"


def migrate_sqlite(path: Path) -> None:
    """Bring the file's schema to `HEAD` in one transaction; two processes at once take turns."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30, "isolation_level": None})

    @event.listens_for(engine, "begin")
    def take_the_write_lock(connection: Connection) -> None:
        # The driver would begin only at the first write, after the version was read.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()
