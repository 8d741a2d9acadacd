"""The page about the API does what it says: its settings, its command, its curl lines with what they print."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from latchstring.authorization_server.api_scopes import API_SCOPES
from latchstring.wiring import build_application, load_settings, prepare
from tests.docs.live import serving
from tests.docs.markdown import DOCS, find_code, find_table, read_page
from tests.support.deployment import PASSWORD
from tests.support.forms import find_form
from tests.support.process import QuickOperator

PAGE = read_page(DOCS / "howto/use-the-api.md")
_MADE = re.compile(r"\b(?:user|orga|oa2client)_[0-9A-Za-z]{22}\b|\b1\d{9}\b")
CALLBACK = "http://127.0.0.1/callback"


def steps() -> Iterator[tuple[str, str]]:
    for block in PAGE.blocks:
        if block.info == "console api":
            for step in re.split(r"^\$ ", block.content, flags=re.MULTILINE)[1:]:
                line, _, expected = step.partition("\n")
                yield line, expected.strip()


def allow(issuer: str, client_id: str, scope: str, organization_id: str) -> str:
    """Ann signs in and allows; the token."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    asked = {
        "client_id": client_id,
        "response_type": "code",
        "scope": scope,
        "resource": f"{issuer}/api/v1",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }
    with httpx.Client(base_url=issuer, follow_redirects=True) as browser:
        page = browser.get("/oauth2/authorize/", params=asked)
        given = {"email": "ann@example.com", "password": PASSWORD}
        page = browser.post("/sign-in", data=find_form(page, "/sign-in").fields | given)
        given = {"organization_id": organization_id, "decision": "allow"}
        answer = browser.post("/consent", data=find_form(page, "/consent").fields | given, follow_redirects=False)
        code = httpx.URL(answer.headers["location"]).params["code"]
        form = {"grant_type": "authorization_code", "client_id": client_id, "code": code, "code_verifier": verifier}
        token: str = browser.post("/oauth2/token/", data=form).json()["access_token"]
        return token


def test_page_about_the_api_does_what_it_says(tmp_path: Path) -> None:
    operator = QuickOperator(tmp_path)
    [settings] = [block.content for block in PAGE.blocks if block.info == "toml"]
    (tmp_path / "latchstring.toml").write_text(settings)
    acorn = operator.ask("organization", "create", "--name", "Acorn Partners")["id"]
    ann = operator.ask(
        "user", "create", "--email", "ann@example.com", "--name", "Ann", "--password-stdin", password=PASSWORD
    )["id"]
    operator.ask("membership", "add", "--user", ann, "--organization", acorn, "--role", "admin")
    (command, _), *calls = steps()
    told = shlex.split(command)
    made = operator.ask(*[acorn if _MADE.fullmatch(word) else word for word in told[1:]])
    deployment = prepare(operator.database, None)
    config = tmp_path / "latchstring.toml"
    with serving(lambda address: build_application(load_settings(config, issuer=address), deployment)) as issuer:
        token = allow(issuer, made["client_id"], made["scope"], acorn)
        environment = {**os.environ, "API": f"{issuer}/api/v1", "TOKEN": token, "ORGANIZATION": acorn}
        for line, expected in calls:
            ran = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=environment, timeout=30)
            assert ran.returncode == 0, ran.stderr
            assert _MADE.sub("…", ran.stdout.strip()) == _MADE.sub("…", expected), line


def test_scopes_of_the_page_are_those_of_the_code() -> None:
    told = {find_code(row[0])[0]: row[1] for row in find_table(PAGE.section("Turn it on"), "scope")}
    assert told == {name: scope.risk for name, scope in API_SCOPES.items()}


@pytest.mark.parametrize("line", [line for line, _ in steps()], ids=lambda line: line[:60])
def test_bodies_of_the_page_are_json(line: str) -> None:
    words = shlex.split(line)
    if "-d" in words and words[0] == "curl" and "|" not in words:
        json.loads(words[words.index("-d") + 1])
