"""The connections of the person at the keyboard: where their tokens are kept, and by which names they go."""

import os
import re
from pathlib import Path
from typing import Final

import msgspec

from latchstring.cli.output import CommandRefused
from latchstring.client import ConnectionKey, OAuthClient, Provider, SQLiteStore

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_encode: Final = msgspec.json.Encoder().encode


class SavedConnection(msgspec.Struct, frozen=True, kw_only=True):
    """A named connection, and the app that made it. `provider` is a known name or an issuer; `key` is None until a
    person has allowed it."""

    provider: str
    client_id: str
    client_secret: str | None
    scope: str
    resource: str | None = None
    places: dict[str, str] = {}
    key: ConnectionKey | None = None

    def __repr__(self) -> str:
        return f"SavedConnection(provider={self.provider!r}, client_id={self.client_id!r})"


def find_folder() -> Path:
    """Where they are: `LATCHSTRING_CONNECTIONS`, or a folder in the person's home. Made for them alone."""
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    folder = Path(os.environ.get("LATCHSTRING_CONNECTIONS") or f"{home}/latchstring/connections").expanduser()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def verify_name(name: str) -> str:
    """The name itself, or `CommandRefused` for what no file should be called."""
    if not _NAME.fullmatch(name):
        raise CommandRefused("a connection's name is made of letters, digits, dots and dashes, at most 64")
    return name


def find_saved(name: str) -> SavedConnection:
    """The connection of that name."""
    path = find_folder() / f"{verify_name(name)}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=SavedConnection)
    except FileNotFoundError:
        raise CommandRefused(f"there is no connection {name!r}: latchstring connection list shows them") from None
    except msgspec.DecodeError as error:
        raise CommandRefused(f"{path} is damaged: {error}") from None


def find_names() -> list[str]:
    """The names there are."""
    return sorted(path.stem for path in find_folder().glob("*.json"))


def save(name: str, saved: SavedConnection) -> None:
    """Keep it, readable by the person alone, whole or not at all."""
    path = find_folder() / f"{verify_name(name)}.json"
    draft = path.with_suffix(f".{os.getpid()}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(_encode(saved))
    draft.replace(path)


def forget(name: str) -> None:
    """Forget the name; its tokens are the store's."""
    (find_folder() / f"{verify_name(name)}.json").unlink(missing_ok=True)


def open_client(saved: SavedConnection) -> OAuthClient:
    """The client that made the connection."""
    is_issuer = saved.provider.startswith(("https://", "http://"))
    return OAuthClient(
        saved.provider if is_issuer else Provider.named(saved.provider, **saved.places),
        client_id=saved.client_id,
        client_secret=saved.client_secret,
        scope=saved.scope,
        resource=saved.resource,
        store=SQLiteStore(find_folder() / "connections.db"),
    )
