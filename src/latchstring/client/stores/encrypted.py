"""Any store, with the credentials in it encrypted. Needs the extra `client-encryption`."""

from collections.abc import Sequence
from typing import Final

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from latchstring.client.connection import Connection, ConnectionKey, PendingLogin
from latchstring.client.errors import Misconfigured
from latchstring.client.stores.port import ConnectionStore

_encode: Final = msgspec.json.Encoder().encode
_decoder: Final = msgspec.json.Decoder(tuple[str, ...])


class EncryptedStore:
    """A `ConnectionStore` over another one, which sees no token and no code verifier in the clear.

    `keys` are Fernet keys (`cryptography.fernet.Fernet.generate_key()`), kept apart from the store. The first encrypts;
    all of them decrypt, so that keys are changed by putting a new one in front: what is written anew is under it. Each
    credential is bound to its connection: swapped for another's, it is refused. With a key missing the call fails with
    `Misconfigured` (`store_key_unknown`), and nothing is lost.
    """

    def __init__(self, store: ConnectionStore, keys: Sequence[str | bytes]) -> None:
        if not keys:
            raise Misconfigured("argument_refused", "EncryptedStore needs at least one key.")
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            raise Misconfigured("argument_refused", "A key is not a Fernet key: 32 bytes in base64url.") from None
        self._store = store

    def find_connection(self, key: ConnectionKey) -> Connection | None:
        return self._open(self._store.find_connection(key))

    def find_connections(self, issuer: str) -> list[Connection]:
        return [self._decrypt(connection) for connection in self._store.find_connections(issuer)]

    def commit_connected(self, connection: Connection) -> Connection:
        return self._decrypt(self._store.commit_connected(self._encrypt(connection)))

    def commit_lease(
        self, key: ConnectionKey, *, generation: int, holder: str, now: float, until: float, refreshes: bool
    ) -> Connection | None:
        return self._open(
            self._store.commit_lease(
                key, generation=generation, holder=holder, now=now, until=until, refreshes=refreshes
            )
        )

    def commit_connection(self, connection: Connection, *, generation: int, holder: str) -> bool:
        return self._store.commit_connection(self._encrypt(connection), generation=generation, holder=holder)

    def end_connection(self, key: ConnectionKey) -> None:
        self._store.end_connection(key)

    def commit_login(self, login: PendingLogin, *, now: float) -> None:
        sealed = self._seal(login.code_verifier, login.state)
        self._store.commit_login(msgspec.structs.replace(login, code_verifier=sealed), now=now)

    def end_login(self, state: str, *, browser_hash: str) -> PendingLogin | None:
        login = self._store.end_login(state, browser_hash=browser_hash)
        if login is None:
            return None
        return msgspec.structs.replace(login, code_verifier=self._unseal(login.code_verifier, login.state))

    def _open(self, connection: Connection | None) -> Connection | None:
        return None if connection is None else self._decrypt(connection)

    def _encrypt(self, connection: Connection) -> Connection:
        refresh_token = connection.refresh_token
        return connection.replace(
            access_token=self._seal(connection.access_token, *_name(connection.key)),
            refresh_token=None if refresh_token is None else self._seal(refresh_token, *_name(connection.key)),
        )

    def _decrypt(self, connection: Connection) -> Connection:
        refresh_token = connection.refresh_token
        return connection.replace(
            access_token=self._unseal(connection.access_token, *_name(connection.key)),
            refresh_token=None if refresh_token is None else self._unseal(refresh_token, *_name(connection.key)),
        )

    def _seal(self, secret: str, *owner: str) -> str:
        return self._fernet.encrypt(_encode((secret, *owner))).decode("ascii")

    def _unseal(self, sealed: str, *owner: str) -> str:
        try:
            secret, *found = _decoder.decode(self._fernet.decrypt(sealed))
        except (InvalidToken, msgspec.DecodeError, ValueError):
            why = "A credential in the store was not encrypted with any of the keys given."
            raise Misconfigured("store_key_unknown", why) from None
        if found != list(owner):
            raise Misconfigured("store_tampered", "A credential in the store belongs to another connection.")
        return secret

    def __repr__(self) -> str:
        return f"EncryptedStore({self._store!r})"


def _name(key: ConnectionKey) -> tuple[str, str, str]:
    return key.issuer, key.organization_id, key.user_id
