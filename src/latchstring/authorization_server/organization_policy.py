"""Which apps an organization lets its members connect: its policy by risk, and its admins' rules for single apps.

Pure: the same function decides on the page and in the very write of a consent (`docs/decisions/0022`).
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final, Literal

import msgspec

from latchstring.authorization_server.records import ClientRecord, Role
from latchstring.protocol.authorization_details import read_authorization_details, render_authorization_details
from latchstring.protocol.scope import OFFLINE_ACCESS

Risk = Literal["low", "medium", "high"]
RISKS: Final[tuple[Risk, ...]] = ("low", "medium", "high")
Mode = Literal["allow", "listed", "approval", "none"]
MODES: Final[tuple[Mode, ...]] = ("allow", "listed", "approval", "none")

_DETAILS: Final = "authorization_details:"


class OrganizationPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What members may connect, by the risk of what an app asks for.

    `allow`: any app. `listed`: an app of the directory; any other needs an admin's approval. `approval`: every app
    needs it. `none`: no app, and nobody can ask; an admin's rule for an app still counts.
    """

    low: Mode = "allow"
    medium: Mode = "allow"
    high: Mode = "allow"

    def find_mode(self, risk: Risk) -> Mode:
        """The mode for that risk."""
        return {"low": self.low, "medium": self.medium, "high": self.high}[risk]


class AppRule(msgspec.Struct, frozen=True, kw_only=True):
    """What an organization's admins decided about one app, for one member or, without a `user_id`, for everyone.

    `scope` is what is approved, `left_out` what was asked for then and is not. Both are as `list_asked` has them.
    """

    organization_id: str
    client_id: str
    user_id: str | None
    is_blocked: bool
    scope: tuple[str, ...]
    left_out: tuple[str, ...]
    decided_by: str
    decided_at: int


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How an app stands with one organization, for one of its members: `policy` is None where the organization has
    made none of its own, and the deployment's counts."""

    organization_id: str
    role: Role
    policy: OrganizationPolicy | None
    rules: tuple[AppRule, ...]
    is_listed: bool


class Rulebook(msgspec.Struct, frozen=True):
    """The deployment's part: the policy of organizations that have made none, and how risky what is. What it does not
    name is of high risk."""

    policy: OrganizationPolicy = OrganizationPolicy()
    risks: Mapping[str, Risk] = {}


class Verdict(Enum):
    """Whether a member may connect an app for an organization."""

    ALLOWED = "allowed"
    NEEDS_APPROVAL = "needs_approval"
    BLOCKED = "blocked"


class Decision(msgspec.Struct, frozen=True):
    """The verdict; `deciding` is what of the asked made it so, `left_out` what the admins approved the app without,
    and `is_admin` whether the member can approve it at once."""

    verdict: Verdict
    deciding: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    is_admin: bool = False


def list_asked(scope: Sequence[str], authorization_details: str | None = None) -> tuple[str, ...]:
    """What an app asks for, item by item: scopes, and the types of its authorization details. `offline_access` is no
    item: it prolongs the others."""
    details = read_authorization_details(authorization_details) or ()
    types = dict.fromkeys(_DETAILS + detail["type"] for detail in details)
    return (*(value for value in scope if value != OFFLINE_ACCESS), *types)


def list_all(client: ClientRecord) -> tuple[str, ...]:
    """All that an app may ever ask for, item by item."""
    types = client.security.authorization_details_types
    return (*list_asked(client.scope), *(_DETAILS + name for name in types))


def find_details_type(item: str) -> str | None:
    """The type of authorization details that the item stands for; None for a scope."""
    return item.removeprefix(_DETAILS) if item.startswith(_DETAILS) else None


def build_risks(scopes: Mapping[str, Risk], details_types: Mapping[str, Risk]) -> dict[str, Risk]:
    """The risk of every item that a deployment declares."""
    return {**scopes, **{_DETAILS + name: risk for name, risk in details_types.items()}}


def decide(asked: Sequence[str], standing: Standing, rulebook: Rulebook) -> Decision:
    """Whether the member may connect the app for that organization, and with what left out.

    A block goes before everything. Then what an approval names is settled, either way. The organization's policy
    decides the rest, the strictest answer for all.
    """
    is_admin = standing.role == "admin"
    if any(rule.is_blocked for rule in standing.rules):
        return Decision(Verdict.BLOCKED, tuple(asked), is_admin=is_admin)
    approved = {item for rule in standing.rules for item in rule.scope}
    left_out = {item for rule in standing.rules for item in rule.left_out} - approved
    removed = tuple(item for item in asked if item in left_out)
    if asked and len(removed) == len(asked):
        return Decision(Verdict.NEEDS_APPROVAL, removed, is_admin=is_admin)
    policy = standing.policy or rulebook.policy
    verdicts = {
        item: _judge(policy.find_mode(rulebook.risks.get(item, "high")), is_listed=standing.is_listed)
        for item in asked
        if item not in approved and item not in left_out
    }
    for verdict in (Verdict.BLOCKED, Verdict.NEEDS_APPROVAL):
        deciding = tuple(item for item, reached in verdicts.items() if reached is verdict)
        if deciding:
            return Decision(verdict, deciding, removed, is_admin)
    return Decision(Verdict.ALLOWED, (), removed, is_admin)


def _judge(mode: Mode, *, is_listed: bool) -> Verdict:
    if mode == "none":
        return Verdict.BLOCKED
    if mode == "allow" or (mode == "listed" and is_listed):
        return Verdict.ALLOWED
    return Verdict.NEEDS_APPROVAL


def leave_out(
    scope: Sequence[str], authorization_details: str | None, items: Sequence[str]
) -> tuple[tuple[str, ...], str | None]:
    """The scope and the details without those items."""
    kept = tuple(value for value in scope if value not in items)
    details = read_authorization_details(authorization_details)
    if details is None:
        return kept, None
    left = [detail for detail in details if _DETAILS + detail["type"] not in items]
    return kept, render_authorization_details(left) if left else None


def is_within(granted: Sequence[str], standing: Standing, rulebook: Rulebook) -> Verdict:
    """The verdict on what is about to be granted, to the item: what the admins left out needs their approval."""
    decision = decide(granted, standing, rulebook)
    if decision.verdict is Verdict.ALLOWED and decision.left_out:
        return Verdict.NEEDS_APPROVAL
    return decision.verdict
