"""What an organization's members may connect: the policy, the rules for single apps, and apps on their own."""

from typing import Annotated, Final, Literal

import msgspec

from latchstring.authorization_server.api_scopes import ORGANIZATION_MANAGE, ORGANIZATION_READ
from latchstring.authorization_server.organization_policy import Mode, OrganizationPolicy, list_all
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import ClientRecord
from latchstring.web.api.operation import Call, Listed, Nothing, Operation, refuse_unknown
from latchstring.web.asgi import FieldRefused

_AT: Final = "/organizations/{organization_id}"
_APP: Final = f"{_AT}/apps/{{client_id}}"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What members may connect, by the risk of what an app asks for. `is_own` is false where the deployment's counts,
    because the organization has made none."""

    low: Mode
    medium: Mode
    high: Mode
    is_own: bool


class NewPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policy from now on."""

    low: Mode
    medium: Mode
    high: Mode


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided about one app, for a member or, without a `user_id`, for everyone."""

    client_id: str
    app_name: str
    user_id: str | None
    user_name: str | None
    is_blocked: bool
    scope: list[str]
    left_out: list[str]
    decided_by: str
    decided_at: int


class GovernedApp(msgspec.Struct, frozen=True, kw_only=True):
    """An app as the organization sees it: all that it may ever ask for, and what was decided about it for everyone."""

    client_id: str
    name: str
    description: str
    publisher_domain: str | None
    is_published: bool
    may_ask_for: list[str]
    decided: Literal["approved", "blocked"] | None


class AppApproved(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of `may_ask_for` the app gets; the rest it never gets there. Left out, it is all."""

    scope: Annotated[list[str], msgspec.Meta(min_length=1)] | None = None


class WhoseRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The member whose rule it is; left out, it is everyone's."""

    user_id: str | None = None


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """That an app acts for the organization on its own, without a member."""

    client_id: str
    app_name: str
    scope: list[str]
    approved_at: int
    approved_by: str


async def show_policy(call: Call, asked: Nothing) -> Policy:
    """Read the policy on apps."""
    policy, is_own = await call.services.organization_policies.find_policy(call.organization_id)
    return Policy(low=policy.low, medium=policy.medium, high=policy.high, is_own=is_own)


async def save_policy(call: Call, asked: NewPolicy) -> None:
    """Put a policy in place of the one before. Connections that there are stay."""
    changed = OrganizationPolicy(low=asked.low, medium=asked.medium, high=asked.high)
    _hold(await call.services.organization_policies.change_policy(call.organization_id, changed, origin=call.origin))


async def list_rules(call: Call, asked: Nothing) -> Listed[Rule]:
    """List the rules for single apps, at most 1,000."""
    found = await call.services.organization_policies.find_rules(call.organization_id)
    return Listed(
        items=[
            Rule(
                client_id=listed.rule.client_id,
                app_name=listed.client_name,
                user_id=listed.rule.user_id,
                user_name=listed.user_name,
                is_blocked=listed.rule.is_blocked,
                scope=list(listed.rule.scope),
                left_out=list(listed.rule.left_out),
                decided_by=listed.rule.decided_by,
                decided_at=listed.rule.decided_at,
            )
            for listed in found
        ]
    )


async def show_governed_app(call: Call, asked: Nothing) -> GovernedApp:
    """Read what an app could do in the organization, and what was decided about it."""
    client = await _find_app(call)
    rules = await call.services.organization_policies.find_rules(call.organization_id)
    own = [each.rule for each in rules if each.rule.client_id == client.client_id and each.rule.user_id is None]
    return GovernedApp(
        client_id=client.client_id,
        name=client.name,
        description=client.description,
        publisher_domain=await call.services.publishers.find_verified(client.organization_id),
        is_published=client.is_published,
        may_ask_for=list(list_all(client)),
        decided=None if not own else "blocked" if own[0].is_blocked else "approved",
    )


async def approve_app(call: Call, asked: AppApproved) -> None:
    """Let everyone connect the app."""
    client = await _find_app(call)
    items = list_all(client)
    chosen = items if asked.scope is None else asked.scope
    if not set(chosen) <= set(items):
        raise FieldRefused("scope", "The app may not ask for all of that: see may_ask_for.")
    _hold(
        await call.services.organization_policies.approve_parts(
            call.organization_id, client, chosen, origin=call.origin
        )
    )


async def block_app(call: Call, asked: Nothing) -> None:
    """Block the app for everyone. What it could do there is dead when this answers."""
    client = await _find_app(call)
    policies = call.services.organization_policies
    _hold(await policies.block(call.organization_id, client.client_id, origin=call.origin))


async def forget_rule(call: Call, asked: WhoseRule) -> None:
    """Take back an approval or a block. The policy decides about the app again."""
    ended = await call.services.organization_policies.end_rule(
        call.organization_id, call.path["client_id"], user_id=asked.user_id, origin=call.origin
    )
    if ended is Commit.LOST:
        raise refuse_unknown("rule")


async def list_approvals(call: Call, asked: Nothing) -> Listed[Approval]:
    """List the apps that act for the organization on their own."""
    found = await call.services.approvals.find_lasting(call.organization_id)
    return Listed(
        items=[
            Approval(
                client_id=client.client_id,
                app_name=client.name,
                scope=list(approval.scope),
                approved_at=approval.approved_at,
                approved_by=approval.approved_by,
            )
            for approval, client in found
        ]
    )


async def end_approval(call: Call, asked: Nothing) -> None:
    """End an app's access without a member. It is dead when this answers."""
    ended = await call.services.approvals.end(
        call.path["client_id"], call.organization_id, by=call.user.user_id, origin=call.origin
    )
    if ended is Commit.LOST:
        raise refuse_unknown("approval")


async def _find_app(call: Call) -> ClientRecord:
    client = await call.services.store.find_client(call.path["client_id"])
    if client is None or client.ended_at is not None:
        raise refuse_unknown("app")
    return client


def _hold(commit: Commit) -> None:
    # The organization was closed, or the caller's role taken, since the call was let in.
    if commit is Commit.LOST:
        raise refuse_unknown("organization")


OPERATIONS: Final = (
    Operation("GET", f"{_AT}/policy", ORGANIZATION_READ, show_policy),
    Operation("PUT", f"{_AT}/policy", ORGANIZATION_MANAGE, save_policy),
    Operation("GET", f"{_AT}/rules", ORGANIZATION_READ, list_rules),
    Operation("GET", _APP, ORGANIZATION_READ, show_governed_app),
    Operation("POST", f"{_APP}/approve", ORGANIZATION_MANAGE, approve_app),
    Operation("POST", f"{_APP}/block", ORGANIZATION_MANAGE, block_app),
    Operation("POST", f"{_APP}/forget", ORGANIZATION_MANAGE, forget_rule),
    Operation("GET", f"{_AT}/approvals", ORGANIZATION_READ, list_approvals),
    Operation("DELETE", f"{_AT}/approvals/{{client_id}}", ORGANIZATION_MANAGE, end_approval),
)
