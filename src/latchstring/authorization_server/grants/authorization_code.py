"""The authorization code grant (RFC 6749 §4.1.3, RFC 7636 §4.6)."""

import msgspec

from latchstring.authorization_server.binding import verify_binding
from latchstring.authorization_server.records import ClientRecord, GrantRecord
from latchstring.authorization_server.refusals import refuse_ended, refuse_grant, refuse_missing
from latchstring.authorization_server.tokens import Code, TokenCodec
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.pkce import is_code_verifier, verify_code_verifier
from latchstring.protocol.scope import OFFLINE_ACCESS
from latchstring.protocol.token_request import TokenRequest


class Redeem(msgspec.Struct, frozen=True):
    """Make the pending grant active. `generation` is 1 where a refresh token is due, else 0."""

    generation: int


class EndReplayed(msgspec.Struct, frozen=True):
    """End the grant: its code came a second time, with everything else right (OAuth 2.1 §7.5.2)."""


def decide(
    request: TokenRequest,
    client: ClientRecord,
    code: Code,
    grant: GrantRecord | None,
    codec: TokenCodec,
    now: int,
    confirmation: Confirmation | None = None,
) -> Redeem | EndReplayed:
    """Whether the code is redeemed: possession is proved in full before anything may be consumed or ended."""
    if grant is None:
        raise refuse_missing("authorization code", code.grant_id, codec.epoch)
    if not codec.verify_code(code, grant.row_secret):
        raise refuse_grant("The authorization code is unknown.", "the MAC is wrong")
    if grant.client_id != client.client_id:
        raise refuse_grant("The authorization code is unknown.", "the code belongs to another client")
    _verify_redirect_uri(request, grant)
    _verify_code_verifier(request, grant)
    verify_binding(grant, confirmation)
    if grant.activated_at is not None:
        if grant.status == "active":
            return EndReplayed()
        raise refuse_ended(grant)
    if grant.status != "pending":
        raise refuse_ended(grant)
    if grant.expires_at is not None and grant.expires_at <= now:
        raise refuse_grant("expired: the authorization code is too old. Send the member to connect again.")
    return Redeem(1 if OFFLINE_ACCESS in grant.scope else 0)


def _verify_redirect_uri(request: TokenRequest, grant: GrantRecord) -> None:
    # RFC 6749 §4.1.3 wants it repeated exactly when it was sent; OAuth 2.1 drops it, and PKCE does its work.
    if request.redirect_uri is None:
        if grant.redirect_uri is not None and grant.code_challenge is None:
            raise refuse_grant("redirect_uri is missing: it was part of the authorization request.")
    elif grant.redirect_uri is not None and request.redirect_uri != grant.redirect_uri:
        raise refuse_grant("redirect_uri differs from the one in the authorization request.")


def _verify_code_verifier(request: TokenRequest, grant: GrantRecord) -> None:
    if grant.code_challenge is None:
        if request.code_verifier is not None:
            raise OAuthError(
                "invalid_request", "code_verifier was sent, but the authorization request had no code_challenge."
            )
        return
    if request.code_verifier is None:
        raise refuse_grant("code_verifier is missing: the authorization request had a code_challenge.")
    if not is_code_verifier(request.code_verifier):
        raise refuse_grant("code_verifier is malformed: 43 to 128 unreserved characters (RFC 7636 section 4.1).")
    if not verify_code_verifier(request.code_verifier, grant.code_challenge):
        raise refuse_grant("code_verifier does not match the code_challenge.")
