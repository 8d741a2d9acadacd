"""Where connections are kept."""

from latchstring.client.stores.memory import MemoryStore
from latchstring.client.stores.port import ConnectionStore
from latchstring.client.stores.sqlite import SQLiteStore

__all__ = ["ConnectionStore", "MemoryStore", "SQLiteStore"]
