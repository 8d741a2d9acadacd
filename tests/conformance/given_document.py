"""States of clients that are known by a document at the URL that is their `client_id`."""

from typing import Any, Final

import msgspec

from latchstring.authorization_server.client_keys import clean_key_set
from latchstring.authorization_server.ports import Fetched
from tests.conformance.given import CHALLENGE, VERIFIER, World, _arrive, _state
from tests.support.documents import JSON
from tests.support.forms import find_form
from tests.support.signing import key_set, make_key, public_jwk

_ABSENT: Final = "absent"


@_state("place for a document")
async def place(world: World, path: str = "/client.json") -> None:
    """A host of the case's own, where nothing is published yet: `${document_host}`, `${document_id}` (the document's
    URL) and `${document_uri}`, where the client is returned to."""
    host = f"notes-{world.shared.serial}.example"
    world.values["document_host"] = host
    world.values["document_id"] = f"https://{host}{path}"
    world.values["document_uri"] = f"https://{host}/callback"


@_state("document")
async def document(
    world: World,
    *,
    content_type: str = JSON,
    max_age: int | str | None = None,
    body: str | None = None,
    **metadata: Any,
) -> None:
    """A client has published there who it is. What is given goes over Notes's metadata; "absent" leaves a member out.
    `body` is published in place of all that."""
    await place(world)
    url = world.values["document_id"]
    wanted = {
        "client_id": url,
        "client_name": "Notes",
        "redirect_uris": [world.values["document_uri"]],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
        **metadata,
    }
    published = {name: value for name, value in wanted.items() if value != _ABSENT}
    world.shared.documents[url] = Fetched(
        body=msgspec.json.encode(published) if body is None else body.encode(),
        content_type=content_type,
        max_age=None if max_age is None else int(max_age),
    )


@_state("document with a key")
async def document_with_a_key(world: World) -> None:
    """It proves itself by a key of its own, with which `${assertion}`s are signed."""
    jwks = msgspec.json.decode(clean_key_set(key_set(public_jwk(make_key("ES256"), kid="1"))))
    await document(world, token_endpoint_auth_method="private_key_jwt", jwks=jwks)


@_state("document gone")
async def document_gone(world: World) -> None:
    """Its host answers no longer."""
    del world.shared.documents[world.values["document_id"]]


@_state("document's consent page")
async def consent_page(world: World) -> None:
    """Ann, signed in, has its consent page before her: `${csrf_token}` and `${request}` are the page's own."""
    await _arrive(world, "ann's", world.user_id)
    asked = {
        "client_id": world.values["document_id"],
        "response_type": "code",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    page = await world.browser().get("/oauth2/authorize/", params=asked)
    assert page.status_code == 200, page.text
    fields = find_form(page, "/consent").fields
    world.values["csrf_token"], world.values["request"] = fields["csrf_token"], fields["request"]


@_state("document's tokens")
async def tokens(world: World, **given: Any) -> None:
    """Ann has connected it to Acorn: `${access_token}`, `${refresh_token}`."""
    await document(world, **given)
    await consent_page(world)
    form = {
        "csrf_token": world.values["csrf_token"],
        "request": world.values["request"],
        "organization_id": world.values["acorn"],
        "decision": "allow",
    }
    answer = await world.browser().post("/consent", data=form)
    assert answer.status_code == 303, answer.text
    code = answer.headers["location"].partition("code=")[2].partition("&")[0]
    body = {
        "grant_type": "authorization_code",
        "client_id": world.values["document_id"],
        "code": code,
        "code_verifier": VERIFIER,
    }
    response = await world.browser("a program").post("/oauth2/token", data=body)
    assert response.status_code == 200, response.text
    world.remember_tokens(response.json())
