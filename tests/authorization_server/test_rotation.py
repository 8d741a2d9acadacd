"""The rotation table of DESIGN §5, row by row (RFC 9700 §4.14.2; R4, R5, R6, R7)."""

import itertools

import pytest

from latchstring.authorization_server.rotation import RotationVerdict, decide_rotation
from latchstring.authorization_server.settings import MAX_RETRY_WINDOW
from tests.authorization_server.builders import NOW, build_active_grant

ROTATE, RETRY, REUSE = RotationVerdict.ROTATE, RotationVerdict.RETRY, RotationVerdict.REUSE
DAY = 24 * 3600

# Current generation, and the time since it was made by a rotation (None: none yet).
CURRENT = 5


@pytest.mark.parametrize("window", [0, 1, 60, 3600, DAY, MAX_RETRY_WINDOW])
@pytest.mark.parametrize("elapsed", [-DAY, -1, 0, 1, 59, 60, 61, DAY, MAX_RETRY_WINDOW, 400 * DAY])
@pytest.mark.parametrize("presented", [1, CURRENT - 2, CURRENT - 1, CURRENT])
def test_decide_rotation_every_row_of_the_table(presented, elapsed, window):
    grant = build_active_grant(generation=CURRENT, rotated_at=NOW)
    if presented == CURRENT:
        expected = ROTATE
    elif presented == CURRENT - 1 and max(0, elapsed) < window:
        expected = RETRY
    else:
        expected = REUSE
    assert decide_rotation(presented, grant, window, NOW + elapsed) is expected


@pytest.mark.parametrize(
    "window, elapsed, verdict",
    [
        pytest.param(60, 0, RETRY, id="same-second"),
        pytest.param(60, 59, RETRY, id="last-second-of-the-window"),
        pytest.param(60, 60, REUSE, id="window-just-over"),
        pytest.param(1, 0, RETRY, id="one-second-window"),
        pytest.param(1, 1, REUSE, id="one-second-window-over"),
        pytest.param(0, 0, REUSE, id="R7-no-window-same-second"),
        pytest.param(0, -30, REUSE, id="R7-no-window-and-a-clock-behind"),
        pytest.param(60, -30, RETRY, id="clock-behind-is-no-time-passed"),
        pytest.param(MAX_RETRY_WINDOW, MAX_RETRY_WINDOW - 1, RETRY, id="30-days-last-second"),
        pytest.param(MAX_RETRY_WINDOW, MAX_RETRY_WINDOW, REUSE, id="30-days-over"),
    ],
)
def test_decide_rotation_predecessor_at_the_edges_of_the_window(window, elapsed, verdict):
    grant = build_active_grant(generation=CURRENT, rotated_at=NOW)
    assert decide_rotation(CURRENT - 1, grant, window, NOW + elapsed) is verdict


def test_decide_rotation_first_generation_has_no_predecessor():
    grant = build_active_grant(generation=1, rotated_at=None)
    assert decide_rotation(1, grant, MAX_RETRY_WINDOW, NOW) is ROTATE
    assert decide_rotation(0, grant, MAX_RETRY_WINDOW, NOW) is REUSE


@pytest.mark.parametrize("presented, elapsed", list(itertools.product([1, 2, 3], [0, 1, DAY])))
def test_r6_decide_rotation_anything_older_than_the_predecessor_is_reuse_in_any_window(presented, elapsed):
    grant = build_active_grant(generation=CURRENT, rotated_at=NOW)
    assert decide_rotation(presented, grant, MAX_RETRY_WINDOW, NOW + elapsed) is REUSE


def test_r7_decide_rotation_two_rotations_in_one_second_leave_no_tie():
    """Keycloak #50999: the generation decides, the clock does not."""
    grant = build_active_grant(generation=3, rotated_at=NOW)
    verdicts = [decide_rotation(presented, grant, 60, NOW) for presented in (1, 2, 3)]
    assert verdicts == [REUSE, RETRY, ROTATE]


@pytest.mark.parametrize("elapsed", [-DAY, 0, 59, 60, 400 * DAY])
@pytest.mark.parametrize("presented", [1, CURRENT - 2, CURRENT - 1, CURRENT])
def test_f5_decide_rotation_where_refresh_tokens_stay_keeps_the_current_one_and_nothing_else_changes(
    presented, elapsed
):
    grant = build_active_grant(generation=CURRENT, rotated_at=NOW)
    verdict = decide_rotation(presented, grant, 60, NOW + elapsed, rotates=False)
    if presented == CURRENT:
        assert verdict is RotationVerdict.KEEP
    else:
        assert verdict is decide_rotation(presented, grant, 60, NOW + elapsed)
