"""Which apps an organization lets its members connect: every policy, every rule, and what comes before what."""

import itertools
from typing import Any

import pytest

from latchstring.authorization_server.organization_policy import (
    MODES,
    AppRule,
    Decision,
    Mode,
    OrganizationPolicy,
    Rulebook,
    Standing,
    Verdict,
    build_risks,
    decide,
    find_details_type,
    is_within,
    leave_out,
    list_all,
    list_asked,
)
from latchstring.authorization_server.records import ClientSecurity, Role
from tests.authorization_server.builders import ACORN, ANN, MAILLOOP, NOW, build_client

READ, SEND, DELETE = "contacts.read", "mail.send", "contacts.delete"
PAY = "authorization_details:payment"
RULEBOOK = Rulebook(
    OrganizationPolicy(), build_risks({READ: "low", SEND: "medium", DELETE: "high"}, {"payment": "high"})
)
ALLOWED, NEEDS_APPROVAL, BLOCKED = Verdict.ALLOWED, Verdict.NEEDS_APPROVAL, Verdict.BLOCKED


def build_rule(**given: Any) -> AppRule:
    values: dict[str, Any] = {
        "organization_id": ACORN,
        "client_id": MAILLOOP,
        "user_id": None,
        "is_blocked": False,
        "scope": (),
        "left_out": (),
        "decided_by": ANN,
        "decided_at": NOW,
    }
    return AppRule(**{**values, **given})


def stand(
    low: Mode = "allow",
    medium: Mode = "allow",
    high: Mode = "allow",
    *rules: AppRule,
    role: Role = "member",
    is_listed: bool = False,
) -> Standing:
    policy = OrganizationPolicy(low=low, medium=medium, high=high)
    return Standing(organization_id=ACORN, role=role, policy=policy, rules=rules, is_listed=is_listed)


