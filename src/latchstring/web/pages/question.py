"""What a member is asked, and asked again when an Allow came to nothing: the same however the app asks."""

from collections.abc import Mapping, Sequence

import msgspec
from starlette.responses import Response

from latchstring.authorization_server.authorization_details import describe
from latchstring.authorization_server.consent import is_stranger
from latchstring.authorization_server.organization_policy import Decision, Verdict, find_details_type, list_asked
from latchstring.authorization_server.ports import ConsentCommit
from latchstring.authorization_server.records import ClientRecord, MembershipRecord, OrganizationRecord, UserRecord
from latchstring.authorization_server.registration import find_document_host, find_own_links
from latchstring.authorization_server.settings import Settings
from latchstring.protocol.redirect_uri import is_loopback, redirect_host
from latchstring.protocol.scope import OFFLINE_ACCESS
from latchstring.web.headers import form_action_for
from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.rendering.messages import detail
from latchstring.web.rendering.renderer import initial_for, tint_for


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One request as the page shows it. `request` is sealed and goes with the answer to `action`; `location` is the
    address of our own that asks the same once more. Afterwards the member is sent to `redirect_uri`, or goes back to
    the device that shows `user_code`."""

    action: str
    request: str
    location: str
    scope: tuple[str, ...]
    organization_id: str | None
    redirect_uri: str | None = None
    authorization_details: str | None = None
    user_code: str | None = None


async def ask(
    page: Page,
    question: Question,
    client: ClientRecord,
    user: UserRecord,
    *,
    error: str | None = None,
    error_organization: str = "",
    status: int = 200,
) -> Response:
    """The consent page; or a message, where the app is private to others or the person in no organization."""
    services = page.services
    if client.is_suspended:
        raise PageRefused("app_disabled", app=client.name)
    memberships = await services.store.find_memberships(user.user_id)
    if is_stranger(client, memberships):
        return await _refuse_private(page, client)
    if not memberships:
        return page.message("no_organization")
    asked = list_asked(question.scope, question.authorization_details)
    decisions = await services.organization_policies.decide(client.client_id, user.user_id, asked)
    if all(decision.verdict is Verdict.BLOCKED for decision in decisions.values()):
        return refuse_blocked(page, client, memberships)
    publisher = await _find_owner(page, client)
    uri = question.redirect_uri
    terms_uri, policy_uri = find_own_links(client)
    offered = {membership.organization_id for membership in memberships}
    context = {
        "action": question.action,
        "request": question.request,
        "app": {
            "name": client.name,
            "description": client.description,
            "publisher": "" if publisher is None else publisher.name,
            "is_verified": False,
            "is_self_registered": client.is_self_registered,
            "host": find_document_host(client.public_id),
            "terms_uri": terms_uri,
            "policy_uri": policy_uri,
            "tint": tint_for(client.client_id),
            "initial": initial_for(client.name),
        },
        "organizations": _render_organizations(memberships, decisions, services.settings),
        "selected_organization_id": question.organization_id if question.organization_id in offered else None,
        "details": describe(question.authorization_details, services.settings.authorization_details_types),
        "scopes": render_scopes(question.scope, services.settings),
        "is_offline": OFFLINE_ACCESS in question.scope,
        "redirect_host": "" if uri is None else redirect_host(uri),
        "is_redirect_local": uri is not None and is_loopback(uri),
        "user_code": question.user_code,
        "error": error,
        "error_organization": error_organization,
        "sign_out_continue": page.seal_continue(question.location),
    }
    return page.render("consent.html", context, status, form_action="'self'" if uri is None else form_action_for(uri))


async def ask_again(
    page: Page,
    question: Question,
    client: ClientRecord,
    user: UserRecord,
    outcome: ConsentCommit | None,
    organization_id: str,
) -> Response:
    """Why an Allow for that organization came to nothing; `outcome` is None where none was chosen."""
    if outcome is None:
        return await ask(page, question, client, user, error="choose_organization", status=422)
    if outcome in {ConsentCommit.REQUEST_USED, ConsentCommit.ANSWERED}:
        raise PageRefused("page_expired")
    if outcome is ConsentCommit.APP_UNAVAILABLE:
        now = await page.services.store.find_client(client.client_id)
        if now is not None and (now.is_suspended or now.ended_at is not None):
            raise PageRefused("app_disabled", app=client.name)
        return await _refuse_private(page, client)
    if outcome in {ConsentCommit.NEEDS_APPROVAL, ConsentCommit.BLOCKED}:
        return await ask(page, question, client, user, error=outcome.value, status=403)
    membership = await page.services.store.find_membership(user.user_id, organization_id)
    error = "not_your_organization" if membership is None else "membership_ended"
    name = "" if membership is None else membership.organization_name
    return await ask(page, question, client, user, error=error, error_organization=name, status=403)


def _render_organizations(
    memberships: Sequence[MembershipRecord], decisions: Mapping[str, Decision], settings: Settings
) -> list[dict[str, object]]:
    return [
        {
            **render_standing(decisions.get(membership.organization_id), settings),
            "id": membership.organization_id,
            "name": membership.organization_name,
            "role": membership.role,
            "tint": tint_for(membership.organization_id),
            "initial": initial_for(membership.organization_name),
        }
        for membership in memberships
    ]


def render_scopes(scope: Sequence[str], settings: Settings) -> list[dict[str, str]]:
    """What each scope means to a member; `offline_access` has its own words on the page."""
    return [
        {
            "name": value,
            "title": settings.scopes[value].title,
            "description": settings.scopes[value].description,
            "risk": settings.scopes[value].risk,
        }
        for value in scope
        if value in settings.scopes
    ]


def render_standing(decision: Decision | None, settings: Settings) -> dict[str, object]:
    """What an organization has to say about the app: its verdict, and what its admins left out."""
    if decision is None:  # a membership that began just now
        return {"standing": Verdict.ALLOWED.value, "left_out": []}
    return {"standing": decision.verdict.value, "left_out": render_items(decision.left_out, settings)}


def render_items(items: Sequence[str], settings: Settings) -> list[dict[str, str]]:
    """What a policy decides about, in words: scopes, and types of authorization details."""
    types = settings.authorization_details_types
    rendered = []
    for item in items:
        name = find_details_type(item)
        if name is None:
            rendered += render_scopes([item], settings) or [
                {"name": item, "title": item, "description": "", "risk": "high"}
            ]
        elif name in types:
            words = types[name].description or name
            rendered.append({"name": item, "title": words, "description": "", "risk": types[name].risk})
    return rendered


def refuse_blocked(page: Page, client: ClientRecord, memberships: Sequence[MembershipRecord]) -> Response:
    """The message for a member none of whose organizations lets them connect the app."""
    names = ", ".join(membership.organization_name for membership in memberships[:3])
    details = [detail("client_id", client.client_id), detail("request_id", page.request_id)]
    return page.message("app_blocked", {"app": client.name, "organization": names}, details=details)


async def _find_owner(page: Page, client: ClientRecord) -> OrganizationRecord | None:
    if client.organization_id is None:
        return None
    return await page.services.store.find_organization(client.organization_id)


async def _refuse_private(page: Page, client: ClientRecord) -> Response:
    owner = await _find_owner(page, client)
    organization = "" if owner is None else owner.name
    details = [detail("client_id", client.client_id), detail("request_id", page.request_id)]
    return page.message("private_app", {"app": client.name, "organization": organization}, details=details)
