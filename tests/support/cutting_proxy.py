"""A PostgreSQL reached through a proxy that cuts the connection at the worst moment: before a statement arrives, after
it was done and before its answer comes back, or so after the commit of a transaction of several."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Literal
from urllib.parse import urlsplit

Moment = Literal["before", "after", "commit"]


def _is_moment(moment: Moment, message: bytes) -> bool:
    # What begins so asks to run a prepared statement, or is plain SQL.
    return message.startswith(b"Q") and b"COMMIT" in message if moment == "commit" else message.startswith(b"B")


class CuttingProxy:
    """Forwards until armed; `cuts` counts what it has cut.

    With `goes_away` a cut takes all other connections with it, and nobody gets a new one until it is taken back.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self._parts = parts
        self.url = ""
        self.cuts = 0
        self.goes_away = False
        self._open: set[asyncio.StreamWriter] = set()
        self._armed: list[Moment] = []

    def arm(self, *moments: Moment) -> None:
        """Cut the next statements, one for each moment."""
        self._armed += moments

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.url = self._parts._replace(netloc=f"{self._parts.username}@127.0.0.1:{port}").geturl()
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.goes_away and self.cuts:
            writer.close()
            return
        self._open.add(writer)
        up_reader, up_writer = await asyncio.open_connection(*self._target)
        is_cut = False

        async def answer() -> None:
            while data := await up_reader.read(65536):
                if is_cut:
                    break
                writer.write(data)
            writer.close()

        answering = asyncio.create_task(answer())
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if self._armed and _is_moment(self._armed[0], data):
                    is_cut = True
                    self.cuts += 1
                    if self._armed.pop(0) != "before":
                        up_writer.write(data)
                        await answering
                    for other in self._open if self.goes_away else ():
                        other.close()
                    break
                up_writer.write(data)
        self._open.discard(writer)
        writer.close()
        up_writer.close()
        answering.cancel()


@contextlib.asynccontextmanager
async def cutting(url: str) -> AsyncIterator[CuttingProxy]:
    """The proxy before that database."""
    proxy = CuttingProxy(url)
    server = await proxy.start()
    try:
        yield proxy
    finally:
        server.close()
