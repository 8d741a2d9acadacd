"""JWT access tokens (RFC 9068), chosen per resource; the key set; signed introspection (RFC 9701). M8, N3, V8, O9."""

from typing import Any

import httpx
import pytest

from latchstring.authorization_server.details_types import DetailsType
from latchstring.protocol.authorization_details import render_authorization_details
from latchstring.protocol.client_metadata import TOKEN_EXCHANGE
from latchstring.protocol.jose.jws import parse_jwt, verify_jwt
from latchstring.protocol.jose.keys import parse_jwk_set
from latchstring.protocol.token_exchange import ACCESS_TOKEN_TYPE
from latchstring.resource_server import Guard
from latchstring.resource_server.dpop import Dpop
from latchstring.resource_server.possession import Sent
from latchstring.resource_server.refusal import Refusal
from latchstring.storage.store import SqlStore
from tests.support.journey import exchange, grant_code, introspect, refresh
from tests.support.proofs import Prover
from tests.web.answers import REQUEST_ID, assert_refused
from tests.web.conftest import MakeWorld, World
from tests.web.state import dump, post

FILES = "https://files.example/"
MAIL = "https://mail.example/"
OPAQUE = "https://api.example/"  # the world's own guard
SIGNED = "application/token-introspection+jwt"


@pytest.fixture
async def files(world: World) -> tuple[str, str]:
    """The guard of an API that takes JWTs."""
    return await world.deployment.resource_server(FILES, "jwt")


async def read(world: World, text: str, *, typ: str = "at+jwt") -> dict[str, Any]:
    """The claims, verified as any API would: by the published key set alone."""
    keys = parse_jwk_set((await world.http.get("/oauth2/jwks")).content)
    jwt = parse_jwt(text)
    verify_jwt(jwt, keys, algorithms=("ES256",), types=(typ,))
    assert jwt.header["typ"] == typ
    return dict(jwt.claims)


async def tokens_for(world: World, *resource: str) -> dict[str, Any]:
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn, resource=resource)
    answer: dict[str, Any] = (await exchange(world.http, world.app, code)).json()
    return answer


def build_guard(world: World, credentials: tuple[str, str], **given: Any) -> Guard:
    """A guard of that API that checks JWTs by itself."""
    return Guard(
        issuer="https://auth.example",
        introspection_endpoint="https://auth.example/oauth2/introspect/",
        jwks_uri="https://auth.example/oauth2/jwks/",
        resource=FILES,
        client_id=credentials[0],
        client_secret=credentials[1],
        http_client=world.http,
        clock=world.deployment.clock,
        **given,
    )


# -- the key set


@pytest.mark.parametrize("path", ["/oauth2/jwks", "/oauth2/jwks/"])
async def test_key_set_is_public_cached_and_has_no_private_member(world: World, path: str) -> None:
    """M8."""
    response = await world.http.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "public, max-age=300"
    assert response.headers["access-control-allow-origin"] == "*"
    assert REQUEST_ID.fullmatch(response.headers["x-request-id"])
    (key,) = response.json()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert (key["alg"], key["use"]) == ("ES256", "sig")
    assert (await world.http.head(path)).headers["content-length"] == response.headers["content-length"]


async def test_key_set_by_post_is_405_and_allows_reading(world: World) -> None:
    response = await world.http.post("/oauth2/jwks", data={"a": "b"})
    assert_refused(response, 405, "invalid_request")
    assert response.headers["allow"] == "GET, HEAD"


# -- tokens


async def test_token_for_a_jwt_resource_says_all_that_rfc_9068_asks(world: World, files: tuple[str, str]) -> None:
    tokens = await tokens_for(world, FILES)
    claims = await read(world, tokens["access_token"])
    now = world.deployment.clock.now
    assert claims.pop("jti")
    assert claims.pop("grant_id").startswith("grant_")
    assert claims == {
        "iss": "https://auth.example",
        "aud": FILES,
        "sub": world.ann,
        "client_id": world.app.client_id,
        "organization_id": world.acorn,
        "iat": now,
        "exp": now + 3600,
        "scope": "all.full_access offline_access",
    }
    assert set(tokens) == {
        "token_type", "access_token", "expires_in", "refresh_token", "scope", "organization_id", "user_id",
    }  # fmt: skip
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 3600)


