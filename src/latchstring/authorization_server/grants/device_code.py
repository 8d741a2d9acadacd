"""The device authorization grant (RFC 8628 §3.4, §3.5)."""

from enum import Enum
from typing import Final

from latchstring.authorization_server.binding import verify_binding, verify_retry_binding
from latchstring.authorization_server.records import ClientRecord, DeviceAuthorizationRecord, GrantRecord
from latchstring.authorization_server.refusals import refuse_ended, refuse_grant
from latchstring.authorization_server.tokens import DeviceCode, TokenCodec
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.device_authorization import POLL_INTERVAL
from latchstring.protocol.errors import OAuthError

MAX_INTERVAL: Final = 60
"""Seconds; a device that never listens is told `slow_down` at this interval and costs no more for asking oftener."""


class Poll(Enum):
    """What a device is told that asks while a person has not answered."""

    PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"


class Redemption(Enum):
    """What becomes of a device code whose grant stands."""

    REDEEM = "redeem"
    RETRY = "retry"
    END_REPLAYED = "end_replayed"


def decide_poll(
    client: ClientRecord, code: DeviceCode, device: DeviceAuthorizationRecord, codec: TokenCodec, now: int
) -> Poll:
    """Whether the device may go on asking, and at its pace (RFC 8628 §3.5)."""
    if not codec.verify_device_code(code, device.row_secret) or device.client_id != client.client_id:
        raise refuse_unknown()
    if device.is_denied:
        raise OAuthError("access_denied", "The member declined.")
    if device.expires_at <= now:
        raise refuse_expired()
    if device.polled_at is not None and now - device.polled_at < device.interval:
        return Poll.SLOW_DOWN
    return Poll.PENDING


def decide(
    client: ClientRecord,
    code: DeviceCode,
    grant: GrantRecord | None,
    codec: TokenCodec,
    confirmation: Confirmation | None = None,
    *,
    retry_window: int,
    now: int,
) -> Redemption:
    """Whether the device code is redeemed, or asked for again because its answer was lost, or replayed.

    As with a refresh token: a repetition within the retry window gets the same refresh token while that is unused,
    but not faster than a device may poll, so that of many at once one alone has an answer. Whoever does not prove the
    key that the answer was bound to gets and ends nothing.
    """
    if grant is None or not codec.verify_device_code(code, grant.row_secret) or grant.client_id != client.client_id:
        raise refuse_unknown()
    if grant.status == "pending":
        if grant.expires_at is not None and grant.expires_at <= now:
            raise refuse_expired()
        return Redemption.REDEEM
    if grant.status != "active" or grant.activated_at is None:
        raise refuse_ended(grant)
    since = now - grant.activated_at
    if since < POLL_INTERVAL:
        raise refuse_fast()
    verify_binding(grant, confirmation)
    if grant.rotated_at is not None or since > retry_window:
        return Redemption.END_REPLAYED
    verify_retry_binding(grant, confirmation)
    return Redemption.RETRY


def refuse_unknown() -> OAuthError:
    """One wording for a code that never was and for another client's."""
    return refuse_grant("The device code is unknown, or expired long ago.", "no such device code for this client")


def refuse_expired() -> OAuthError:
    """`expired_token` (RFC 8628 §3.5)."""
    return OAuthError("expired_token", "The device code is too old. Begin again with a new one.")


def refuse_fast() -> OAuthError:
    """`slow_down` (RFC 8628 §3.5)."""
    return OAuthError("slow_down", "Wait five seconds longer between two polls from now on.")
