"""What is written down of what people, apps and the server itself do: who, what, from where, in which request.

An event is recorded in the very transaction of the change, by whoever makes the change; it is never changed afterwards
and holds no credential, neither whole nor as a hash.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, Literal, Protocol

import msgspec

ActorKind = Literal["user", "client", "operator", "system", "cli"]
SubjectKind = Literal[
    "grant",
    "token",
    "app",
    "membership",
    "organization",
    "user",
    "approval",
    "policy",
    "request",
    "webhook",
    "database",
    "key",
]
Facts = Mapping[str, Any]
"""What an event tells of a change: plain values by name, and never a credential."""
EVENT: Final = "evnt"


class Action(StrEnum):
    """Every kind of event, once: a name that never changes, and a sentence for people in `web/rendering/actions.py`."""

    GRANT_CREATED = "grant.created"
    GRANT_ENDED = "grant.ended"
    GRANT_SUSPENDED = "grant.suspended"
    GRANT_RESUMED = "grant.resumed"
    GRANT_TAKEN_OVER = "grant.taken_over"
    GRANT_REUSE_DETECTED = "grant.reuse_detected"
    TOKEN_REVOKED = "token.revoked"
    MEMBERSHIP_ADDED = "membership.added"
    MEMBERSHIP_CHANGED = "membership.changed"
    MEMBERSHIP_SUSPENDED = "membership.suspended"
    MEMBERSHIP_RESUMED = "membership.resumed"
    MEMBERSHIP_ENDED = "membership.ended"
    APP_CREATED = "app.created"
    APP_CHANGED = "app.changed"
    APP_PUBLISHED = "app.published"
    APP_WITHDRAWN = "app.withdrawn"
    APP_SUSPENDED = "app.suspended"
    APP_REINSTATED = "app.reinstated"
    APP_DELETED = "app.deleted"
    APP_SECRETS_CHANGED = "app.secrets_changed"
    APP_APPROVED = "app.approved"
    APP_APPROVAL_ENDED = "app.approval_ended"
    POLICY_CHANGED = "policy.changed"
    POLICY_APP_APPROVED = "policy.app_approved"
    POLICY_APP_BLOCKED = "policy.app_blocked"
    POLICY_APP_FORGOTTEN = "policy.app_forgotten"
    REQUEST_MADE = "request.made"
    REQUEST_APPROVED = "request.approved"
    REQUEST_DECLINED = "request.declined"
    REQUEST_LAPSED = "request.lapsed"
    APP_REVIEW_ASKED = "app.review_asked"
    APP_REVIEW_WITHDRAWN = "app.review_withdrawn"
    APP_REVIEW_APPROVED = "app.review_approved"
    APP_REVIEW_DECLINED = "app.review_declined"
    PUBLISHER_CLAIMED = "publisher.claimed"
    PUBLISHER_VERIFIED = "publisher.verified"
    PUBLISHER_LOST = "publisher.lost"
    PUBLISHER_ENDED = "publisher.ended"
    WEBHOOK_CREATED = "webhook.created"
    WEBHOOK_CHANGED = "webhook.changed"
    WEBHOOK_DELETED = "webhook.deleted"
    WEBHOOK_DISABLED = "webhook.disabled"
    WEBHOOK_TESTED = "webhook.test"
    ORGANIZATION_CREATED = "organization.created"
    ORGANIZATION_CHANGED = "organization.changed"
    ORGANIZATION_CLOSED = "organization.closed"
    ORGANIZATION_REOPENED = "organization.reopened"
    USER_CREATED = "user.created"
    USER_PASSWORD_CHANGED = "user.password_changed"
    USER_SECOND_FACTOR_ADDED = "user.second_factor_added"
    USER_SECOND_FACTOR_REMOVED = "user.second_factor_removed"
    USER_RECOVERY_CODES_REPLACED = "user.recovery_codes_replaced"
    USER_RECOVERY_CODE_USED = "user.recovery_code_used"
    PASSKEY_ADDED = "passkey.added"
    PASSKEY_REMOVED = "passkey.removed"
    PASSKEY_SUSPECTED = "passkey.suspected"
    USER_SIGNED_OUT = "user.signed_out"
    USER_DISABLED = "user.disabled"
    USER_ENABLED = "user.enabled"
    USER_DELETED = "user.deleted"
    OPERATOR_ADDED = "operator.added"
    OPERATOR_REMOVED = "operator.removed"
    DATABASE_RESTORED = "database.restored"
    KEY_RETIRED = "key.retired"


class Origin(msgspec.Struct, frozen=True):
    """Who asks for a change, from where, in which request. An operator is a user at work under `/operator`. Who asks by
    the API asks through an app: `client_id`."""

    actor_kind: ActorKind
    actor_id: str | None = None
    address: str | None = None
    request_id: str | None = None
    client_id: str | None = None

    @property
    def decider(self) -> str:
        """Who is written down as having decided: a user, or `operator` for the command line."""
        return self.actor_id or "operator"

    def of_client(self, client_id: str) -> "Origin":
        """The same request, now that the client has proven itself."""
        return Origin("client", client_id, self.address, self.request_id)


class Source(Protocol):
    """Where a program's request comes from, looked up only where there is something to tell."""

    @property
    def address(self) -> str | None:
        """The network address, if it is known."""

    def of_client(self, client_id: str) -> Origin:
        """The origin, now that the client has proven itself."""


SYSTEM: Final = Origin("system")
COMMAND_LINE: Final = Origin("cli")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to one subject. `organization_id` is the organization whose admins may read of it.

    `before` and `after` say what changed, as JSON objects of plain values: ids, names, scopes, reasons.
    """

    action: Action
    at: int
    origin: Origin
    subject_kind: SubjectKind
    subject_id: str
    organization_id: str | None = None
    client_id: str | None = None
    user_id: str | None = None
    before: Facts | None = None
    after: Facts | None = None


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are wanted; None is any."""

    organization_id: str | None = None
    client_id: str | None = None
    user_id: str | None = None
    action: Action | None = None


class EventRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An event as kept; ids sort by time."""

    id: bytes
    event: Event
