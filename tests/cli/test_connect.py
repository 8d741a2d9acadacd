"""`latchstring connect`, `token` and `connection`: a person at the keyboard, and a provider."""

import json
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from latchstring.cli import main
from latchstring.client.testing import FakeProvider

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def served() -> Iterator[FakeProvider]:
    with FakeProvider(client_secret="").serve() as provider:
        yield provider


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LATCHSTRING_CONNECTIONS", str(tmp_path / "connections"))
    return tmp_path / "connections"


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The program, in this process: exit code, standard output, standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["latchstring", *arguments])
        with pytest.raises(SystemExit) as ended:
            main.main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return call


@pytest.fixture
def browser(served: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Allows what it is sent to, or declines."""
    choice: dict[str, Any] = {"allow": True}

    def launch(url: str) -> int:
        callback = served.authorize(url, allow=choice["allow"], organization_id=choice.get("in", "orga_acorn"))
        threading.Thread(target=lambda: httpx.get(callback, trust_env=False), daemon=True).start()
        return 0

    monkeypatch.setattr("typer.launch", launch)
    return choice


def connect(run: Run, provider: FakeProvider, *more: str) -> tuple[int, str, str]:
    return run("connect", provider.issuer, "--client-id", provider.client_id, *more)


def test_person_connects_uses_the_token_and_disconnects(run: Run, served: FakeProvider, browser, folder: Path):
    code, told, _ = connect(run, served, "--name", "crm", "--json")
    assert code == 0
    assert json.loads(told) == {
        "name": "crm",
        "issuer": served.issuer,
        "organization_id": "orga_acorn",
        "user_id": "user_ann",
        "scope": "all.full_access offline_access",
    }
    code, token, _ = run("token", "crm")
    assert code == 0
    headers = {"Authorization": f"Bearer {token.strip()}"}
    assert httpx.get(f"{served.issuer}/api/v1/me/", headers=headers).status_code == 200
    code, told, _ = run("connection", "list", "--json")
    [row] = json.loads(told)
    assert (row["name"], row["verdict"], row["reason"]) == ("crm", "ok", None)
    code, told, _ = run("connection", "disconnect", "crm")
    assert code == 0
    assert httpx.get(f"{served.issuer}/api/v1/me/", headers=headers).status_code == 401
    assert run("token", "crm")[0] == 1
    assert json.loads(run("connection", "list", "--json")[1]) == []


def test_what_is_kept_is_the_person_s_alone(run: Run, served: FakeProvider, browser, folder: Path):
    connect(run, served)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = sorted(folder.iterdir())
    assert [path.name for path in files if path.suffix == ".json"] == ["default.json"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_token_is_refreshed_when_it_is_over(run: Run, served: FakeProvider, browser):
    served.expires_in = 0
    connect(run, served)
    served.expires_in = 3600
    refreshed = run("token")[1]
    assert served.refreshes == 1
    assert run("token")[1] == refreshed
    assert json.loads(run("token", "--json")[1]) == {"access_token": refreshed.strip()}
    assert served.refreshes == 1


def test_lost_connection_says_what_to_do(run: Run, served: FakeProvider, browser):
    served.expires_in = 0
    connect(run, served)
    served.revoke()
    code, told, why = run("token")
    assert (code, told) == (1, "")
    assert why.startswith(
        "latchstring: connect it again: latchstring connection reconnect default (invalid_grant: revoked"
    )
    assert json.loads(run("connection", "list", "--json")[1])[0]["verdict"] == "reauthorize"
    assert run("connection", "forget")[0] == 0


def test_lost_connection_is_connected_again_and_no_other_in_its_place(run: Run, served: FakeProvider, browser):
    connect(run, served)
    served.revoke()
    browser["in"] = "orga_birch"
    code, told, why = run("connection", "reconnect")
    assert (code, told) == (1, "")
    assert "organization_changed: Another organization was chosen than the connection's." in why
    del browser["in"]
    code, told, _ = run("connection", "reconnect", "--json")
    assert (code, json.loads(told)["organization_id"]) == (0, "orga_acorn")
    [row] = json.loads(run("connection", "list", "--json")[1])
    assert (row["organization_id"], row["verdict"]) == ("orga_acorn", "ok")
    assert run("token")[0] == 0
    assert "'nobody'" in run("connection", "reconnect", "nobody")[2]


def test_decline_keeps_nothing(run: Run, served: FakeProvider, browser, folder: Path):
    browser["allow"] = False
    code, _, why = connect(run, served)
    assert code == 1
    assert "access_denied: The member declined." in why
    assert list(folder.glob("*.json")) == []


def test_device_shows_a_code_and_connects(run: Run, served: FakeProvider, monkeypatch):

    def answer(_: float) -> None:
        for code in served.devices:
            served.answer_device(code)

    monkeypatch.setattr("time.sleep", answer)
    code, told, shown = connect(run, served, "--device", "--json")
    assert code == 0
    assert f"Open {served.issuer}/device and enter WDJB-0000" in shown
    assert json.loads(told)["user_id"] == "user_ann"


@pytest.mark.parametrize(
    "arguments, why",
    [
        (("connect", "nobody", "--client-id", "x"), "No provider 'nobody' is known"),
        (("connect", "http://example.com", "--client-id", "x"), "The issuer is an https URL"),
        (("connect", "shopify", "--client-id", "x"), "takes shop="),
        (("connect", "shopify", "--client-id", "x", "--place", "shop"), "--place takes NAME=VALUE"),
        (("connect", "close", "--client-id", "x", "--device"), "the provider offers no connecting of devices"),
        (("connect", "close", "--client-id", "x", "--name", "../x"), "a connection's name is made of"),
        (("token", "nothing"), "there is no connection 'nothing'"),
        (("token", "../../etc/passwd"), "a connection's name is made of"),
        (("connection", "disconnect", "nothing"), "there is no connection 'nothing'"),
    ],
)
def test_what_cannot_be_done_is_one_line(run: Run, arguments, why):
    code, told, said = run(*arguments)
    assert (code, told) == (1, "")
    assert why in said
    assert said.count("\n") == 1


def test_damaged_file_is_named_and_kept(run: Run, folder: Path):
    folder.mkdir()
    (folder / "crm.json").write_text("{")
    code, _, said = run("token", "crm")
    assert code == 1
    assert "crm.json is damaged" in said
    assert (folder / "crm.json").exists()


def test_provider_without_revocation_says_where_to_disconnect(run: Run, folder: Path):
    folder.mkdir()
    saved = {"provider": "github", "client_id": "x", "client_secret": None, "scope": ""}
    key = {"issuer": "https://github.com/login/oauth", "organization_id": "", "user_id": "1"}
    (folder / "hub.json").write_text(json.dumps(saved | {"key": key}))
    code, _, said = run("connection", "disconnect", "hub")
    assert code == 1
    assert "latchstring connection forget hub" in said
    assert run("connection", "forget", "hub")[0] == 0
    assert list(folder.glob("*.json")) == []
