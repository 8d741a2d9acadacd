"""`python -m latchstring.demo` as a newcomer starts it: real processes, real ports."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from latchstring.demo.state import find_state
from tests.support.forms import find_form
from tests.support.ports import find_free_ports
from tests.support.process import START_LIMIT, STOP_LIMIT, accepts, child_environment, find_credentials, wait_until

pytestmark = [pytest.mark.drill, pytest.mark.xdist_group("demo")]


class Demo:
    """One run of the launcher."""

    def __init__(self, directory, base_port):
        self.base_port = base_port
        self.output = directory.parent / f"{directory.name}-output.txt"
        with self.output.open("wb") as output:
            where = ["--base-port", str(base_port), "--directory", str(directory)]
            self.process = subprocess.Popen(
                [sys.executable, "-m", "latchstring.demo", *where],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=child_environment(),
            )

    def text(self):
        return self.output.read_text()

    def wait_for(self, words, limit=START_LIMIT):
        deadline = time.monotonic() + limit
        while words not in self.text():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.05)

    def children(self):
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(STOP_LIMIT)


@pytest.fixture
def start():
    running = []

    def start_demo(directory, base_port=None):
        running.append(Demo(directory, base_port or find_free_ports(3)))
        return running[-1]

    yield start_demo
    for demo in running:
        if demo.process.poll() is None:
            demo.stop()


def assert_ports_free(base_port):
    assert not [port for port in range(base_port, base_port + 3) if accepts(port)]


def test_demo_first_and_second_run_answer_and_stop_cleanly(tmp_path, start):
    directory = tmp_path / "demo"
    demo = start(directory)
    demo.wait_for("Ctrl-C stops all.")
    server, api, app = (f"http://127.0.0.1:{demo.base_port + offset}" for offset in range(3))
    assert app in demo.text().partition("Start here")[2].splitlines()[0]

    metadata = httpx.get(f"{server}/.well-known/oauth-authorization-server").json()
    assert metadata["issuer"] == server
    assert httpx.get(f"{server}/sign-in").status_code == 200
    assert httpx.get(app).status_code == 200
    refused = httpx.get(f"{api}/api/v1/me/", headers={"authorization": "Bearer nonsense"})
    # 401 and not 503: the API's own credentials are good.
    assert refused.status_code == 401
    assert "invalid_token" in refused.headers["www-authenticate"]
    assert httpx.get(f"{api}/.well-known/oauth-protected-resource").json()["authorization_servers"] == [server]

    state = find_state(directory)
    assert state is not None
    for person in state.people:
        assert person.password in demo.text()
    assert demo.stop(signal.SIGINT) == 0
    assert_ports_free(demo.base_port)

    again = start(directory, demo.base_port)
    again.wait_for("Ctrl-C stops all.")
    assert find_state(directory) == state
    assert again.text() == demo.text()
    assert httpx.get(app).status_code == 200
    assert again.stop(signal.SIGTERM) == 0
    assert_ports_free(demo.base_port)

    logs = [log.read_text() for log in directory.glob("*.log")]
    assert len(logs) == 3
    for log in logs:
        assert not [person for person in state.people if person.password in log]
        assert "Traceback" not in log
    assert find_credentials("".join(logs) + again.text()) == []
    for path in directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def connect(server, registration, person, organization_id):
    """Sign in, choose the organization, allow, redeem the code; without a browser or the client library."""
    with httpx.Client(base_url=server, follow_redirects=True) as browser:
        asked = {"client_id": registration.sample_app.client_id, "response_type": "code", "state": "x"}
        page = browser.get("/oauth2/authorize/", params=asked | {"scope": "all.full_access offline_access"})
        sign_in = find_form(page, "/sign-in").fields | {"email": person.email, "password": person.password}
        page = browser.post("/sign-in", data=sign_in)
        consent = find_form(page, "/consent").fields | {"organization_id": organization_id, "decision": "allow"}
        allowed = browser.post("/consent", data=consent, follow_redirects=False)
    code = parse_qs(urlsplit(allowed.headers["location"]).query)["code"][0]
    given = {"grant_type": "authorization_code", "code": code}
    answer = httpx.post(f"{server}/oauth2/token/", data=given | credentials_of(registration))
    assert answer.status_code == 200, answer.text
    return answer.json()


def credentials_of(registration):
    app = registration.sample_app
    return {"client_id": app.client_id, "client_secret": app.client_secret}


def test_demo_api_obeys_the_server_at_once(tmp_path, start):
    """The guard and the real server agree: a good token passes, a revoked one is dead at the next request,
    and without the server nobody passes and nobody is told that the token is bad (S18)."""
    demo = start(tmp_path / "demo")
    demo.wait_for("Ctrl-C stops all.")
    server, api = (f"http://127.0.0.1:{demo.base_port + offset}" for offset in range(2))
    state = find_state(tmp_path / "demo")
    assert state is not None
    registration = state.registrations[str(demo.base_port)]
    acorn, birch, _ = state.organizations
    first, second = (
        connect(server, registration, state.people[0], organization.organization_id) for organization in (acorn, birch)
    )

    def call(tokens, path="/api/v1/me/"):
        return httpx.get(api + path, headers={"authorization": f"Bearer {tokens['access_token']}"}, timeout=20)

    for tokens, organization in ((first, acorn), (second, birch)):
        me = call(tokens).json()
        assert me["organization_id"] == tokens["organization_id"] == organization.organization_id
        marked = [found["name"] for found in me["organizations"] if found["is_token_organization"]]
        assert marked == [organization.name]
    contact = call(first, "/api/v1/contacts/").json()["data"][0]["id"]
    assert call(first, f"/api/v1/contacts/{contact}").status_code == 200
    assert call(second, f"/api/v1/contacts/{contact}").status_code == 404
    assert call({"access_token": first["refresh_token"]}).status_code == 401

    revoked = {"token": first["refresh_token"]} | credentials_of(registration)
    assert httpx.post(f"{server}/oauth2/revoke/", data=revoked).status_code == 200
    refused = call(first)
    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    assert call(second).status_code == 200

    [serving] = [pid for pid in demo.children() if b"\0serve\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(serving, signal.SIGSTOP)
    try:
        closed = call(second)
    finally:
        os.kill(serving, signal.SIGCONT)
    assert (closed.status_code, closed.headers["retry-after"]) == (503, "5")
    assert "www-authenticate" not in closed.headers
    assert call(second).status_code == 200
    assert demo.stop() == 0


def test_demo_child_that_dies_is_named_and_everything_stops(tmp_path, start):
    demo = start(tmp_path / "demo")
    demo.wait_for("Ctrl-C stops all.")
    [api] = [pid for pid in demo.children() if b"\0api\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(api, signal.SIGKILL)
    assert demo.process.wait(STOP_LIMIT) == 1
    assert "The sample API stopped by SIGKILL. Its last words" in demo.text()
    assert "Traceback" not in demo.text()
    assert_ports_free(demo.base_port)


def test_demo_taken_port_is_a_clear_message(tmp_path, start):
    base_port = find_free_ports(3)
    with socket.socket() as other:
        other.bind(("127.0.0.1", base_port + 1))
        other.listen()
        demo = start(tmp_path / "demo", base_port)
        assert demo.process.wait(STOP_LIMIT) == 1
    assert f"Port {base_port + 1}, for the sample API, is taken" in demo.text()
    assert "make run BASE_PORT=9000" in demo.text()
    assert "Traceback" not in demo.text()
    assert not (tmp_path / "demo").exists()


def test_demo_second_one_on_the_same_directory_is_refused(tmp_path, start):
    first = start(tmp_path / "demo")
    first.wait_for("Ctrl-C stops all.")
    first_output = first.text()
    second = start(tmp_path / "demo", find_free_ports(3))
    assert second.process.wait(STOP_LIMIT) == 1
    assert "Another demo is running from" in second.text()
    assert first.process.poll() is None
    assert re.search("Start here", first_output)
    assert first.stop() == 0


def test_demo_stopped_while_it_starts_leaves_nothing_behind(tmp_path, start):
    demo = start(tmp_path / "demo")
    wait_until((tmp_path / "demo" / "server.log").exists, "the server is started")
    assert demo.stop(signal.SIGINT) == 0
    assert_ports_free(demo.base_port)
    assert "Traceback" not in demo.text()
