"""Who calls, in the API's own logs and traces: request id, member, app, organization, scope; never a token.

It is noted for as long as a request lasts: in a context variable that `AuditFilter` reads for `logging`, in structlog's
context variables where the API has imported structlog, and on the current span where it has imported OpenTelemetry.
Nothing is imported here for their sake.
"""

import logging
import sys
from contextvars import ContextVar
from typing import Any, Final

from latchstring.protocol.scope import render_scope
from latchstring.resource_server.verify import Access

FIELDS: Final = ("request_id", "user_id", "client_id", "organization_id", "scope")
_ABSENT: Final = "-"
_current: ContextVar[tuple[str, Access | None] | None] = ContextVar("latchstring_audit", default=None)


def find_fields() -> dict[str, str]:
    """What is known of the request under way: `request_id` always, the others once a guard has let it in. Without a
    request, and for a member where there is none, nothing."""
    current = _current.get()
    if current is None:
        return {}
    request_id, access = current
    if access is None:
        return {"request_id": request_id}
    fields = {
        "request_id": request_id,
        "user_id": access.user_id,
        "client_id": access.client_id,
        "organization_id": access.organization_id,
        "scope": render_scope(access.scope),
    }
    return {name: value for name, value in fields.items() if value is not None}


class AuditFilter(logging.Filter):
    """Gives every record of `logging` the fields, `-` for what is not known: `handler.addFilter(AuditFilter())`, then
    `%(organization_id)s` in its format. What a record has already stays."""

    def filter(self, record: logging.LogRecord) -> bool:
        fields = find_fields()
        for name in FIELDS:
            if not hasattr(record, name):
                setattr(record, name, fields.get(name, _ABSENT))
        return True


def note(request_id: str, access: Access | None = None) -> None:
    """From here on, in this task or thread, it is this request. Whoever was noted before is forgotten."""
    _current.set((request_id, access))
    context = sys.modules.get("structlog.contextvars")
    if context is not None:
        context.unbind_contextvars(*FIELDS)
        context.bind_contextvars(**find_fields())
    trace = sys.modules.get("opentelemetry.trace")
    if trace is not None:
        _mark_span(trace.get_current_span(), request_id, access)


def forget() -> None:
    """The request is over."""
    _current.set(None)
    context = sys.modules.get("structlog.contextvars")
    if context is not None:
        context.unbind_contextvars(*FIELDS)


def _mark_span(span: Any, request_id: str, access: Access | None) -> None:
    """`enduser.id` is OpenTelemetry's own name; it has none for the rest."""
    if not span.is_recording():
        return
    span.set_attribute("latchstring.request.id", request_id)
    if access is None:
        return
    if access.user_id is not None:
        span.set_attribute("enduser.id", access.user_id)
    span.set_attribute("latchstring.client.id", access.client_id)
    span.set_attribute("latchstring.organization.id", access.organization_id)
    span.set_attribute("latchstring.scope", access.scope)
