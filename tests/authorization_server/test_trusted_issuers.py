"""Trusted issuers: which can be declared, whose keys are asked for, whom they name (RFC 7523 §3)."""

import asyncio
from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.settings import ScopeDefinition, Settings, validate_settings
from latchstring.authorization_server.tokens import AccessToken, TokenFacts
from latchstring.authorization_server.trusted_issuers import TrustedIssuer
from latchstring.protocol.client_metadata import JWT_BEARER
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.errors import ConfigurationError, OAuthError
from latchstring.protocol.jose.algorithms import ALGORITHMS
from latchstring.protocol.token_request import TokenRequest
from tests.authorization_server.builders import ACORN, ANN, NOW, build_active_grant, build_user
from tests.authorization_server.conftest import House
from tests.support.signing import key_set, make_key, public_jwk, sign

IDP = "https://idp.example"
KEYS = "https://idp.example/keys.json"
PUBLIC = public_jwk(make_key(), kid="1")
AGENT = "oa2client_00000000000000000Agent"
BY_VALUE = {"jwks_uri": None, "keys": (PUBLIC,)}


def declare(name: str = IDP, **given: Any) -> Settings:
    values = {"organizations": ("*",), "jwks_uri": KEYS, **given}
    return validate_settings(Settings(issuer="https://auth.example", trusted_issuers={name: TrustedIssuer(**values)}))


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({}, id="keys-by-url"),
        pytest.param(BY_VALUE, id="keys-by-value"),
        pytest.param({"algorithms": ("RS256",), "organizations": (ACORN,)}, id="rsa"),
        pytest.param({"algorithms": ALGORITHMS}, id="every-algorithm"),
        pytest.param({"user_is": "mapped", "users": {"ann": ANN}, "user_claim": "login"}, id="mapped"),
        pytest.param({"jwks_uri": None, "keys": (public_jwk(make_key("RS256")), PUBLIC)}, id="one-key-is-enough"),
    ],
)
def test_trusted_issuer_of_one_kind_of_keys_is_accepted(given):
    assert IDP in declare(**given).trusted_issuers


PRIVATE = "its keys: the JWK Set has private or symmetric keys"
ANOTHER = "give the `iss` of another issuer"
ONE_KIND = "give its keys or its jwks_uri, one of the two"
NO_KEY = "keys: none is a public key for one of its algorithms"
ALLOWED = f"algorithms are of {', '.join(ALGORITHMS)}"
CLAIMS = "user_claim and organization_claim are names of claims"
MAP = 'users go with user_is = "mapped"'
NOT_HTTPS = "its keys: it is not an absolute https URL"


@pytest.mark.parametrize(
    "name, given, why",
    [
        pytest.param("", {}, ANOTHER, id="no-name"),
        pytest.param("https://auth.example", {}, ANOTHER, id="the-server-itself"),
        pytest.param(
            IDP,
            {"organizations": ()},
            'organizations: name those it may speak for; ["*"] is every one',
            id="no-organization",
        ),
        pytest.param(IDP, {"jwks_uri": None}, ONE_KIND, id="no-keys"),
        pytest.param(IDP, {"keys": (PUBLIC,)}, ONE_KIND, id="keys-of-both-kinds"),
        pytest.param(IDP, {"jwks_uri": "http://idp.example/keys.json"}, NOT_HTTPS, id="keys-by-http"),
        pytest.param(IDP, {"jwks_uri": "file:///etc/passwd"}, NOT_HTTPS, id="keys-in-a-file"),
        pytest.param(IDP, BY_VALUE | {"keys": (make_key().as_dict(private=True),)}, PRIVATE, id="private-key"),
        pytest.param(IDP, BY_VALUE | {"keys": ({"kty": "oct", "k": "AAAA"},)}, PRIVATE, id="symmetric-key"),
        pytest.param(IDP, BY_VALUE | {"algorithms": ("RS256",)}, NO_KEY, id="no-key-for-it"),
        pytest.param(IDP, {"algorithms": ()}, ALLOWED, id="no-algorithm"),
        pytest.param(IDP, {"algorithms": ("ES256", "HS256")}, ALLOWED, id="symmetric-algorithm"),
        pytest.param(IDP, {"algorithms": ("none",)}, ALLOWED, id="none"),
        pytest.param(IDP, {"user_claim": ""}, CLAIMS, id="no-user-claim"),
        pytest.param(IDP, {"organization_claim": ""}, CLAIMS, id="no-organization-claim"),
        pytest.param(IDP, {"user_is": "mapped"}, MAP, id="map-missing"),
        pytest.param(IDP, {"users": {"ann": ANN}}, MAP, id="map-for-nothing"),
    ],
)
def test_trusted_issuer_that_nobody_meant_stops_the_start_and_is_told_why(name, given, why):
    with pytest.raises(ConfigurationError) as refused:
        declare(name, **given)
    assert str(refused.value) == f"trusted_issuers: {name}: {why}"


@pytest.fixture
async def trusting(house: House) -> House:
    """The house with an agent that may bring assertions."""
    await house.client(AGENT, grant_types=(JWT_BEARER,))
    house.published[KEYS] = key_set(PUBLIC)
    house.settings = declare()
    return house


def assert_ann(house: House, token_id: str = "1", **claims: Any) -> TokenRequest:
    content = {"iss": IDP, "aud": house.settings.issuer, "jti": token_id, "exp": house.now + 60, "sub": ANN}
    assertion = sign({**content, "organization_id": ACORN, **claims}, make_key(), kid="1")
    return TokenRequest(grant_type=JWT_BEARER, assertion=assertion)


async def refuse(house: House, request: TokenRequest) -> OAuthError:
    with pytest.raises(OAuthError) as refused:
        await house.token(request, AGENT)
    return refused.value


