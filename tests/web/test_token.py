"""The token endpoint, whatever the grant: how it is called, who calls it, what it never says (RFC 6749 §3.2, §5)."""

from base64 import b64encode
from urllib.parse import quote_plus, urlencode

import msgspec
import pytest

from latchstring.protocol.client_metadata import AUTHORIZATION_CODE, CLIENT_CREDENTIALS, REFRESH_TOKEN
from tests.support.deployment import REDIRECT_URI, App
from tests.support.journey import exchange, grant_code, introspect, refresh
from tests.web.answers import assert_machine_headers, assert_refused
from tests.web.conftest import World
from tests.web.state import connect, dump, find_grant, is_active, post
from tests.web.wire import FORM, ask

TOKEN = "/oauth2/token/"
FAILED = "Client authentication failed"


async def fresh_code(world: World, app: App | None = None) -> str:
    return await grant_code(world.deployment, app or world.app, world.ann, world.acorn)


def basic(client_id: str, client_secret: str) -> str:
    """RFC 6749 §2.3.1: each form-encoded, then joined and encoded."""
    return "Basic " + b64encode(f"{quote_plus(client_id)}:{quote_plus(client_secret)}".encode()).decode()


# -- answers


async def test_token_answer_has_exactly_the_seven_fields_and_is_never_cached(world: World) -> None:
    """T2, T13."""
    response = await exchange(world.http, world.app, await fresh_code(world))
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert_machine_headers(response)
    fields = {"token_type", "access_token", "expires_in", "refresh_token", "scope", "organization_id", "user_id"}
    assert response.json().keys() == fields


async def test_token_answer_names_the_scope_that_was_granted_not_asked(world: World) -> None:
    """T13: the app of a client that may not refresh is told so by the scope."""
    app = await world.deployment.app(world.acorn, grant_types=(AUTHORIZATION_CODE,))
    code = await grant_code(world.deployment, app, world.ann, world.acorn, scope=("all.full_access",))
    answer = (await exchange(world.http, app, code)).json()
    assert answer["scope"] == "all.full_access"
    assert "refresh_token" not in answer


# -- the request


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        b"",
        b"application/json",
        b"multipart/form-data; boundary=x",
        b"text/plain",
        b"application/x-www-form-urlencodedx",
        b"application/x-www-form-urlencoded; charset=iso-8859-1",
        b"application/x-www-form-urlencoded, application/json",
    ],
)
async def test_token_request_of_another_content_type_is_refused_415(world: World, content_type: bytes | None) -> None:
    """T10."""
    body = urlencode(world.app.body(grant_type=AUTHORIZATION_CODE, code=await fresh_code(world))).encode()
    before = dump(world)
    headers = [] if content_type is None else [(b"content-type", content_type)]
    answer = await ask(world.deployment.application, "POST", TOKEN, headers=headers, body=body)
    assert (answer.status, msgspec.json.decode(answer.body)["error"]) == (415, "invalid_request")
    assert dump(world) == before


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/x-www-form-urlencoded; charset=utf-8",
        b'Application/X-WWW-Form-Urlencoded;charset="UTF-8"',
        b"application/x-www-form-urlencoded ;",
    ],
)
async def test_token_request_content_type_in_other_dress_is_read(world: World, content_type: bytes) -> None:
    body = urlencode(world.app.body(grant_type=AUTHORIZATION_CODE, code=await fresh_code(world))).encode()
    answer = await ask(
        world.deployment.application, "POST", TOKEN, headers=[(b"content-type", content_type)], body=body
    )
    assert answer.status == 200


async def test_token_request_in_many_pieces_is_read_whole(world: World) -> None:
    body = urlencode(world.app.body(grant_type=AUTHORIZATION_CODE, code=await fresh_code(world))).encode()
    pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
    answer = await ask(world.deployment.application, "POST", TOKEN, headers=[FORM], body=[b"", *pieces, b""])
    assert answer.status == 200


