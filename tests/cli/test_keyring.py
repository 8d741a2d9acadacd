"""`latchstring keyring`; a keyring that is lost, older or foreign stops every start (drill 9). On both engines."""

import json
from pathlib import Path

import msgspec
import pytest

from latchstring.authorization_server.keyring import Keyring
from latchstring.authorization_server.tokens import TokenCodec
from latchstring.storage.keyring_file import change_keyring, load_keyring
from latchstring.storage.store import SqlStore
from latchstring.storage.url import run_apart
from latchstring.wiring import epoch_seconds
from tests.authorization_server.builders import build_client, build_organization
from tests.cli.test_doctor import database, run
from tests.support.postgres import Cluster

__all__ = ["database"]
DAY = 24 * 3600


def ask(*arguments: str) -> list[dict[str, object]]:
    """What it prints for programs: a list, or the one thing in a list."""
    result = run("keyring", *arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    told = json.loads(result.stdout)
    return told if isinstance(told, list) else [told]


def refuse(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 1
    return str(result.exception)


def find_file() -> Path:
    [path] = Path().glob("*.keyring")
    return path


def age(days: int) -> None:
    """As if the next key had come into use so long ago."""

    def change(keys: Keyring) -> Keyring:
        first, second = keys.keys
        return Keyring((first, msgspec.structs.replace(second, used_from=epoch_seconds() - days * DAY)))

    change_keyring(find_file(), change)


def test_keyring_rotate_adds_the_next_key_once_and_list_shows_it(database: str) -> None:
    run("migrate", "--database", database)
    before = epoch_seconds()
    [made] = ask("rotate", "--database", database)
    assert (made["id"], made["state"], made["tokens_expire_at"]) == (2, "next", None)
    assert before + 3600 <= int(str(made["used_from"])) <= epoch_seconds() + 3600
    assert ask("rotate", "--database", database) == [made]
    assert [(key["id"], key["state"]) for key in ask("list", "--database", database)] == [(1, "making"), (2, "next")]
    assert find_file().stat().st_mode & 0o777 == 0o600


def test_keyring_rotate_sooner_than_other_processes_look_is_no_choice(database: str) -> None:
    run("migrate", "--database", database)
    assert run("keyring", "rotate", "--after", "59", "--database", database).exit_code == 2
    assert len(ask("list", "--database", database)) == 1


def test_keyring_key_is_retired_once_nothing_needs_it(database: str) -> None:
    run("migrate", "--database", database)
    assert "is the only one in use" in refuse("keyring", "retire", "1", "--force", "--database", database)
    ask("rotate", "--database", database)
    assert "is the only one in use" in refuse("keyring", "retire", "1", "--force", "--database", database)
    age(179)
    listed = ask("list", "--database", database)
    assert [(key["state"], key["tokens_expire_at"] is None) for key in listed] == [
        ("checking", False),
        ("making", True),
    ]
    why = refuse("keyring", "retire", "1", "--database", database)
    assert why == "key 1 is needed: tokens that it made may still live. With --force all of that fails"
    age(181)
    assert ask("retire", "1", "--database", database) == [{"id": 1, "state": "retired", "failing": []}]
    assert [key["id"] for key in ask("list", "--database", database)] == [2]
    for number in ("1", "9"):
        assert f"there is no key {number}" in refuse("keyring", "retire", number, "--database", database)


def test_keyring_key_that_hashed_a_secret_is_retired_only_by_force(database: str) -> None:
    run("migrate", "--database", database)

    secret = TokenCodec(load_keyring(find_file(), 0, may_create=False)).hash_client_secret("ls_cs_x", 0)

    async def work(store: SqlStore) -> None:
        await store.create_organization(build_organization())
        await store.create_client(build_client(secrets=(secret,)))

    run_apart(database, work)
    ask("rotate", "--database", database)
    age(181)
    why = refuse("keyring", "retire", "1", "--database", database)
    assert "apps with a secret that it hashed, not used since the next key: 1 (oa2client_" in why
    [told] = ask("retire", "1", "--force", "--database", database)
    assert len(str(told["failing"]).split("secret that it hashed")) == 2


def test_keyring_lost_older_or_foreign_stops_every_command_and_is_never_made_anew(database: str) -> None:
    run("migrate", "--database", database)
    path = find_file()
    older = path.read_bytes()
    ask("rotate", "--database", database)
    newer = path.read_bytes()
    path.write_bytes(older)
    assert f"keyring {path}: lacks key 2" in refuse("organization", "create", "--name", "A", "--database", database)
    path.unlink()
    load_keyring(path, 0, may_create=True)
    assert "is not this database's: its key 1" in refuse("key", "list", "--database", database)
    path.unlink()
    assert f"keyring {path}: is missing" in refuse("keyring", "list", "--database", database)
    assert list(Path().glob("*.keyring*")) == []
    path.write_bytes(newer)
    assert run("organization", "create", "--name", "A", "--database", database).exit_code == 0


def test_keyring_key_that_is_lost_for_good_is_retired_by_force(database: str) -> None:
    run("migrate", "--database", database)
    ask("rotate", "--database", database)
    age(1)
    change_keyring(find_file(), lambda keys: keys.drop({1}))
    assert "lacks key 1" in refuse("keyring", "list", "--database", database)
    ask("retire", "1", "--force", "--database", database)
    assert [(key["id"], key["state"]) for key in ask("list", "--database", database)] == [(2, "making")]


@pytest.mark.xdist_group("postgresql")
def test_two_machines_that_started_with_keyrings_of_their_own_do_not_both_serve(
    postgres: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    database = postgres.create_database()
    run("migrate", "--database", database, "--keyring", "first.keyring")
    load_keyring(tmp_path / "second.keyring", 0, may_create=True)
    why = refuse("migrate", "--database", database, "--keyring", "second.keyring")
    assert "second.keyring: is not this database's" in why
