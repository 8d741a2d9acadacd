"""The device grant as a device and its person walk it (RFC 8628)."""

from typing import Any

import httpx

from tests.support.forms import find_form, submit
from tests.support.journey import Client, follow, sign_in

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
ENDPOINT = "/oauth2/device_authorization/"


async def ask(http: httpx.AsyncClient, app: Client, **parameters: str) -> dict[str, Any]:
    """The device's codes."""
    response = await http.post(ENDPOINT, data=app.body(**parameters))
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def poll(http: httpx.AsyncClient, app: Client, device_code: str, **parameters: str) -> httpx.Response:
    """One poll."""
    return await http.post(
        "/oauth2/token/", data=app.body(grant_type=GRANT_TYPE, device_code=device_code, **parameters)
    )


async def open_device(http: httpx.AsyncClient, user_code: str = "", email: str = "ann@example.com") -> httpx.Response:
    """The page with the code's form, signing in on the way if need be."""
    query = {"user_code": user_code} if user_code else {}
    page = await follow(http, await http.get("/device", params=query))
    return await sign_in(http, page, email) if page.url.path == "/sign-in" else page


async def enter(http: httpx.AsyncClient, user_code: str, email: str = "ann@example.com") -> httpx.Response:
    """The consent page of the device with that code, or whatever stands in its place."""
    page = await open_device(http, email=email)
    return await follow(http, await submit(http, page, find_form(page, "/device"), user_code=user_code))


async def answer(
    http: httpx.AsyncClient, page: httpx.Response, decision: str = "allow", organization_id: str | None = None
) -> httpx.Response:
    """Allow or Decline on the device's consent page; what is shown then."""
    chosen = {} if organization_id is None else {"organization_id": organization_id}
    return await follow(http, await submit(http, page, find_form(page, "/device/answer"), decision=decision, **chosen))


async def allow(http: httpx.AsyncClient, user_code: str, organization_id: str) -> httpx.Response:
    """From the code to Allow."""
    return await answer(http, await enter(http, user_code), "allow", organization_id)
