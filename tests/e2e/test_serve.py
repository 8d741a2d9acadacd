"""`latchstring serve` as an operator runs it: real processes, real signals, real files."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import time
from base64 import b64encode
from contextlib import closing
from pathlib import Path

import httpx
import msgspec
import pytest

from latchstring.cli.workers import KEEP_ALIVE
from tests.support.company import create_app, create_user, found_company
from tests.support.deployment import PASSWORD
from tests.support.journey import decide, exchange, introspect, obtain_code, open_consent, refresh
from tests.support.ports import find_free_port
from tests.support.process import (
    PROGRAM,
    Operator,
    QuickOperator,
    accepts,
    child_environment,
    find_credentials,
    find_serving_pid,
    is_running,
    wait_until,
)

METADATA = "/.well-known/oauth-authorization-server"


def browse(server):
    return httpx.AsyncClient(base_url=server.url, timeout=60)


def read_to_end_of(ending, connection):
    """The answer on a connection, up to its last byte."""
    answer = b""
    while not answer.endswith(ending):
        received = connection.recv(65536)
        assert received, answer
        answer += received
    return answer


async def connect(http, company):
    """Walk the loop up to the tokens."""
    code = await obtain_code(http, company.app, company.organization_id)
    answer = await exchange(http, company.app, code)
    assert answer.status_code == 200, answer.text
    return answer.json()


# -- start and stop


def test_serve_on_an_empty_folder_makes_everything_and_says_ready_once(operator, servers):
    server = servers.start()
    assert re.fullmatch(r"ready http://127\.0\.0\.1:[1-9][0-9]+\n", server.output)
    assert sorted(path.name for path in operator.directory.glob("latchstring.db*") if "-" not in path.name) == [
        "latchstring.db",
        "latchstring.db.keyring",
    ]
    metadata = httpx.get(server.url + METADATA).json()
    assert metadata["issuer"] == server.url
    assert httpx.get(f"{server.url}/sign-in").status_code == 200
    assert server.stop(signal.SIGTERM) == 0
    assert not accepts(server.port)
    assert server.output == f"ready {server.url}\n"
    assert server.log == ""


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_serve_sweeps_what_ended_long_ago(operator, servers, workers):
    company = found_company(QuickOperator(operator.directory))
    server = servers.start()
    async with browse(server) as http:
        await connect(http, company)
        await connect(http, company)
    assert server.stop() == 0
    with closing(sqlite3.connect(operator.database_path, isolation_level=None)) as database:
        first, last = (row[0] for row in database.execute("SELECT id FROM oauth_grant ORDER BY id"))
        database.execute("UPDATE oauth_grant SET status = 'ended', ended_at = 1 WHERE id = ?", (first,))
        database.execute("DELETE FROM sweep")
        servers.start("--workers", workers)

        def find_left():
            return [row[0] for row in database.execute("SELECT id FROM oauth_grant")]

        wait_until(lambda: len(find_left()) == 1, "the sweep")
        assert find_left() == [last]


def test_serve_again_keeps_what_was_there_and_ctrl_c_ends_it_quietly(operator, servers):
    company = found_company(QuickOperator(operator.directory))
    port = find_free_port()
    for _ in range(2):
        server = servers.start("--port", str(port), "--host", "127.0.0.1")
        assert server.url == f"http://127.0.0.1:{port}"
        answer = httpx.post(f"{server.url}/oauth2/token/", data=company.app.body(grant_type="refresh_token"))
        assert answer.json()["error_description"] == "refresh_token is missing."
        assert server.press_ctrl_c() == 0
        assert server.output == f"ready {server.url}\n"
        assert "Traceback" not in server.log
        assert "KeyboardInterrupt" not in server.log


def test_sigterm_lets_a_request_in_flight_finish_and_idle_connections_go(servers):
    server = servers.start()
    body = b"grant_type=refresh_token&refresh_token=none&client_id=none&client_secret=none"
    head = (
        "POST /oauth2/token/ HTTP/1.1\r\nHost: server\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    ).encode()
    with (
        socket.create_connection(("127.0.0.1", server.port), 60) as idle,
        socket.create_connection(("127.0.0.1", server.port), 60) as busy,
    ):
        idle.sendall(f"GET {METADATA} HTTP/1.1\r\nHost: server\r\n\r\n".encode())
        assert read_to_end_of(b"}", idle).startswith(b"HTTP/1.1 200 ")
        busy.sendall(head)
        # The endpoint is reading the body now.
        assert busy.recv(65536).startswith(b"HTTP/1.1 100 ")
        busy.sendall(body[:20])
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not accepts(server.port), "the port refuses new connections")
        assert idle.recv(65536) == b""
        assert server.process.poll() is None
        busy.sendall(body[20:])
        answer = read_to_end_of(b"}", busy)
        assert busy.recv(65536) == b""
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b'{"error":"invalid_client"' in answer
    assert server.process.wait(45) == 0


@pytest.mark.slow
def test_connection_idle_for_longer_than_balancers_hesitate_is_still_answered(servers):
    """With uvicorn's own 5 s it would be closed, and a request on its way to it lost."""
    server = servers.start()
    with socket.create_connection(("127.0.0.1", server.port), 60) as idle:
        for pause in (0, 7):
            time.sleep(pause)
            idle.sendall(f"GET {METADATA} HTTP/1.1\r\nHost: server\r\n\r\n".encode())
            assert read_to_end_of(b"}", idle).startswith(b"HTTP/1.1 200 ")
    assert KEEP_ALIVE > 60


