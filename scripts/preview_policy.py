"""The states of the pages on which organizations decide about apps, for preview_pages.py."""

from collections.abc import Iterator

from latchstring.web.rendering.messages import field_error
from latchstring.web.rendering.renderer import initial_for, tint_for

NOW = 1_790_000_000
DAY = 86_400
USER = {"name": "Ann Meyer", "email": "ann@example.com"}
LONG_NAME = "Donaudampfschifffahrtsgesellschaftskapitänsmützenvereinigung Österreich & Söhne GmbH"
CEDAR: dict[str, object] = {"id": "orga_Cedar", "name": "Cedar Ltd", "waiting": 0}
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
    yield from _request_states()
    yield from _publication_states()
    yield from _publisher_states()
    ticked = [{**FULL_ACCESS, "field": "item_0", "is_ticked": True}, {**MAIL, "field": "item_1", "is_ticked": False}]
    app: dict[str, object] = {**ADMIN, "client_id": "oa2client_1", "app": MAILLOOP, "items": ticked, "decided": None}
    for decided in (None, "approved", "blocked"):
        yield f"policy-app-{decided or 'undecided'}", "organization_app.html", {**app, "decided": decided}
    yield "policy-decided", "organization_policy.html", {**POLICY, "notice": ("app_decided", "Cedar Ltd")}
    yield "policy-saved", "organization_policy.html", {**POLICY, "notice": ("policy_saved", "Cedar Ltd")}


MAILLOOP: dict[str, object] = {
    **picture("Mailloop"),
    "description": "Sends the follow-ups you forget, and stops when somebody answers.",
    "publisher": "Loop Labs",
    "is_self_registered": False,
    "host": None,
    "is_verified": False,
    "domain": None,
    "is_changed": False,
    "terms_uri": None,
    "policy_uri": None,
}
WALL: dict[str, object] = {
    "user": USER,
    "action": "/consent",
    "request": "sealed",
    "app": MAILLOOP,
    "organization": {**picture("Cedar Ltd"), "id": "orga_Cedar"},
    "is_admin": False,
    "items": [FULL_ACCESS, CONTACTS],
    "deciding": ["all.full_access"],
    "is_device": False,
    "reason": "",
    "max_reason_length": 500,
    "carried": [("until", "86400")],
    "error": None,
    "sign_out_continue": "sealed",
}
OWN_REQUEST: dict[str, object] = {
    "user": USER,
    "id": "accreq_1",
    "state": "waiting",
    "app": MAILLOOP,
    "organization": "Cedar Ltd",
    "items": [FULL_ACCESS, CONTACTS],
    "granted": [],
    "word": "",
    "can_go_on": True,
    "app_host": "app.mailloop.example",
    "created_at": NOW - 3 * DAY,
    "decided_at": NOW - DAY,
}


def _asked(name: str, **given: object) -> dict[str, object]:
    request: dict[str, object] = {
        "id": f"accreq_{name}",
        "state": "waiting",
        "app": MAILLOOP,
        "user_name": name,
        "user_email": "bob@example.com",
        "reason": "I write the newsletter, and forget whom to follow up.",
        "risk": "high",
        "items": [{**FULL_ACCESS, "field": "item_0"}, {**CONTACTS, "field": "item_1"}],
        "granted": [],
        "word": "",
        "created_at": NOW - 2 * DAY,
        "decided_at": None,
    }
    return {**request, **given}


def _request_states() -> Iterator[tuple[str, str, dict[str, object]]]:
    yield "access-wall", "access_wall.html", WALL
    yield "access-wall-admin", "access_wall.html", {**WALL, "is_admin": True}
    yield "access-wall-device", "access_wall.html", {**WALL, "is_device": True, "reason": "For the lobby"}
    yield "access-wall-throttled", "access_wall.html", {**WALL, "error": "throttled"}
    yield "access-wall-many", "access_wall.html", {**WALL, "error": "too_many"}
    yield "access-request", "access_request.html", OWN_REQUEST
    for state in ("approved", "declined", "connected", "lapsed"):
        yield f"access-request-{state}", "access_request.html", {**OWN_REQUEST, "state": state, "word": "Only for you."}
    fewer = {"state": "approved", "granted": [CONTACTS], "can_go_on": False}
    yield "access-request-fewer", "access_request.html", {**OWN_REQUEST, **fewer}
    yield "access-request-again", "access_request.html", {**OWN_REQUEST, "state": "lapsed", "app_host": ""}
    busy = {**ADMIN, "administered": [{**CEDAR, "waiting": 2}, {"id": "orga_2", "name": LONG_NAME, "waiting": 0}]}
    queue: dict[str, object] = {**busy, "requests": [], "decided": [], "next": None, "max_word_length": 500}
    waiting = [
        _asked("Bob"),
        _asked(
            LONG_NAME,
            reason="",
            app={**MAILLOOP, **picture(LONG_NAME), "is_verified": True, "domain": "xn--lop-labs-9za.example"},
        ),
    ]
    decided = [
        _asked("Carl", state="declined", decided_at=NOW - DAY, word="Use the other one."),
        _asked("Dora", state="connected", decided_at=NOW - 2 * DAY),
        _asked("Eve", state="lapsed", decided_at=NOW - 9 * DAY, app=None),
    ]
    yield (
        "requests",
        "organization_requests.html",
        {**queue, "requests": waiting, "decided": decided, "next": "accreq_2"},
    )
    yield "requests-empty", "organization_requests.html", {**queue, "notice": ("request_approved", "Cedar Ltd")}
    for notice in ("request_declined", "request_gone", "request_empty"):
        yield f"requests-{notice}", "organization_requests.html", {**queue, "notice": (notice, "Cedar Ltd")}


