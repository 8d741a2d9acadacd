"""Webhooks: endpoints, and which event goes to which of them."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    tuple_,
    update,
)

from latchstring.storage.schema import audit_event, webhook_delivery, webhook_endpoint
from latchstring.storage.statements.statement import BIGINT, ONE, TEXT, Parameter, define, define_insert

_NONE: ColumnElement[int] = literal_column("0")
_PERCENT, _SPACE, _ANY = (literal_column(f"'{text}'", TEXT) for text in ("% ", " ", "*"))
_WILDCARD_END: ColumnElement[str] = literal_column("' %'", TEXT)


def _holds(words: ColumnElement[str], word: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a word is one of those that a space sets apart."""
    return or_(words == _ANY, (_SPACE + words + _SPACE).like(_PERCENT + word + _WILDCARD_END))


_action = bindparam("action", type_=TEXT)
_is_told: ColumnElement[bool] = and_(
    webhook_endpoint.c.is_enabled,
    or_(
        webhook_endpoint.c.client_id == bindparam("told_client_id", type_=TEXT),
        webhook_endpoint.c.organization_id == bindparam("told_organization_id", type_=TEXT),
    ),
    _holds(webhook_endpoint.c.event_types, _action),
)


def may_be_told(value: Parameter) -> ColumnElement[Any]:
    """Whether an event of that `client_id` and `organization_id` concerns an app or organization with an endpoint,
    whatever that is for."""
    return (
        select(ONE)
        .where(
            webhook_endpoint.c.is_enabled,
            or_(
                webhook_endpoint.c.client_id == value("client_id"),
                webhook_endpoint.c.organization_id == value("organization_id"),
            ),
        )
        .limit(ONE)
        .offset(_NONE)
        .scalar_subquery()
    )


