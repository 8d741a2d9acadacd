"""The rotation table: what a refresh token of a generation gets, whatever was lost on the way.

The generation decides, never the clock: the successor of *n−1* is known to be unused as long as the row still
stands at *n*. Only the length of the retry window is a matter of time.
"""

from enum import Enum

from latchstring.authorization_server.records import GrantRecord


class RotationVerdict(Enum):
    """What to do with a refresh token whose MAC is right, of a grant that is active."""

    ROTATE = "rotate"
    KEEP = "keep"
    RETRY = "retry"
    REUSE = "reuse"


def decide_rotation(
    presented: int, grant: GrantRecord, retry_window: int, now: int, *, rotates: bool = True
) -> RotationVerdict:
    """ROTATE the current generation, or KEEP it where refresh tokens stay the same (FAPI 2.0 §5.3.2.1).

    Answer the immediate predecessor within `retry_window` seconds of the rotation with the SAME successor; anything
    older, or later, is reuse (RFC 9700 §4.14.2).
    """
    if presented == grant.generation:
        return RotationVerdict.ROTATE if rotates else RotationVerdict.KEEP
    if presented != grant.generation - 1 or grant.rotated_at is None:
        return RotationVerdict.REUSE
    # A clock that went back, or a server whose clock is behind, has seen no time pass.
    elapsed = max(0, now - grant.rotated_at)
    return RotationVerdict.RETRY if elapsed < retry_window else RotationVerdict.REUSE
