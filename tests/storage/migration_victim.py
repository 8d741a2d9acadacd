"""A process that migrates a database and is killed in the middle of it."""

import os
import signal
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from latchstring.storage.url import migrate


def count_statements(counted: list[str]) -> Any:
    """Have every statement that is about to be sent noted."""

    @event.listens_for(Engine, "before_cursor_execute")
    def note(*given: Any) -> None:
        counted.append(str(given[2]))

    return note


def migrate_and_die(database: str, at: int) -> None:
    """Migrate, and die by SIGKILL just before the statement of that number; after the last one, before the commit."""
    counted: list[str] = []
    count_statements(counted)

    @event.listens_for(Engine, "before_cursor_execute")
    def die(*_: Any) -> None:
        if len(counted) == at:
            os.kill(os.getpid(), signal.SIGKILL)

    @event.listens_for(Engine, "commit")
    def die_late(_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    migrate(database)
