"""DPoP at the edges of the server (RFC 9449): nonces demanded by the deployment, one proof at two workers."""

import asyncio

import httpx
import pytest

from latchstring.authorization_server.epoch import Epoch
from latchstring.authorization_server.tokens import TokenCodec
from latchstring.web.app import Application
from latchstring.wiring import build_services
from tests.support.journey import grant_code
from tests.support.proofs import Prover
from tests.web.answers import assert_refused
from tests.web.conftest import MakeWorld, World
from tests.web.state import connect, dump, find_grant, post

KEY = Prover()


async def ask(world: World, proof: str | None = None, **form: str) -> httpx.Response:
    body = world.app.body(**{"grant_type": "client_credentials", **form})
    return await post(world, "/oauth2/token", body, headers={} if proof is None else {"dpop": proof})


async def test_s14_nonce_demanded_is_given_out_and_then_taken(make_world: MakeWorld) -> None:
    """RFC 9449 §8: 400 `use_dpop_nonce` and exactly one DPoP-Nonce; afterwards a proof without is refused still."""
    world = await make_world(dpop_nonce_required=True)
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn)
    before = dump(world)
    refused = await ask(world, KEY.prove(), grant_type="authorization_code", code=code)
    assert_refused(refused, 400, "use_dpop_nonce")
    [nonce] = refused.headers.get_list("dpop-nonce")
    assert dump(world) == before
    taken = await ask(world, KEY.prove(nonce=nonce), grant_type="authorization_code", code=code)
    assert (taken.status_code, taken.json()["token_type"]) == (200, "DPoP")
    assert taken.headers.get_list("dpop-nonce") == [nonce]
    assert_refused(await ask(world, KEY.prove()), 400, "use_dpop_nonce")


async def test_proof_just_after_a_restoration_needs_a_nonce_of_now(world: World) -> None:
    """Drill 9: a proof without one, or with one of before, may have been used, and nothing remembers it."""
    before = world.deployment
    old = (await ask(world, KEY.prove())).headers["dpop-nonce"]
    codec = TokenCodec(before.codec.keyring, epoch=Epoch(b"s" * 16, before.clock.now))
    services = build_services(before.settings, before.store, codec, clock=before.clock)
    transport = httpx.ASGITransport(Application(services))
    async with httpx.AsyncClient(transport=transport, base_url=before.settings.issuer) as http:
        body = world.app.body(grant_type="client_credentials")
        for proof in (KEY.prove(), KEY.prove(nonce=old)):
            refused = await http.post("/oauth2/token", data=body, headers={"dpop": proof})
            assert_refused(refused, 400, "use_dpop_nonce")
        taken = await http.post(
            "/oauth2/token", data=body, headers={"dpop": KEY.prove(nonce=refused.headers["dpop-nonce"])}
        )
        assert taken.status_code == 200
        before.clock.advance(70)
        proof = KEY.prove(now=before.clock.now)
        assert (await http.post("/oauth2/token", data=body, headers={"dpop": proof})).status_code == 200


async def test_s14_nonce_demanded_concerns_nobody_without_a_proof(make_world: MakeWorld) -> None:
    world = await make_world(dpop_nonce_required=True)
    response = await ask(world)
    assert (response.status_code, response.json()["token_type"]) == (200, "Bearer")
    assert "dpop-nonce" not in response.headers


async def test_s14_nonce_of_another_worker_with_the_same_keyring_is_taken(world: World) -> None:
    """Nothing is kept in the process: the second application has never given one out."""
    deployment = world.deployment
    offered = await ask(world, KEY.prove())
    services = build_services(deployment.settings, deployment.store, deployment.codec, clock=deployment.clock)
    transport = httpx.ASGITransport(Application(services))
    async with httpx.AsyncClient(transport=transport, base_url=deployment.settings.issuer) as other:
        proof = KEY.prove(nonce=offered.headers["dpop-nonce"])
        body = world.app.body(grant_type="client_credentials")
        response = await other.post("/oauth2/token", data=body, headers={"dpop": proof})
        assert response.status_code == 200
        again = await other.post("/oauth2/token", data=body, headers={"dpop": proof})
    assert_refused(again, 400, "invalid_dpop_proof")
    assert_refused(await ask(world, proof), 400, "invalid_dpop_proof")


async def test_s15_one_proof_with_two_codes_at_once_redeems_one(world: World) -> None:
    codes = [await grant_code(world.deployment, world.app, world.ann, world.acorn) for _ in range(2)]
    proof = KEY.prove()
    answers = await asyncio.gather(*(ask(world, proof, grant_type="authorization_code", code=code) for code in codes))
    assert sorted(answer.status_code for answer in answers) == [200, 400]
    statuses = sorted([(await find_grant(world, code)).status for code in codes])
    assert statuses == ["active", "pending"]


async def test_refresh_by_two_keys_at_once_never_forks(world: World) -> None:
    """R5: the loser has not proved the winner's key, so it gets nothing; the grant lives on with one successor."""
    tokens = await connect(world)
    keys = [Prover(), Prover()]
    answers = await asyncio.gather(
        *(
            ask(world, key.prove(), grant_type="refresh_token", refresh_token=tokens["refresh_token"])
            for key in keys
            for _ in range(3)
        )
    )
    won = [answer.json() for answer in answers if answer.status_code == 200]
    assert won
    assert len({answer["refresh_token"] for answer in won}) == 1
    grant = await find_grant(world, tokens["refresh_token"])
    assert (grant.status, grant.generation) == ("active", 2)
    assert grant.confirmation is not None
    [winner] = [key for key in keys if key.jkt == grant.confirmation.jkt]
    winning = {
        answer.status_code
        for answer, key in zip(answers, [k for k in keys for _ in range(3)], strict=True)
        if key is winner
    }
    assert winning == {200}


@pytest.mark.parametrize("header", ["", " ", "a", "a.b.c", "\xff" * 10, "." * 5000, "eyJ" * 3000])
async def test_proof_of_nonsense_is_refused_and_never_reflected(world: World, header: str) -> None:
    response = await post(
        world,
        "/oauth2/token",
        world.app.body(grant_type="client_credentials"),
        headers=[(b"dpop", header.encode("latin-1"))],
    )
    assert_refused(response, 400, "invalid_dpop_proof")
    assert response.headers.get_list("dpop-nonce")