@pytest.mark.parametrize("name", ["grant_type", "code", "client_id", "client_secret", "redirect_uri", "unknown"])
async def test_token_request_with_a_repeated_parameter_is_refused(world: World, name: str) -> None:
    """T10: two equal ones are two."""
    code = await fresh_code(world)
    before = dump(world)
    body = {**world.app.body(grant_type=AUTHORIZATION_CODE, code=code), "redirect_uri": "https://x", "unknown": "1"}
    for second in (body[name], "", "other"):
        content = urlencode([*body.items(), (name, second)])
        response = await world.http.post(TOKEN, content=content, headers={FORM[0].decode(): FORM[1].decode()})
        assert_refused(response, 400, "invalid_request", "A parameter is included more than once")
    assert dump(world) == before
    assert (await exchange(world.http, world.app, code)).status_code == 200


@pytest.mark.parametrize(
    "body, status",
    [
        (b"grant_type=%", 400),
        (b"grant_type=%ff", 400),
        (b"grant_type=\xff", 400),
        (b"grant_type=%00", 400),
        (b"&".join([b"a=1"] * 65), 400),
        (b"code=" + b"x" * 8193, 400),
        (b"x" * 129 + b"=1", 400),
        (b"code=" + b"%41" * 8193, 400),
        (b"scope=" + b"x" * 100_000, 413),
        (b"a=" + b"&" * 70_000, 413),
        (b'{"grant_type": "authorization_code"}', 400),
        (b"", 400),
        (b"=", 400),
        (b"&&&", 400),
    ],
    ids=lambda value: value[:24].decode("latin-1") if isinstance(value, bytes) else None,
)
async def test_token_request_malformed_or_oversized_is_refused(world: World, body: bytes, status: int) -> None:
    """T10, CVE-2026-4634: caps before work."""
    answer = await ask(world.deployment.application, "POST", TOKEN, headers=[FORM], body=body)
    assert (answer.status, msgspec.json.decode(answer.body)["error"]) == (status, "invalid_request")
    assert answer.find("cache-control") == ["no-store"]


async def test_token_request_unknown_and_empty_parameters_are_ignored(world: World) -> None:
    """T10, CVE-2026-4874."""
    response = await exchange(
        world.http,
        world.app,
        await fresh_code(world),
        redirect_uri="",
        code_verifier="",
        client_session_host="https://evil.example",
        x="",
    )
    assert response.status_code == 200


@pytest.mark.parametrize(
    "grant_type, error",
    [
        (None, "invalid_request"),
        ("", "invalid_request"),
        ("password", "unsupported_grant_type"),
        ("implicit", "unsupported_grant_type"),
        ("urn:ietf:params:oauth:grant-type:jwt-bearer", "unsupported_grant_type"),
        ("AUTHORIZATION_CODE", "unsupported_grant_type"),
        ("authorization_code ", "unsupported_grant_type"),
    ],
)
async def test_token_grant_type_missing_or_unknown_is_refused(world: World, grant_type: str | None, error: str) -> None:
    """T9, T12."""
    body = world.app.body(username="ann@example.com", password="correct horse battery", code=await fresh_code(world))
    given = {} if grant_type is None else {"grant_type": grant_type}
    before = dump(world)
    assert_refused(await post(world, TOKEN, {**body, **given}), 400, error)
    assert dump(world) == before


@pytest.mark.parametrize("allowed", [AUTHORIZATION_CODE, REFRESH_TOKEN, CLIENT_CREDENTIALS])
async def test_token_grant_type_that_the_client_may_not_use_is_unauthorized_client(world: World, allowed: str) -> None:
    """T9."""
    app = await world.deployment.app(world.acorn, grant_types=(allowed,))
    for grant_type in {AUTHORIZATION_CODE, REFRESH_TOKEN, CLIENT_CREDENTIALS} - {allowed}:
        response = await post(world, TOKEN, app.body(grant_type=grant_type, code="x", refresh_token="x"))
        assert_refused(response, 400, "unauthorized_client")


@pytest.mark.parametrize("grant_type, missing", [(AUTHORIZATION_CODE, "code"), (REFRESH_TOKEN, "refresh_token")])
async def test_token_request_without_its_credential_is_invalid_request(
    world: World, grant_type: str, missing: str
) -> None:
    for body in (world.app.body(grant_type=grant_type), world.app.body(**{"grant_type": grant_type, missing: ""})):
        assert_refused(await post(world, TOKEN, body), 400, "invalid_request", f"{missing} is missing")