async def test_token_of_client_credentials_for_a_jwt_resource_stands_on_no_grant(
    world: World, files: tuple[str, str]
) -> None:
    app = await world.deployment.app(world.acorn, grant_types=("client_credentials",))
    body = app.body(grant_type="client_credentials", resource=FILES)
    token = (await post(world, "/oauth2/token/", body)).json()["access_token"]
    claims = await read(world, token)
    assert (claims["sub"], claims["client_id"], claims["aud"]) == (app.client_id, app.client_id, FILES)
    assert "grant_id" not in claims
    told = await introspect(world.http, files, token)
    assert (told["active"], told["sub"], told["organization_id"]) == (True, app.client_id, world.acorn)
    await post(world, "/oauth2/revoke", app.body(token=token))
    assert await introspect(world.http, files, token) == {"active": False}


async def test_token_for_several_jwt_resources_names_them_all(world: World, files: tuple[str, str]) -> None:
    await world.deployment.resource_server(MAIL, "jwt")
    claims = await read(world, (await tokens_for(world, FILES, MAIL))["access_token"])
    assert claims["aud"] == [FILES, MAIL]


@pytest.mark.parametrize("resource", [(), (OPAQUE,), (OPAQUE, FILES), (FILES, OPAQUE)])
async def test_token_that_an_api_must_ask_about_is_opaque(
    world: World, files: tuple[str, str], resource: tuple[str, ...]
) -> None:
    """Every API can ask about an opaque token; a JWT would reach one that cannot read it."""
    token = (await tokens_for(world, *resource))["access_token"]
    assert token.startswith("ls_at_")
    if FILES in resource or not resource:
        assert (await introspect(world.http, files, token))["active"] is True


async def test_resource_with_two_servers_of_which_one_takes_opaque_is_opaque(
    world: World, files: tuple[str, str]
) -> None:
    await world.deployment.resource_server(FILES, "opaque")
    assert (await tokens_for(world, FILES))["access_token"].startswith("ls_at_")


async def test_wide_grant_narrowed_to_a_jwt_resource_gets_a_jwt_and_back(world: World, files: tuple[str, str]) -> None:
    """RFC 8707 §2.2: the form follows what each token is for; the refresh token is the same."""
    wide = await tokens_for(world)
    narrow = (await refresh(world.http, world.app, wide["refresh_token"], resource=FILES)).json()
    assert (await read(world, narrow["access_token"]))["aud"] == FILES
    again = (await refresh(world.http, world.app, narrow["refresh_token"])).json()
    assert again["access_token"].startswith("ls_at_")


async def test_refresh_of_a_jwt_grant_gives_a_jwt_with_an_id_of_its_own(world: World, files: tuple[str, str]) -> None:
    first = await tokens_for(world, FILES)
    second = (await refresh(world.http, world.app, first["refresh_token"], scope="all.full_access")).json()
    old, new = await read(world, first["access_token"]), await read(world, second["access_token"])
    assert old["jti"] != new["jti"]
    assert (old["grant_id"], new["scope"]) == (new["grant_id"], "all.full_access")
    assert second["refresh_token"] != first["refresh_token"]


# -- the same life as an opaque token's


async def test_introspection_of_a_jwt_tells_the_same_as_its_claims(world: World, files: tuple[str, str]) -> None:
    token = (await tokens_for(world, FILES))["access_token"]
    claims, told = await read(world, token), await introspect(world.http, files, token)
    assert told["active"] is True
    for name in ("iss", "sub", "client_id", "organization_id", "iat", "exp", "jti", "scope"):
        assert told[name] == claims[name], name
    assert (told["aud"], told["user_id"], told["token_type"]) == ([FILES], world.ann, "Bearer")


async def test_introspection_of_a_jwt_for_another_api_is_inactive(world: World, files: tuple[str, str]) -> None:
    """N3."""
    token = (await tokens_for(world, FILES))["access_token"]
    assert await introspect(world.http, world.guard, token) == {"active": False}


@pytest.mark.parametrize("end", ["single", "refresh", "membership", "expiry"])
async def test_jwt_dies_with_what_it_stands_on(world: World, files: tuple[str, str], end: str) -> None:
    """V2, V7, V8, R8: for whoever asks, at once."""
    tokens = await tokens_for(world, FILES)
    sibling = (await refresh(world.http, world.app, tokens["refresh_token"])).json()
    if end == "single":
        assert (await post(world, "/oauth2/revoke", world.app.body(token=tokens["access_token"]))).status_code == 200
    elif end == "refresh":
        await post(world, "/oauth2/revoke", world.app.body(token=sibling["refresh_token"]))
    elif end == "membership":
        now = world.deployment.clock.now
        await world.deployment.store.end_membership(user_id=world.ann, organization_id=world.acorn, now=now)
    else:
        world.deployment.clock.advance(3600)
    assert await introspect(world.http, files, tokens["access_token"]) == {"active": False}
    assert (await introspect(world.http, files, sibling["access_token"]))["active"] is (end == "single")


