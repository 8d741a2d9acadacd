"""How a write ended, for every port."""

from enum import Enum


class Commit(Enum):
    """How a conditional write ended: `LOST` means that its condition no longer held and nothing changed."""

    APPLIED = "applied"
    LOST = "lost"