NASTY = ['"', "\\", '"\r\nSet-Cookie: x=1', "\r\n\r\n<script>alert(1)</script>", "ünïcode", "\x1b[31m", "a" * 3000]


@pytest.mark.parametrize(
    "grant_type, names",
    [
        (AUTHORIZATION_CODE, ["grant_type", "client_id", "code", "redirect_uri", "code_verifier"]),
        (REFRESH_TOKEN, ["grant_type", "client_id", "refresh_token", "scope"]),
    ],
)
async def test_token_refusal_never_reflects_what_was_sent(world: World, grant_type: str, names: list[str]) -> None:
    """T11: whatever the input, the description is visible ASCII of ours, and nothing is consumed."""
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn, sent_redirect_uri=REDIRECT_URI)
    tokens = await connect(world)
    before = dump(world)
    good = {"redirect_uri": REDIRECT_URI, "code": code, "refresh_token": tokens["refresh_token"]}
    for name in names:
        for nasty in NASTY:
            response = await post(world, TOKEN, world.app.body(**{**good, "grant_type": grant_type, name: nasty}))
            assert_refused(response, response.status_code, response.json()["error"])
            assert nasty not in response.json()["error_description"]
            assert not any(nasty in value for value in response.headers.values())
    assert dump(world) == before


# -- client authentication


async def test_client_wrong_secret_by_basic_is_401_with_a_basic_challenge(world: World) -> None:
    """T4; nothing is consumed."""
    code = await fresh_code(world)
    before = dump(world)
    for client_id, secret in ((world.app.client_id, "wrong"), (world.app.client_id, ""), ("unknown", "wrong")):
        response = await world.http.post(
            TOKEN, data={"grant_type": AUTHORIZATION_CODE, "code": code}, auth=(client_id, secret)
        )
        assert_refused(response, 401, "invalid_client", FAILED)
        assert response.headers["www-authenticate"] == 'Basic realm="latchstring", charset="UTF-8"'
    assert dump(world) == before
    assert (await exchange(world.http, world.app, code)).status_code == 200


async def test_client_wrong_secret_in_body_is_401(world: World) -> None:
    """T5."""
    code = await fresh_code(world)
    body = {"grant_type": AUTHORIZATION_CODE, "code": code, "client_id": world.app.client_id}
    secret = world.app.secret
    assert secret is not None
    other = await world.deployment.app(world.acorn)
    assert other.secret is not None
    before = dump(world)
    for wrong in ("wrong", secret[:-1], secret + "A", secret.swapcase(), f" {secret}", other.secret):
        response = await post(world, TOKEN, {**body, "client_secret": wrong})
        assert_refused(response, 401, "invalid_client", FAILED)
    assert dump(world) == before


@pytest.mark.parametrize("path", ["/oauth2/token/", "/oauth2/revoke/", "/oauth2/introspect/"])
@pytest.mark.parametrize("by_basic", [True, False], ids=["basic", "body"])
async def test_client_unknown_is_answered_exactly_like_a_wrong_secret(world: World, path: str, by_basic: bool) -> None:
    """T5: no probing of client ids."""
    answers = []
    for client_id in (world.app.client_id, "oa2client_0000000000000000000000", "oa2resource_0000000000000000000000"):
        data = {"grant_type": AUTHORIZATION_CODE, "code": "x", "token": "x"}
        if by_basic:
            response = await world.http.post(path, data=data, auth=(client_id, "wrong"))
        else:
            response = await post(world, path, {**data, "client_id": client_id, "client_secret": "wrong"})
        assert_refused(response, 401, "invalid_client", FAILED)
        headers = {name: value for name, value in response.headers.items() if name != "x-request-id"}
        answers.append((response.content, headers))
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize("path", ["/oauth2/token/", "/oauth2/revoke/", "/oauth2/introspect/"])
async def test_client_without_any_authentication_is_401(world: World, path: str) -> None:
    """N1, R1, V5."""
    tokens = await connect(world)
    before = dump(world)
    data = {"grant_type": REFRESH_TOKEN, "refresh_token": tokens["refresh_token"], "token": tokens["refresh_token"]}
    assert_refused(await post(world, path, data), 401, "invalid_client")
    confidential = {**data, "client_id": world.app.client_id}
    assert_refused(await post(world, path, confidential), 401, "invalid_client")
    assert_refused(await post(world, path, {**confidential, "client_secret": ""}), 401, "invalid_client")
    assert dump(world) == before


