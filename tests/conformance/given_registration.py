"""States of clients that registered themselves (RFC 7591): each is brought about by requests like theirs."""

from typing import Any, Final

from latchstring.authorization_server.answers import Answer
from latchstring.authorization_server.authorization_endpoint import AuthorizationPrompt
from tests.conformance.given import CHALLENGE, VERIFIER, World, _state

METADATA: Final[dict[str, Any]] = {
    "client_name": "Notes",
    "redirect_uris": ["https://notes.example/callback"],
    "grant_types": ["authorization_code", "refresh_token"],
    "token_endpoint_auth_method": "client_secret_post",
}


@_state("registered")
async def registered(world: World, **metadata: Any) -> None:
    """A client has registered itself, and nobody has consented: `${reg_id}`, `${reg_secret}` (of a confidential one),
    `${reg_token}` and `${reg_path}`. Parameters are its metadata, over Notes's."""
    wanted = {**METADATA, **metadata}
    response = await world.browser("a program").post("/oauth2/register", json=wanted)
    assert response.status_code == 201, response.text
    answer = response.json()
    world.values["reg_id"] = answer["client_id"]
    world.values["reg_token"] = answer["registration_access_token"]
    world.values["reg_path"] = answer["registration_client_uri"].removeprefix(world.deployment.settings.issuer)
    world.values["reg_redirect_uri"] = answer["redirect_uris"][0]
    if "client_secret" in answer:
        world.values["reg_secret"] = answer["client_secret"]


@_state("registered client's code")
async def registered_code(world: World, **metadata: Any) -> None:
    """Ann has consented to it for Acorn: `${code}`, with PKCE."""
    await registered(world, **metadata)
    services = world.deployment.services
    client = await services.clients.find_current(world.values["reg_id"])
    assert client is not None
    prompt = AuthorizationPrompt(
        client_id=world.values["reg_id"],
        redirect_uri=client.redirect_uris[0],
        sent_redirect_uri=None,
        state=None,
        scope=client.scope,
        code_challenge=CHALLENGE,
        organization_id=None,
    )
    code = await services.consent.allow(prompt, client, world.user_id, Answer(organization_id=world.values["acorn"]))
    assert isinstance(code, str)
    world.values["code"] = code
    parsed = world.deployment.codec.parse_code(code)
    assert parsed is not None
    world.grant_id = parsed.grant_id


@_state("registered client's tokens")
async def registered_tokens(world: World, **metadata: Any) -> None:
    """And it has redeemed the code: `${access_token}`, `${refresh_token}`."""
    await registered_code(world, **metadata)
    body = {
        "grant_type": "authorization_code",
        "client_id": world.values["reg_id"],
        "client_secret": world.values["reg_secret"],
        "code": world.values["code"],
        "code_verifier": VERIFIER,
    }
    response = await world.browser("a program").post("/oauth2/token", data=body)
    assert response.status_code == 200, response.text
    world.remember_tokens(response.json())


@_state("registration deleted")
async def registration_deleted(world: World) -> None:
    """The client has deleted itself."""
    response = await world.browser("a program").delete(
        world.values["reg_path"], headers={"authorization": f"Bearer {world.values['reg_token']}"}
    )
    assert response.status_code == 204, response.text
