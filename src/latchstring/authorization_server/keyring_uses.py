"""What still needs a key of the keyring: it goes when the last thing that it made has expired, and not before."""

from collections.abc import Iterable, Mapping, Sequence

from latchstring.authorization_server.keyring import Keyring
from latchstring.authorization_server.policy import find_policy
from latchstring.authorization_server.records import ClientRecord, ResourceServerRecord
from latchstring.authorization_server.registration_codec import find_registering_key
from latchstring.authorization_server.settings import Settings


def find_expiry(key_id: int, keyring: Keyring, settings: Settings, now: int) -> int | None:
    """When the last token that the key made has expired, in epoch seconds: each refresh makes a token's successor with
    the key that is in use by then. None where that is not known yet, or never."""
    later = keyring.find_successor(key_id)
    idle, absolute = settings.refresh_token_idle_lifetime, settings.refresh_token_absolute_lifetime
    if later is None or later.used_from > now or (idle is None and absolute is None):
        return None
    longest = min(lifetime for lifetime in (idle, absolute) if lifetime is not None)
    return later.used_from + max(longest, settings.access_token_lifetime, settings.registration_lifetime)


def find_uses(
    key_id: int,
    keyring: Keyring,
    *,
    clients: Iterable[ClientRecord],
    resource_servers: Iterable[ResourceServerRecord],
    sealed: Mapping[str, int],
    settings: Settings,
    now: int,
) -> list[str]:
    """What fails if the key goes now, each in a line for the operator; empty when it may go. `sealed` is how many
    values the database keeps sealed with it, by where they stand."""
    uses: list[str] = []
    if keyring.order(now).current.key_id == key_id:
        uses.append("it makes what is new: add the next key with `latchstring keyring rotate`")
    later = keyring.find_successor(key_id)
    expiry = find_expiry(key_id, keyring, settings, now)
    if expiry is None or expiry > now:
        uses.append("tokens that it made may still live")
    clients = list(clients)
    # A secret that is used gets its hash from the key of now.
    _tell(uses, "apps with a secret that it hashed, not used since the next key", _with_secret(clients, key_id))
    _tell(
        uses, "APIs with a secret that it hashed, not used since the next key", _with_secret(resource_servers, key_id)
    )
    registered = [client.client_id for client in clients if _find_registering_key(client) == key_id]
    _tell(uses, "apps that registered themselves with it, which have to do so anew", registered)
    # Their refresh tokens stay the same string for as long as they are used.
    constant = [
        client.client_id
        for client in clients
        if not find_policy(client).rotates_refresh_tokens and later is not None and client.created_at < later.used_from
    ]
    _tell(uses, "apps that keep their refresh tokens, which it may have made", constant)
    for name, count in sealed.items():
        uses.append(f"values that are sealed with it: {count} ({name})")
    return uses


def _find_registering_key(client: ClientRecord) -> int | None:
    return None if client.public_id is None else find_registering_key(client.public_id)


def _with_secret(holders: Iterable[ClientRecord | ResourceServerRecord], key_id: int) -> list[str]:
    return [holder.client_id for holder in holders if any(secret.key_id == key_id for secret in holder.secrets)]


def _tell(uses: list[str], what: str, which: Sequence[str]) -> None:
    if which:
        shown = ", ".join(which[:3]) + (", …" if len(which) > 3 else "")
        uses.append(f"{what}: {len(which)} ({shown})")