@pytest.mark.parametrize("path", ["/oauth2/token/", "/oauth2/revoke/", "/oauth2/introspect/"])
async def test_client_that_authenticates_twice_is_refused(world: World, path: str) -> None:
    """T6: even where both are right."""
    code = await fresh_code(world)
    tokens = await connect(world)
    before = dump(world)
    assert world.app.secret is not None
    auth = (world.app.client_id, world.app.secret)
    body = world.app.body(grant_type=AUTHORIZATION_CODE, code=code, token=tokens["refresh_token"])
    assert_refused(await world.http.post(path, data=body, auth=auth), 400, "invalid_request")
    headers = [("authorization", basic(*auth)), ("authorization", basic(*auth))]
    data = {"grant_type": AUTHORIZATION_CODE, "code": code, "token": tokens["refresh_token"]}
    assert_refused(await world.http.post(path, data=data, headers=headers), 400, "invalid_request")
    differing = {**data, "client_id": "oa2client_0000000000000000000000"}
    assert_refused(await world.http.post(path, data=differing, auth=auth), 400, "invalid_request")
    assert dump(world) == before


async def test_client_by_basic_may_repeat_its_own_id_in_the_body(world: World) -> None:
    assert world.app.secret is not None
    data = {"grant_type": AUTHORIZATION_CODE, "code": await fresh_code(world), "client_id": world.app.client_id}
    response = await world.http.post(TOKEN, data=data, auth=(world.app.client_id, world.app.secret))
    assert response.status_code == 200


@pytest.mark.parametrize("secret", ["a:b", "per%cent", "pl+us and space", "ümläut", "::", "%3A", "🔑" * 8])
async def test_client_secret_of_odd_characters_works_form_encoded_inside_basic(world: World, secret: str) -> None:
    """T7: a secret moved in from elsewhere may hold anything."""
    record = await world.deployment.store.find_client(world.app.client_id)
    assert record is not None
    kept = world.deployment.codec.hash_client_secret(secret, world.deployment.clock.now)
    await world.deployment.store.replace_client_secrets(record.client_id, (kept,), now=world.deployment.clock.now)
    app = App(record, secret)
    for scheme in ("Basic", "basic", "BASIC"):
        header = scheme + basic(app.client_id, secret)[5:]
        data = {"grant_type": AUTHORIZATION_CODE, "code": await fresh_code(world, app)}
        response = await world.http.post(TOKEN, data=data, headers={"authorization": header})
        assert response.status_code == 200, response.text
    assert (await exchange(world.http, app, await fresh_code(world, app))).status_code == 200


@pytest.mark.parametrize(
    "value",
    [
        "Basic",
        "Basic ",
        "Basic\tb2E6Yg==",
        "Basic b2E6Yg",
        "Basic b2E6Yg= =",
        "Basic !!!!",
        "Basic b2FhYQ==",
        "Basic /////w==",
        "Basic JWZmOmE=",
        "Bearer ls_at_x",
        "Digest username=x",
        "DPoP x",
        "Negotiate",
        "",
    ],
)
async def test_client_with_a_malformed_authorization_header_is_401_with_a_challenge(world: World, value: str) -> None:
    """T7, T4: sloppy Base64 is refused; a header that was sent is answered by the scheme that would have done."""
    code = await fresh_code(world)
    before = dump(world)
    data = {"grant_type": AUTHORIZATION_CODE, "code": code, "client_id": world.app.client_id}
    response = await world.http.post(TOKEN, data=data, headers={"authorization": value})
    assert_refused(response, 401, "invalid_client")
    assert response.headers["www-authenticate"].startswith("Basic ")
    assert dump(world) == before


async def test_client_secret_replaced_old_is_dead_and_new_works(world: World) -> None:
    secret = await world.deployment.services.client_secrets.replace(world.app.record)
    tokens_before = await fresh_code(world)
    assert_refused(await exchange(world.http, world.app, tokens_before), 401, "invalid_client", FAILED)
    assert (await exchange(world.http, App(world.app.record, secret), tokens_before)).status_code == 200