async def test_jwt_of_another_client_is_not_revoked(world: World, files: tuple[str, str]) -> None:
    """V4."""
    token = (await tokens_for(world, FILES))["access_token"]
    other = await world.deployment.app(world.acorn)
    assert (await post(world, "/oauth2/revoke", other.body(token=token))).status_code == 200
    assert (await introspect(world.http, files, token))["active"] is True


async def test_jwt_signed_with_a_rotated_key_is_good_until_it_expires(world: World, files: tuple[str, str]) -> None:
    """O9."""
    keys, clock = world.deployment.services.signing_keys, world.deployment.clock
    old = await tokens_for(world, FILES)
    await keys.rotate()
    clock.advance(24 * 3600)
    fresh = (await refresh(world.http, world.app, old["refresh_token"])).json()["access_token"]
    assert parse_jwt(fresh).header["kid"] != parse_jwt(old["access_token"]).header["kid"]
    await read(world, old["access_token"])
    assert (await introspect(world.http, files, fresh))["active"] is True


@pytest.mark.parametrize("change", ["signature", "claims", "kid", "typ", "none", "cut", "extended"])
async def test_forged_jwt_is_inactive_and_revokes_nothing(world: World, files: tuple[str, str], change: str) -> None:
    """N2, N5, S8."""
    token = (await tokens_for(world, FILES))["access_token"]
    header, claims, signature = token.split(".")
    other = (await tokens_for(world, FILES))["access_token"].split(".")
    forged = {
        "signature": f"{header}.{claims}.{other[2]}",
        "claims": f"{header}.{other[1]}.{signature}",
        "kid": f"eyJhbGciOiJFUzI1NiIsImtpZCI6IngiLCJ0eXAiOiJhdCtqd3QifQ.{claims}.{signature}",
        "typ": f"eyJhbGciOiJFUzI1NiJ9.{claims}.{signature}",
        "none": f"eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{claims}.",
        "cut": token[:-1],
        "extended": token + "A",
    }[change]
    assert await introspect(world.http, files, forged) == {"active": False}
    assert (await post(world, "/oauth2/revoke", world.app.body(token=forged))).status_code == 200
    assert (await introspect(world.http, files, token))["active"] is True


async def test_signed_introspection_answer_is_no_access_token(world: World, files: tuple[str, str]) -> None:
    """RFC 9701 §8.1: each JWT of ours is good for one thing."""
    token = (await tokens_for(world, FILES))["access_token"]
    signed = await ask_signed(world, files, token)
    assert await introspect(world.http, files, signed.text) == {"active": False}


async def test_keys_that_cannot_be_had_are_503_and_consume_nothing(
    world: World, files: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """I4, V9: the code is redeemed only once its tokens can be signed."""
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn, resource=(FILES,))
    await world.deployment.services.signing_keys.find_signer()
    monkeypatch.setattr(world.deployment.services.codec, "_key_seals", {})
    world.deployment.services.signing_keys._signers.clear()
    before = dump(world)
    assert_refused(await exchange(world.http, world.app, code), 503, "temporarily_unavailable")
    assert dump(world) == before
    monkeypatch.undo()
    assert (await exchange(world.http, world.app, code)).status_code == 200


