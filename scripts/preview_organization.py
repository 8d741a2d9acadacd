"""The states of an organization's and the operator's pages, for `preview_pages.py`."""

from collections.abc import Iterator

from latchstring.web.rendering.messages import field_error
from latchstring.web.rendering.renderer import initial_for, tint_for
from scripts.preview_pages import CONNECTED, DAY, GRANTS, HOUR, LONG_NAME, NOW, THREE_SCOPES, USER

ORGANIZATION = {"id": "orga_Acorn Partners", "name": "Acorn Partners", "waiting": 2}
ADMIN = {
    "user": USER,
    "administered": [ORGANIZATION, {"id": "orga_2", "name": LONG_NAME, "waiting": 0}],
    "organization": ORGANIZATION,
}
SEARCH = {"client_id": "", "person": "", "risk": "", "unused": "", "state": ""}


def _app(name: str) -> dict[str, object]:
    shown = {"tint": tint_for(name), "initial": initial_for(name)}
    return {"name": name, "publisher": "Loop Labs", "is_self_registered": False, "host": None, **shown}


def _connection(number: int, app: str, member: str, **given: object) -> dict[str, object]:
    values = {
        **GRANTS[0],
        "id": f"grant_{number}",
        "app": _app(app),
        "member": member,
        "email": "bob@example.com",
        "ended_at": None,
        "reason": None,
        "can_take_over": False,
    }
    return {**values, **given}


def organization_states() -> Iterator[tuple[str, str, dict[str, object]]]:
    """Every state, with its template and context."""
    live = [
        _connection(1, "Mailloop", "Ann Meyer"),
        _connection(
            2, "Tally", "Bob Okonkwo", scopes=THREE_SCOPES, used_from="203.0.113.9", last_used_at=NOW - 3 * HOUR
        ),
        _connection(3, "Mailloop", "Carla Ruiz", status="suspended", held_by="membership_ended", can_take_over=True),
        _connection(4, LONG_NAME, LONG_NAME, status="suspended", held_by="app_suspended", expires_at=NOW + 9 * DAY),
    ]
    shown: dict[str, object] = {
        **ADMIN,
        "search": SEARCH,
        "is_searching": False,
        "is_first_page": True,
        "apps": [{"id": "a", "name": "Mailloop"}, {"id": "b", "name": LONG_NAME}],
        "app": None,
        "unused_days": (30, 90, 180),
        "connections": live,
        "next_href": "?before=grant_4",
        "export_href": "/connections.csv?",
    }
    name = "organization_connections.html"
    yield "admin-connections", name, shown
    found = {"search": {**SEARCH, "client_id": "a", "unused": "90"}, "is_searching": True, "app": "Mailloop"}
    yield "admin-connections-app", name, {**shown, **found, "is_first_page": False, "next_href": None}
    yield "admin-connections-none", name, {**shown, **found, "connections": [], "next_href": None, "app": None}
    reasons = ("disconnected", "disconnected_by_admin", "membership_ended", "refresh_token_reuse", "expired")
    ended = [
        _connection(n, "Mailloop", "Ann Meyer", status="ended", ended_at=NOW - n * DAY, reason=reason)
        for n, reason in enumerate(reasons)
    ]
    history = {"search": {**SEARCH, "state": "ended"}, "connections": ended, "notice": ("connections_ended", "2")}
    yield "admin-connections-history", name, {**shown, **history}
    member = {
        "id": "user_1",
        "name": "Ann Meyer",
        "email": "ann@example.com",
        "role": "admin",
        "tint": 3,
        "initial": "A",
        "is_suspended": False,
        "is_disabled": False,
        "is_self": True,
        "joined_at": NOW - 400 * DAY,
    }
    other = {**member, "id": "user_2", "name": LONG_NAME, "role": "member", "is_self": False, "is_suspended": True}
    people: dict[str, object] = {**ADMIN, "members": [member, other], "next_after": "x", "errors": {}, "email": ""}
    yield "admin-members", "organization_members.html", people
    wrong: dict[str, object] = {"errors": {"email": field_error("no_such_account")}, "email": "nobody@example.com"}
    yield "admin-members-error", "organization_members.html", {**people, **wrong, "notice": ("last_admin", "")}
    own = {**ORGANIZATION, "created_at": NOW - 400 * DAY, "tint": 4, "initial": "A"}
    overview: dict[str, object] = {**ADMIN, "organization": own, "app_count": 12, "leaver_days": "30", "errors": {}}
    overview["leaver_choices"] = ("", "0", "7", "30", "90")
    yield "admin-organization", "organization.html", overview
    untyped = {"confirmation": field_error("name_not_typed", name="Acorn Partners")}
    yield "admin-organization-untyped", "organization.html", {**overview, "errors": untyped}
    operator: dict[str, object] = {"user": USER, "is_operator": True, "query": "", "notice": None}
    nothing = dict.fromkeys(("user_found", "organization_found", "app_found"))
    yield "operator", "operator.html", {**operator, **nothing}
    found_user = {**member, "is_deleted": False, "created_at": NOW, "organizations": ["Acorn Partners", LONG_NAME]}
    yield (
        "operator-user",
        "operator.html",
        {**operator, **nothing, "query": "ann@example.com", "user_found": found_user},
    )
    found_app = {
        "id": "oa2client_7hQ2mZc9TnVxWb4KpLr8Yd",
        "name": "Mailloop",
        "is_suspended": True,
        "reason": "It sends spam.",
        "is_owner_closed": False,
        "tint": 5,
        "initial": "M",
        "organization_count": 3,
        "connection_count": 1201,
        "created_at": NOW,
    }
    yield "operator-app", "operator.html", {**operator, **nothing, "query": "oa2client_7", "app_found": found_app}
    several = {**CONNECTED[0], "grants": GRANTS}
    yield "connections-held", "connections.html", {"user": USER, "apps": [several]}
