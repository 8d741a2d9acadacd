"""How many requests callers may make, and what they are told of it (draft-ietf-httpapi-ratelimit-headers-10).

A limit is a bucket for each caller: `quota` requests at once, refilled evenly over `window` seconds.
"""

import math
import re
from collections.abc import Sequence
from typing import Final, Literal, get_args

import msgspec

from latchstring.protocol.errors import ConfigurationError
from latchstring.resource_server.refusal import Refusal
from latchstring.resource_server.verify import Access

# Whose requests are counted together: one app's, one organization's, or one app's for one organization.
Per = Literal["client", "organization", "connection"]

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# RFC 9651 §3.3.1 has integers of fifteen digits.
_LARGEST: Final = 10**9


class RateLimit(msgspec.Struct, frozen=True, kw_only=True):
    """`quota` requests in `window` seconds, for each client, organization or connection (a client in an organization).
    `name` is what the headers call it."""

    name: str
    quota: int
    window: int
    per: Per

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(f"Guard: {self.name!r} is no name of a rate limit, such as 'per-client'.")
        for name in ("quota", "window"):
            if type(getattr(self, name)) is not int or not 0 < getattr(self, name) <= _LARGEST:
                raise ConfigurationError(f"Guard: {name} of the rate limit {self.name!r} is a whole number above 0.")
        if self.per not in get_args(Per):
            raise ConfigurationError(
                f"Guard: per of the rate limit {self.name!r} is one of {', '.join(get_args(Per))}."
            )


class Bucket(msgspec.Struct, frozen=True):
    """One caller's bucket: what it is kept under, how many it holds, and in how many seconds it fills."""

    key: str
    quota: int
    window: int


class Level(msgspec.Struct, frozen=True):
    """A bucket after a request: how many are left, in how many seconds it is full, and, where it was empty, in how many
    there is one again; 0 where the request was taken out of it."""

    remaining: int
    full_in: float
    wait: float = 0.0


def verify_limits(limits: Sequence[RateLimit]) -> tuple[RateLimit, ...]:
    """The limits of one guard; refuses two of one name."""
    names = [limit.name for limit in limits]
    if len(set(names)) != len(names):
        raise ConfigurationError("Guard: two rate limits have the same name.")
    return tuple(limits)


def find_buckets(limits: Sequence[RateLimit], access: Access) -> tuple[Bucket, ...]:
    """The caller's bucket of each limit."""
    callers = {
        "client": access.client_id,
        "organization": access.organization_id,
        "connection": f"{access.client_id} {access.organization_id}",
    }
    return tuple(Bucket(f"{limit.name} {callers[limit.per]}", limit.quota, limit.window) for limit in limits)


def decide_limits(limits: Sequence[RateLimit], levels: Sequence[Level]) -> tuple[tuple[str, str], ...]:
    """What the answer says of the limits; a `Refusal` (429) where one of the buckets was empty.

    `t` is for how long what is left has to do, until the bucket is full again; with nothing left, when there is one.
    """
    policies = ", ".join(f'"{limit.name}";q={limit.quota};w={limit.window}' for limit in limits)
    standing = ", ".join(
        f'"{limit.name}";r={level.remaining};t={_find_seconds(limit, level)}'
        for limit, level in zip(limits, levels, strict=True)
    )
    headers = (("ratelimit-policy", policies), ("ratelimit", standing))
    wait = max(level.wait for level in levels)
    if wait > 0:
        empty = ", ".join(limit.name for limit, level in zip(limits, levels, strict=True) if level.wait > 0)
        raise Refusal(
            "temporarily_unavailable",
            "There were too many requests. The access token is fine: keep it and try again later.",
            f"over the rate limit {empty}",
            status=429,
            retry_after=math.ceil(wait),
            headers=headers,
        )
    return headers


def _find_seconds(limit: RateLimit, level: Level) -> int:
    next_in = level.full_in + limit.window / limit.quota - limit.window
    return max(math.ceil(level.full_in if level.remaining else next_in), 1)
