"""How connections and logins are written down, the same in every store that keeps them as bytes."""

import hashlib
from typing import Any, Final

import msgspec

from latchstring.client.connection import Connection, ConnectionKey, PendingLogin

_encoder: Final = msgspec.json.Encoder()
_connections: Final = msgspec.json.Decoder(Connection)
_logins: Final = msgspec.json.Decoder(PendingLogin)


def hash_state(state: str) -> bytes:
    """The name of a login: a copy of the store finishes nobody's."""
    return hashlib.sha256(state.encode("utf-8", "replace")).digest()


def render_key(key: ConnectionKey) -> dict[str, Any]:
    """The key as named values."""
    return {"issuer": key.issuer, "organization_id": key.organization_id, "user_id": key.user_id}


def render_connection(connection: Connection) -> dict[str, Any]:
    """The connection as named values: what a store compares stands beside the record."""
    return render_key(connection.key) | {
        "generation": connection.generation,
        "refreshing_since": connection.refreshing_since,
        "record": _encoder.encode(connection),
    }


def parse_connection(record: bytes, generation: int, refreshing_since: float | None) -> Connection:
    """The connection; what a store changes by itself goes before the record. Raises `msgspec.DecodeError`."""
    return _connections.decode(record).replace(generation=generation, refreshing_since=refreshing_since)


def render_login(login: PendingLogin) -> dict[str, Any]:
    """The login as named values."""
    return {
        "state_hash": hash_state(login.state),
        "browser_hash": login.browser_hash,
        "expires_at": login.expires_at,
        "record": _encoder.encode(login),
    }


def parse_login(record: bytes) -> PendingLogin:
    """The login. Raises `msgspec.DecodeError`."""
    return _logins.decode(record)
