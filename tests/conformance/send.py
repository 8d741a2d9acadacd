"""Sends a case's request over ASGI, as bytes as the table has them."""

import asyncio
from base64 import b64encode
from typing import Any
from urllib.parse import quote, quote_plus

import httpx

from tests.conformance.given import World
from tests.conformance.tables import Fields, Send

FORM = "application/x-www-form-urlencoded"


def _render_fields(fields: Any) -> str:
    """Form encoding of a table or of pairs; plain text stays as it is."""
    if isinstance(fields, str):
        return fields
    pairs = fields.items() if isinstance(fields, dict) else fields
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)


async def _find_credentials(world: World, who: str) -> tuple[str, str | None]:
    if who == "guard":
        return world.shared.guard
    app = await world.app(who)
    return app.client_id, world.apps[who].secret


async def build_request(world: World, send: Send) -> tuple[str, httpx.URL, list[tuple[str, str]], bytes]:
    """Method, URL, headers and body."""
    fill = world.values.fill_all
    method, _, path = fill(send.request).partition(" ")
    path, _, own_query = path.partition("?")
    headers = [*send.headers.items()] if isinstance(send.headers, dict) else [*send.headers]
    headers = [(name, value) for name, value in fill(headers)]
    form: Fields = fill(send.form)
    rendered = _render_fields(form)
    if send.client is not None:
        client_id, secret = await _find_credentials(world, send.client)
        own = {"client_id": client_id} if secret is None else {"client_id": client_id, "client_secret": secret}
        rendered = "&".join(filter(None, (_render_fields(own), rendered)))
    if send.basic is not None:
        if isinstance(send.basic, str):
            client_id, secret = await _find_credentials(world, send.basic)
            assert secret is not None, "a public client has nothing to prove itself with"
        else:
            client_id, secret = fill(send.basic)
        encoded = b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()
        headers.append(("authorization", f"Basic {encoded}"))
    body = fill(send.body).encode() if send.body is not None else rendered.encode()
    is_typed = any(name.lower() == "content-type" for name, _ in headers)
    if not is_typed and send.body is None and method == "POST":
        headers.append(("content-type", FORM))
    query = own_query or _render_fields(fill(send.query))
    base = "https://api.example" if send.to == "api" else world.deployment.settings.issuer
    url = httpx.URL(f"{base}{path}")
    if query:
        url = url.copy_with(query=query.encode())
    return method, url, headers, body


async def send_step(world: World, send: Send) -> list[httpx.Response]:
    """The answers, in the order of the requests."""
    method, url, headers, body = await build_request(world, send)
    http = world.shared.api if send.to == "api" else world.browser(send.browser)
    requests = [http.build_request(method, url, headers=headers, content=body) for _ in range(send.times)]
    return list(await asyncio.gather(*(http.send(request) for request in requests)))
