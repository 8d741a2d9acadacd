"""JWT access tokens as the server writes and reads them (RFC 9068 §2.2; N6, N7, X5)."""

import msgspec
import pytest

from latchstring.authorization_server.grants.token_exchange import MAX_EXCHANGES
from latchstring.authorization_server.identifiers import CLIENT, GRANT, ORGANIZATION, render_identifier
from latchstring.authorization_server.resources import MAX_LENGTH, MAX_RESOURCES
from latchstring.authorization_server.signed_access_tokens import SignedAccessTokens, render_signed_access_token
from latchstring.authorization_server.tokens import AccessToken, Actor, ClientAccessToken, TokenFacts
from latchstring.protocol.access_token_jwt import parse_access_token_claims
from latchstring.protocol.authorization_details import MAX_SIZE
from latchstring.protocol.bearer import MAX_TOKEN_LENGTH, parse_bearer
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.jose.jws import JwtRefused, parse_jwt
from tests.authorization_server.builders import ACORN, ANN, GRANT_ID, MAILLOOP, NOW
from tests.authorization_server.conftest import House

API = ("https://files.example/",)
TOKEN_ID = bytes(range(12))
FACTS = TokenFacts(
    Confirmation(jkt="0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"),
    Actor(sub="oa2client_b", act=Actor(sub="oa2client_a")),
    '[{"type":"payment","amount":3}]',
)


async def render(house: House, **given) -> str:
    values = {
        "token_id": TOKEN_ID,
        "issued_at": NOW,
        "lifetime": 3600,
        "grant_id": GRANT_ID,
        "client_id": MAILLOOP,
        "sub": ANN,
        "organization_id": ACORN,
        "scope": "contacts.read",
        "resource": API,
        "facts": None,
    }
    return render_signed_access_token(await house.signing_keys.find_signer(), house.settings, **{**values, **given})


async def parse(house: House, text: str) -> AccessToken | ClientAccessToken | None:
    return await SignedAccessTokens(signing_keys=house.signing_keys, settings=house.settings).parse(text)


async def test_token_on_a_grant_comes_back_as_an_opaque_one_would(house: House):
    text = await render(house)
    assert await parse(house, text) == AccessToken(TOKEN_ID, GRANT_ID, NOW, NOW + 3600, "contacts.read", API)


async def test_token_of_a_client_comes_back_without_a_grant(house: House):
    client, organization = render_identifier(CLIENT, bytes(16)), render_identifier(ORGANIZATION, bytes(16))
    text = await render(house, grant_id=None, client_id=client, sub=client, organization_id=organization)
    assert await parse(house, text) == ClientAccessToken(
        TOKEN_ID, client, organization, NOW, NOW + 3600, "contacts.read", API
    )


async def test_token_carries_key_actor_and_details(house: House):
    """N6, N7, X5."""
    text = await render(house, facts=FACTS, authenticated_at=NOW - 60, acr="mfa")
    claims = parse_jwt(text).claims
    assert claims["cnf"] == {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}
    assert claims["act"] == {"sub": "oa2client_b", "act": {"sub": "oa2client_a"}}
    assert claims["authorization_details"] == [{"type": "payment", "amount": 3}]
    assert (claims["auth_time"], claims["acr"], claims["sub"], claims["grant_id"]) == (
        NOW - 60,
        "mfa",
        ANN,
        render_identifier(GRANT, GRANT_ID),
    )
    token = await parse(house, text)
    assert token is not None
    assert token.facts == FACTS


async def test_token_carries_the_grant_s_details_where_it_has_no_own(house: House):
    text = await render(house, authorization_details='[{"type":"payment"}]')
    assert parse_jwt(text).claims["authorization_details"] == [{"type": "payment"}]


