"""The app developer's pages: my apps, new app, one app with its secret."""

from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import quote

from starlette.responses import Response

from latchstring.authorization_server.apps import AppDetails, AppRefused, find_editable
from latchstring.authorization_server.client_secrets import MAX_SECRETS, find_live
from latchstring.authorization_server.policy import find_policy, tighten
from latchstring.authorization_server.records import ClientRecord, UserRecord
from latchstring.protocol.client_metadata import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    CLIENT_SECRET_POST,
    DEVICE_CODE,
    NONE,
)
from latchstring.protocol.parameters import Parameters
from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.pages.publication import render_publication
from latchstring.web.rendering.messages import FIELD_ERRORS, FieldErrorKey, Text, field_error
from latchstring.web.rendering.renderer import initial_for, tint_for

_NOTICES: Final = ("saved", "retired", "ending", "review_asked", "review_withdrawn")
_SHOWN_REACH: Final = 20
_EMPTY_FORM: Mapping[str, object] = {
    "organization_id": "",
    "name": "",
    "description": "",
    "redirect_uris": "",
    "terms_uri": "",
    "policy_uri": "",
    "is_public": False,
}


async def show_apps(page: Page) -> Response:
    """GET /apps."""
    user = await page.require_user()
    store = page.services.store
    memberships = await store.find_memberships(user.user_id)
    names = {membership.organization_id: membership.organization_name for membership in memberships}
    apps = [
        {
            "client_id": client.client_id,
            "name": client.name,
            "organization_name": names.get(client.organization_id or "", ""),
            "state": await page.services.publication.find_state(client),
            "redirect_count": len(client.redirect_uris),
            "tint": tint_for(client.client_id),
            "initial": initial_for(client.name),
            "created_at": client.created_at,
        }
        for client in await store.find_clients_for_user(user.user_id)
    ]
    return page.render("apps.html", {"apps": apps, "can_create": bool(memberships)})


async def show_new_app(page: Page) -> Response:
    """GET /apps/new."""
    user = await page.require_user()
    return await _render_new(page, user, _EMPTY_FORM, {})


async def create_app(page: Page) -> Response:
    """POST /apps/new: the answer is the only page that ever shows the secret."""
    user = await page.require_user()
    form = await page.read_form()
    memberships = await page.services.store.find_memberships(user.user_id)
    organization_id = form.get("organization_id", "")
    errors: dict[str, Text] = {}
    if not organization_id:
        errors["organization_id"] = field_error("organization_missing")
    elif all(membership.organization_id != organization_id for membership in memberships):
        errors["organization_id"] = field_error("organization_not_yours")
    try:
        if errors:
            raise AppRefused
        client, secret = await page.services.apps.create(
            _read_details(form),
            organization_id=organization_id,
            created_by=user.user_id,
            token_endpoint_auth_method=NONE if "is_public" in form else CLIENT_SECRET_POST,
            origin=page.origin,
        )
    except AppRefused as refused:
        return await _render_new(page, user, _read_back(form), {**errors, **_render_problems(refused)}, status=422)
    return await render_app(page, user, client, secret=secret)


async def show_app(page: Page) -> Response:
    """GET /apps/{client_id}."""
    user = await page.require_user()
    client = await find_app(page, user)
    notice = next((kind for kind in _NOTICES if kind in page.request.query_params), None)
    return await render_app(page, user, client, notice=None if notice is None else (notice, client.name))


async def save_app(page: Page) -> Response:
    """POST /apps/{client_id}: change what people read and where they return."""
    user = await page.require_user()
    form = await page.read_form()
    client = await find_app(page, user, to_edit=True)
    try:
        await page.services.apps.update(client, _read_details(form), origin=page.origin)
    except AppRefused as refused:
        return await render_app(page, user, client, form=_read_back(form), refused=refused)
    return page.redirect(f"/apps/{client.client_id}?saved")


async def require_pkce(page: Page) -> Response:
    """POST /apps/{client_id}/require-pkce: the app is let off nothing from now on. There is no way back on pages."""
    user = await page.require_user()
    await page.read_form()
    client = await find_app(page, user, to_edit=True)
    await page.services.apps.update_security(client, tighten(client.security), origin=page.origin)
    return page.redirect(f"/apps/{client.client_id}?saved")


async def find_app(page: Page, user: UserRecord, *, to_edit: bool = False) -> ClientRecord:
    """The app in the path, if it is one of the reader's organizations' and, `to_edit`, theirs to change."""
    client = await page.services.store.find_client(page.request.path_params["client_id"])
    memberships = await page.services.store.find_memberships(user.user_id)
    if (
        client is None
        or client.ended_at is not None
        or all(membership.organization_id != client.organization_id for membership in memberships)
    ):
        raise PageRefused("not_your_app")
    if to_edit and not find_editable(client, user.user_id, memberships):
        raise PageRefused("not_your_app")
    return client


