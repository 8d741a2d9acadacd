"""Why a grant's code or token gets nothing: `invalid_grant` in words that say whose move it is (RFC 6749 §5.2)."""

from collections.abc import Mapping
from typing import Any, Final

from latchstring.authorization_server.epoch import Epoch
from latchstring.authorization_server.identifiers import find_made_at
from latchstring.authorization_server.records import GrantRecord
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.jose.claims import find_time

CODE_REPLAYED = "authorization_code_replayed"
DEVICE_CODE_REPLAYED = "device_code_replayed"
REFRESH_TOKEN_REUSE = "refresh_token_reuse"
MEMBERSHIP_ENDED = "membership_ended"
REVOKED_BY_CLIENT = "revoked_by_client"
DISCONNECTED = "disconnected"
ENDED_BY_OPERATOR = "ended_by_operator"
REGISTRATION_DELETED = "registration_deleted"
RESTORED = "restored"
DISCONNECTED_BY_ADMIN = "disconnected_by_admin"
BLOCKED_BY_ADMIN = "blocked_by_admin"
MEMBERSHIP_SUSPENDED = "membership_suspended"
ORGANIZATION_CLOSED = "organization_closed"
USER_DISABLED = "user_disabled"
USER_DELETED = "user_deleted"
APP_SUSPENDED = "app_suspended"
APP_DELETED = "app_deleted"
APP_PRIVATE = "app_private"
REPLACED = "replaced"

_WORDS = {
    CODE_REPLAYED: "superseded: the authorization code was used twice, so the grant was ended.",
    DEVICE_CODE_REPLAYED: "superseded: the device code was used again, so the grant was ended.",
    REFRESH_TOKEN_REUSE: "superseded: an old refresh token was used again, so the grant was ended.",
    REVOKED_BY_CLIENT: "revoked: the app itself revoked the grant.",
    DISCONNECTED: "revoked: a person disconnected the app.",
    ENDED_BY_OPERATOR: "revoked: the operator ended the grant.",
    REPLACED: "superseded: the member connected the app anew, in place of this grant.",
    REGISTRATION_DELETED: "revoked: the app deleted its registration.",
    RESTORED: "restored: the server went back to a backup, which cannot know what was used or revoked after it.",
    DISCONNECTED_BY_ADMIN: "revoked: an admin of the organization disconnected the app.",
    BLOCKED_BY_ADMIN: "revoked: an admin of the organization blocked the app.",
    USER_DELETED: "revoked: the member's account was deleted.",
    APP_DELETED: "revoked: the app was deleted.",
    MEMBERSHIP_ENDED: "membership_ended: the member is no longer in the organization.",
    MEMBERSHIP_SUSPENDED: "membership_suspended: the member's place in the organization is suspended.",
    ORGANIZATION_CLOSED: "organization_closed: the organization is closed.",
    USER_DISABLED: "user_disabled: the member's account is disabled.",
    APP_SUSPENDED: "app_suspended: the app is suspended here.",
    APP_PRIVATE: "app_private: the app is private to an organization that the member is not in.",
}
_RECONNECT = " Send the member to connect again."
_KEEP = " Keep the refresh token: it works again if that changes."
_RETRY_AFTER: Final = 10


def refuse_grant(description: str, reason: str = "") -> OAuthError:
    """`invalid_grant` with that description."""
    return OAuthError("invalid_grant", description, reason)


def refuse_ended(grant: GrantRecord) -> OAuthError:
    """`invalid_grant` that says how the grant ended or why it is suspended."""
    is_suspended = grant.status == "suspended"
    # One that an older server suspended has no reason of its own: there was only this one.
    why = (grant.suspended_reason or MEMBERSHIP_ENDED) if is_suspended else grant.ended_reason
    words = _WORDS.get(why or "", "revoked: the grant has ended.")
    return refuse_grant(words + (_KEEP if is_suspended else _RECONNECT), f"grant {grant.status}: {why}")


def refuse_suspended(*, has_grant: bool = False) -> OAuthError:
    """What a suspended app gets: `invalid_grant` for what stands on a grant, `unauthorized_client` for all else."""
    if has_grant:
        return refuse_grant(_WORDS[APP_SUSPENDED] + _KEEP, "the app is suspended")
    return OAuthError("unauthorized_client", _WORDS[APP_SUSPENDED], "the app is suspended")


def refuse_missing(credential: str, grant_id: bytes, epoch: Epoch) -> OAuthError:
    """`invalid_grant` for a grant that has no row. One older than a restoration may have been made after the backup:
    nobody forged anything then, and nobody has to be alarmed."""
    if find_made_at(grant_id) < epoch.began_at:
        return refuse_grant(
            f"restored: the {credential} is unknown since the server went back to a backup.{_RECONNECT}",
            "no such grant, and the database was restored since its time",
        )
    return refuse_grant(f"The {credential} is unknown.", "no such grant")


def refuse_forgotten(claims: Mapping[str, Any], epoch: Epoch, now: int, *, max_lifetime: int) -> None:
    """Refuse, for the moment and as nobody's fault, a JWT that may have been used before the database was restored."""
    if epoch.may_have_seen(find_time(claims, "iat"), now, max_lifetime=max_lifetime):
        raise OAuthError(
            "temporarily_unavailable",
            "The server went back to a backup a few minutes ago: make a new assertion, with iat.",
            "the assertion may have been used before the restoration",
            retry_after=_RETRY_AFTER,
        )
