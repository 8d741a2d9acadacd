"""One organization after another in one visit, where the app asked for that: each its own grant and code (ADR 0021)."""

from collections.abc import Sequence
from typing import Final

import msgspec
from starlette.responses import Response

from latchstring.authorization_server.authorization_endpoint import AuthorizationPrompt, render_codes, render_error
from latchstring.authorization_server.records import ClientRecord, GrantRecord, OrganizationRecord, UserRecord
from latchstring.protocol.errors import OAuthError
from latchstring.web.headers import form_action_for
from latchstring.web.pages.asked import Asked, build_question
from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.pages.question import ask
from latchstring.web.pages.send_back import send_back
from latchstring.web.rendering.renderer import initial_for, tint_for

MAX_ORGANIZATIONS: Final = 20
"""In one visit: their codes travel in one address."""
_PURPOSE: Final = b"several"


class _Allowed(msgspec.Struct, frozen=True):
    """What has been allowed in this visit, as the page carries it. Bound to the browser."""

    asked: Asked
    grant_ids: tuple[bytes, ...]


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_Allowed)


async def go_on(page: Page, asked: Asked, client: ClientRecord, user: UserRecord) -> Response:
    """After an Allow: the page that offers another organization, or straight to the app where there is none."""
    grant_ids = (*asked.earlier, asked.grant_id)
    allowed = _Allowed(asked, grant_ids)
    grants = await _find_grants(page, user, grant_ids)
    memberships = await page.services.store.find_memberships(user.user_id)
    left = {own.organization_id for own in memberships} - {grant.organization_id for grant in grants}
    if not left or len(grant_ids) >= MAX_ORGANIZATIONS:
        return await send_codes(page, asked.prompt, user, grant_ids)
    return await _show(page, allowed, client, grants)


async def send_codes(page: Page, prompt: AuthorizationPrompt, user: UserRecord, grant_ids: Sequence[bytes]) -> Response:
    """The codes on their way to the app; they live from now on. None of a grant that has ended meanwhile."""
    codes = await page.services.consent.issue_codes(grant_ids, user.user_id)
    if not codes:
        raise PageRefused("page_expired")
    return send_back(page, render_codes(prompt.target, codes, page.services.settings.issuer))


async def decline_further(page: Page, asked: Asked, user: UserRecord) -> Response:
    """A No to one more organization: the app gets what was allowed before."""
    return await send_codes(page, asked.prompt, user, asked.earlier)


async def answer_next(page: Page) -> Response:
    """POST /consent/next: on to the app with every code, or to one more organization."""
    form = await page.read_form()
    raw = page.services.codec.parse_page_value(_PURPOSE, page.cookie.encode(), form.get("request", ""))
    user = await page.find_user()
    allowed = None if raw is None else _decoder.decode(raw)
    if allowed is None or user is None or user.user_id != allowed.asked.user_id:
        raise PageRefused("wrong_session")
    asked = allowed.asked
    settings = page.services.settings
    if page.services.clock() - asked.asked_at > settings.consent_page_lifetime:
        raise PageRefused("page_expired")
    decision = form.get("decision")
    if decision == "done":
        return await send_codes(page, asked.prompt, user, allowed.grant_ids)
    if decision != "another":
        raise PageRefused("unreadable_request")
    try:
        client = await page.services.clients.find_current(asked.prompt.client_id)
    except OAuthError as error:
        return send_back(page, render_error(asked.prompt.target, error, settings.issuer))
    if client is None:
        raise PageRefused("page_expired")
    prompt = msgspec.structs.replace(asked.prompt, organization_id=None, pushed_request_id=None)
    question = build_question(page, prompt, client, user, asked.visit, earlier=allowed.grant_ids)
    grants = await _find_grants(page, user, allowed.grant_ids)
    return await ask(page, question, client, user, excluded={grant.organization_id for grant in grants})


async def find_excluded(page: Page, asked: Asked, user: UserRecord) -> frozenset[str]:
    """The organizations that were allowed before in this visit."""
    return frozenset(grant.organization_id for grant in await _find_grants(page, user, asked.earlier))


async def _find_grants(page: Page, user: UserRecord, grant_ids: Sequence[bytes]) -> list[GrantRecord]:
    found = [await page.services.store.find_grant(grant_id) for grant_id in grant_ids]
    return [grant for grant in found if grant is not None and grant.user_id == user.user_id]


async def _show(page: Page, allowed: _Allowed, client: ClientRecord, grants: Sequence[GrantRecord]) -> Response:
    found = [await page.services.store.find_organization(grant.organization_id) for grant in grants]
    context = {
        "app_name": client.name,
        "organizations": [_render(organization) for organization in found if organization is not None],
        "request": page.services.codec.render_page_value(_PURPOSE, page.cookie.encode(), _encode(allowed)),
    }
    return page.render("several.html", context, form_action=form_action_for(allowed.asked.prompt.redirect_uri))


def _render(organization: OrganizationRecord) -> dict[str, object]:
    return {
        "name": organization.name,
        "tint": tint_for(organization.organization_id),
        "initial": initial_for(organization.name),
    }
