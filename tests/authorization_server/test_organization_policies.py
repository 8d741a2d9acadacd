"""What an organization's admins decide about an app: for one member or everyone, in place of what was or beside it."""

import pytest

from latchstring.authorization_server.events import COMMAND_LINE
from latchstring.authorization_server.organization_policies import OrganizationPolicies
from latchstring.authorization_server.organization_policy import AppRule
from latchstring.authorization_server.ports import Commit
from tests.authorization_server.builders import ACORN, ANN, MAILLOOP
from tests.authorization_server.conftest import House


@pytest.fixture
def policies(house: House) -> OrganizationPolicies:
    return OrganizationPolicies(store=house.store, settings=house.settings, clock=house.clock)


async def find_rules(policies: OrganizationPolicies) -> dict[str | None, AppRule]:
    """By whom they are for."""
    return {listed.rule.user_id: listed.rule for listed in await policies.find_rules(ACORN)}


async def approve(policies: OrganizationPolicies, *scope: str, user_id: str | None = None, adds: bool = False) -> None:
    commit = await policies.approve(ACORN, MAILLOOP, scope=scope, user_id=user_id, adds=adds, origin=COMMAND_LINE)
    assert commit is Commit.APPLIED


@pytest.mark.parametrize("adds, scope", [(True, ("a.read", "b.write")), (False, ("b.write",))])
async def test_approval_adds_to_the_one_before_or_takes_its_place(
    policies: OrganizationPolicies, adds: bool, scope: tuple[str, ...]
) -> None:
    await approve(policies, "a.read")
    await approve(policies, "b.write", adds=adds)
    assert (await find_rules(policies))[None].scope == scope


async def test_approval_takes_the_place_of_the_one_before_unless_told_otherwise(policies: OrganizationPolicies) -> None:
    for scope in (("a.read",), ("b.write",)):
        await policies.approve(ACORN, MAILLOOP, scope=scope, origin=COMMAND_LINE)
    assert (await find_rules(policies))[None].scope == ("b.write",)


async def test_rules_for_a_member_and_for_everyone_stand_beside_each_other(policies: OrganizationPolicies) -> None:
    await approve(policies, "a.read")
    await approve(policies, "b.write", user_id=ANN)
    rules = await find_rules(policies)
    assert {user_id: rule.scope for user_id, rule in rules.items()} == {None: ("a.read",), ANN: ("b.write",)}
    await policies.block(ACORN, MAILLOOP, user_id=ANN, origin=COMMAND_LINE)
    rules = await find_rules(policies)
    assert {user_id: rule.is_blocked for user_id, rule in rules.items()} == {None: False, ANN: True}
    for commit in (Commit.APPLIED, Commit.LOST):
        assert await policies.end_rule(ACORN, MAILLOOP, user_id=ANN, origin=COMMAND_LINE) is commit
    assert set(await find_rules(policies)) == {None}
    assert await policies.end_rule(ACORN, MAILLOOP, origin=COMMAND_LINE) is Commit.APPLIED
    assert await find_rules(policies) == {}


async def test_what_the_admins_left_out_is_left_out_for_members_of_that_organization(
    policies: OrganizationPolicies,
) -> None:
    await policies.approve(ACORN, MAILLOOP, scope=("a.read",), left_out=("b.write",), origin=COMMAND_LINE)
    asked = ("a.read", "b.write")
    assert await policies.find_left_out(MAILLOOP, ANN, ACORN, asked) == ("b.write",)
    assert await policies.find_left_out(MAILLOOP, ANN, "orga_other", asked) == ()
    assert await policies.find_left_out(MAILLOOP, "user_stranger", ACORN, asked) == ()