async def test_assertion_makes_one_active_grant_that_says_whose_word_it_was(trusting: House):
    answer = await trusting.token(assert_ann(trusting), AGENT)
    assert (answer.refresh_token, answer.user_id, answer.organization_id) == (None, ANN, ACORN)
    trusting.now += 10
    await trusting.token(assert_ann(trusting, "2"), AGENT)
    [grant] = await trusting.store.find_grants(user_id=ANN, organization_id=None)
    assert (grant.client_id, grant.status, grant.asserted_by) == (AGENT, "active", IDP)
    assert (grant.generation, grant.activated_at, grant.expires_at) == (0, NOW, NOW + 3610)


async def test_assertion_whose_issuer_s_keys_cannot_be_read_is_temporarily_unavailable(trusting: House):
    """I6: nothing is known of the signature, so nothing is said of it, and nothing used up."""
    keys = trusting.published.pop(KEYS)
    request = assert_ann(trusting)
    assert (await refuse(trusting, request)).code == "temporarily_unavailable"
    trusting.published[KEYS] = keys
    assert (await trusting.token(request, AGENT)).user_id == ANN


@pytest.mark.parametrize("claims", [{"iss": "https://nobody.example"}, {"aud": "https://other.example"}, {"exp": NOW}])
async def test_assertion_that_cannot_count_asks_nobody_for_keys(trusting: House, claims):
    """K2: a stranger cannot make the server fetch."""
    trusting.published.clear()
    assert (await refuse(trusting, assert_ann(trusting, **claims))).code == "invalid_grant"


async def test_assertion_of_a_mapped_user_is_about_whom_the_settings_say(trusting: House):
    trusting.settings = declare(user_is="mapped", users={"ext-7": ANN})
    assert (await trusting.token(assert_ann(trusting, sub="ext-7"), AGENT)).user_id == ANN
    for unknown in ("ext-8", ANN):
        assert (await refuse(trusting, assert_ann(trusting, "2", sub=unknown))).code == "invalid_grant"


async def test_assertion_for_a_private_app_of_strangers_is_refused_and_not_used_up(trusting: House):
    await trusting.client("oa2client_0000000000000000Hidden", grant_types=(JWT_BEARER,), is_published=False)
    hidden = await trusting.token(assert_ann(trusting), "oa2client_0000000000000000Hidden")
    assert hidden.user_id == ANN, "she is a member of its owner"
    await trusting.client(
        "oa2client_000000000000000Nobodys", grant_types=(JWT_BEARER,), is_published=False, organization_id=None
    )
    request = assert_ann(trusting, "2")
    with pytest.raises(OAuthError, match="private to an organization"):
        await trusting.token(request, "oa2client_000000000000000Nobodys")
    assert (await trusting.token(request, AGENT)).user_id == ANN


async def test_assertions_at_once_make_one_grant(trusting: House):
    requests = [assert_ann(trusting, str(number)) for number in range(30)]
    await asyncio.gather(*(trusting.token(request, AGENT) for request in requests))
    assert len(await trusting.store.find_grants(user_id=ANN, organization_id=None)) == 1


async def test_assertion_of_nobody_and_of_a_stranger_are_refused_alike_and_told_apart_in_the_log(trusting: House):
    """I4: whoever brings assertions learns of nobody whether they have an account here."""
    await trusting.store.create_user(build_user("user_000000000000000000000Ben", "ben@example.com"))
    nobody = await refuse(trusting, assert_ann(trusting, sub="user_nobody"))
    stranger = await refuse(trusting, assert_ann(trusting, sub="user_000000000000000000000Ben"))
    assert (nobody.code, nobody.description) == (stranger.code, stranger.description)
    assert (nobody.reason, stranger.reason) == ("the user is unknown", "not a member")


async def test_grant_that_an_assertion_makes_is_as_new_as_any(trusting: House):
    await trusting.token(assert_ann(trusting), AGENT)
    [made] = await trusting.store.find_grants(user_id=ANN, organization_id=None)
    grant = await trusting.store.find_grant(made.id)
    assert grant is not None
    assert grant == build_active_grant(
        id=grant.id,
        row_secret=grant.row_secret,
        client_id=AGENT,
        scope=("all.full_access",),
        generation=0,
        expires_at=NOW + 3600,
        asserted_by=IDP,
    )


async def test_assertion_narrows_its_token_to_the_scope_asked_for(trusting: House):
    trusting.settings = msgspec.structs.replace(
        trusting.settings, scopes={**trusting.settings.scopes, "contacts.read": ScopeDefinition()}
    )
    reader = "oa2client_0000000000000000Reader"
    await trusting.client(reader, grant_types=(JWT_BEARER,), scope=("all.full_access", "contacts.read"))
    whole = await trusting.token(assert_ann(trusting), reader)
    request = msgspec.structs.replace(assert_ann(trusting, "2"), scope="contacts.read")
    narrow = await trusting.token(request, reader)
    assert (whole.scope, narrow.scope) == ("all.full_access contacts.read", "contacts.read")
    tokens = [trusting.codec.parse_access_token(answer.access_token) for answer in (whole, narrow)]
    assert [token.scope for token in tokens if isinstance(token, AccessToken)] == [None, "contacts.read"]


async def test_token_for_an_assertion_is_bound_to_the_key_that_the_client_proves(trusting: House):
    bound = Confirmation(jkt="k" * 43)
    client = await trusting.store.find_client(AGENT)
    assert client is not None
    answer = await trusting.flows[JWT_BEARER].answer(assert_ann(trusting), client, bound)
    assert answer.token_type == "DPoP"
    token = trusting.codec.parse_access_token(answer.access_token)
    assert isinstance(token, AccessToken)
    assert token.facts == TokenFacts(confirmation=bound)
