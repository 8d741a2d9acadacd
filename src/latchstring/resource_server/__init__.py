"""The guard: what protects an API with a Latchstring server's tokens (RFC 6750, RFC 7662, RFC 9728)."""

from latchstring.resource_server.asgi import Guard
from latchstring.resource_server.dpop import Dpop
from latchstring.resource_server.limit_memory import LimitMemory, ThreadLimitMemory
from latchstring.resource_server.limits import Bucket, Level, RateLimit
from latchstring.resource_server.replay import ReplayMemory, ThreadReplayMemory
from latchstring.resource_server.verify import Access
from latchstring.resource_server.wsgi import SyncGuard

__all__ = [
    "Access",
    "Bucket",
    "Dpop",
    "Guard",
    "Level",
    "LimitMemory",
    "RateLimit",
    "ReplayMemory",
    "SyncGuard",
    "ThreadLimitMemory",
    "ThreadReplayMemory",
]
