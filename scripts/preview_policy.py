"""The states of the pages on which organizations decide about apps, for preview_pages.py."""

from collections.abc import Iterator

from latchstring.web.rendering.renderer import initial_for, tint_for

NOW = 1_790_000_000
DAY = 86_400
USER = {"name": "Ann Meyer", "email": "ann@example.com"}
LONG_NAME = "Donaudampfschifffahrtsgesellschaftskapitänsmützenvereinigung Österreich & Söhne GmbH"
CEDAR = {"id": "orga_Cedar", "name": "Cedar Ltd"}
FULL_ACCESS = {"name": "all.full_access", "title": "", "description": "", "risk": "high"}
CONTACTS = {"name": "contacts.read", "title": "Read your contacts", "description": "Their addresses.", "risk": "low"}
MAIL = {"name": "mail.send", "title": "Send email in your name", "description": "", "risk": "medium"}
ADMIN: dict[str, object] = {"user": USER, "administered": [CEDAR], "organization": CEDAR}


def picture(name: str) -> dict[str, object]:
    """An app's name and picture."""
    return {"name": name, "tint": tint_for(name), "initial": initial_for(name)}


def _risks(low: str, medium: str, high: str) -> list[dict[str, object]]:
    return [
        {"risk": "high", "mode": high, "items": [FULL_ACCESS]},
        {"risk": "medium", "mode": medium, "items": [MAIL]},
        {"risk": "low", "mode": low, "items": [CONTACTS]},
    ]


def _rule(name: str, **given: object) -> dict[str, object]:
    rule: dict[str, object] = {
        **picture(name),
        "client_id": f"oa2client_{len(name)}",
        "user_id": None,
        "user_name": None,
        "is_blocked": False,
        "scopes": [FULL_ACCESS],
        "left_out": [],
        "decided_at": NOW - 3 * DAY,
    }
    return {**rule, **given}


POLICY: dict[str, object] = {
    **ADMIN,
    "risks": _risks("allow", "listed", "approval"),
    "is_own": True,
    "is_preview": False,
    "rules": [],
    "approvals": [],
}


def policy_states() -> Iterator[tuple[str, str, dict[str, object]]]:
    """Every state of these pages, as `preview_pages.states` has them."""
    default = {**POLICY, "risks": _risks("allow", "allow", "allow"), "is_own": False}
    yield "policy-default", "organization_policy.html", default
    rules = [
        _rule("Mailloop"),
        _rule("Tally", user_id="user_1", user_name="Bob", scopes=[CONTACTS], left_out=[MAIL, FULL_ACCESS]),
        _rule(LONG_NAME, is_blocked=True, scopes=[]),
    ]
    acting = [{**picture("Ledger"), "client_id": "oa2client_1", "scopes": [CONTACTS], "approved_at": NOW - 90 * DAY}]
    yield "policy", "organization_policy.html", {**POLICY, "rules": rules, "approvals": acting}
    yield "policy-preview", "organization_policy.html", {**POLICY, "is_preview": True}
    yield "policy-saved", "organization_policy.html", {**POLICY, "notice": ("policy_saved", "Cedar Ltd")}
