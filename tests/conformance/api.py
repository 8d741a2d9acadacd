"""An API behind the guard: everything needs a token, `/admin` one with `contacts.write`, `/fresh` a sign-in of late,
`/strong` one by more than a password."""

import msgspec

from latchstring.resource_server.asgi import ACCESS, ASGIApp, Guard, Receive, Scope, Send


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Who calls, as the guard found it."""
    body = msgspec.json.encode(scope["state"][ACCESS])
    headers = [
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def build_api(guard: Guard) -> ASGIApp:
    """The API."""
    contacts, admin = guard.asgi(_answer), guard.asgi(_answer, ["contacts.write"])
    parts = {
        "admin": admin,
        "fresh": guard.require("contacts.read", max_age=300)(_answer),
        "strong": guard.require("contacts.read", max_age=300, acr_values=["mfa"])(_answer),
    }

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        await parts.get(scope["path"].split("/")[1], contacts)(scope, receive, send)

    return route
