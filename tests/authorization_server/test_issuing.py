"""What the token endpoint's tokens say, opaque or signed (RFC 6749 §5.1, RFC 9068 §2.2): all that was granted, no more
than the member's role still gives."""

import msgspec
import pytest

from latchstring.authorization_server.identifiers import RESOURCE_SERVER
from latchstring.authorization_server.settings import ScopeDefinition
from latchstring.authorization_server.tokens import ClientAccessToken
from latchstring.protocol.client_metadata import CLIENT_CREDENTIALS, TOKEN_EXCHANGE
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.jose.jws import parse_jwt
from latchstring.protocol.token_request import TokenRequest
from tests.authorization_server.builders import ACORN, ANN, NOW, build_resource_server
from tests.authorization_server.conftest import House
from tests.authorization_server.test_flows import exchange

APP = "oa2client_000000000000000000App1"
FILES = "https://files.example/"
READ, PAY = {"type": "read"}, {"type": "pay"}
DETAILS = msgspec.json.encode([READ, PAY]).decode()
KEY = Confirmation(jkt="0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")


@pytest.fixture
async def signing(house: House) -> House:
    """The house with an API that takes JWTs, and an app that can get every kind of token for it."""
    files = build_resource_server(client_id=f"{RESOURCE_SERVER}_files", resource=FILES, access_token_format="jwt")
    await house.store.create_resource_server(files)
    await house.client(APP, grant_types=("authorization_code", "refresh_token", CLIENT_CREDENTIALS, TOKEN_EXCHANGE))
    return house


async def test_signed_token_says_what_was_granted_and_when_the_member_had_signed_in(signing: House):
    """RFC 9068 §2.2.1, RFC 9396 §9.1."""
    grant = await signing.grant(
        client_id=APP, resource=(FILES,), authenticated_at=NOW - 60, authorization_details=DETAILS
    )
    first = await signing.redeem(grant, client_id=APP)
    whole = parse_jwt(first.access_token).claims
    assert (whole["auth_time"], whole["authorization_details"]) == (NOW - 60, [READ, PAY])
    narrow = await signing.refresh(first.refresh_token, client_id=APP, authorization_details='[{"type":"read"}]')
    assert parse_jwt(narrow.access_token).claims["authorization_details"] == [READ]


async def test_signed_token_names_the_key_that_it_is_bound_to(signing: House):
    client = await signing.store.find_client(APP)
    assert client is not None
    grant = await signing.grant(client_id=APP, resource=(FILES,))
    code = signing.codec.render_code(grant.id, grant.row_secret)
    request = TokenRequest(grant_type="authorization_code", code=code)
    answer = await signing.flows["authorization_code"].answer(request, client, KEY)
    assert answer.token_type == "DPoP"
    assert parse_jwt(answer.access_token).claims["cnf"] == {"jkt": KEY.jkt}


async def test_exchanged_token_of_either_form_says_what_was_granted(signing: House):
    """An opaque token for every API is exchanged for a JWT of one: the grant's facts go along."""
    grant = await signing.grant(client_id=APP, authenticated_at=NOW - 60, authorization_details=DETAILS)
    opaque = (await signing.redeem(grant, client_id=APP)).access_token
    answer = await signing.token(exchange(opaque, resource=(FILES,)), APP)
    claims = parse_jwt(answer.access_token).claims
    assert (claims["sub"], claims["client_id"], claims["organization_id"]) == (ANN, APP, ACORN)
    assert (claims["auth_time"], claims["authorization_details"]) == (NOW - 60, [READ, PAY])
    assert answer.authorization_details == [READ, PAY]


async def test_client_s_plain_token_carries_nothing_beside_its_scope(signing: House):
    answer = await signing.token(TokenRequest(grant_type=CLIENT_CREDENTIALS), APP)
    token = signing.codec.parse_access_token(answer.access_token)
    assert isinstance(token, ClientAccessToken)
    assert (token.scope, token.resource, token.facts) == ("all.full_access", (), None)


READ_AND_WRITE = "contacts.read contacts.write"


@pytest.mark.parametrize(
    "role, asked, got",
    [
        (None, None, READ_AND_WRITE + " offline_access"),
        ("admin", None, READ_AND_WRITE + " offline_access"),
        ("member", None, "contacts.read offline_access"),
        ("member", READ_AND_WRITE, "contacts.read"),
        ("member", "contacts.read", "contacts.read"),
        ("admin", READ_AND_WRITE, READ_AND_WRITE),
        ("admin", "contacts.read", "contacts.read"),
    ],
)
async def test_token_has_of_what_was_asked_only_what_the_member_s_role_gives_by_now(
    house: House, role: str | None, asked: str | None, got: str
):
    house.configure(
        scopes={
            "contacts.read": ScopeDefinition(title="Read"),
            "contacts.write": ScopeDefinition(title="Write", roles=("admin",)),
        }
    )
    grant = await house.grant(scope=(*READ_AND_WRITE.split(" "), "offline_access"), member_role=role)
    answer = await house.refresh((await house.redeem(grant)).refresh_token, scope=asked)
    assert answer.scope == got
    assert (await house.introspect(answer.access_token))["scope"] == got
