"""The two drivers that run flows over httpx. They never follow a redirect, and bound time and size."""

from latchstring.client.transport.async_driver import AsyncDriver
from latchstring.client.transport.driver import Observer
from latchstring.client.transport.sync_driver import SyncDriver

__all__ = ["AsyncDriver", "Observer", "SyncDriver"]