async def test_formats_are_remembered_so_that_bound_opaque_grants_cost_no_query(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await tokens_for(world, OPAQUE)
    asked: list[str] = []
    find = SqlStore.find_access_token_formats

    async def count(self: SqlStore, resource: str) -> Any:
        asked.append(resource)
        return await find(self, resource)

    monkeypatch.setattr(SqlStore, "find_access_token_formats", count)
    second = (await refresh(world.http, world.app, first["refresh_token"])).json()
    assert asked == []
    world.deployment.clock.advance(61)
    await refresh(world.http, world.app, second["refresh_token"])
    assert asked == [OPAQUE]


async def test_guard_that_checks_by_itself_lives_through_rotations(world: World, files: tuple[str, str]) -> None:
    """O9: with the real server, and with every request of the guard's counted."""
    clock = world.deployment.clock
    guard = build_guard(world, files)
    tokens = await tokens_for(world, FILES)
    key_ids = set()
    for _ in range(100):
        clock.advance(24 * 3600 - 7)
        tokens = (await refresh(world.http, world.app, tokens["refresh_token"])).json()
        key_ids.add(parse_jwt(tokens["access_token"]).header["kid"])
        access = await guard.check([f"Bearer {tokens['access_token']}".encode()])
        assert (access.organization_id, access.user_id, access.client_id) == (
            world.acorn,
            world.ann,
            world.app.client_id,
        )
    assert len(key_ids) == 2


async def test_jwt_exchanged_for_another_api_dies_with_it(world: World, files: tuple[str, str]) -> None:
    """X5: RFC 8693 with JWTs on both sides."""
    mail = await world.deployment.resource_server(MAIL, "jwt")
    acting = await world.deployment.app(world.acorn, grant_types=(TOKEN_EXCHANGE,), acts_for_resource=FILES)
    subject = (await tokens_for(world, FILES, MAIL))["access_token"]
    body = acting.body(
        grant_type=TOKEN_EXCHANGE, subject_token=subject, subject_token_type=ACCESS_TOKEN_TYPE, resource=MAIL
    )
    response = await post(world, "/oauth2/token", body)
    assert response.status_code == 200, response.text
    token = response.json()["access_token"]
    original, claims = await read(world, subject), await read(world, token)
    assert (claims["aud"], claims["sub"], claims["client_id"]) == (MAIL, world.ann, acting.client_id)
    assert claims["act"] == {"sub": acting.client_id}
    assert claims["ancestors"] == [original["jti"]]
    assert (claims["grant_id"], claims["scope"]) == (original["grant_id"], "all.full_access")
    told = await introspect(world.http, mail, token)
    assert (told["active"], told["client_id"], told["act"]) == (True, acting.client_id, {"sub": acting.client_id})
    await post(world, "/oauth2/revoke", world.app.body(token=subject))
    assert await introspect(world.http, mail, token) == {"active": False}


async def test_jwt_exchanged_carries_the_authorization_details(make_world: MakeWorld) -> None:
    """RFC 9396 §9.1: in the claims, in the answer and at introspection."""
    world = await make_world(authorization_details_types={"account": DetailsType(title="See your accounts")})
    files, mail = [await world.deployment.resource_server(resource, "jwt") for resource in (FILES, MAIL)]
    acting = await world.deployment.app(world.acorn, grant_types=(TOKEN_EXCHANGE,), acts_for_resource=FILES)
    details = [{"type": "account"}]
    prompt = {"resource": (FILES, MAIL), "authorization_details": render_authorization_details(details)}
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn, **prompt)
    subject = (await exchange(world.http, world.app, code)).json()["access_token"]
    body = acting.body(
        grant_type=TOKEN_EXCHANGE, subject_token=subject, subject_token_type=ACCESS_TOKEN_TYPE, resource=MAIL
    )
    answer = (await post(world, "/oauth2/token", body)).json()
    assert answer["authorization_details"] == details
    assert (await read(world, answer["access_token"]))["authorization_details"] == details
    assert (await introspect(world.http, mail, answer["access_token"]))["authorization_details"] == details
    assert (await introspect(world.http, files, subject))["authorization_details"] == details


async def test_code_exchanged_for_less_of_its_authorization_details_gives_just_that(make_world: MakeWorld) -> None:
    """RFC 9396 §6.1: the token's; the grant keeps them all."""
    types = {name: DetailsType(title=name) for name in ("account", "payment")}
    world = await make_world(authorization_details_types=types)
    granted = render_authorization_details([{"type": "account"}, {"type": "payment"}])
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn, authorization_details=granted)
    part = render_authorization_details([{"type": "account"}])
    answer = (await exchange(world.http, world.app, code, authorization_details=part)).json()
    assert answer["authorization_details"] == [{"type": "account"}]
    live = await introspect(world.http, world.guard, answer["access_token"])
    assert live["authorization_details"] == [{"type": "account"}]
    whole = (await refresh(world.http, world.app, answer["refresh_token"])).json()
    assert [detail["type"] for detail in whole["authorization_details"]] == ["account", "payment"]


async def test_jwt_of_a_grant_says_how_it_is_bound_when_its_member_signed_in_and_what_they_allowed(
    make_world: MakeWorld,
) -> None:
    """RFC 9449 §6.1, RFC 9470 §6, RFC 9396 §9.1."""
    world = await make_world(authorization_details_types={"account": DetailsType(title="See your accounts")})
    await world.deployment.resource_server(FILES, "jwt")
    prover, now = Prover(), world.deployment.clock.now
    details = [{"type": "account"}]
    prompt = {"resource": (FILES,), "authorization_details": render_authorization_details(details)}
    code = await grant_code(
        world.deployment, world.app, world.ann, world.acorn, authenticated_at=now - 60, acr="phr", **prompt
    )
    proof = prover.prove(url="https://auth.example/oauth2/token", now=now)
    body = world.app.body(grant_type="authorization_code", code=code)
    answer = (await post(world, "/oauth2/token", body, headers={"dpop": proof})).json()
    claims = await read(world, answer["access_token"])
    assert (claims["cnf"], claims["auth_time"], claims["acr"]) == ({"jkt": prover.jkt}, now - 60, "phr")
    assert claims["authorization_details"] == details