@pytest.mark.slow
def test_sigterm_does_not_wait_for_ever_for_a_client_that_stalls(servers):
    server = servers.start()
    head = b"POST /oauth2/token HTTP/1.1\r\nHost: s\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    with socket.create_connection(("127.0.0.1", server.port), 60) as stalled:
        stalled.sendall(head + b"Content-Length: 50\r\nExpect: 100-continue\r\n\r\n")
        assert stalled.recv(65536).startswith(b"HTTP/1.1 100 ")
        assert server.stop(signal.SIGTERM) == 0
    assert not find_credentials(server.log)


def test_serve_on_every_interface_names_an_issuer_that_can_be_opened(servers):
    server = servers.start("--host", "0.0.0.0", "--port", "0")
    assert server.output == f"ready http://0.0.0.0:{server.port}\n"
    own = f"http://127.0.0.1:{server.port}"
    assert httpx.get(own + METADATA).json()["issuer"] == own
    assert server.stop() == 0


def test_serve_takes_the_settings_of_its_file(operator, servers):
    (operator.directory / "latchstring.toml").write_text(
        "# The issuer is given on the command line.\n"
        'deployment_name = "Northwind CRM"\n'
        'accent_color = "#7a1f5c"\n'
        '[scopes."contacts.read"]\ntitle = "Read your contacts"\n'
    )
    config = ("--config", "latchstring.toml", "--port", "0")
    server = servers.start(*config)
    metadata = httpx.get(server.url + METADATA).json()
    assert metadata["issuer"] == server.url
    assert metadata["scopes_supported"] == ["contacts.read", "offline_access"]
    assert "Northwind CRM" in httpx.get(f"{server.url}/sign-in").text
    assert server.stop() == 0
    server = servers.start(*config, "--issuer", "https://auth.example")
    assert httpx.get(server.url + METADATA).json()["issuer"] == "https://auth.example"
    cookie = httpx.get(f"{server.url}/sign-in").headers["set-cookie"]
    assert cookie.startswith("__Host-latchstring_session=")
    assert "; Secure" in cookie


# -- refusals


def test_serve_at_a_taken_port_says_so(servers):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        why = servers.operator.refuse("serve", "--port", str(port))
    assert why == f"--port {port}: 127.0.0.1:{port} cannot be used (Address already in use)"


