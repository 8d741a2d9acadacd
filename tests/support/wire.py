"""A kept HTTP/1.1 connection to a real server: quick, and exact about what was answered and what was not."""

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec

LIMIT = 60.0


class Unanswered(Exception):
    """The connection ended before the whole answer was there: the request may or may not have happened."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body's object; empty for an empty body."""
        return msgspec.json.decode(self.body, type=dict[str, Any]) if self.body else {}


class Wire:
    """One connection, one request at a time."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._port = port
        self._host = host
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def connect(self) -> "Wire":
        """Open the connection, if it is not open, or was closed by the server while nothing was asked on it."""
        if self._streams is not None and self._streams[0].at_eof():
            self.close()
        if self._streams is None:
            try:
                self._streams = await asyncio.open_connection(self._host, self._port)
            except OSError as error:
                raise Unanswered from error
        return self

    @property
    def client_port(self) -> int:
        """This end's port."""
        assert self._streams is not None
        return int(self._streams[1].get_extra_info("sockname")[1])

    async def post(self, path: str, fields: dict[str, str]) -> Answer:
        """Post a form; `Unanswered` unless the whole answer arrives."""
        await self.connect()
        assert self._streams is not None
        reader, writer = self._streams
        body = urlencode(fields).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
        )
        try:
            writer.write(head.encode() + body)
            async with asyncio.timeout(LIMIT):
                return await _read_answer(reader)
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            raise Unanswered from error

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    length = next(int(line[15:]) for line in lines if line[:15].lower() == b"content-length:")
    return Answer(int(lines[0][9:12]), await reader.readexactly(length))
