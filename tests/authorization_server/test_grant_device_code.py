"""The device grant's rules: what a poll is told, when the code is redeemed, a retry or a replay (RFC 8628 §3.5)."""

import pytest

from latchstring.authorization_server.grants.device_code import Poll, Redemption, decide, decide_poll, refuse_unknown
from latchstring.protocol.errors import OAuthError
from tests.authorization_server.builders import (
    GRANT_ID,
    KEY_TWO,
    NOW,
    ROW_SECRET,
    build_active_grant,
    build_client,
    build_codec,
    build_device,
    build_grant,
)

CODEC = build_codec()
OTHER_CLIENT = build_client(client_id="oa2client_0000000000000000Other")


def parsed(codec=CODEC, device_id=GRANT_ID, row_secret=ROW_SECRET):
    code = codec.parse_device_code(codec.render_device_code(device_id, row_secret))
    assert code is not None
    return code


def poll(now=NOW, client=None, code=None, **given):
    return decide_poll(client or build_client(), code or parsed(), build_device(**given), CODEC, now)


def redeem(grant, now=NOW, client=None, code=None, retry_window=60):
    return decide(client or build_client(), code or parsed(), grant, CODEC, retry_window=retry_window, now=now)


def refuse(call, *arguments, **given):
    with pytest.raises(OAuthError) as refused:
        call(*arguments, **given)
    return refused.value.code


@pytest.mark.parametrize(
    "polled_at, interval, verdict",
    [
        (None, 5, Poll.PENDING),
        (NOW - 5, 5, Poll.PENDING),
        (NOW - 4, 5, Poll.SLOW_DOWN),
        (NOW, 5, Poll.SLOW_DOWN),
        (NOW + 30, 5, Poll.SLOW_DOWN),  # another server's clock is ahead
        (NOW - 9, 10, Poll.SLOW_DOWN),
        (NOW - 10, 10, Poll.PENDING),
    ],
)
def test_poll_keeps_the_interval(polled_at, interval, verdict):
    """D2."""
    assert poll(polled_at=polled_at, interval=interval) is verdict


@pytest.mark.parametrize(
    "code",
    [
        parsed(row_secret=bytes(16)),
        parsed(build_codec(KEY_TWO)),
    ],
    ids=["another row secret", "another keyring"],
)
def test_code_that_was_not_made_for_the_row_is_unknown(code):
    """T14: neither a copy of the keyring nor one of the database makes a code."""
    assert refuse(poll, code=code) == "invalid_grant"
    for grant in (build_grant(), build_active_grant()):
        assert refuse(redeem, grant, code=code) == "invalid_grant"


def test_unknown_code_tells_the_log_and_nobody_else_why():
    refused = refuse_unknown()
    assert (refused.reason, refused.description) == (
        "no such device code for this client",
        "The device code is unknown, or expired long ago.",
    )


def test_code_of_another_client_is_unknown_before_anything_is_told():
    """D5: not whether it was denied, expired or redeemed."""
    for given in ({}, {"is_denied": True}, {"expires_at": NOW}):
        assert refuse(poll, client=OTHER_CLIENT, **given) == "invalid_grant"
    for grant in (build_grant(), build_active_grant(), None):
        assert refuse(redeem, grant, client=OTHER_CLIENT) == "invalid_grant"


@pytest.mark.parametrize(
    "given, code",
    [
        ({"is_denied": True}, "access_denied"),
        ({"is_denied": True, "expires_at": NOW}, "access_denied"),
        ({"expires_at": NOW}, "expired_token"),
    ],
)
def test_poll_after_the_answer_or_the_end_is_told(given, code):
    """D2."""
    assert refuse(poll, **given) == code
    assert poll(now=NOW - 1, expires_at=NOW) is Poll.PENDING


def test_pending_grant_is_redeemed_until_it_expires():
    assert redeem(build_grant(expires_at=NOW + 1)) is Redemption.REDEEM
    assert refuse(redeem, build_grant(expires_at=NOW)) == "expired_token"


@pytest.mark.parametrize(
    "since, rotated_at, retry_window, verdict",
    [
        (5, None, 60, Redemption.RETRY),
        (60, None, 60, Redemption.RETRY),
        (61, None, 60, Redemption.END_REPLAYED),
        (5, None, 0, Redemption.END_REPLAYED),
        (10, NOW - 5, 60, Redemption.END_REPLAYED),
    ],
)
def test_redeemed_code_again_is_a_retry_while_its_tokens_are_unused_and_the_window_open(
    since, rotated_at, retry_window, verdict
):
    """D5, DESIGN §5."""
    grant = build_active_grant(activated_at=NOW - since, rotated_at=rotated_at)
    assert redeem(grant, retry_window=retry_window) is verdict


@pytest.mark.parametrize("since", [-30, 0, 4])
def test_redeemed_code_again_at_once_is_slow_down(since):
    """D5: so that of many at once one has an answer, and nobody's grant is ended by their haste."""
    grant = build_active_grant(activated_at=NOW - since, rotated_at=None)
    for retry_window in (0, 60):
        assert refuse(redeem, grant, retry_window=retry_window) == "slow_down"


@pytest.mark.parametrize(
    "given",
    [{"status": "ended", "ended_reason": "membership_ended"}, {"status": "suspended"}],
    ids=["ended", "suspended"],
)
def test_grant_that_has_ended_is_invalid_grant(given):
    """A25, R8."""
    assert refuse(redeem, build_active_grant(**given)) == "invalid_grant"
    assert refuse(redeem, build_grant(**{**given, "status": "ended"})) == "invalid_grant"
