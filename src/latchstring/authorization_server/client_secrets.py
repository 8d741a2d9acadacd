"""A client's secrets: several at once, so that one can follow another without a moment in which none works."""

from typing import Final

import msgspec

from latchstring.authorization_server.apps import MAX_NAME_LENGTH, AppRefused, Problem, clean_name
from latchstring.authorization_server.events import SYSTEM, Origin
from latchstring.authorization_server.ports import Clock, Commit, Entropy, Store
from latchstring.authorization_server.records import ClientRecord, SecretHash
from latchstring.authorization_server.tokens import CLIENT_SECRET_SIZE, TokenCodec

MAX_SECRETS: Final = 5
OVERLAP: Final = 7 * 24 * 3600
"""How long a secret that is on its way out goes on working, in seconds."""


def _refuse(code: str, message: str, **values: str) -> AppRefused:
    return AppRefused(Problem("secrets", code, message, values))


def find_live(secrets: tuple[SecretHash, ...], now: int) -> tuple[SecretHash, ...]:
    """Those that work, the oldest first."""
    return tuple(kept for kept in secrets if not kept.has_ended(now))


class ClientSecrets:
    """Adds, retires and replaces secrets. Each is shown once, to whoever made it, and kept as a hash."""

    def __init__(self, *, store: Store, codec: TokenCodec, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._codec = codec
        self._clock = clock
        self._entropy = entropy

    async def add(self, client: ClientRecord, name: str = "", *, origin: Origin = SYSTEM) -> str:
        """One more secret; the others live on. `AppRefused` where there are too many, or where it has no use."""
        if not client.has_secret:
            raise _refuse(
                "secret_useless", f"It has no secret: it authenticates by {client.token_endpoint_auth_method}."
            )
        name = clean_name(name)
        if len(name) > MAX_NAME_LENGTH:
            limit = str(MAX_NAME_LENGTH)
            raise _refuse("secret_name_too_long", f"Keep the name to {limit} characters.", limit=limit)
        live = find_live(client.secrets, self._clock())
        if len(live) >= MAX_SECRETS:
            limit = str(MAX_SECRETS)
            raise _refuse("secrets_too_many", f"There are {limit} secrets already: retire one first.", limit=limit)
        secret, kept = self._make(name)
        await self._replace_known(client, (*live, kept), origin)
        return secret

    async def retire(
        self,
        client: ClientRecord,
        secret_id: str,
        *,
        after: int = 0,
        even_last: bool = False,
        origin: Origin = SYSTEM,
    ) -> ClientRecord:
        """The client, one secret of which works for at most `after` seconds more: 0 ends it at once.

        The last that is there to stay is kept, unless `even_last` says that this is meant.
        """
        now = self._clock()
        live = find_live(client.secrets, now)
        retired = next((kept for kept in live if kept.secret_id == secret_id), None)
        if retired is None:
            raise _refuse("secret_unknown", "There is no such secret, or it has ended already.")
        staying = any(kept.expires_at is None for kept in live if kept is not retired)
        if not staying and not even_last:
            raise _refuse("secret_last", "It is the last secret that is there to stay: add another one first.")
        ends_at = now + after if retired.expires_at is None else min(now + after, retired.expires_at)
        ending = () if after == 0 else (msgspec.structs.replace(retired, expires_at=ends_at),)
        secrets = tuple(one for kept in live for one in (ending if kept is retired else (kept,)))
        await self._replace_known(client, secrets, origin)
        return msgspec.structs.replace(client, secrets=secrets)

    async def replace(self, client: ClientRecord, *, origin: Origin = SYSTEM) -> str | None:
        """A new secret, the old ones dead at once; None for a client without any, or one that has just vanished."""
        if not client.has_secret:
            return None
        secret, kept = self._make("")
        commit = await self._store.replace_client_secrets(client.client_id, (kept,), now=self._clock(), origin=origin)
        return secret if commit is Commit.APPLIED else None

    def _make(self, name: str) -> tuple[str, SecretHash]:
        secret = self._codec.render_client_secret(self._entropy(CLIENT_SECRET_SIZE))
        return secret, self._codec.hash_client_secret(secret, self._clock(), name)

    async def _replace_known(self, client: ClientRecord, secrets: tuple[SecretHash, ...], origin: Origin) -> None:
        commit = await self._store.replace_client_secrets(
            client.client_id, secrets, known=client.secrets, now=self._clock(), origin=origin
        )
        if commit is Commit.LOST:
            raise _refuse("secrets_changed", "Somebody else has just changed the secrets: look again, and try again.")
