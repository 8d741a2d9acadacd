"""What may have been used before a restoration, of which the database knows nothing (ADR 0017)."""

import pytest

from latchstring.authorization_server.epoch import FIRST_EPOCH, Epoch
from latchstring.protocol.jose.claims import MAX_SKEW
from tests.authorization_server.builders import NOW

RESTORED = Epoch(b"s" * 16, NOW)
HOUR = 3600


def test_epoch_shows_when_it_began_and_not_its_salt():
    assert repr(RESTORED) == f"Epoch(began_at={NOW})"


@pytest.mark.parametrize("later, is_younger", [(0, True), (HOUR + MAX_SKEW - 1, True), (HOUR + MAX_SKEW, False)])
def test_epoch_is_younger_than_what_was_good_for_so_long_by_a_clock_that_is_behind(later, is_younger):
    assert RESTORED.is_younger_than(HOUR, NOW + later) is is_younger


@pytest.mark.parametrize(
    "issued, later, may_be",
    [
        pytest.param(MAX_SKEW, MAX_SKEW, False, id="issued-since"),
        pytest.param(MAX_SKEW - 1, MAX_SKEW, True, id="issued-about-then"),
        pytest.param(-HOUR, 0, True, id="issued-before"),
        pytest.param(None, 0, True, id="nobody-knows-when"),
        pytest.param(None, HOUR + 2 * MAX_SKEW - 1, True, id="could-still-live"),
        pytest.param(None, HOUR + 2 * MAX_SKEW, False, id="would-have-expired"),
        pytest.param(0, HOUR + 2 * MAX_SKEW, False, id="has-expired"),
    ],
)
def test_epoch_may_have_seen_what_was_issued_before_it_and_may_still_live(issued, later, may_be):
    issued_at = None if issued is None else NOW + issued
    assert RESTORED.may_have_seen(issued_at, NOW + later, max_lifetime=HOUR) is may_be


def test_first_epoch_has_seen_nothing_before_it():
    assert (FIRST_EPOCH.salt, FIRST_EPOCH.may_have_seen(None, NOW, max_lifetime=HOUR)) == (b"", False)
