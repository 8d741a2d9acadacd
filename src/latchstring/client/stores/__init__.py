"""Where connections are kept. `SQLiteStore` is loaded when it is first named, and SQLite's driver with it."""

from typing import TYPE_CHECKING, Any

from latchstring.client.stores.memory import MemoryStore
from latchstring.client.stores.port import ConnectionStore

if TYPE_CHECKING:
    from latchstring.client.stores.sqlite import SQLiteStore

__all__ = ["ConnectionStore", "MemoryStore", "SQLiteStore"]


def __getattr__(name: str) -> Any:
    if name != "SQLiteStore":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from latchstring.client.stores.sqlite import SQLiteStore

    return SQLiteStore
