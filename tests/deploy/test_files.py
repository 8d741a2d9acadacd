"""The files of `deploy/` against the code: settings, commands, variables and paths that they name."""

import configparser
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
import yaml  # type: ignore[import-untyped]

from latchstring.authorization_server.settings import Settings
from latchstring.cli.main import app
from latchstring.cli.workers import KEEP_ALIVE
from latchstring.storage.postgres import MAX_CONNECTIONS, STATEMENT_TIMEOUT
from latchstring.storage.settling import SETTLE_LIMIT
from latchstring.storage.url import find_sqlite_path
from latchstring.web.health import LIVENESS, READINESS
from latchstring.wiring import KEYRING_VARIABLE, load_settings
from tests.docs.markdown import ROOT, read_page
from tests.support.postgres import Cluster
from tests.support.process import PROGRAM
from tests.support.programs import find_program

DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "latchstring.service"
COMPOSE = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
HAPROXY = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
NGINX = (DEPLOY / "nginx" / "latchstring.conf").read_text()
SERVERS = ["latchstring-1:8400", "latchstring-2:8400"]


def parse_command(words: list[str]) -> dict[str, Any]:
    """The options that a `latchstring` command is given, or a failure that says which it does not know."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    parsed: dict[str, Any] = command.make_context("latchstring", rest).params
    return parsed


def test_every_file_is_listed_once() -> None:
    files = {path for path in DEPLOY.rglob("*") if path.is_file()} - {DEPLOY / "README.md"}
    listed = {(DEPLOY / link).resolve() for link in read_page(DEPLOY / "README.md").links if not link.startswith("..")}
    folders = {path for path in listed if path.is_dir()} | {DEPLOY / "compose"}
    assert {path for path in files if path not in listed and path.parent not in folders} == set()
    assert all(path.exists() for path in listed)


def test_settings_are_accepted() -> None:
    settings = load_settings(DEPLOY / "latchstring.toml")
    assert settings.trusted_proxies == 1
    assert settings.client_certificate_header == "Client-Cert"
    assert set(tomllib.loads((DEPLOY / "latchstring.toml").read_text())) <= set(Settings.__struct_fields__)


# -- systemd


def read_unit() -> configparser.ConfigParser:
    unit = configparser.ConfigParser(strict=False, delimiters="=", interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(UNIT)
    return unit


def test_unit_runs_a_command_that_exists_and_drains_before_it_is_killed() -> None:
    service = read_unit()["Service"]
    words = shlex.split(service["ExecStart"])
    assert Path(words[0]).name == "latchstring"
    given = parse_command(words[1:])
    assert (given["host"], given["port"], given["workers"]) == ("0.0.0.0", 8400, 2)
    assert int(service["TimeoutStopSec"]) > 15


def test_environment_of_the_unit_is_what_the_server_reads() -> None:
    lines = (DEPLOY / "systemd" / "environment").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert {name for name in given if name.startswith("LATCHSTRING_")} == {"LATCHSTRING_DATABASE", KEYRING_VARIABLE}
    assert find_sqlite_path(given["LATCHSTRING_DATABASE"]) is None
    assert {name for name in given if not name.startswith("LATCHSTRING_")} == {
        "PGPASSWORD",
        "PGSSLMODE",
        "PGSSLROOTCERT",
    }


def test_unit_passes_systemd_s_own_check_and_is_confined(tmp_path: Path) -> None:
    analyze = find_program("systemd-analyze", "systemd")
    (tmp_path / "environment").write_text("")
    unit = UNIT.read_text().replace("/opt/latchstring/.venv/bin/latchstring", str(PROGRAM))
    copy = tmp_path / "latchstring.service"
    copy.write_text(unit.replace("User=latchstring", "User=nobody"))
    environment = {**os.environ, "SYSTEMD_LOG_LEVEL": "warning"}
    checked = subprocess.run([analyze, "verify", copy], capture_output=True, text=True, env=environment)
    complaints = [line for line in checked.stderr.splitlines() if "latchstring" in line]
    assert (checked.returncode, complaints) == (0, [])
    # 0 is a unit that can do nothing, 10 one that can do anything; 2.0 is what systemd calls "OK" and better.
    rated = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", copy], capture_output=True, text=True
    )
    assert rated.returncode == 0, rated.stdout + rated.stderr


# -- compose


def test_compose_services_run_commands_that_exist() -> None:
    for name in ("schema", "latchstring-1", "latchstring-2"):
        service = COMPOSE["services"][name]
        given = parse_command(service["command"])
        if name != "schema":
            assert given["host"] == "0.0.0.0"
            assert f":{given['port']}" in SERVERS[0]
            assert str(given["config"]) in {volume.split(":")[1] for volume in service["volumes"]}
        assert set(service["environment"]) == {"LATCHSTRING_DATABASE", KEYRING_VARIABLE, "PGPASSWORD"}
        assert find_sqlite_path(service["environment"]["LATCHSTRING_DATABASE"]) is None


def test_compose_servers_share_one_keyring_and_wait_for_it() -> None:
    """Two that start at once on an empty database would make two."""
    services = COMPOSE["services"]
    for name in ("latchstring-1", "latchstring-2"):
        assert services[name]["depends_on"] == {"schema": {"condition": "service_completed_successfully"}}
        assert services[name]["volumes"] == services["schema"]["volumes"]
        folder = Path(services[name]["environment"][KEYRING_VARIABLE]).parent
        assert f"keyring:{folder}" in services[name]["volumes"]
        assert services[name]["healthcheck"]["test"][-1].count(READINESS) == 1
    assert services["schema"]["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert services["schema"]["restart"] == "no"


def test_compose_names_what_it_mounts_and_what_it_builds() -> None:
    folder = DEPLOY / "compose"
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            known = source in COMPOSE["volumes"] or source == "./certificates" or (folder / source).exists()
            assert known, source
        for dependency in service.get("depends_on", ()):
            assert dependency in COMPOSE["services"]
        if "build" in service:
            context = (folder / service["build"]["context"]).resolve()
            assert context == ROOT
            assert (context / service["build"]["dockerfile"]).exists()
    # The proxies' addresses are those that the settings trust.
    [network] = COMPOSE["networks"]["inside"]["ipam"]["config"]
    assert load_settings(DEPLOY / "latchstring.toml").trusted_proxy_networks == (network["subnet"],)


def test_image_is_made_of_what_is_here_and_runs_as_nobody_special() -> None:
    text = (DEPLOY / "compose" / "Dockerfile").read_text()
    instructions = re.findall(r"^([A-Z]+) (.+)$", text.replace("\\\n", " "), re.MULTILINE)
    for sources in (value.split()[:-1] for name, value in instructions if name == "COPY" and "--from" not in value):
        assert all((ROOT / source).exists() for source in sources)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    [installed] = re.findall(r"/src\[([a-z,]+)\]", text)
    assert set(installed.split(",")) <= set(extras)
    last = {name: value for name, value in instructions if name in {"USER", "ENTRYPOINT", "CMD", "ENV"}}
    assert last["USER"] == "latchstring"
    assert msgspec.json.decode(last["ENTRYPOINT"])[0].endswith("/bin/latchstring")
    parse_command(msgspec.json.decode(last["CMD"]))
    assert last["ENV"].startswith(f"{KEYRING_VARIABLE}=")


# -- proxies


@pytest.mark.parametrize("text", [HAPROXY, NGINX], ids=["haproxy", "nginx"])
def test_proxies_send_to_the_same_servers(text: str) -> None:
    assert sorted(set(re.findall(r"latchstring-\d:\d+", text))) == SERVERS
    assert set(SERVERS) == {f"{name}:8400" for name in COMPOSE["services"] if name.startswith("latchstring-")}


def test_proxies_wait_longer_than_a_write_in_doubt_and_hang_up_before_the_server() -> None:
    waits = [*re.findall(r"timeout server (\d+)s", HAPROXY), *re.findall(r"proxy_read_timeout (\d+)s", NGINX)]
    assert [int(seconds) > SETTLE_LIMIT + STATEMENT_TIMEOUT for seconds in waits] == [True, True]
    idle = [
        *re.findall(r"timeout http-keep-alive (\d+)s", HAPROXY),
        *re.findall(r"\bkeepalive_timeout (\d+)s", NGINX),
    ]
    assert [int(seconds) < KEEP_ALIVE for seconds in idle] == [True, True]


def test_haproxy_asks_our_health_paths() -> None:
    assert re.findall(r"http-check send meth GET uri (\S+)", HAPROXY) == [READINESS, LIVENESS]


# -- the database


def test_patroni_promotes_only_who_has_everything(postgres: Cluster) -> None:
    dcs = yaml.safe_load((DEPLOY / "patroni" / "patroni.yml").read_text())["bootstrap"]["dcs"]
    assert dcs["synchronous_mode"] is True
    parameters = dcs["postgresql"]["parameters"]
    assert parameters["synchronous_commit"] == "on"
    assert parameters["max_connections"] >= 4 * MAX_CONNECTIONS
    for name, value in parameters.items():
        # PostgreSQL refuses a name that it does not know, and a value that it cannot take.
        postgres.ask(f"ALTER SYSTEM SET {name} = '{value}'")
        postgres.ask(f"ALTER SYSTEM RESET {name}")