async def test_longest_token_passes_the_guard(house: House):
    """Everything at its limit: resources, details, exchanges."""
    actor = None
    for _ in range(MAX_EXCHANGES + 1):
        actor = Actor(sub=MAILLOOP, act=actor)
    details = msgspec.json.encode([{"type": "x", "text": "y" * (MAX_SIZE - 30)}]).decode()
    facts = TokenFacts(FACTS.confirmation, actor, details, client_id=MAILLOOP, ancestors=(b"a" * 12,) * MAX_EXCHANGES)
    resource = tuple("https://a.example/" + "x" * (MAX_LENGTH // MAX_RESOURCES - 18) for _ in range(MAX_RESOURCES))
    text = await render(house, facts=facts, resource=resource, scope=" ".join(["contacts.read"] * 20))
    assert 4096 < len(text) <= MAX_TOKEN_LENGTH
    assert parse_bearer([b"Bearer " + text.encode()]) == text
    token = await parse(house, text)
    assert token is not None
    assert (token.facts, token.resource) == (facts, resource)


@pytest.mark.parametrize("typ", ["JWT", "token-introspection+jwt", "logout+jwt"])
async def test_jwt_of_ours_of_another_type_is_no_access_token(house: House, typ):
    """S7, RFC 8725 §3.11: whatever else the same key signs, with the very same claims."""
    signer = await house.signing_keys.find_signer()
    claims = parse_jwt(await render(house)).claims
    assert await parse(house, signer.sign(claims, type="at+jwt")) is not None
    assert await parse(house, signer.sign(claims, type=typ)) is None


@pytest.mark.parametrize("grant_id", [GRANT_ID, None])
async def test_exchanged_token_names_its_holder_and_where_it_came_from(house: House, grant_id):
    """X5: it dies with each token that it came from."""
    facts = TokenFacts(client_id="oa2client_other", ancestors=(b"a" * 12, b"b" * 12))
    text = await render(house, facts=facts, grant_id=grant_id, sub=ANN if grant_id else MAILLOOP)
    claims = parse_jwt(text).claims
    assert (claims["client_id"], claims["ancestors"]) == ("oa2client_other", ["61" * 12, "62" * 12])
    token = await parse(house, text)
    assert token is not None
    assert token.facts == facts
    assert isinstance(token, AccessToken) or token.client_id == MAILLOOP


async def test_token_of_an_approved_client_names_the_generation_of_its_approval(house: House):
    text = await render(house, facts=TokenFacts(approval=7), grant_id=None, sub=MAILLOOP)
    assert parse_jwt(text).claims["approval"] == 7
    token = await parse(house, text)
    assert token is not None
    assert token.facts == TokenFacts(approval=7)


async def test_token_of_another_issuer_or_another_s_keys_is_none(house: House):
    text = await render(house)
    house.configure(issuer="https://other.example")
    assert await parse(house, text) is None
    for junk in ("", "a.b.c", "ls_at_x", text.replace(".", "", 1), "é.é.é"):
        assert await parse(house, junk) is None


REQUIRED = ["iss", "aud", "sub", "client_id", "organization_id", "iat", "exp", "jti"]


async def good_claims(house: House) -> dict:
    return dict(parse_jwt(await render(house)).claims)


@pytest.mark.parametrize("name", REQUIRED)
async def test_claims_without_a_required_one_are_refused(house: House, name):
    """S10."""
    claims = await good_claims(house)
    del claims[name]
    with pytest.raises(JwtRefused, match="^not an access token: "):
        parse_access_token_claims(claims)


NOTHING: list[object] = [None, "", True, {}, []]
WRONG: list[tuple[str, object]] = (
    [(name, value) for name in REQUIRED for value in NOTHING]
    + [("exp", "9"), ("iat", "9"), ("exp", 1.5), ("aud", [1]), ("aud", [""]), ("scope", ["a"]), ("nbf", "1")]
    + [("cnf", "x"), ("act", "x"), ("authorization_details", {}), ("grant_id", 7), ("auth_time", "1"), ("acr", 1)]
)


@pytest.mark.parametrize("name, value", WRONG)
async def test_claims_of_the_wrong_type_are_refused(house: House, name, value):
    """S10."""
    with pytest.raises(JwtRefused, match="^not an access token: "):
        parse_access_token_claims({**await good_claims(house), name: value})


async def test_claims_with_unknown_ones_are_read(house: House):
    claims = parse_access_token_claims({**await good_claims(house), "email_verified": "false", "nbf": NOW})
    assert (claims.audience, claims.nbf) == (API, NOW)
    assert "email_verified" not in msgspec.to_builtins(claims)
