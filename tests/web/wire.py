"""Requests as bytes, for what a well-behaved client library would not send."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from latchstring.web.app import Application

FORM = (b"content-type", b"application/x-www-form-urlencoded")


@dataclass(frozen=True)
class Answer:
    """What came back, untouched."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes

    def find(self, name: str) -> list[str]:
        """All values of a header."""
        return [value.decode("latin-1") for key, value in self.headers if key.lower() == name.encode()]


async def call(
    application: Application,
    method: str,
    path: str,
    *,
    query: bytes = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
    body: bytes | Sequence[bytes] = b"",
    ends: bool = True,
    source: str = "203.0.113.9",
) -> Answer | None:
    """One request straight into ASGI; None if there was no answer. `ends` is False for a caller that hangs up."""
    chunks = [body] if isinstance(body, bytes) else list(body)
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": chunk, "more_body": not ends or position < len(chunks) - 1}
        for position, chunk in enumerate(chunks)
    ]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(errors="replace"),
        "query_string": query,
        "root_path": "",
        "headers": [(key.lower(), value) for key, value in headers],
        "client": (source, 40000),
        "server": ("auth.example", 443),
    }
    await application(scope, receive, send)
    if not sent:
        return None
    start, *bodies = sent
    assert start["type"] == "http.response.start"
    assert all(part["type"] == "http.response.body" for part in bodies)
    return Answer(start["status"], list(start["headers"]), b"".join(part.get("body", b"") for part in bodies))


async def ask(application: Application, method: str, path: str, **options: Any) -> Answer:
    """The same where there must be an answer."""
    answer = await call(application, method, path, **options)
    assert answer is not None
    return answer
