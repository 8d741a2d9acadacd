"""A request to renew one certain grant is held to it, and a mismatch is told as what it is."""

import pytest

from latchstring.authorization_server.identifiers import GRANT, render_identifier
from latchstring.authorization_server.reconnecting import find_reconnected, is_anothers, refuse_mismatch
from latchstring.protocol.errors import OAuthError
from tests.authorization_server.builders import ACORN, ANN, GRANT_ID, build_client
from tests.authorization_server.conftest import House
from tests.authorization_server.test_consent import build_prompt

NAME = render_identifier(GRANT, GRANT_ID)


async def test_prompt_is_held_to_the_grant_that_it_names(house: House):
    await house.redeem(await house.grant(id=GRANT_ID))
    prompt = await find_reconnected(build_prompt(grant_id=NAME), build_client(), house.store)
    assert (prompt.organization_id, prompt.is_organization_fixed) == (ACORN, True)
    assert prompt.reconnects == (GRANT_ID, ANN)
    assert not is_anothers(prompt, ANN)
    assert is_anothers(prompt, "user_other")


async def test_prompt_that_names_no_grant_stays_as_it_is(house: House):
    prompt = build_prompt()
    assert await find_reconnected(prompt, build_client(), house.store) is prompt
    assert not is_anothers(prompt, "user_other")


@pytest.mark.parametrize(
    "grant_id, client_id, organization_id, why",
    [
        ("x", None, None, "not a grant of this client's"),
        (render_identifier(GRANT, bytes(16)), None, None, "not a grant of this client's"),
        (NAME, "oa2client_other", None, "not a grant of this client's"),
        (NAME, None, "orga_other", "for another organization than the request"),
    ],
    ids=["malformed", "unknown", "another-app-s", "of-another-organization"],
)
async def test_prompt_for_what_cannot_be_renewed_is_refused(house: House, grant_id, client_id, organization_id, why):
    await house.redeem(await house.grant(id=GRANT_ID))
    client = build_client() if client_id is None else build_client(client_id=client_id)
    with pytest.raises(OAuthError, match=why) as refused:
        await find_reconnected(build_prompt(grant_id=grant_id, organization_id=organization_id), client, house.store)
    assert refused.value.code == "invalid_request"


async def test_prompt_for_a_grant_whose_code_was_never_redeemed_is_refused(house: House):
    await house.grant(id=GRANT_ID)
    with pytest.raises(OAuthError, match="not a grant of this client's"):
        await find_reconnected(build_prompt(grant_id=NAME), build_client(), house.store)


@pytest.mark.parametrize(
    "reconnects, why",
    [
        (None, "The organization is not one of the member's who is signed in."),
        ((GRANT_ID, ANN), "The grant is not the member's who is signed in."),
    ],
)
def test_app_is_told_what_did_not_match(reconnects, why):
    refused = refuse_mismatch(build_prompt(reconnects=reconnects))
    assert (refused.code, refused.description) == ("access_denied", why)
