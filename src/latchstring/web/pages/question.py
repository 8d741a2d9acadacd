"""What a member is asked, and asked again when an Allow came to nothing: the same however the app asks."""

from collections.abc import Collection, Sequence

import msgspec
from starlette.responses import Response

from latchstring.authorization_server.answers import Answer, AnswerRefusal, find_lifetimes
from latchstring.authorization_server.authorization_details import describe
from latchstring.authorization_server.consent import is_stranger
from latchstring.authorization_server.organization_policy import Verdict, list_asked
from latchstring.authorization_server.ports import ConsentCommit
from latchstring.authorization_server.records import ClientRecord, MembershipRecord, OrganizationRecord, UserRecord
from latchstring.authorization_server.registration import find_document_host, find_own_links
from latchstring.authorization_server.scope_roles import find_removed
from latchstring.protocol.redirect_uri import is_loopback, redirect_host
from latchstring.protocol.scope import OFFLINE_ACCESS
from latchstring.web.headers import form_action_for
from latchstring.web.pages.answer import Given, seal_roles
from latchstring.web.pages.consent_words import find_new, render_groups, render_last_time, render_organizations
from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.rendering.messages import detail
from latchstring.web.rendering.renderer import initial_for, tint_for


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One request as the page shows it. `request` is sealed and goes with the answer to `action`; `location` is the
    address of our own that asks the same once more. Afterwards the member is sent to `redirect_uri`, or goes back to
    the device that shows `user_code`. The app asked for `organization_id`; where `is_fixed`, it may be no other."""

    action: str
    request: str
    location: str
    scope: tuple[str, ...]
    organization_id: str | None
    redirect_uri: str | None = None
    authorization_details: str | None = None
    user_code: str | None = None
    is_fixed: bool = False


async def ask(
    page: Page,
    question: Question,
    client: ClientRecord,
    user: UserRecord,
    *,
    error: str | None = None,
    error_organization: str = "",
    status: int = 200,
    given: Given | None = None,
    excluded: Collection[str] = (),
) -> Response:
    """The consent page; or a message, where the app is private to others or the person in no organization. `given` is
    what stood in its boxes, where it is shown again; `excluded` are organizations that have been allowed already."""
    services = page.services
    if client.is_suspended:
        raise PageRefused("app_disabled", app=client.name)
    memberships = await services.store.find_memberships(user.user_id)
    if is_stranger(client, memberships):
        return await _refuse_private(page, client)
    memberships = [own for own in memberships if own.organization_id not in excluded]
    if not memberships:
        return page.message("no_organization")
    asked = list_asked(question.scope, question.authorization_details)
    decisions = await services.organization_policies.decide(client.client_id, user.user_id, asked)
    if all(decision.verdict is Verdict.BLOCKED for decision in decisions.values()):
        return refuse_blocked(page, client, memberships)
    uri = question.redirect_uri
    settings = services.settings
    asked_for = next((own for own in memberships if own.organization_id == question.organization_id), None)
    if question.is_fixed:
        if asked_for is None:
            return refuse_organization(page, question, client)
        memberships = [asked_for]
    found = await services.store.find_remembered_consents(client.client_id, user.user_id)
    consents = {consent.organization_id: consent for consent in found}
    single = memberships[0] if len(memberships) == 1 else asked_for
    last = None if single is None else consents.get(single.organization_id)
    if single is not None and len(memberships) == 1:
        removed = find_removed(question.scope, single.role, settings)
        decision = decisions.get(single.organization_id)
        left_out = () if decision is None else decision.left_out
        shown = [value for value in question.scope if value not in removed and value not in left_out]
    else:
        shown = list(question.scope)
    if given is None:
        given = Given() if last is None else Given(kept=frozenset(question.scope) - {*last.declined_scope})
    context = {
        "action": question.action,
        "request": question.request,
        "app": await render_app(page, client),
        "organizations": render_organizations(memberships, question.scope, consents, decisions, settings),
        "selected_organization_id": None if asked_for is None else asked_for.organization_id,
        "is_asked_for": asked_for is not None,
        "is_other_asked_for": question.organization_id is not None and asked_for is None,
        "roles": seal_roles(page, question.scope, memberships),
        "last_time": render_last_time(last, client, shown, question.redirect_uri, question.authorization_details),
        "details": describe(question.authorization_details, settings.authorization_details_types),
        "groups": render_groups(shown, settings, new=find_new(shown, last), kept=given.kept),
        "is_offline": OFFLINE_ACCESS in question.scope,
        "lifetimes": find_lifetimes(settings),
        "lifetime": given.lifetime,
        "redirect_host": "" if uri is None else redirect_host(uri),
        "is_redirect_local": uri is not None and is_loopback(uri),
        "user_code": question.user_code,
        "error": error,
        "error_organization": error_organization,
        "sign_out_continue": page.seal_continue(question.location),
    }
    return page.render("consent.html", context, status, form_action="'self'" if uri is None else form_action_for(uri))


async def render_app(page: Page, client: ClientRecord) -> dict[str, object]:
    """The app as members read it."""
    publisher = await _find_owner(page, client)
    domain = await page.services.publishers.find_verified(client.organization_id)
    _, publication = await page.services.publication.find(client.client_id)
    terms_uri, policy_uri = find_own_links(client)
    return {
        "name": client.name,
        "description": client.description,
        "publisher": "" if publisher is None else publisher.name,
        "is_verified": domain is not None,
        "domain": domain,
        "is_changed": publication is not None and client.is_published and not publication.is_current,
        "is_self_registered": client.is_self_registered,
        "host": find_document_host(client.public_id),
        "terms_uri": terms_uri,
        "policy_uri": policy_uri,
        "tint": tint_for(client.client_id),
        "initial": initial_for(client.name),
    }


async def ask_again(
    page: Page,
    question: Question,
    client: ClientRecord,
    user: UserRecord,
    outcome: ConsentCommit | AnswerRefusal | None,
    answer: Answer | None,
    excluded: Collection[str] = (),
) -> Response:
    """Why that Allow came to nothing; `outcome` is None where no organization was chosen."""
    if outcome is None or answer is None:
        return await ask(page, question, client, user, error="choose_organization", status=422, excluded=excluded)
    given = Given(answer.kept, answer.lifetime)
    if outcome is AnswerRefusal.OTHER_ORGANIZATION:
        return await ask(page, question, client, user, error="other_organization", status=403, excluded=excluded)
    if outcome is AnswerRefusal.NOTHING_LEFT:
        return await ask(page, question, client, user, error="nothing_left", status=422, given=given, excluded=excluded)
    if outcome is ConsentCommit.ROLE_CHANGED:
        return await ask(page, question, client, user, error="role_changed", status=409, given=given, excluded=excluded)
    if outcome in {ConsentCommit.REQUEST_USED, ConsentCommit.ANSWERED}:
        raise PageRefused("page_expired")
    if outcome is ConsentCommit.APP_UNAVAILABLE:
        now = await page.services.store.find_client(client.client_id)
        if now is not None and (now.is_suspended or now.ended_at is not None):
            raise PageRefused("app_disabled", app=client.name)
        return await _refuse_private(page, client)
    if outcome is ConsentCommit.BLOCKED:
        return await ask(page, question, client, user, error=outcome.value, status=403, given=given, excluded=excluded)
    membership = await page.services.store.find_membership(user.user_id, answer.organization_id)
    error = "not_your_organization" if membership is None else "membership_ended"
    name = "" if membership is None else membership.organization_name
    return await ask(page, question, client, user, error=error, error_organization=name, status=403, excluded=excluded)


def refuse_organization(page: Page, question: Question, client: ClientRecord) -> Response:
    """The app asked for an organization and no other, and it is none of the member's."""
    return refuse_reconnect(page, question, client, "other_organization")


def refuse_reconnect(page: Page, question: Question, client: ClientRecord, why: str) -> Response:
    """What the app asked for is not this member's to give: another account may, or the app is told."""
    context = {
        "why": why,
        "app_name": client.name,
        "action": question.action,
        "request": question.request,
        "sign_out_continue": page.seal_continue(question.location),
    }
    uri = question.redirect_uri
    return page.render("reconnect.html", context, 403, form_action="'self'" if uri is None else form_action_for(uri))


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
