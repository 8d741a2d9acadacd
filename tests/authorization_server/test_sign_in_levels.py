"""Which levels there are, which is asked for, and which a member has (RFC 9470 §5)."""

import pytest

from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.sign_in_levels import (
    decide_acr_values,
    find_levels,
    find_strongest,
    find_weakest,
    refuse_unmet,
)
from latchstring.protocol.errors import OAuthError

SETTINGS, WITHOUT_PASSKEYS = Settings(issuer="https://auth.example"), Settings(issuer="http://127.0.0.1:8000")


def test_levels_are_those_that_can_be_reached():
    assert find_levels(SETTINGS) == ("pwd", "mfa", "phr")
    assert find_levels(WITHOUT_PASSKEYS) == ("pwd", "mfa")


@pytest.mark.parametrize(
    "text, settings, wanted",
    [
        (None, SETTINGS, ()),
        ("mfa", SETTINGS, ("mfa",)),
        ("phr urn:example:gold pwd", SETTINGS, ("phr", "pwd")),
        ("phr mfa", WITHOUT_PASSKEYS, ("mfa",)),
    ],
)
def test_decide_acr_values_keeps_what_can_be_met(text, settings, wanted):
    assert decide_acr_values(text, settings) == wanted


@pytest.mark.parametrize("text, settings", [("gold", SETTINGS), ("phrh MFA", SETTINGS), ("phr", WITHOUT_PASSKEYS)])
def test_decide_acr_values_of_which_none_can_be_met_is_refused(text, settings):
    with pytest.raises(OAuthError) as refused:
        decide_acr_values(text, settings)
    assert (refused.value.code, refused.value.status) == ("unmet_authentication_requirements", 400)


@pytest.mark.parametrize(
    "wanted, weakest",
    [((), None), (("pwd",), None), (("phr", "pwd"), None), (("phr", "mfa"), "mfa"), (("phr",), "phr")],
)
def test_weakest_that_does_is_what_the_page_asks_for(wanted, weakest):
    assert find_weakest(wanted) == weakest


@pytest.mark.parametrize(
    "has_second_factor, has_passkey, level",
    [(False, False, "pwd"), (True, False, "mfa"), (False, True, "phr"), (True, True, "phr")],
)
def test_strongest_is_by_what_the_member_has_set_up(has_second_factor, has_passkey, level):
    assert find_strongest(has_second_factor=has_second_factor, has_passkey=has_passkey) == level


def test_refusal_of_a_level_that_was_not_reached_tells_the_app_what_it_was():
    refused = refuse_unmet()
    assert refused.code == "unmet_authentication_requirements"
    assert "acr_values" in refused.description
