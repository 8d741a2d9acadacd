"""An organization's policy on apps, for its admins: what members may connect, the rules for single apps, and the apps
that act on their own."""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from starlette.responses import Response

from latchstring.authorization_server.organization_policy import (
    MODES,
    RISKS,
    Mode,
    OrganizationPolicy,
    Risk,
)
from latchstring.authorization_server.policy_ports import ListedRule
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.settings import Settings
from latchstring.protocol.parameters import Parameters
from latchstring.web.pages.administration import Administration, require_admin
from latchstring.web.pages.consent_words import render_items
from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.rendering.renderer import initial_for, tint_for

_NOTICES: Final = ("policy_saved", "app_decided", "rule_ended", "approval_ended")


async def show_policy(page: Page) -> Response:
    """GET /organizations/{organization_id}/policy."""
    administration = await require_admin(page)
    policy, is_own = await page.services.organization_policies.find_policy(administration.organization.organization_id)
    notice = next((kind for kind in _NOTICES if kind in page.request.query_params), None)
    return await _render(page, administration, policy, is_own=is_own, notice=notice)


async def save_policy(page: Page) -> Response:
    """POST the same: save it, or show first what it would mean."""
    administration = await require_admin(page)
    form = await page.read_form()
    policy = _read_policy(form)
    if form.get("decision") == "preview":
        return await _render(page, administration, policy, is_own=True, is_preview=True)
    organization_id = administration.organization.organization_id
    policies = page.services.organization_policies
    if await policies.change_policy(organization_id, policy, origin=page.origin) is Commit.LOST:
        raise PageRefused("not_found")
    return page.redirect(f"/organizations/{organization_id}/policy?policy_saved")


async def end_rule(page: Page) -> Response:
    """POST /organizations/{organization_id}/apps/{client_id}/forget: the policy decides about the app again."""
    administration = await require_admin(page)
    form = await page.read_form()
    organization_id = administration.organization.organization_id
    await page.services.organization_policies.end_rule(
        organization_id,
        page.request.path_params["client_id"],
        user_id=form.get("user_id") or None,
        origin=page.origin,
    )
    return page.redirect(f"/organizations/{organization_id}/policy?rule_ended")


async def end_approval(page: Page) -> Response:
    """POST /organizations/{organization_id}/apps/{client_id}/unapprove: the app can no longer act on its own there."""
    administration = await require_admin(page)
    await page.read_form()
    organization_id = administration.organization.organization_id
    await page.services.approvals.end(
        page.request.path_params["client_id"], organization_id, by=administration.user.user_id, origin=page.origin
    )
    return page.redirect(f"/organizations/{organization_id}/policy?approval_ended")


def _read_policy(form: Parameters) -> OrganizationPolicy:
    modes = {risk: form.get(risk, "") for risk in RISKS}
    if not set(modes.values()) <= set(MODES):
        raise PageRefused("unreadable_request")
    low, medium, high = (cast("Mode", modes[risk]) for risk in RISKS)
    return OrganizationPolicy(low=low, medium=medium, high=high)


async def _render(
    page: Page,
    administration: Administration,
    policy: OrganizationPolicy,
    *,
    is_own: bool,
    is_preview: bool = False,
    notice: str | None = None,
) -> Response:
    services, organization = page.services, administration.organization
    rules = await services.organization_policies.find_rules(organization.organization_id)
    context = {
        "organization": {"id": organization.organization_id, "name": organization.name},
        "risks": render_risks(policy, services.settings),
        "is_own": is_own,
        "is_preview": is_preview,
        "rules": [_render_rule(listed, services.settings) for listed in rules],
        "approvals": await _render_approvals(page, organization.organization_id),
        "notice": None if notice is None else (notice, organization.name),
    }
    return page.render("organization_policy.html", context)


def render_risks(policy: OrganizationPolicy, settings: Settings) -> list[dict[str, object]]:
    """The policy risk by risk, the highest first, with what the deployment has of it."""
    by_risk: Mapping[str, Risk] = settings.rulebook.risks
    return [
        {
            "risk": risk,
            "mode": policy.find_mode(risk),
            "items": render_items([item for item, its_risk in by_risk.items() if its_risk == risk], settings),
        }
        for risk in reversed(RISKS)
    ]


def _render_rule(listed: ListedRule, settings: Settings) -> dict[str, object]:
    rule = listed.rule
    return {
        "client_id": rule.client_id,
        "name": listed.client_name,
        "tint": tint_for(rule.client_id),
        "initial": initial_for(listed.client_name),
        "user_id": rule.user_id,
        "user_name": listed.user_name,
        "is_blocked": rule.is_blocked,
        "scopes": render_items(rule.scope, settings),
        "left_out": render_items(rule.left_out, settings),
        "decided_at": rule.decided_at,
    }


async def _render_approvals(page: Page, organization_id: str) -> Sequence[dict[str, object]]:
    return [
        {
            "client_id": client.client_id,
            "name": client.name,
            "tint": tint_for(client.client_id),
            "initial": initial_for(client.name),
            "scopes": render_items(approval.scope, page.services.settings),
            "approved_at": approval.approved_at,
        }
        for approval, client in await page.services.approvals.find_lasting(organization_id)
    ]
