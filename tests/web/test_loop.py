"""The eight steps of an integration, over the wire, as DESIGN §1 tells them."""

from tests.support.journey import answer_of, decide, exchange, introspect, obtain_code, open_consent, refresh
from tests.web.conftest import World


async def test_loop_allowed_exchanged_refreshed_revoked_is_dead_at_once(world: World) -> None:
    http, app = world.http, world.app
    page = await open_consent(http, app, state="a b&c=ü", scope="all.full_access offline_access")
    assert page.status_code == 200
    assert "Mailloop" in page.text
    answer = answer_of(await decide(http, page, "allow", world.birch))
    assert answer.keys() == {"code", "state", "iss"}
    assert (answer["state"], answer["iss"]) == ("a b&c=ü", "https://auth.example")

    response = await exchange(http, app, answer["code"])
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-request-id"].startswith("req_")
    first = response.json()
    assert list(first) == [
        "token_type",
        "access_token",
        "expires_in",
        "scope",
        "organization_id",
        "user_id",
        "refresh_token",
    ] or set(first) == {
        "token_type",
        "access_token",
        "expires_in",
        "scope",
        "organization_id",
        "user_id",
        "refresh_token",
    }
    assert first["token_type"] == "Bearer"
    assert first["expires_in"] == 3600
    assert (first["organization_id"], first["user_id"]) == (world.birch, world.ann)
    assert first["scope"] == "all.full_access offline_access"

    told = await introspect(http, world.guard, first["access_token"])
    assert told["active"] is True
    assert (told["organization_id"], told["client_id"]) == (world.birch, app.client_id)

    second = (await refresh(http, app, first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["organization_id"] == world.birch

    revoked = await http.post("/oauth2/revoke/", data=app.body(token=second["refresh_token"]))
    assert (revoked.status_code, revoked.content) == (200, b"")
    for token in (first["access_token"], second["access_token"]):
        assert await introspect(http, world.guard, token) == {"active": False}
    refused = await refresh(http, app, second["refresh_token"])
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert refused.json()["error_description"].startswith("revoked:")


async def test_loop_declined_returns_access_denied_with_state_and_iss(world: World) -> None:
    page = await open_consent(world.http, world.app, state="xyz")
    answer = answer_of(await decide(world.http, page, "deny"))
    assert (answer["error"], answer["state"], answer["iss"]) == ("access_denied", "xyz", "https://auth.example")


async def test_code_without_offline_access_yields_no_refresh_token(world: World) -> None:
    code = await obtain_code(world.http, world.app, world.acorn, scope="all.full_access")
    answer = (await exchange(world.http, world.app, code)).json()
    assert "refresh_token" not in answer
    assert answer["scope"] == "all.full_access"