async def test_jwt_bound_to_a_key_is_taken_with_its_proof_alone(world: World, files: tuple[str, str]) -> None:
    """N6, S12: `cnf` in the claims, in the introspection answer, and at a guard that checks by itself."""
    prover, clock = Prover(), world.deployment.clock
    body = world.app.body(grant_type="client_credentials", resource=FILES)
    proof = prover.prove(url="https://auth.example/oauth2/token", now=clock.now)
    answer = (await post(world, "/oauth2/token", body, headers={"dpop": proof})).json()
    token = answer["access_token"]
    assert answer["token_type"] == "DPoP"
    assert (await read(world, token))["cnf"] == {"jkt": prover.jkt}
    assert (await introspect(world.http, files, token))["cnf"] == {"jkt": prover.jkt}
    guard = build_guard(world, files, dpop=Dpop())
    shown = prover.prove("GET", f"{FILES}list", access_token=token, now=clock.now)
    sent = Sent(method="GET", path="/list", proofs=[shown.encode()])
    access = await guard.check([f"DPoP {token}".encode()], sent=sent)
    assert access.organization_id == world.acorn
    for authorization, given in ((b"Bearer", sent), (b"DPoP", Sent(method="GET", path="/list"))):
        with pytest.raises(Refusal) as refused:
            await guard.check([authorization + b" " + token.encode()], sent=given)
        assert refused.value.status == 401


# -- signed introspection


async def ask_signed(world: World, caller: tuple[str, str], token: str, accept: str = SIGNED) -> httpx.Response:
    return await world.http.post("/oauth2/introspect", data={"token": token}, auth=caller, headers={"accept": accept})


@pytest.mark.parametrize("resource", [FILES, None])
async def test_signed_introspection_is_for_its_caller_alone(
    world: World, files: tuple[str, str], resource: str | None
) -> None:
    """RFC 9701 §5."""
    token = (await tokens_for(world, *([resource] if resource else [])))["access_token"]
    response = await ask_signed(world, files, token)
    assert response.status_code == 200
    assert response.headers["content-type"] == SIGNED
    assert response.headers["cache-control"] == "no-store"
    claims = await read(world, response.text, typ="token-introspection+jwt")
    assert set(claims) == {"iss", "aud", "iat", "token_introspection"}
    assert (claims["iss"], claims["aud"]) == ("https://auth.example", files[0])
    assert claims["iat"] == world.deployment.clock.now
    assert claims["token_introspection"] == await introspect(world.http, files, token)


async def test_signed_introspection_of_a_bad_token_says_inactive_alone(world: World, files: tuple[str, str]) -> None:
    """N2, RFC 9701 §5."""
    response = await ask_signed(world, files, "ls_at_nobody")
    claims = await read(world, response.text, typ="token-introspection+jwt")
    assert claims["token_introspection"] == {"active": False}


async def test_signed_introspection_without_authentication_is_refused_as_json(world: World) -> None:
    """N1."""
    assert_refused(await ask_signed(world, ("oa2resource_x", "wrong"), "x"), 401, "invalid_client")


async def test_signed_introspection_asked_for_by_a_client_is_plain(world: World) -> None:
    token = (await tokens_for(world))["access_token"]
    response = await ask_signed(world, (world.app.client_id, world.app.secret or ""), token)
    assert response.headers["content-type"] == "application/json"
    assert response.json()["active"] is True


@pytest.mark.parametrize("accept", ["application/json", "*/*", "application/jwt", ""])
async def test_introspection_not_asked_for_by_name_is_plain(world: World, files: tuple[str, str], accept: str) -> None:
    response = await ask_signed(world, files, (await tokens_for(world))["access_token"], accept)
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("accept", [SIGNED, f"{SIGNED}, application/json;q=0.5", f"text/html, {SIGNED.upper()}"])
async def test_introspection_asked_for_by_name_is_signed(world: World, files: tuple[str, str], accept: str) -> None:
    response = await ask_signed(world, files, (await tokens_for(world))["access_token"], accept)
    assert response.headers["content-type"] == SIGNED
