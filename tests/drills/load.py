"""Honest clients under load: each keeps its newest token, and tries again what was not answered."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from tests.drills.history import Event, Kind
from tests.support.company import Company
from tests.support.journey import answer_of, decide, open_consent, sign_in
from tests.support.process import Server
from tests.support.wire import Unanswered, Wire

PATHS: dict[Kind, str] = {
    "redeem": "/oauth2/token/",
    "refresh": "/oauth2/token/",
    "revoke": "/oauth2/revoke/",
    "introspect": "/oauth2/introspect/",
}
MINTED_AT_ONCE = 16
MAX_TRIES = 5


@dataclass
class Actor:
    """A client's side of one grant: what it holds, and the connection it asks on."""

    name: str
    company: Company
    events: list[Event]
    code: str
    refresh_token: str = ""
    access_token: str = ""
    was_revoked: bool = False
    open: list[Event] = field(default_factory=list)

    async def redeem(self, wire: Wire) -> Event:
        """Exchange the code."""
        return await self._ask(wire, "redeem", self.code, grant_type="authorization_code", code=self.code)

    async def refresh(self, wire: Wire, presented: str | None = None) -> Event:
        """Refresh with the newest token, or with the given one."""
        token = presented or self.refresh_token
        return await self._ask(wire, "refresh", token, grant_type="refresh_token", refresh_token=token)

    async def revoke(self, wire: Wire) -> Event:
        """Revoke the whole grant."""
        self.was_revoked = True
        return await self._ask(wire, "revoke", self.refresh_token, token=self.refresh_token)

    async def introspect(self, wire: Wire) -> Event:
        """Ask about the newest access token."""
        return await self._ask(wire, "introspect", self.access_token, token=self.access_token)

    async def retry(self, wire: Wire) -> None:
        """Ask again whatever was not answered, until it is."""
        for _ in range(MAX_TRIES):
            unanswered, self.open = self.open, []
            for event in unanswered:
                with suppress(Unanswered):
                    if event.kind == "redeem":
                        await self.redeem(wire)
                    elif event.kind == "refresh":
                        await self.refresh(wire, event.presented)
                    elif event.kind == "revoke":
                        await self.revoke(wire)
            if not self.open:
                return
        raise AssertionError(f"{self.name}: no answer after {MAX_TRIES} tries")

    async def _ask(self, wire: Wire, kind: Kind, presented: str, **fields: str) -> Event:
        event = Event(actor=self.name, kind=kind, presented=presented, started=time.monotonic())
        self.events.append(event)
        try:
            answer = await wire.post(PATHS[kind], self.company.app.body(**fields))
        except Unanswered:
            self.open.append(event)
            raise
        event.ended, event.status, event.answer = time.monotonic(), answer.status, answer.json()
        if event.is_success and "access_token" in event.answer:
            self.refresh_token, self.access_token = event.answer["refresh_token"], event.answer["access_token"]
        return event


async def mint_codes(server: Server, company: Company, count: int) -> list[str]:
    """Codes as members make them: sign in once, allow again and again."""
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as browser:
        await sign_in(browser, await browser.get("/sign-in"), "ann@example.com")
        codes: list[str] = []
        while len(codes) < count:
            batch = min(MINTED_AT_ONCE, count - len(codes))
            codes += await asyncio.gather(*(_mint_code(browser, company) for _ in range(batch)))
    return codes


async def _mint_code(browser: httpx.AsyncClient, company: Company) -> str:
    # A page of its own for each: one that is answered twice makes one grant.
    page = await open_consent(browser, company.app, prompt="consent")
    return answer_of(await decide(browser, page, "allow", company.organization_id))["code"]


async def open_wires(server: Server, count: int) -> list[Wire]:
    """That many open connections."""
    return [await Wire(server.port).connect() for _ in range(count)]


def close_wires(wires: Iterable[Wire]) -> None:
    """Hang up all of them."""
    for wire in wires:
        wire.close()


def collect_secrets(events: Sequence[Event], minted: set[str]) -> None:
    """Note every code and token of a history."""
    for event in events:
        minted.add(event.presented)
        minted.update(value for name, value in event.answer.items() if name in {"access_token", "refresh_token"})