@pytest.mark.parametrize(
    "content, why",
    [
        ("issuer = ", "--config latchstring.toml: is not TOML ("),
        (b"\xff\xfe", "--config latchstring.toml: is not TOML ("),
        ("isuer = 'https://auth.example'", "isuer"),
        ("code_lifetime = '60'", "code_lifetime"),
        ("code_lifetime = 61", "code_lifetime: give 1 to 60 seconds"),
        ("issuer = 'https://auth.example/'", "issuer: leave out the slash at the end"),
        ("issuer = 'https://auth.example/oauth2'", "issuer: its path begins like one of the server's own"),
        ("issuer = 'auth.example'", "issuer: give an http or https URL"),
        ("scopes = {}", "scopes: define at least one scope"),
        ("accent_color = 'mauve'", "accent colour 'mauve' is not a colour"),
        ("logo_url = 'https://cdn.example/logo.svg'", "must be a path on this server"),
        (None, "--config latchstring.toml: cannot be read (No such file or directory)"),
    ],
)
def test_serve_with_a_setting_it_cannot_use_names_it(tmp_path, content, why):
    if content is not None:
        (tmp_path / "latchstring.toml").write_bytes(content if isinstance(content, bytes) else content.encode())
    # Two workers: their parent says it once.
    serve = ("serve", "--port", "0", "--config", "latchstring.toml", "--workers", "2")
    assert why in QuickOperator(tmp_path).refuse(*serve)


def test_single_process_with_a_setting_it_cannot_use_names_it(operator):
    (operator.directory / "latchstring.toml").write_text("accent_color = 'mauve'")
    why = operator.refuse("serve", "--port", "0", "--config", "latchstring.toml")
    assert why == "settings: accent colour 'mauve' is not a colour; write it as #rrggbb, for example #0f5a73"


def test_serve_without_its_keyring_refuses_and_makes_none(operator):
    create_user(QuickOperator(operator.directory))
    keyring = operator.directory / "latchstring.db.keyring"
    keyring.unlink()
    assert "is missing" in QuickOperator(operator.directory).refuse("serve", "--port", "0")
    assert not keyring.exists()


def test_serve_with_a_keyring_that_did_not_seal_the_signing_keys_refuses(operator):
    """O9, drill 9: never with a new, silent key."""
    quick = QuickOperator(operator.directory)
    first = quick.ask("key", "rotate")
    keyring = operator.directory / "latchstring.db.keyring"
    kept = keyring.read_bytes()
    other = msgspec.json.decode(kept)
    other["keys"][0]["secret"] = b64encode(bytes(32)).decode()
    keyring.write_bytes(msgspec.json.encode(other))
    why = quick.refuse("serve", "--port", "0")
    for refused in (why, quick.refuse("key", "list", "--database", quick.database)):
        assert "is not this database's: its key 1 is another one" in refused
        assert "restore the right one from your backup" in refused
    keyring.write_bytes(kept)
    assert [key["id"] for key in quick.ask("key", "list")] == [first["id"]]


def test_serve_below_a_path_answers_there(operator, servers):
    """M1: with a real server, and no proxy at all."""
    server = servers.start("--issuer", "http://127.0.0.1:8400/login")
    document = httpx.get(f"{server.url}/.well-known/oauth-authorization-server/login").json()
    assert document["issuer"] == "http://127.0.0.1:8400/login"
    assert len(httpx.get(f"{server.url}/login/oauth2/jwks").json()["keys"]) == 1
    page = httpx.get(f"{server.url}/login/sign-in")
    assert 'action="/login/sign-in"' in page.text
    assert "; Path=/login;" in page.headers["set-cookie"]


# -- commands beside a running server


