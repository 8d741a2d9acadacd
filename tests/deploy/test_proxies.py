"""nginx and HAProxy as `deploy/` configures them, before real servers: health, fail-over, and whose headers count."""

import asyncio
import contextlib
import os
import sqlite3
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from latchstring.protocol.client_certificate import parse_certificate_header
from tests.docs.markdown import ROOT
from tests.support.certificates import render_nginx, render_rfc9440
from tests.support.company import Company, create_app, found_company
from tests.support.https import Authority
from tests.support.ports import find_free_port
from tests.support.process import QuickOperator, Server, Servers, accepts, starting, wait_until
from tests.support.programs import find_program

HOST = "login.example.com"
PROXIES = ["haproxy", "nginx"]
NGINX_MAIN = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{}}
http {{
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    include {folder}/latchstring.conf;
}}
"""


def replace(text: str, pairs: dict[str, str]) -> str:
    """The text for this machine; each of what is replaced stands in it."""
    for old, new in pairs.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


class Proxy:
    """A running proxy, and how a client reaches it."""

    def __init__(self, folder: Path, authority: Authority, port: int) -> None:
        self._folder = folder
        self._authority = authority
        self.port = port

    def http(self, certificate: Path | None = None) -> httpx.AsyncClient:
        """A client of the public address."""
        context = self._authority.trusting()
        context.check_hostname = False  # it is reached by its number
        if certificate is not None:
            context.load_cert_chain(certificate)
        return httpx.AsyncClient(verify=context, base_url=f"https://127.0.0.1:{self.port}", headers={"host": HOST})


@contextlib.contextmanager
def run_proxy(name: str, folder: Path, servers: list[str]) -> Iterator[Proxy]:
    """The proxy with its file from `deploy/`, before two servers (`host:port`)."""
    authority = Authority(folder)
    authority.serve_as(HOST)
    authority.serve_as("client")
    (folder / "client-ca.pem").write_bytes(authority.certificate)
    port = find_free_port()
    places = {"latchstring-1:8400": servers[0], "latchstring-2:8400": servers[1]}
    if name == "haproxy":
        places |= {"bind :443": f"bind 127.0.0.1:{port}", "/etc/haproxy/": f"{folder}/"}
        config = folder / "haproxy.cfg"
        config.write_text(replace((ROOT / "deploy/haproxy/haproxy.cfg").read_text(), places))
        command = [find_program("haproxy", "haproxy"), "-f", str(config)]
        check = [*command, "-c"]
    else:
        places |= {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "/etc/ssl/login.example.com.key": f"{folder}/{HOST}.pem",
            "/etc/ssl/": f"{folder}/",
            "/var/log/nginx/": f"{folder}/",
        }
        (folder / "latchstring.conf").write_text(replace((ROOT / "deploy/nginx/latchstring.conf").read_text(), places))
        config = folder / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        config.write_text(NGINX_MAIN.format(folder=folder, user=user))
        command = [find_program("nginx", "nginx-light"), "-c", str(config)]
        check = [*command, "-t"]
    checked = subprocess.run(check, capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr.lower(), checked.stderr
    with (folder / "proxy.out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: accepts(port) or process.poll() is not None, name)
            assert process.poll() is None, (folder / "proxy.out").read_text()
            yield Proxy(folder, authority, port)
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(params=PROXIES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# -- real servers behind it


@pytest.fixture
def company(tmp_path: Path) -> Company:
    (tmp_path / "latchstring.toml").write_text((ROOT / "deploy/latchstring.toml").read_text())
    company = found_company(QuickOperator(tmp_path))
    grant_types = [part for kind in ("authorization_code", "client_credentials") for part in ("--grant-type", kind)]
    company.app = create_app(company.operator, company.organization_id, *grant_types, name="Reporter")
    return company


@pytest.fixture
def servers(company: Company) -> Iterator[Servers]:
    with starting(company.operator) as servers:
        yield servers


@pytest.fixture
def pair(servers: Servers) -> list[Server]:
    return [servers.start("--port", "0", "--config", "latchstring.toml") for _ in range(2)]


async def ask_for_token(http: httpx.AsyncClient, company: Company) -> httpx.Response:
    return await http.post("/oauth2/token/", data=company.app.body(grant_type="client_credentials"))


async def test_proxy_serves_from_two_servers_and_goes_on_without_one(
    name: str, tmp_path: Path, company: Company, pair: list[Server]
) -> None:
    with run_proxy(name, tmp_path, [f"127.0.0.1:{server.port}" for server in pair]) as proxy:
        async with proxy.http() as http:
            await wait_for_service(http)
            metadata = await http.get("/.well-known/oauth-authorization-server")
            assert metadata.json()["issuer"] == f"https://{HOST}"
            answers = [await ask_for_token(http, company) for _ in range(10)]
            assert {answer.status_code for answer in answers} == {200}
            # The ids begin with a number of the process.
            assert len({answer.headers["x-request-id"][:20] for answer in answers}) == 2
            for path in ("/healthz", "/readyz", "/readyz/"):
                assert (await http.get(path)).status_code == 404
            pair[0].kill()
            answers = [await ask_for_token(http, company) for _ in range(20)]
            assert {answer.status_code for answer in answers} == {200}
            secret = company.app.secret
            assert secret is not None
    written = (tmp_path / "proxy.out").read_text()
    if name == "nginx":
        written += (tmp_path / "latchstring.log").read_text()
    assert "/oauth2/token/" in written
    assert secret[8:] not in written


async def wait_for_service(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(30):
        while (await http.get("/.well-known/oauth-authorization-server")).status_code != 200:
            await asyncio.sleep(0.1)


async def test_proxy_keeps_query_strings_out_of_its_log(
    name: str, tmp_path: Path, company: Company, pair: list[Server]
) -> None:
    with run_proxy(name, tmp_path, [f"127.0.0.1:{server.port}" for server in pair]) as proxy:
        async with proxy.http() as http:
            await wait_for_service(http)
            query = {"client_id": company.app.client_id, "response_type": "code", "state": "the-apps-own-state"}
            assert (await http.get("/oauth2/authorize/", params=query)).status_code == 303
    log = tmp_path / ("latchstring.log" if name == "nginx" else "proxy.out")
    assert "/oauth2/authorize/" in log.read_text()
    assert "the-apps-own-state" not in log.read_text()


async def test_haproxy_falls_back_on_who_is_alive_when_nobody_is_ready(
    tmp_path: Path, company: Company, pair: list[Server]
) -> None:
    path = company.operator.database_path
    assert path is not None
    with run_proxy("haproxy", tmp_path, [f"127.0.0.1:{server.port}" for server in pair]) as proxy:
        async with proxy.http() as http:
            await wait_for_service(http)
            with closing(sqlite3.connect(path)) as database, database:
                database.execute("UPDATE alembic_version SET version_num = '0000'")
            async with asyncio.timeout(30):
                while " alive/" not in (tmp_path / "proxy.out").read_text():
                    assert (await ask_for_token(http, company)).status_code == 200
                    await asyncio.sleep(0.2)


# -- whose headers count


class Recorder:
    """Two servers that keep the headers of what they are asked."""

    def __init__(self) -> None:
        self.headers: list[dict[str, list[str]]] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers: dict[str, list[str]] = {}
                for line in lines[1:-2]:
                    key, _, value = line.partition(": ")
                    headers.setdefault(key.lower(), []).append(value)
                if "healthz" not in lines[0] and "readyz" not in lines[0]:
                    self.headers.append(headers)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()


@pytest.fixture
async def recorder() -> AsyncIterator[tuple[Recorder, list[str]]]:
    recorder = Recorder()
    listening = [await asyncio.start_server(recorder.answer, "127.0.0.1", 0) for _ in range(2)]
    yield recorder, [f"127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in listening]
    for server in listening:
        server.close()


async def test_proxy_puts_its_own_word_in_the_place_of_what_a_stranger_says(
    name: str, tmp_path: Path, recorder: Any
) -> None:
    """I6, Q-series: a certificate header or address that the caller wrote never arrives."""
    recorded, places = recorder
    forged = {
        "client-cert": render_rfc9440(b"forged") if name == "haproxy" else render_nginx(b"forged"),
        "x-forwarded-for": "203.0.113.9",
    }
    context = asyncio.to_thread
    manager = run_proxy(name, tmp_path, places)
    proxy = await context(manager.__enter__)
    try:
        async with proxy.http() as http:
            while (await http.get("/", headers=forged)).status_code != 200:
                await asyncio.sleep(0.1)
        async with proxy.http(tmp_path / "client.pem") as http:
            assert (await http.get("/", headers=forged)).status_code == 200
    finally:
        await context(manager.__exit__, None, None, None)
    without, with_certificate = recorded.headers[-2:]
    assert without["x-forwarded-for"] == with_certificate["x-forwarded-for"] == ["127.0.0.1"]
    assert without.get("client-cert", [""]) == [""]
    shown = ssl.PEM_cert_to_DER_cert(
        "-----BEGIN CERTIFICATE-----"
        + (tmp_path / "client.pem").read_text().partition("-----BEGIN CERTIFICATE-----")[2]
    )
    [sent] = with_certificate["client-cert"]
    assert parse_certificate_header(sent.encode()) == shown