async def _render_new(
    page: Page, user: UserRecord, form: Mapping[str, object], errors: Mapping[str, Text], status: int = 200
) -> Response:
    memberships = await page.services.store.find_memberships(user.user_id)
    if not memberships:
        return page.message("no_organization")
    organizations = [
        {"id": membership.organization_id, "name": membership.organization_name} for membership in memberships
    ]
    return page.render("app_new.html", {"form": form, "organizations": organizations, "errors": errors}, status)


async def render_app(
    page: Page,
    user: UserRecord,
    client: ClientRecord,
    *,
    secret: str | None = None,
    form: Mapping[str, object] | None = None,
    refused: AppRefused | None = None,
    notice: tuple[str, str] | None = None,
) -> Response:
    """One app; a new secret of it is shown on this answer only."""
    store, settings = page.services.store, page.services.settings
    owner = await store.find_organization(client.organization_id or "")
    memberships = await store.find_memberships(user.user_id)
    secrets = find_live(client.secrets, page.services.clock())
    uses = await store.find_secret_uses(client.client_id) if secrets else {}
    staying = sum(kept.expires_at is None for kept in secrets)
    authorize_url = f"{settings.issuer}/oauth2/authorize/?client_id={client.client_id}&response_type=code"
    if len(client.redirect_uris) > 1:
        authorize_url += f"&redirect_uri={quote(client.redirect_uris[0], safe='')}"
    reach = await store.find_app_reach(client.client_id, now=page.services.clock())
    context = {
        "reach": [{"name": each.organization_name, "count": each.count} for each in reach[:_SHOWN_REACH]],
        "reach_count": len(reach),
        "connection_count": sum(each.count for each in reach),
        "app": {
            "client_id": client.client_id,
            "name": client.name,
            "is_suspended": client.is_suspended,
            "suspended_reason": client.suspended_reason or "",
            "description": client.description,
            "organization_name": "" if owner is None else owner.name,
            "state": await page.services.publication.find_state(client),
            "redirect_uris": client.redirect_uris,
            "terms_uri": client.terms_uri,
            "policy_uri": client.policy_uri,
            "scopes": client.scope,
            "way": _find_way(client),
            "is_public": client.is_public,
            "has_secret": client.has_secret,
            "profile": client.security.profile,
            "requires_pkce": find_policy(client).requires_pkce,
            "is_key_bound": client.security.dpop_bound_access_tokens,
            "is_certificate_bound": client.security.tls_client_certificate_bound_access_tokens,
            "tint": tint_for(client.client_id),
            "initial": initial_for(client.name),
            "created_at": client.created_at,
        },
        "secret": secret,
        "secrets": [
            {
                "id": kept.secret_id,
                "hint": kept.hint,
                "name": kept.name,
                "created_at": kept.created_at,
                "expires_at": kept.expires_at,
                "last_used_at": uses.get(kept.secret_id),
                "can_retire": staying > 1 or (staying == 1 and kept.expires_at is not None),
            }
            for kept in secrets
        ],
        "can_add_secret": len(secrets) < MAX_SECRETS,
        "form": form or _form_of(client),
        "errors": {} if refused is None else _render_problems(refused),
        "publication": await render_publication(page, client),
        "can_edit": find_editable(client, user.user_id, memberships),
        "authorize_url": authorize_url,
        "token_url": f"{settings.issuer}/oauth2/token/",
        "notice": notice,
    }
    return page.render("app.html", context, 200 if refused is None else 422)


def _find_way(client: ClientRecord) -> Literal["browser", "device", "own"] | None:
    """How the app comes by its tokens, which its page shows the developer; None where it takes more than a command."""
    ways: dict[str, Literal["browser", "device", "own"]] = {
        AUTHORIZATION_CODE: "browser",
        DEVICE_CODE: "device",
        CLIENT_CREDENTIALS: "own",
    }
    return next((way for grant_type, way in ways.items() if grant_type in client.grant_types), None)


def _read_details(form: Parameters) -> AppDetails:
    return AppDetails(
        name=form.get("name", ""),
        description=form.get("description", ""),
        redirect_uris=tuple(line.strip() for line in form.get("redirect_uris", "").splitlines() if line.strip()),
        terms_uri=form.get("terms_uri", "").strip() or None,
        policy_uri=form.get("policy_uri", "").strip() or None,
    )


def _read_back(form: Parameters) -> dict[str, object]:
    texts = ("organization_id", "name", "description", "redirect_uris", "terms_uri", "policy_uri")
    return {**{name: form.get(name, "") for name in texts}, "is_public": "is_public" in form}


def _form_of(client: ClientRecord) -> dict[str, object]:
    return {
        "organization_id": client.organization_id,
        "name": client.name,
        "description": client.description,
        "redirect_uris": "\n".join(client.redirect_uris),
        "terms_uri": client.terms_uri or "",
        "policy_uri": client.policy_uri or "",
        "is_public": client.is_public,
    }


def _render_problems(refused: AppRefused) -> dict[str, Text]:
    rendered: dict[str, Text] = {}
    for problem in refused.problems:
        key: FieldErrorKey = problem.code if problem.code in FIELD_ERRORS else "redirect_uri_unusable"  # type: ignore[assignment]
        rendered[problem.field] = field_error(key, **problem.values)
    return rendered
