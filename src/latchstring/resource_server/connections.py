"""The guard's connections to the authorization server."""

import asyncio
import os
import threading
from typing import Final
from urllib.parse import urlsplit

import httpx

# Below a server's usual 5 s keep-alive, so that we hang up first and seldom meet a connection just closed.
LIMITS: Final = httpx.Limits(max_connections=100, max_keepalive_connections=32, keepalive_expiry=2.0)
# A connection that broke says nothing about the question; everything else that can go wrong is final.
BROKEN: Final = (httpx.NetworkError, httpx.RemoteProtocolError)
FAILED: Final = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, RuntimeError)
MAX_ANSWER_LENGTH: Final = 64 * 1024


def trusts_environment(url: str) -> bool:
    """Whether a proxy from the environment is for that URL: it is for the world outside, not for this machine."""
    return urlsplit(url).hostname not in {"127.0.0.1", "::1", "localhost"}


class AsyncConnections:
    """An `httpx.AsyncClient`: the caller's own, or one made on first use."""

    def __init__(self, url: str, given: httpx.AsyncClient | None) -> None:
        self._trust_env = trusts_environment(url)
        self._given = given
        self._own: tuple[asyncio.AbstractEventLoop, httpx.AsyncClient] | None = None

    def find(self) -> httpx.AsyncClient:
        """The client for the running event loop."""
        if self._given is not None:
            return self._given
        loop = asyncio.get_running_loop()
        if self._own is None or self._own[0] is not loop:
            # Connections belong to the loop that opened them; test clients run a loop for each request.
            self._own = (loop, httpx.AsyncClient(limits=LIMITS, trust_env=self._trust_env))
        return self._own[1]

    async def aclose(self) -> None:
        """Close the connections it opened itself."""
        own, self._own = self._own, None
        if own is not None and own[0] is asyncio.get_running_loop():
            await own[1].aclose()


class Connections:
    """An `httpx.Client`, for threads: the caller's own, or one made on first use."""

    def __init__(self, url: str, given: httpx.Client | None) -> None:
        self._trust_env = trusts_environment(url)
        self._given = given
        self._own: tuple[int, httpx.Client] | None = None
        self._lock = threading.Lock()

    def find(self) -> httpx.Client:
        """The client of this process."""
        if self._given is not None:
            return self._given
        with self._lock:
            if self._own is None or self._own[0] != os.getpid():  # a socket must not outlive a fork
                self._own = (os.getpid(), httpx.Client(limits=LIMITS, trust_env=self._trust_env))
            return self._own[1]

    def close(self) -> None:
        """Close the connections it opened itself."""
        with self._lock:
            own, self._own = self._own, None
        if own is not None and own[0] == os.getpid():
            own[1].close()