@pytest.mark.parametrize("is_listed", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_mode_decides_for_listed_and_unlisted_apps(mode: Mode, is_listed: bool) -> None:
    expected = {
        "allow": ALLOWED,
        "listed": ALLOWED if is_listed else NEEDS_APPROVAL,
        "approval": NEEDS_APPROVAL,
        "none": BLOCKED,
    }[mode]
    decision = decide([SEND], stand("allow", mode, "allow", is_listed=is_listed), RULEBOOK)
    assert decision == Decision(expected, () if expected is ALLOWED else (SEND,))


@pytest.mark.parametrize("low, medium, high", list(itertools.product(MODES, repeat=3)))
def test_strictest_answer_counts_for_all_and_names_what_it_is_about(low: Mode, medium: Mode, high: Mode) -> None:
    standing = stand(low, medium, high)
    single = {item: decide([item], standing, RULEBOOK).verdict for item in (READ, SEND, DELETE)}
    whole = decide([READ, SEND, DELETE], standing, RULEBOOK)
    order = [ALLOWED, NEEDS_APPROVAL, BLOCKED]
    assert whole.verdict is max(single.values(), key=order.index)
    if whole.verdict is not ALLOWED:
        assert whole.deciding == tuple(item for item, verdict in single.items() if verdict is whole.verdict)


def test_policy_of_the_deployment_counts_where_the_organization_has_made_none() -> None:
    standing = Standing(organization_id=ACORN, role="member", policy=None, rules=(), is_listed=False)
    strict = Rulebook(OrganizationPolicy(low="none"), RULEBOOK.risks)
    assert decide([READ], standing, strict).verdict is BLOCKED
    assert decide([READ], standing, RULEBOOK).verdict is ALLOWED


def test_what_nobody_declared_is_of_high_risk() -> None:
    assert decide(["unheard.of"], stand(high="approval"), RULEBOOK) == Decision(NEEDS_APPROVAL, ("unheard.of",))


def test_block_goes_before_every_approval_and_policy_and_is_about_all_that_is_asked() -> None:
    approved = build_rule(scope=(READ,))
    for blocked in (build_rule(is_blocked=True), build_rule(is_blocked=True, user_id=ANN)):
        standing = stand("allow", "allow", "allow", approved, blocked)
        assert decide([READ, SEND], standing, RULEBOOK) == Decision(BLOCKED, (READ, SEND))


@pytest.mark.parametrize("mode", MODES)
def test_approval_settles_what_it_names_under_every_policy(mode: Mode) -> None:
    approved = build_rule(scope=(READ, DELETE), left_out=(SEND,))
    standing = stand(mode, mode, mode, approved)
    assert decide([READ, DELETE], standing, RULEBOOK) == Decision(ALLOWED)
    assert decide([READ, SEND], standing, RULEBOOK) == Decision(ALLOWED, (), (SEND,))


def test_approval_without_anything_that_is_asked_needs_another_one() -> None:
    assert decide([SEND], stand("allow", "allow", "allow", build_rule(left_out=(SEND,))), RULEBOOK) == Decision(
        NEEDS_APPROVAL, (SEND,)
    )


def test_what_came_after_an_approval_is_decided_by_the_policy() -> None:
    approved = build_rule(scope=(READ,))
    assert decide([READ, DELETE], stand("allow", "allow", "approval", approved), RULEBOOK) == Decision(
        NEEDS_APPROVAL, (DELETE,)
    )


def test_approval_for_the_member_adds_to_the_one_for_everyone() -> None:
    everyone, own = build_rule(scope=(READ,), left_out=(SEND,)), build_rule(scope=(SEND,), user_id=ANN)
    assert decide([READ, SEND], stand("none", "none", "none", everyone, own), RULEBOOK) == Decision(ALLOWED)


@pytest.mark.parametrize(
    "low, rules, decision",
    [
        ("approval", (), Decision(NEEDS_APPROVAL, (READ,), is_admin=True)),
        ("none", (), Decision(BLOCKED, (READ,), is_admin=True)),
        ("allow", (), Decision(ALLOWED, is_admin=True)),
        ("allow", (build_rule(is_blocked=True),), Decision(BLOCKED, (READ,), is_admin=True)),
        ("allow", (build_rule(left_out=(READ,)),), Decision(NEEDS_APPROVAL, (READ,), is_admin=True)),
    ],
)
def test_admin_is_held_to_the_same_and_told_that_they_can_approve(
    low: Mode, rules: tuple[AppRule, ...], decision: Decision
) -> None:
    assert decide([READ], stand(low, "allow", "allow", *rules, role="admin"), RULEBOOK) == decision


def test_offline_access_is_no_item_and_details_are_one_for_each_type() -> None:
    details = '[{"type":"payment","amount":"1"},{"type":"payment","amount":"2"},{"type":"account"}]'
    asked = list_asked((READ, "offline_access"), details)
    assert asked == (READ, PAY, "authorization_details:account")
    assert decide(asked, stand(high="approval"), RULEBOOK).deciding == (PAY, "authorization_details:account")


def test_all_that_an_app_may_ask_for_is_its_scopes_and_its_types_of_details() -> None:
    security = ClientSecurity(authorization_details_types=("payment",))
    assert list_all(build_client(scope=(READ, "offline_access"), security=security)) == (READ, PAY)


def test_leave_out_takes_scopes_and_details_and_nothing_else() -> None:
    details = '[{"type":"payment"},{"type":"account"}]'
    assert leave_out((READ, SEND), details, (SEND, PAY)) == ((READ,), '[{"type":"account"}]')
    assert leave_out((READ,), details, (PAY, "authorization_details:account")) == ((READ,), None)
    assert leave_out((READ,), None, ()) == ((READ,), None)


def test_grant_that_still_has_what_was_left_out_is_not_within() -> None:
    standing = stand("allow", "allow", "allow", build_rule(scope=(READ,), left_out=(SEND,)))
    assert is_within([READ], standing, RULEBOOK) is ALLOWED
    assert is_within([READ, SEND], standing, RULEBOOK) is NEEDS_APPROVAL


def test_grant_is_within_what_the_policy_of_the_deployment_lets_pass() -> None:
    standing = Standing(organization_id=ACORN, role="member", policy=None, rules=(), is_listed=False)
    verdicts: dict[Mode, Verdict] = {"allow": ALLOWED, "approval": NEEDS_APPROVAL, "none": BLOCKED}
    for mode, verdict in verdicts.items():
        assert is_within([READ], standing, Rulebook(OrganizationPolicy(low=mode), RULEBOOK.risks)) is verdict


def test_risks_are_of_scopes_and_of_types_of_details_each_under_its_own_name() -> None:
    assert build_risks({READ: "low", "payment": "medium"}, {"payment": "high"}) == {
        READ: "low",
        "payment": "medium",
        PAY: "high",
    }


def test_item_of_details_is_told_from_a_scope():
    (item,) = list_asked((), '[{"type":"payment"}]')
    assert find_details_type(item) == "payment"
    assert find_details_type("payment") is None
