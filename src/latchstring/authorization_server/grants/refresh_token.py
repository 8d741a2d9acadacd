"""The refresh token grant (RFC 6749 §6, RFC 9700 §4.14)."""

import msgspec

from latchstring.authorization_server.binding import verify_binding, verify_retry_binding
from latchstring.authorization_server.policy import find_policy
from latchstring.authorization_server.records import ClientRecord, GrantRecord
from latchstring.authorization_server.refusals import refuse_ended, refuse_grant, refuse_missing
from latchstring.authorization_server.rotation import RotationVerdict, decide_rotation
from latchstring.authorization_server.tokens import RefreshToken, TokenCodec
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.scope import parse_scope
from latchstring.protocol.token_request import TokenRequest


class Refresh(msgspec.Struct, frozen=True):
    """What to do, and the access token's scope where the client asked for less than the grant's."""

    verdict: RotationVerdict
    narrowed_scope: tuple[str, ...] | None


def decide(
    request: TokenRequest,
    client: ClientRecord,
    token: RefreshToken,
    grant: GrantRecord | None,
    codec: TokenCodec,
    *,
    retry_window: int,
    now: int,
    confirmation: Confirmation | None = None,
) -> Refresh:
    """Whether the refresh token rotates, stays, is a retry, or is reuse. The refusals consume nothing.

    A public client proves the key that its grant is bound to; a confidential one proves itself, and may change its
    key (RFC 9449 §5).
    """
    if grant is None:
        raise refuse_missing("refresh token", token.grant_id, codec.epoch)
    if not codec.verify_refresh_token(token, grant.row_secret):
        raise refuse_grant("The refresh token is unknown.", "the MAC is wrong")
    if grant.client_id != client.client_id:
        raise refuse_grant("The refresh token is unknown.", "the refresh token belongs to another client")
    if client.is_public:
        verify_binding(grant, confirmation)
    if grant.status != "active":
        raise refuse_ended(grant)
    if token.generation < 1 or token.generation > grant.generation:
        raise refuse_grant("The refresh token is unknown.", "the generation was never issued")
    rotates = find_policy(client).rotates_refresh_tokens
    verdict = decide_rotation(token.generation, grant, retry_window, now, rotates=rotates)
    if verdict is RotationVerdict.REUSE:
        return Refresh(verdict, None)
    if grant.expires_at is not None and grant.expires_at <= now:
        raise refuse_grant("expired: the refresh token was not used in time. Send the member to connect again.")
    if verdict is RotationVerdict.RETRY:
        verify_retry_binding(grant, confirmation)
    return Refresh(verdict, _narrow(request, grant))


def _narrow(request: TokenRequest, grant: GrantRecord) -> tuple[str, ...] | None:
    if request.scope is None:
        return None
    scope = parse_scope(request.scope)
    if not set(scope) <= set(grant.scope):
        raise OAuthError("invalid_scope", "The scope is wider than what the member granted.")
    return None if set(scope) == set(grant.scope) else scope
