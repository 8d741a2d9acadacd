"""Why a grant's code or token gets nothing: `invalid_grant` in words that say whose move it is (RFC 6749 §5.2)."""

from latchstring.authorization_server.records import GrantRecord
from latchstring.protocol.errors import OAuthError

CODE_REPLAYED = "authorization_code_replayed"
DEVICE_CODE_REPLAYED = "device_code_replayed"
REFRESH_TOKEN_REUSE = "refresh_token_reuse"
MEMBERSHIP_ENDED = "membership_ended"
REVOKED_BY_CLIENT = "revoked_by_client"
DISCONNECTED = "disconnected"
ENDED_BY_OPERATOR = "ended_by_operator"
REGISTRATION_DELETED = "registration_deleted"

_ENDINGS = {
    CODE_REPLAYED: "superseded: the authorization code was used twice, so the grant was ended.",
    DEVICE_CODE_REPLAYED: "superseded: the device code was used again, so the grant was ended.",
    REFRESH_TOKEN_REUSE: "superseded: an old refresh token was used again, so the grant was ended.",
    MEMBERSHIP_ENDED: "membership_ended: the member is no longer in the organization.",
    REVOKED_BY_CLIENT: "revoked: the app itself revoked the grant.",
    DISCONNECTED: "revoked: a person disconnected the app.",
    ENDED_BY_OPERATOR: "revoked: the operator ended the grant.",
    REGISTRATION_DELETED: "revoked: the app deleted its registration.",
}
_RECONNECT = " Send the member to connect again."


def refuse_grant(description: str, reason: str = "") -> OAuthError:
    """`invalid_grant` with that description."""
    return OAuthError("invalid_grant", description, reason)


def refuse_ended(grant: GrantRecord) -> OAuthError:
    """`invalid_grant` that says how the grant ended or why it is suspended."""
    why = MEMBERSHIP_ENDED if grant.status == "suspended" else grant.ended_reason
    return refuse_grant(_ENDINGS.get(why or "", "revoked: the grant has ended.") + _RECONNECT, f"grant ended: {why}")
