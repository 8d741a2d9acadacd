"""The keyring's file: made at first start, readable by its owner alone, never silently replaced."""

import contextlib
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from latchstring.authorization_server.keyring import KEY_SIZE, Keyring, new_keyring, parse_keyring, render_keyring
from latchstring.protocol.errors import ConfigurationError


def load_keyring(path: Path, now: int, *, may_create: bool) -> Keyring:
    """The keyring in the file. An absent one is made only where `may_create` says that no token can be lost;
    two processes that start at once end up with the same one."""
    try:
        return parse_keyring(path.read_bytes(), f"keyring {path}")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ConfigurationError(f"keyring {path}: cannot be read ({error.strerror})") from None
    if not may_create:
        raise ConfigurationError(
            f"keyring {path}: is missing, but the database has tokens made with it; restore it from your backup "
            "or name it with --keyring or LATCHSTRING_KEYRING"
        )
    try:
        fresh = _write_beside(path, new_keyring(os.urandom(KEY_SIZE), now))
        # A link, not a rename: whoever comes second must find the first one's keyring, not overwrite it.
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
        return parse_keyring(path.read_bytes(), f"keyring {path}")
    except OSError as error:
        raise ConfigurationError(f"keyring {path}: cannot be made ({error.strerror})") from None


def change_keyring(path: Path, change: Callable[[Keyring], Keyring]) -> Keyring:
    """Replace the keyring in the file, whole or not at all, its owner unchanged; two changes at once take turns."""
    try:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            changed = change(parse_keyring(path.read_bytes(), f"keyring {path}"))
            fresh = _write_beside(path, changed)
            try:
                # An operator who is root leaves it to the user that the server runs as.
                owner = path.stat()
                if (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
                    os.chown(fresh, owner.st_uid, owner.st_gid)
                fresh.replace(path)
            except OSError:
                fresh.unlink()
                raise
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ConfigurationError(f"keyring {path}: cannot be changed ({error.strerror})") from None
    return changed


def _write_beside(path: Path, keyring: Keyring) -> Path:
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(render_keyring(keyring))
        file.flush()
        os.fsync(file.fileno())
    return fresh