async def test_resource_server_cannot_use_the_token_endpoint(world: World) -> None:
    client_id, secret = world.guard
    body = {"grant_type": CLIENT_CREDENTIALS, "client_id": client_id, "client_secret": secret}
    assert_refused(await post(world, TOKEN, body), 401, "invalid_client", FAILED)


# -- client credentials


async def test_client_credentials_yield_a_token_of_the_owning_organization_and_write_nothing(world: World) -> None:
    """R11, DESIGN §4: no refresh token, no user, no row."""
    before = dump(world)
    response = await post(world, TOKEN, world.app.body(grant_type=CLIENT_CREDENTIALS))
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer.keys() == {"token_type", "access_token", "expires_in", "scope", "organization_id"}
    assert (answer["organization_id"], answer["scope"]) == (world.acorn, "all.full_access")
    told = await introspect(world.http, world.guard, answer["access_token"])
    assert told["active"] is True
    assert (told["client_id"], told["sub"], told["organization_id"]) == (
        world.app.client_id,
        world.app.client_id,
        world.acorn,
    )
    assert "user_id" not in told
    assert dump(world) == before
    world.deployment.clock.advance(3600)
    assert not await is_active(world, answer["access_token"])


@pytest.mark.parametrize("scope", ["offline_access", "all.full_access offline_access", "unknown", "x y"])
async def test_client_credentials_scope_beyond_the_apps_own_is_refused(world: World, scope: str) -> None:
    body = world.app.body(grant_type=CLIENT_CREDENTIALS, scope=scope)
    assert_refused(await post(world, TOKEN, body), 400, "invalid_scope")


async def test_client_credentials_of_a_public_client_are_refused(world: World) -> None:
    app = await world.deployment.app(world.acorn, is_public=True)
    assert_refused(await post(world, TOKEN, app.body(grant_type=CLIENT_CREDENTIALS)), 400, "unauthorized_client")


async def test_client_credentials_token_revoked_is_dead_alone(world: World) -> None:
    body = world.app.body(grant_type=CLIENT_CREDENTIALS)
    first, second = [(await post(world, TOKEN, body)).json()["access_token"] for _ in range(2)]
    other = await world.deployment.app(world.birch)
    assert (await post(world, "/oauth2/revoke/", other.body(token=first))).status_code == 200
    assert await is_active(world, first), "V4: another client's token is left alone"
    assert (await post(world, "/oauth2/revoke/", world.app.body(token=first))).status_code == 200
    assert not await is_active(world, first)
    assert await is_active(world, second)


# -- a public client (V6 and the rest of its rights are in test_revocation)


async def test_public_client_redeems_with_its_verifier_and_refreshes_without_a_secret(world: World) -> None:
    """A11, R3: rotated at every use."""
    app = await world.deployment.app(world.acorn, is_public=True)
    first = await connect(world, app)
    response = await refresh(world.http, app, first["refresh_token"])
    assert response.status_code == 200
    second = response.json()
    assert second["refresh_token"] != first["refresh_token"]
    assert (await find_grant(world, second["refresh_token"])).generation == 2


async def test_public_client_that_sends_a_secret_is_refused(world: World) -> None:
    app = await world.deployment.app(world.acorn, is_public=True)
    tokens = await connect(world, app)
    before = dump(world)
    data = {"grant_type": REFRESH_TOKEN, "refresh_token": tokens["refresh_token"]}
    in_body = {**data, "client_id": app.client_id, "client_secret": "x"}
    assert_refused(await post(world, TOKEN, in_body), 401, "invalid_client", FAILED)
    for secret in ("x", ""):
        response = await world.http.post(TOKEN, data=data, auth=(app.client_id, secret))
        assert_refused(response, 401, "invalid_client", FAILED)
    assert dump(world) == before


async def test_public_client_cannot_use_a_confidential_clients_tokens(world: World) -> None:
    """R1, CVE-2026-53512."""
    app = await world.deployment.app(world.acorn, is_public=True)
    tokens = await connect(world)
    before = dump(world)
    assert_refused(await refresh(world.http, app, tokens["refresh_token"]), 400, "invalid_grant")
    assert dump(world) == before
