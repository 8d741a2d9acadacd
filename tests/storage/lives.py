"""The table of `docs/reference/life-cycle.md`: what each event does to what stands on it. The page is compared with it,
and `test_lives.py` brings each event about and looks at every cell, on every engine."""

from dataclasses import dataclass
from typing import Final, Literal

Fate = Literal["suspended", "ended", "stays"]


@dataclass(frozen=True)
class Life:
    """One event. `word` is what a refresh is refused with, None where it works on; `code` is the fate of a code not
    redeemed yet. `undone_by` brings suspended grants back; None is never."""

    name: str
    event: str
    grant: Fate
    word: str | None
    code: Fate
    consent: Literal["kept", "forgotten"]
    asked: Literal["refused", "allowed"]
    session: Literal["stays", "ended"]
    undone_by: str | None = None


LIVES: Final = (
    Life(
        "membership_ended",
        "the membership ends",
        "suspended",
        "membership_ended:",
        "ended",
        "forgotten",
        "refused",
        "stays",
        "the member is added again, in time",
    ),
    Life(
        "membership_ended_at_once",
        "the membership ends, and connections of members who leave end at once",
        "ended",
        "membership_ended:",
        "ended",
        "forgotten",
        "refused",
        "stays",
    ),
    Life(
        "membership_suspended",
        "the membership is suspended",
        "suspended",
        "membership_suspended:",
        "ended",
        "kept",
        "refused",
        "stays",
        "it is resumed",
    ),
    Life("role_changed", "the member gets another role", "stays", None, "stays", "kept", "allowed", "stays"),
    Life(
        "organization_closed",
        "the organization is closed",
        "suspended",
        "organization_closed:",
        "ended",
        "kept",
        "refused",
        "stays",
        "it is reopened",
    ),
    Life(
        "user_disabled",
        "the user is disabled",
        "suspended",
        "user_disabled:",
        "ended",
        "kept",
        "refused",
        "ended",
        "the user is enabled",
    ),
    Life("user_deleted", "the user is deleted", "ended", "revoked:", "ended", "forgotten", "refused", "ended"),
    Life(
        "app_suspended",
        "the operator suspends the app",
        "suspended",
        "app_suspended:",
        "ended",
        "kept",
        "refused",
        "stays",
        "it is reinstated",
    ),
    Life("app_deleted", "the app is deleted", "ended", "invalid_client", "ended", "forgotten", "refused", "stays"),
    Life(
        "owner_closed",
        "the organization that owns the app is closed",
        "suspended",
        "app_suspended:",
        "ended",
        "kept",
        "refused",
        "stays",
        "it is reopened",
    ),
    Life(
        "creator_gone",
        "the person who registered the app is deleted",
        "stays",
        None,
        "stays",
        "kept",
        "allowed",
        "stays",
    ),
    Life(
        "publication_withdrawn",
        "the app's publication is withdrawn, and the member is not in its owner",
        "suspended",
        "app_private:",
        "ended",
        "kept",
        "refused",
        "stays",
        "it is published again",
    ),
    Life(
        "left_owner",
        "the app is private, and the member leaves the organization that owns it",
        "suspended",
        "app_private:",
        "ended",
        "kept",
        "refused",
        "stays",
        "the member is added there again",
    ),
)

HEAD: Final = (
    "| when | grants | a refresh gets | codes | remembered consent | a request that waits | session | undone |"
)


def render_table() -> str:
    """The table as the page has it."""
    lines = [HEAD, "|" + " --- |" * 8]
    for life in LIVES:
        word = "200" if life.word is None else f"`{life.word}`"
        undone = life.undone_by or ("—" if life.grant == "stays" else "never")
        cells = (life.event, life.grant, word, life.code, life.consent, life.asked, life.session, undone)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
