"""A browser with an authenticator at the pages that ask for passkeys."""

import re
from html import unescape
from typing import Any

import httpx
import msgspec

from latchstring.authorization_server.passkeys import find_relying_party
from tests.support.authenticator import Passkey
from tests.support.forms import find_form, submit

ADD, SIGN_IN = "/account/passkeys", "/sign-in/passkey"


def read_question(page: httpx.Response) -> str:
    """What the page's script would ask the authenticator."""
    match = re.search(r'data-passkey="([^"]+)"', page.text)
    assert match is not None, page.text[:3000]
    return unescape(match[1])


def find_origin(http: httpx.AsyncClient) -> str:
    """The origin that the browser is at."""
    relying_party = find_relying_party(str(http.base_url).rstrip("/"))
    assert relying_party is not None
    return relying_party.origin


async def send(
    http: httpx.AsyncClient, page: httpx.Response, path: str, answer: dict[str, Any] | str, **fields: str
) -> httpx.Response:
    """The page's form with the authenticator's answer in it."""
    credential = answer if isinstance(answer, str) else msgspec.json.encode(answer).decode()
    return await submit(http, page, find_form(page, path), credential=credential, **fields)


async def add_passkey(
    http: httpx.AsyncClient, passkey: Passkey | None = None, name: str = "My phone", **wrong: Any
) -> tuple[Passkey, httpx.Response]:
    """Make a passkey on the page of whoever is signed in; the passkey and the answer."""
    passkey = passkey or Passkey()
    page = await http.get(ADD)
    answer = passkey.create(read_question(page), **{"origin": find_origin(http), **wrong})
    return passkey, await send(http, page, ADD, answer, name=name)


async def present(http: httpx.AsyncClient, passkey: Passkey, **wrong: Any) -> httpx.Response:
    """Open the sign-in page and use the passkey there."""
    page = await http.get("/sign-in")
    answer = passkey.get(read_question(page), **{"origin": find_origin(http), **wrong})
    return await send(http, page, SIGN_IN, answer)
