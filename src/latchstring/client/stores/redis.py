"""Connections in Redis or Valkey: for programs on several machines. Needs the extra `client-redis`.

What must survive a power cut must be on the disk: run it with `appendonly yes` and `appendfsync always`.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import redis

from latchstring.client.connection import Connection, ConnectionKey, PendingLogin
from latchstring.client.stores.records import (
    hash_state,
    parse_connection,
    parse_login,
    render_connection,
    render_login,
)
from latchstring.protocol.errors import StoreUnavailable

# Each script is one atomic step. KEYS[1] is the connection, a hash; KEYS[2], where given, the set of an issuer's.
_ANSWER: Final = "return redis.call('HMGET', KEYS[1], 'record', 'generation', 'refreshing_since')"
_CONNECTED: Final = f"""
local older = redis.call('HGET', KEYS[1], 'generation')
local generation = older and older + 1 or ARGV[2]
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'record', ARGV[1], 'generation', generation)
redis.call('SADD', KEYS[2], KEYS[1])
{_ANSWER}"""
_LEASE: Final = f"""
local stands = redis.call('HMGET', KEYS[1], 'generation', 'lease_until', 'refreshing_since')
if stands[1] ~= ARGV[1] or tonumber(stands[2] or '0') > tonumber(ARGV[3]) then return false end
redis.call('HSET', KEYS[1], 'lease_holder', ARGV[2], 'lease_until', ARGV[4])
if ARGV[5] == '1' and not stands[3] then redis.call('HSET', KEYS[1], 'refreshing_since', ARGV[3]) end
{_ANSWER}"""
_COMMIT: Final = """
local stands = redis.call('HMGET', KEYS[1], 'generation', 'lease_holder')
if stands[1] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'record', ARGV[3], 'generation', ARGV[4])
if ARGV[5] == '' then redis.call('HDEL', KEYS[1], 'refreshing_since')
else redis.call('HSET', KEYS[1], 'refreshing_since', ARGV[5]) end
if stands[2] == ARGV[2] then redis.call('HDEL', KEYS[1], 'lease_holder', 'lease_until') end
return 1"""
_FORGET: Final = "redis.call('DEL', KEYS[1]); redis.call('SREM', KEYS[2], KEYS[1]); return 1"
_END_LOGIN: Final = """
local kept = redis.call('HMGET', KEYS[1], 'browser_hash', 'record')
if kept[1] ~= ARGV[1] then return false end
redis.call('DEL', KEYS[1])
return kept[2]"""


class RedisStore:
    """A `ConnectionStore` in Redis or Valkey. `url` as redis-py takes it; `time_limit` in seconds, for one call;
    `prefix` begins every key. An issuer's keys share a slot, so that a cluster serves too. Safe across threads."""

    def __init__(self, url: str, *, time_limit: float = 10.0, prefix: str = "latchstring") -> None:
        self._prefix = prefix
        self._redis: redis.Redis = redis.Redis.from_url(
            url, socket_timeout=time_limit, socket_connect_timeout=time_limit
        )
        self._connected = self._redis.register_script(_CONNECTED)
        self._lease = self._redis.register_script(_LEASE)
        self._commit = self._redis.register_script(_COMMIT)
        self._forget = self._redis.register_script(_FORGET)
        self._end_login = self._redis.register_script(_END_LOGIN)

    def find_connection(self, key: ConnectionKey) -> Connection | None:
        with _unavailable():
            return _parse(self._redis.hmget(self._name(key), ["record", "generation", "refreshing_since"]))

    def find_connections(self, issuer: str) -> list[Connection]:
        with _unavailable():
            names: Any = self._redis.smembers(self._issuer_name(issuer))
            rows = [self._redis.hmget(name, ["record", "generation", "refreshing_since"]) for name in names]
            found = [connection for row in rows if (connection := _parse(row)) is not None]
        return sorted(found, key=lambda connection: connection.key)

    def commit_connected(self, connection: Connection) -> Connection:
        row = render_connection(connection)
        keys = [self._name(connection.key), self._issuer_name(connection.issuer)]
        with _unavailable():
            written = _parse(self._connected(keys, [row["record"], row["generation"]]))
        assert written is not None
        return written

    def commit_lease(
        self, key: ConnectionKey, *, generation: int, holder: str, now: float, until: float, refreshes: bool
    ) -> Connection | None:
        arguments: list[str | int] = [generation, holder, repr(now), repr(until), int(refreshes)]
        with _unavailable():
            row = self._lease([self._name(key)], arguments)
            return None if row is None else _parse(row)

    def commit_connection(self, connection: Connection, *, generation: int, holder: str) -> bool:
        row = render_connection(connection)
        since = "" if row["refreshing_since"] is None else repr(row["refreshing_since"])
        arguments: list[Any] = [generation, holder, row["record"], row["generation"], since]
        with _unavailable():
            return bool(self._commit([self._name(connection.key)], arguments))

    def end_connection(self, key: ConnectionKey) -> None:
        with _unavailable():
            self._forget([self._name(key), self._issuer_name(key.issuer)], [])

    def commit_login(self, login: PendingLogin, *, now: float) -> None:
        row = render_login(login)
        name, all_logins = self._login_name(login.state), self._login_name("")
        with _unavailable(), self._redis.pipeline(transaction=True) as pipeline:
            expired: Any = self._redis.zrangebyscore(all_logins, "-inf", now)
            if expired:
                pipeline.delete(*expired)
                pipeline.zrem(all_logins, *expired)
            pipeline.hset(name, mapping={"browser_hash": row["browser_hash"], "record": row["record"]})
            # Should nobody log in again, the server lets it go by its own clock.
            pipeline.pexpire(name, max(1, int((login.expires_at - now) * 1000)))
            pipeline.zadd(all_logins, {name: login.expires_at})
            pipeline.execute()

    def end_login(self, state: str, *, browser_hash: str) -> PendingLogin | None:
        with _unavailable():
            record: Any = self._end_login([self._login_name(state)], [browser_hash])
            return None if record is None else parse_login(record)

    def close(self) -> None:
        """Close the connections; the next call opens one again."""
        self._redis.close()

    def _name(self, key: ConnectionKey) -> str:
        parts = msgspec.json.encode((key.organization_id, key.user_id))
        return f"{self._issuer_name(key.issuer)}:{hashlib.sha256(parts).hexdigest()}"

    def _issuer_name(self, issuer: str) -> str:
        return f"{self._prefix}:{{{hashlib.sha256(issuer.encode()).hexdigest()[:32]}}}"

    def _login_name(self, state: str) -> str:
        return f"{self._prefix}:{{login}}:{hash_state(state).hex() if state else 'all'}"

    def __repr__(self) -> str:
        return "RedisStore(…)"


def _parse(row: Any) -> Connection | None:
    record, generation, refreshing_since = row
    if record is None:
        return None
    return parse_connection(record, int(generation), None if refreshing_since is None else float(refreshing_since))


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OSError, msgspec.DecodeError) as error:
        raise StoreUnavailable(type(error).__name__) from error
