"""The revocation feed: what has ended, for guards that keep what they have learnt of tokens (ours; no RFC has one).

A guard posts where it stands (`after`) and is answered with what has ended since, at once if there is anything, else
when `wait` seconds are over. Entries may come twice, and never once too few.
"""

from typing import Final

import msgspec

MAX_WAIT: Final = 5.0
"""The longest that a question is held, in seconds."""


class Revocation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of that member and organization, issued up to `at` (epoch seconds), may be good no longer, or for less:
    who knows some asks about them again. What is left out is any: an entry of nothing but `at` is about every token."""

    at: int
    user_id: str | None = None
    organization_id: str | None = None


class FeedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What has ended since, and `cursor`, where the guard stands now. `has_more` where it asks again at once.

    `held` is for how many seconds the question was held before the store was read for the last time.
    """

    revocations: list[Revocation]
    cursor: str
    has_more: bool = False
    held: float = 0.0


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(FeedAnswer)


def render_feed(answer: FeedAnswer) -> bytes:
    """The answer as JSON."""
    return _encoder.encode(answer)


def parse_feed(body: bytes) -> FeedAnswer:
    """Read an answer; raises `ValueError` for anything else."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError("not a revocation feed") from error
