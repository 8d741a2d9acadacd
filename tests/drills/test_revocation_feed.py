"""How long after a revocation four guards still let the token in, and what a guard does that is cut off."""

import asyncio
import time
from statistics import quantiles

import httpx
import pytest

from latchstring.resource_server import Guard
from latchstring.resource_server.refusal import Refusal
from tests.drills.history import Event
from tests.drills.load import Actor, close_wires, collect_secrets, mint_codes, open_wires

pytestmark = [pytest.mark.drill, pytest.mark.timeout(300)]

GUARDS, ROUNDS, BOUND = 4, 20, 3.0
API = "https://api.example.com"


class Network(httpx.AsyncHTTPTransport):
    """A way to the server that can be cut: what is under way is lost as well."""

    is_cut = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = None if self.is_cut else await super().handle_async_request(request)
        if response is None or self.is_cut:
            raise httpx.ConnectError("cut off", request=request)
        return response


def make_guard(server, credentials, network: Network) -> Guard:
    return Guard(
        issuer=server.url,
        introspection_endpoint=f"{server.url}/oauth2/introspect/",
        revocations_endpoint=f"{server.url}/oauth2/revocations/",
        revocations_bound=BOUND,
        timeout=2,
        resource=API,
        client_id=credentials["client_id"],
        client_secret=credentials["client_secret"],
        http_client=httpx.AsyncClient(transport=network),
    )


async def let_in(guard: Guard, token: str) -> bool:
    """Whether the guard lets the token in; a 503 counts as a no."""
    try:
        await guard.check([f"Bearer {token}".encode()])
    except Refusal:
        return False
    return True


async def until_kept(guard: Guard, token: str) -> None:
    """Until the guard lets the token in without a question."""
    async with asyncio.timeout(20):
        await let_in(guard, token)
        while not guard._verdicts.is_fresh():
            await asyncio.sleep(0.02)
    assert await let_in(guard, token)


async def time_refusal(guard: Guard, token: str, revoked_at: float) -> float:
    """Seconds from the acknowledged revocation to the guard's first no."""
    while await let_in(guard, token):
        await asyncio.sleep(0.002)
        assert time.monotonic() - revoked_at < 10, "the guard never hears of it"
    return time.monotonic() - revoked_at


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"], indirect=True)
async def test_revocation_is_felt_at_every_guard_within_a_second(company, servers, minted, publish):
    credentials = company.operator.ask("resource-server", "create", "--name", "API", "--resource", API)
    minted.add(credentials["client_secret"])
    server = servers.start("--port", "0", "--config", "latchstring.toml", "--workers", "2")
    networks = [Network() for _ in range(GUARDS + 1)]
    *guards, lonely = [make_guard(server, credentials, network) for network in networks]
    events: list[Event] = []
    codes = await mint_codes(server, company, ROUNDS + 1)
    wires = await open_wires(server, 4)
    delays: list[float] = []
    for number in range(ROUNDS):
        actor = Actor(f"grant {number}", company, events, codes[number])
        await actor.redeem(wires[number % 4])
        await asyncio.gather(*(until_kept(guard, actor.access_token) for guard in guards))
        assert (await actor.revoke(wires[(number + 1) % 4])).status == 200
        revoked_at = time.monotonic()
        delays += await asyncio.gather(*(time_refusal(guard, actor.access_token, revoked_at) for guard in guards))

    actor = Actor("last", company, events, codes[-1])
    await actor.redeem(wires[0])
    await until_kept(lonely, actor.access_token)
    networks[-1].is_cut = True
    assert await let_in(lonely, actor.access_token), "what it has heard is good until the bound"
    await actor.revoke(wires[1])
    failed_closed = await time_refusal(lonely, actor.access_token, time.monotonic())
    assert failed_closed < BOUND + 1
    networks[-1].is_cut = False

    for guard in (*guards, lonely):
        await guard.aclose()
    close_wires(wires)
    collect_secrets(events, minted)
    cuts = quantiles(delays, n=100)
    publish(
        revocations=ROUNDS * GUARDS,
        p50_ms=round(cuts[49] * 1000),
        p99_ms=round(cuts[98] * 1000),
        max_ms=round(max(delays) * 1000),
        cut_off_guard_fails_closed_after_s=round(failed_closed, 2),
        bound_s=BOUND,
    )
    assert cuts[98] < 2.0, "the aim is one second; twice that is allowed on a busy machine"