def _publication_states() -> Iterator[tuple[str, str, dict[str, object]]]:
    listed = {
        **picture("Mailloop"),
        "client_id": "oa2client_1",
        "description": MAILLOOP["description"],
        "publisher": "Loop Labs",
        "category": "communication",
        "scopes": [CONTACTS, MAIL],
    }
    long = {**listed, **picture(LONG_NAME), "description": "", "publisher": LONG_NAME, "category": "other"}
    directory: dict[str, object] = {
        "user": USER,
        "apps": [listed, long],
        "words": "",
        "category": "",
        "categories": (
            "communication",
            "sales",
            "support",
            "finance",
            "productivity",
            "analytics",
            "developer",
            "other",
        ),
        "next": "/directory?after=oa2client_1",
    }
    yield "directory", "directory.html", directory
    yield "directory-empty", "directory.html", {**directory, "apps": [], "next": None}
    yield "directory-none", "directory.html", {**directory, "apps": [], "words": "sieve", "next": None}
    review = {
        "client_id": "oa2client_1",
        "app": MAILLOOP,
        "state": "waiting",
        "wants_listing": True,
        "category": "communication",
        "note": "We moved to a new host.",
        "seen": "{}",
        "asked_by": "Lea",
        "asked_at": NOW - DAY,
        "decided_at": None,
        "word": "",
        "is_again": True,
        "is_published": True,
        "changes": [
            {"fact": "hosts", "gone": ("app.mailloop.example",), "come": ("app.loop.example",)},
            {"fact": "scope", "gone": (), "come": ("mail.send",)},
            {"fact": "name", "gone": ("Mail Loop",), "come": ("Mailloop",)},
            {"fact": "owner", "gone": ("orga_1",), "come": ("orga_2",)},
            {"fact": "details_types", "gone": (), "come": ("payment",)},
        ],
        "hosts": ("app.loop.example", "127.0.0.1"),
        "scopes": [CONTACTS, FULL_ACCESS],
    }
    first = {**review, "is_again": False, "changes": [], "wants_listing": False, "note": "", "asked_by": ""}
    decided = [
        {**review, "state": "approved", "decided_at": NOW - DAY},
        {**review, "state": "declined", "decided_at": NOW - DAY, "word": "Whose hosts?", "is_published": False},
    ]
    queue: dict[str, object] = {"user": USER, "is_operator": True, "max_word_length": 1000}
    same = {**review, "changes": []}
    yield "reviews", "operator_reviews.html", {**queue, "reviews": [review, first, same], "decided": decided}
    yield "reviews-empty", "operator_reviews.html", {**queue, "reviews": [], "decided": []}
    for notice in ("review_approved", "review_declined", "review_gone", "unpublished"):
        yield (
            f"reviews-{notice}",
            "operator_reviews.html",
            {**queue, "reviews": [], "decided": [], "notice": (notice, "")},
        )


def _publisher_states() -> Iterator[tuple[str, str, dict[str, object]]]:
    domain = {
        "name": "looplabs.example",
        "record_name": "_latchstring.looplabs.example",
        "record_value": "latchstring-publisher=0123456789abcdef0123456789abcdef",
        "verified_at": NOW - 90 * DAY,
        "checked_at": NOW - 3600,
        "failing_since": None,
    }
    new = {**domain, "name": "xn--lop-labs-9za.example", "verified_at": None, "checked_at": None}
    failing = {**domain, "name": "loop.example", "failing_since": NOW - DAY}
    page: dict[str, object] = {**ADMIN, "domains": [], "form": {"domain": ""}, "errors": {}}
    yield "publisher", "organization_publisher.html", {**page, "domains": [domain, new, failing]}
    for error in (field_error("domain_not_a_name"), field_error("domains_too_many", limit="10")):
        name = f"publisher-{error.message[:6].strip().lower()}"
        yield (
            name,
            "organization_publisher.html",
            {**page, "form": {"domain": "https://x"}, "errors": {"domain": error}},
        )
    for notice in ("domain_verified", "domain_not_found", "domain_ended"):
        yield f"publisher-{notice}", "organization_publisher.html", {**page, "notice": (notice, "Cedar Ltd")}