async def test_commands_beside_the_server_are_obeyed_at_once(operator, servers):
    server = servers.start()
    quick = QuickOperator(operator.directory)
    company = found_company(quick)
    owner = ("--user", company.user_id, "--organization", company.organization_id)
    api = quick.ask("resource-server", "create", "--name", "API", "--resource", "https://api.example/")
    guard = (api["client_id"], api["client_secret"])
    async with browse(server) as http:
        tokens = await connect(http, company)
        assert (await introspect(http, guard, tokens["access_token"]))["active"] is True
        listed = quick.ask("grant", "list", "--user", company.user_id)
        assert [(grant["status"], grant["generation"], grant["ended_at"]) for grant in listed] == [("active", 1, None)]
        assert re.fullmatch("grant_[0-9A-Za-z]{22}", listed[0]["id"])
        assert listed[0]["organization_id"] == company.organization_id
        assert quick.ask("grant", "list", "--organization", "orga_0") == []

        quick.ask("membership", "end", *owner)
        refused = await refresh(http, company.app, tokens["refresh_token"])
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
        assert refused.json()["error_description"].startswith("membership_ended: ")
        assert await introspect(http, guard, tokens["access_token"]) == {"active": False}
        assert quick.ask("grant", "list")[0]["status"] == "suspended"

        quick.ask("membership", "add", *owner)
        again = await refresh(http, company.app, tokens["refresh_token"])
        assert again.status_code == 200, again.text
        assert (await introspect(http, guard, tokens["access_token"]))["active"] is True

        rotated = quick.ask("client", "rotate-secret", "--client", company.app.client_id)
        refused = await refresh(http, company.app, again.json()["refresh_token"])
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
        company.app.secret = rotated["client_secret"]
        again = await refresh(http, company.app, again.json()["refresh_token"])
        assert again.status_code == 200, again.text

        assert quick.ask("grant", "end", listed[0]["id"]) == {"id": listed[0]["id"], "status": "ended"}
        refused = await refresh(http, company.app, again.json()["refresh_token"])
        assert refused.json()["error_description"].startswith("revoked: the operator ended the grant.")
        assert await introspect(http, guard, again.json()["access_token"]) == {"active": False}
        why = quick.refuse("grant", "end", listed[0]["id"], "--database", quick.database)
        assert why == f"{listed[0]['id']} has ended already"
        [ended] = quick.ask("grant", "list")
        assert (ended["status"], ended["ended_by"], ended["ended_reason"]) == ("ended", "operator", "ended_by_operator")
    assert server.stop() == 0
    assert not find_credentials(server.log)
    assert company.app.secret not in server.log


async def test_what_commands_create_is_there_for_the_next_request(operator, servers):
    server = servers.start()
    quick = QuickOperator(operator.directory)
    company = found_company(quick)
    create_user(quick, "ben@example.com", "Ben")
    app = create_app(quick, company.organization_id, "--public", name="Shelfware")
    async with browse(server) as http:
        page = await open_consent(http, app, code_challenge="x" * 43, code_challenge_method="S256")
        assert "Shelfware" in page.text
        assert (await decide(http, page, "allow", company.organization_id)).status_code == 303
    async with browse(server) as http:
        page = await open_consent(http, company.app, "ben@example.com")
        assert page.status_code == 403
        assert "organization" in page.text


async def test_grant_list_for_people_shows_ids_that_commands_take(operator, servers):
    server = servers.start()
    quick = QuickOperator(operator.directory)
    company = found_company(quick)
    async with browse(server) as http:
        await connect(http, company)
    [grant] = quick.ask("grant", "list")
    shown = operator.show("grant", "list")
    for part in (grant["id"], company.app.client_id, company.user_id, company.organization_id, "active"):
        assert part in shown
    assert grant["id"] in operator.show("grant", "end", grant["id"])
    assert "ended_by_operator" in operator.show("grant", "list")


# -- several workers