_DELIVERY = ["endpoint_id", "event_id", "action", "created_at", "due_at", "attempts"]
_at = bindparam("at", type_=BIGINT)
INSERT_DELIVERIES = define(
    "insert_deliveries",
    insert(webhook_delivery).from_select(
        _DELIVERY,
        select(
            webhook_endpoint.c.endpoint_id,
            bindparam("id", type_=audit_event.c.id.type).label("event_id"),
            _action.label("action"),
            _at.label("created_at"),
            _at.label("due_at"),
            _NONE.label("attempts"),
        ).where(_is_told),
    ),
)
FIND_ANY_WEBHOOK = define("find_any_webhook", select(ONE).select_from(webhook_endpoint).limit(ONE).offset(_NONE))
INSERT_DELIVERY = define(
    "insert_delivery",
    insert(webhook_delivery).values(
        endpoint_id=bindparam("endpoint_id"),
        event_id=bindparam("event_id"),
        action=bindparam("action"),
        created_at=bindparam("at"),
        due_at=bindparam("at"),
        attempts=_NONE,
    ),
)
INSERT_WEBHOOK = define("insert_webhook", insert(webhook_endpoint))
_endpoint = webhook_endpoint.c.endpoint_id == bindparam("of_endpoint")
UPDATE_WEBHOOK = define(
    "update_webhook",
    update(webhook_endpoint)
    .where(_endpoint)
    .values(
        {
            name: bindparam(f"new_{name}")
            for name in (
                "url",
                "event_types",
                "sealed_secret",
                "previous_sealed_secret",
                "previous_until",
                "is_enabled",
                "disabled_reason",
                "failing_since",
            )
        }
    )
    .returning(webhook_endpoint.c.endpoint_id),
)
DISABLE_WEBHOOK = define(
    "disable_webhook",
    update(webhook_endpoint)
    .where(_endpoint, webhook_endpoint.c.is_enabled)
    .values(is_enabled=literal_column("false"), disabled_reason=bindparam("reason"))
    .returning(*webhook_endpoint.columns),
)
DELETE_WEBHOOK = define(
    "delete_webhook", delete(webhook_endpoint).where(_endpoint).returning(*webhook_endpoint.columns)
)
DELETE_DELIVERIES = define(
    "delete_deliveries", delete(webhook_delivery).where(webhook_delivery.c.endpoint_id == bindparam("of_endpoint"))
)
GIVE_UP_DELIVERIES = define(
    "give_up_deliveries",
    update(webhook_delivery)
    .where(webhook_delivery.c.endpoint_id == bindparam("of_endpoint"), webhook_delivery.c.due_at.is_not(None))
    .values(due_at=null(), failed_at=bindparam("now")),
)
FIND_WEBHOOK = define("find_webhook", select(webhook_endpoint).where(_endpoint))
LOCK_WEBHOOK = define("lock_webhook", select(webhook_endpoint).where(_endpoint).with_for_update())
_any_client, _any_organization = (bindparam(name, type_=TEXT) for name in ("of_client", "of_organization"))
FIND_WEBHOOKS = define(
    "find_webhooks",
    select(webhook_endpoint)
    .where(
        or_(_any_client.is_(None), webhook_endpoint.c.client_id == _any_client),
        or_(_any_organization.is_(None), webhook_endpoint.c.organization_id == _any_organization),
    )
    .order_by(webhook_endpoint.c.created_at, webhook_endpoint.c.endpoint_id)
    .limit(literal_column("1000"))
    .offset(_NONE),
)
_has_failed = and_(webhook_delivery.c.last_error.is_not(None), webhook_delivery.c.delivered_at.is_(None))
FIND_DELIVERIES = define(
    "find_deliveries",
    select(webhook_delivery)
    .where(
        webhook_delivery.c.endpoint_id == bindparam("of_endpoint"),
        webhook_delivery.c.event_id < bindparam("before_id"),
        case((_has_failed, ONE), else_=_NONE) == bindparam("has_failed"),
    )
    .order_by(webhook_delivery.c.event_id.desc())
    .limit(bindparam("at_most"))
    .offset(_NONE),
)
_AGAIN = {
    "due_at": bindparam("now", type_=BIGINT),
    "attempts": _NONE,
    "delivered_at": null(),
    "failed_at": null(),
    "last_error": null(),
}
REPLAY_DELIVERY = define(
    "replay_delivery",
    update(webhook_delivery)
    .where(
        webhook_delivery.c.endpoint_id == bindparam("of_endpoint"), webhook_delivery.c.event_id == bindparam("of_event")
    )
    .values(_AGAIN)
    .returning(webhook_delivery.c.event_id),
)
_allowed: ColumnElement[str] = bindparam("allowed", type_=TEXT)
REPLAY_SINCE = define_insert(
    "replay_since",
    lambda insert: (
        insert(webhook_delivery)
        .from_select(
            _DELIVERY,
            select(
                webhook_endpoint.c.endpoint_id,
                audit_event.c.id,
                audit_event.c.action,
                audit_event.c.at,
                bindparam("now", type_=BIGINT).label("due_at"),
                _NONE.label("attempts"),
            )
            .join(
                audit_event,
                or_(
                    audit_event.c.client_id == webhook_endpoint.c.client_id,
                    audit_event.c.organization_id == webhook_endpoint.c.organization_id,
                ),
            )
            .where(
                _endpoint,
                audit_event.c.id >= bindparam("first_id"),
                _holds(webhook_endpoint.c.event_types, audit_event.c.action),
                _holds(_allowed, audit_event.c.action),
            ),
        )
        .on_conflict_do_update(index_elements=["endpoint_id", "event_id"], set_=_AGAIN)
    ),
)
_is_due = webhook_delivery.c.due_at <= bindparam("now", type_=BIGINT)
FIND_DUE_ENDPOINTS = define(
    "find_due_endpoints",
    select(webhook_endpoint.c.endpoint_id)
    .where(
        webhook_endpoint.c.is_enabled,
        exists().where(webhook_delivery.c.endpoint_id == webhook_endpoint.c.endpoint_id, _is_due),
    )
    .limit(literal_column("1000"))
    .offset(_NONE),
)
_first_due = (
    select(webhook_delivery.c.event_id)
    .where(webhook_delivery.c.endpoint_id == bindparam("of_endpoint"), _is_due)
    .order_by(webhook_delivery.c.due_at, webhook_delivery.c.event_id)
    .limit(ONE)
    .offset(_NONE)
    .with_for_update(skip_locked=True)
)
# As with mail: whoever raises `attempts` has it until `due_at`.
CLAIM_DELIVERY = define(
    "claim_delivery",
    update(webhook_delivery)
    .where(
        webhook_delivery.c.endpoint_id == bindparam("of_endpoint"),
        webhook_delivery.c.event_id == _first_due.scalar_subquery(),
        _is_due,
    )
    .values(due_at=bindparam("until"), attempts=webhook_delivery.c.attempts + ONE, attempted_at=bindparam("now"))
    .returning(*webhook_delivery.columns),
)
FIND_EVENT = define("find_event", select(audit_event).where(audit_event.c.id == bindparam("event_id")))
END_ATTEMPT = define(
    "end_attempt",
    update(webhook_delivery)
    .where(
        webhook_delivery.c.endpoint_id == bindparam("of_endpoint"),
        webhook_delivery.c.event_id == bindparam("of_event"),
        webhook_delivery.c.attempts == bindparam("of_attempt"),
        webhook_delivery.c.due_at.is_not(None),
    )
    .values(
        due_at=bindparam("new_due_at"),
        delivered_at=bindparam("new_delivered_at"),
        failed_at=bindparam("new_failed_at"),
        last_status=bindparam("status"),
        last_error=bindparam("error"),
        excerpt=bindparam("new_excerpt"),
    )
    .returning(webhook_delivery.c.event_id),
)
NOTE_SUCCESS = define(
    "note_webhook_success",
    update(webhook_endpoint)
    .where(_endpoint, webhook_endpoint.c.failing_since.is_not(None))
    .values(failing_since=null()),
)
NOTE_FAILURE = define(
    "note_webhook_failure",
    update(webhook_endpoint)
    .where(_endpoint)
    .values(failing_since=func.coalesce(webhook_endpoint.c.failing_since, bindparam("now", type_=BIGINT))),
)
_key = (webhook_delivery.c.endpoint_id, webhook_delivery.c.event_id)
_old = (
    select(*_key)
    .where(webhook_delivery.c.created_at < bindparam("kept_since"))
    .order_by(webhook_delivery.c.created_at)
    .limit(bindparam("at_most"))
    .offset(_NONE)
)
SWEEP_DELIVERIES = define(
    "sweep_webhook_delivery", delete(webhook_delivery).where(tuple_(*_key).in_(_old)).returning(*_key)
)
