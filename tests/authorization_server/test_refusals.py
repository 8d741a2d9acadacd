"""`invalid_grant` in words (RFC 6749 §5.2)."""

import pytest

from latchstring.authorization_server.refusals import refuse_ended, refuse_grant
from tests.authorization_server.builders import build_active_grant


def test_refuse_grant_without_a_reason_of_its_own_gives_the_description():
    assert (refuse_grant("It is so.").reason, refuse_grant("It is so.", "why").reason) == ("It is so.", "why")


@pytest.mark.parametrize("reason", [None, "a reason of tomorrow's"])
def test_refuse_ended_for_a_reason_without_words_says_that_it_has_ended(reason):
    """An older server beside a newer one's rows."""
    refused = refuse_ended(build_active_grant(status="ended", ended_reason=reason))
    assert refused.code == "invalid_grant"
    assert refused.description == "revoked: the grant has ended. Send the member to connect again."
