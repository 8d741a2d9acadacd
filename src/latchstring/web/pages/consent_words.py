"""What a consent page says of scopes, organizations and the last time, as the template reads it."""

from collections.abc import Collection, Mapping, Sequence

from latchstring.authorization_server.organization_policy import Decision, Verdict, find_details_type
from latchstring.authorization_server.records import ClientRecord, ConsentRecord, MembershipRecord
from latchstring.authorization_server.remembered_consents import digest_details, render_publisher
from latchstring.authorization_server.scope_roles import find_removed
from latchstring.authorization_server.settings import ScopeDefinition, Settings
from latchstring.protocol.redirect_uri import redirect_host
from latchstring.protocol.scope import OFFLINE_ACCESS
from latchstring.web.rendering.renderer import initial_for, tint_for

Words = dict[str, object]


def render_scope(name: str, definition: ScopeDefinition) -> Words:
    """What a scope means to a member."""
    return {
        "name": name,
        "title": definition.title,
        "titles": definition.titles,
        "description": definition.description,
        "descriptions": definition.descriptions,
        "risk": definition.risk,
    }


def render_scopes(scope: Sequence[str], settings: Settings) -> list[Words]:
    """What each scope means; `offline_access` has its own words on the page."""
    return [render_scope(value, settings.scopes[value]) for value in scope if value in settings.scopes]


def render_groups(
    scope: Sequence[str], settings: Settings, *, new: Collection[str], kept: Collection[str] | None
) -> list[Words]:
    """The scopes under what they touch, in the order of the settings; those without a group come first."""
    groups: list[Words] = []
    for name, group in [("", None), *settings.scope_groups.items()]:
        scopes = [
            {
                **render_scope(value, settings.scopes[value]),
                "is_new": value in new,
                "is_optional": settings.scopes[value].is_optional,
                "is_kept": kept is None or value in kept,
            }
            for value in scope
            if value in settings.scopes and settings.scopes[value].group == name
        ]
        if scopes:
            titles: Mapping[str, str] = {} if group is None else group.titles
            groups.append({"title": "" if group is None else group.title, "titles": titles, "scopes": scopes})
    return groups


def render_organizations(
    memberships: Sequence[MembershipRecord],
    scope: Sequence[str],
    consents: Mapping[str, ConsentRecord],
    decisions: Mapping[str, Decision],
    settings: Settings,
) -> list[Words]:
    """Each organization to choose: what the member's role there keeps back, and since when the app is connected."""
    return [
        {
            **render_standing(decisions.get(membership.organization_id), settings),
            "id": membership.organization_id,
            "name": membership.organization_name,
            "role": membership.role,
            "tint": tint_for(membership.organization_id),
            "initial": initial_for(membership.organization_name),
            "removed": render_scopes(find_removed(scope, membership.role, settings), settings),
            "given_at": consent.given_at if (consent := consents.get(membership.organization_id)) is not None else None,
        }
        for membership in memberships
    ]


def find_new(scope: Sequence[str], consent: ConsentRecord | None) -> list[str]:
    """What of the scope was not agreed to the last time; nothing is new where there was none."""
    return [] if consent is None else [value for value in scope if value not in consent.scope]


def render_last_time(
    consent: ConsentRecord | None,
    client: ClientRecord,
    scope: Sequence[str],
    redirect_uri: str | None,
    authorization_details: str | None,
) -> Words | None:
    """What a member is told of their last answer and of what has changed since."""
    if consent is None:
        return None
    host = "" if redirect_uri is None else redirect_host(redirect_uri)
    return {
        "given_at": consent.given_at,
        "app_name": consent.app_name if consent.app_name != client.name else None,
        "redirect_host": consent.redirect_host if host and consent.redirect_host not in {"", host} else None,
        "is_publisher_new": consent.publisher != render_publisher(client),
        "is_offline_new": OFFLINE_ACCESS in scope and OFFLINE_ACCESS not in consent.scope,
        "are_details_new": consent.details_digest != digest_details(authorization_details),
        "is_anything_new": any(value not in consent.scope for value in scope)
        or consent.details_digest != digest_details(authorization_details),
    }


def render_standing(decision: Decision | None, settings: Settings) -> Words:
    """What an organization has to say about the app: its verdict, and what its admins left out."""
    if decision is None:  # a membership that began just now
        return {"standing": Verdict.ALLOWED.value, "left_out": []}
    return {"standing": decision.verdict.value, "left_out": render_items(decision.left_out, settings)}


def render_items(items: Sequence[str], settings: Settings) -> list[Words]:
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
