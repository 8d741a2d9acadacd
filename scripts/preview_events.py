"""The states of the pages on history and webhooks, for preview_pages.py."""

from collections.abc import Iterator

from latchstring.web.rendering.actions import ACTIONS
from latchstring.web.rendering.messages import Text

NOW = 1_790_000_000
HOUR, DAY = 3600, 86_400
LONG_NAME = "Donaudampfschifffahrtsgesellschaftskapitänsmützenvereinigung Österreich & Söhne GmbH"
CEDAR: dict[str, object] = {"id": "orga_Cedar", "name": "Cedar Ltd", "waiting": 0}
USER = {"name": "Ann Meyer", "email": "ann@example.com"}
ADMIN: dict[str, object] = {"user": USER, "administered": [CEDAR], "organization": CEDAR}
NO_FILTER = {"action": "", "person": "", "app": "", "organization": ""}
KINDS = [(action.value, Text(sentence)) for action, sentence in ACTIONS.items()]


def _event(number: int, sentence: str, **given: object) -> dict[str, object]:
    event: dict[str, object] = {
        "id": f"evnt_{number:022d}",
        "at": NOW - number * HOUR,
        "action": "grant.ended",
        "sentence": Text(sentence),
        "actor_kind": "user",
        "actor": "ann@example.com",
        "through": None,
        "person": "ann@example.com",
        "app": "Mailloop",
        "organization": "Cedar Ltd",
        "address": "2001:db8:85a3::8a2e:370:7334",
        "request_id": "req_4f2a9c1d00000f",
        "subject": "grant_3kTMd0H9yQe7Xq1ZbVn5Rw",
        "changes": [],
    }
    return event | given


EVENTS = [
    _event(
        1, "App changed", changes=[("name", "Mailloop", LONG_NAME), ("redirect_uris", "—", '["https://a.example/cb"]')]
    ),
    _event(
        2, "Connection ended", actor_kind="client", actor="Mailloop", changes=[("reason", "—", "revoked_by_client")]
    ),
    _event(30, "Role of a member changed", actor_kind="cli", actor=None, app=None, person="bob@example.com"),
    _event(31, "A credential came twice: it may have been stolen", actor_kind="client", actor=LONG_NAME, app=LONG_NAME),
    _event(400, "Webhook turned off", actor_kind="system", actor=None, person=None),
    _event(32, "Policy changed", through=LONG_NAME, app=None, person=None, changes=[("high", "allow", "approval")]),
    _event(401, "App blocked", actor_kind="operator", actor="olga@example.com", person=None),
]


def history_states() -> Iterator[tuple[str, str, dict[str, object]]]:
    """The history of an organization, of everything, and of nothing."""
    here: dict[str, object] = {
        **ADMIN,
        "path": "/organizations/orga_Cedar/events",
        "filter": NO_FILTER,
        "is_filtered": False,
        "actions": KINDS,
        "events": EVENTS,
        "older": "evnt_0000000000000000000001",
    }
    yield "history", "events.html", here
    yield "history-empty", "events.html", {**here, "events": [], "older": None}
    filtered = {**NO_FILTER, "action": "grant.ended", "person": "nobody@example.com"}
    yield (
        "history-nothing",
        "events.html",
        {**here, "events": [], "older": None, "filter": filtered, "is_filtered": True},
    )
    yield (
        "history-operator",
        "events.html",
        {**here, "organization": None, "path": "/operator/events", "is_operator": True},
    )


def _delivery(number: int, **given: object) -> dict[str, object]:
    delivery: dict[str, object] = {
        "event_id": f"evnt_{number:022d}",
        "payload": '{"type":"grant.created","timestamp":"2026-09-21T14:13:20Z","data":{"user_id":"user_1"}}',
        "action": "grant.created",
        "created_at": NOW - number * HOUR,
        "attempted_at": NOW - number * HOUR + 3,
        "delivered_at": NOW - number * HOUR + 3,
        "due_at": None,
        "attempts": 1,
        "status": 200,
        "error": None,
        "excerpt": "ok",
    }
    return delivery | given


def webhook_states() -> Iterator[tuple[str, str, dict[str, object]]]:
    """Webhooks of an app and of an organization; one that works, one that fails, one that was turned off."""
    hook = {
        "id": "whep_1",
        "url": "https://hooks.example.com/northwind",
        "event_types": ["*"],
        "is_enabled": True,
        "disabled_reason": None,
        "failing_since": None,
        "previous_until": None,
        "created_at": NOW - 40 * DAY,
    }
    failing = {
        **hook,
        "url": "https://hooks.example.com/" + "long/" * 20,
        "failing_since": NOW - 2 * DAY,
        "event_types": ["a", "b"],
    }
    off = {**hook, "is_enabled": False, "disabled_reason": "failing"}
    of_app: dict[str, object] = {
        "user": USER,
        "administered": [CEDAR],
        "organization": None,
        "owner": {"path": "/apps/oa2client_1", "name": LONG_NAME},
        "types": KINDS[:6],
        "errors": {},
        "form": {"url": "", "event_types": ["*"]},
    }
    here = {**of_app, **ADMIN, "owner": {"path": "/organizations/orga_Cedar", "name": "Cedar Ltd"}, "types": KINDS}
    from latchstring.web.rendering.messages import field_error

    errors = {"url": field_error("webhook_url_unusable"), "event_types": field_error("webhook_types_missing")}
    yield "webhooks-none", "webhooks.html", {**of_app, "webhooks": []}
    yield "webhooks", "webhooks.html", {**here, "webhooks": [hook, failing, off]}
    refused = {"url": "http://x", "event_types": []}
    yield "webhooks-errors", "webhooks.html", {**of_app, "webhooks": [], "errors": errors, "form": refused}
    one: dict[str, object] = {
        **of_app,
        "webhook": hook,
        "secret": None,
        "form": {"url": hook["url"], "event_types": ["*"]},
        "failed": [],
        "others": [
            _delivery(1),
            _delivery(2, action="webhook.test", delivered_at=None, status=None, due_at=NOW, attempts=0),
        ],
        "older": "evnt_1",
        "first_day": "2026-08-22",
    }
    yield "webhook", "webhook.html", one
    yield (
        "webhook-secret",
        "webhook.html",
        {**one, "secret": "whsec_" + "Zm9vYmFy" * 5 + "Zm8=", "others": [], "older": None},
    )
    wrong = {"delivered_at": None, "status": 500, "error": "answered 500", "excerpt": "<h1>Internal Server Error</h1>"}
    failed = [
        _delivery(3, **wrong, attempts=4, due_at=NOW + HOUR),
        _delivery(
            60, **{**wrong, "error": "the host has no address, or one that is not public", "status": None}, attempts=10
        ),
    ]
    yield (
        "webhook-failing",
        "webhook.html",
        {**one, "webhook": failing, "failed": failed, "form": refused, "errors": errors},
    )
    yield (
        "webhook-off",
        "webhook.html",
        {**one, **here, "webhook": off, "failed": failed, "notice": ("webhook_saved", "x")},
    )
