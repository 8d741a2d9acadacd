"""Posts to a public https URL that somebody has named: bounded in time and size, and never led elsewhere."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Final

import httpx

from latchstring.authorization_server.ports import FetchRefused
from latchstring.authorization_server.webhook_records import Posted
from latchstring.outbound.hosts import MAX_ATTEMPTS, PublicHosts, Resolve
from latchstring.protocol.https_url import HttpsUrl, parse_https_url
from latchstring.protocol.public_addresses import IPAddress, is_public

DEADLINE: Final = 15.0
MAX_EXCERPT: Final = 500
"""Bytes of the answer that are read, for the developer to see."""


class Poster:
    """Implements the port `PostEvent`. Belongs to one event loop.

    `resolve`, `is_allowed` and `tls` are for tests, which serve on loopback with an authority of their own. No setting
    reaches them.
    """

    def __init__(
        self,
        *,
        resolve: Resolve | None = None,
        is_allowed: Callable[[IPAddress], bool] = is_public,
        tls: ssl.SSLContext | None = None,
        deadline: float = DEADLINE,
    ) -> None:
        self._hosts = PublicHosts(resolve=resolve, is_allowed=is_allowed, tls=tls, deadline=deadline)
        self._deadline = deadline

    async def __call__(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> Posted:
        """The answer, a redirect too, which is not followed. Raises `FetchRefused`; its message tells of no address."""
        try:
            place = parse_https_url(url)
        except ValueError as error:
            raise FetchRefused(f"the URL cannot be posted to: {error}") from None
        try:
            async with asyncio.timeout(self._deadline):
                return await self._post(place, body, headers)
        except TimeoutError:
            raise FetchRefused(f"no answer within {self._deadline:g} s") from None

    async def _post(self, place: HttpsUrl, body: bytes, headers: Mapping[str, str]) -> Posted:
        try:
            addresses = await self._hosts.find_addresses(place)
        except FetchRefused:
            # Whoever has named the host reads this: it must not tell what lies inside our own network.
            raise FetchRefused("the host has no address, or one that is not public") from None
        failure = "cannot be connected to"
        for address in addresses[:MAX_ATTEMPTS]:
            try:
                async with self._hosts.ask(place, address, method="POST", headers=headers, body=body) as response:
                    return Posted(response.status_code, await _read_excerpt(response))
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = f"cannot be connected to ({type(error).__name__})"
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise FetchRefused(type(error).__name__) from None
        raise FetchRefused(failure) from None


async def _read_excerpt(response: httpx.Response) -> str:
    read = bytearray()
    try:
        async for chunk in response.aiter_raw():
            read += chunk
            if len(read) >= MAX_EXCERPT:
                break
    except httpx.HTTPError:
        pass  # the status is what counts
    text = bytes(read[:MAX_EXCERPT]).decode("utf-8", "replace")
    return "".join(character if character.isprintable() or character == "\n" else " " for character in text)