def connect_to_each(server, pids):
    """A kept connection to each of the processes, told apart by who holds the other end."""
    held = {}

    def open_one():
        connection = socket.create_connection(("127.0.0.1", server.port), 60)
        connection.sendall(f"GET {METADATA} HTTP/1.1\r\nHost: server\r\n\r\n".encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        pid = find_serving_pid(server.port, connection.getsockname()[1], pids)
        if pid is None or pid in held:
            connection.close()
        else:
            held[pid] = connection
        return set(held) == set(pids)

    wait_until(open_one, f"an answer from each of {pids}")
    return held


def test_workers_all_answer_and_a_killed_one_is_replaced(servers):
    server = servers.start("--port", "0", "--workers", "2")
    first = server.find_workers()
    assert len(first) == 2
    for connection in connect_to_each(server, first).values():
        connection.close()

    os.kill(first[0], signal.SIGKILL)
    wait_until(lambda: not is_running(first[0]), "the killed worker is gone")
    # The other one goes on meanwhile.
    assert httpx.get(server.url + METADATA).status_code == 200
    wait_until(lambda: len(set(server.find_workers()) - {first[0]}) == 2, "a new worker")
    second = [pid for pid in server.find_workers() if is_running(pid)]
    assert first[1] in second
    held = connect_to_each(server, second)

    assert server.stop(signal.SIGTERM) == 0
    for connection in held.values():
        connection.close()
    assert not [pid for pid in first + second if is_running(pid)]
    assert not accepts(server.port)
    assert server.output == f"ready {server.url}\n"
    assert "Traceback" not in server.log


def test_ctrl_c_ends_all_workers_quietly(servers):
    server = servers.start("--port", "0", "--workers", "2")
    workers = server.find_workers()
    assert server.press_ctrl_c() == 0
    assert not [pid for pid in workers if is_running(pid)]
    assert server.log == ""


def test_killed_parent_leaves_no_orphan(servers):
    server = servers.start("--port", "0", "--workers", "2")
    workers = server.find_workers()
    held = connect_to_each(server, workers)
    server.kill()
    wait_until(lambda: not [pid for pid in workers if is_running(pid)], "the workers of a killed parent end")
    for connection in held.values():
        connection.close()
    assert not accepts(server.port)
    # The address is free again at once.
    assert servers.start("--port", str(server.port)).stop() == 0


# -- two servers, one file


async def test_two_servers_on_one_file_work_as_one(operator, servers):
    issuer = ("--issuer", "http://127.0.0.1:8400", "--port", "0")
    both = [servers.begin(*issuer) for _ in range(2)]
    one, other = (server.wait_until_ready() for server in both)
    quick = QuickOperator(operator.directory)
    company = found_company(quick)
    async with browse(one) as first, browse(other) as second:
        code = await obtain_code(first, company.app, company.organization_id)
        tokens = (await exchange(second, company.app, code)).json()
        for http in (first, second, first, second):
            answer = await refresh(http, company.app, tokens["refresh_token"])
            assert answer.status_code == 200, answer.text
            tokens = answer.json()
        # Signed in at the one is signed in at the other.
        second.cookies = first.cookies
        assert "Mailloop" in (await second.get("/connections")).text
        revoked = await first.post("/oauth2/revoke/", data=company.app.body(token=tokens["refresh_token"]))
        assert revoked.status_code == 200
        refused = await refresh(second, company.app, tokens["refresh_token"])
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert [server.stop() for server in both] == [0, 0]
    assert [path.name for path in operator.directory.glob("*.keyring*")] == ["latchstring.db.keyring"]


def test_commands_that_start_together_on_an_empty_folder_all_succeed(tmp_path):
    command: list[str | Path] = [PROGRAM, "user", "create", "--name", "Ann", "--password-stdin", "--json"]
    running = [
        subprocess.Popen(
            [*command, "--email", f"ann{number}@example.com"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env=child_environment(),
        )
        for number in range(4)
    ]
    for process in running:
        out, err = process.communicate(f"{PASSWORD}\n".encode(), 90)
        assert (process.returncode, err) == (0, b""), out
    assert len(list(tmp_path.glob("*.keyring*"))) == 1
    assert Operator(tmp_path).run("user", "create", "--email", "ann0@example.com", "--name", "A").code == 1


async def test_secret_is_changed_without_a_gap_beside_two_workers(operator, servers):
    """Both work, the retired one is dead at once, and when each was last used is known once the server has written."""
    server = servers.start("--workers", "2")
    quick = QuickOperator(operator.directory)
    company = found_company(quick)
    client = ("--client", company.app.client_id)
    old = company.app.secret
    new = quick.ask("client", "secret", "add", *client)["client_secret"]

    async def come_in(http, secret):
        body = {"client_id": company.app.client_id, "client_secret": secret, "token": "nobody's"}
        return (await http.post("/oauth2/revoke", data=body)).status_code

    for secret in (old, new):
        for _ in range(4):
            async with browse(server) as http:
                assert await come_in(http, secret) == 200
    wait_until(
        lambda: all(kept["last_used_at"] for kept in quick.ask("client", "secret", "list", *client)),
        "both secrets noted as used",
    )
    first, _ = quick.ask("client", "secret", "list", *client)
    quick.ask("client", "secret", "retire", *client, "--secret", first["id"])
    for secret, status in ((old, 401), (new, 200)):
        for _ in range(4):
            async with browse(server) as http:
                assert await come_in(http, secret) == status
