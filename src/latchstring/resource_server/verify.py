"""The guard's rules: which token a request carries, and whether what the server says of it will do. Pure."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec

from latchstring.protocol.bearer import BEARER, DPOP, SentToken, parse_sent_token
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.introspection import IntrospectionResponse
from latchstring.protocol.scope import parse_scope
from latchstring.resource_server.possession import Shown, verify_possession
from latchstring.resource_server.refusal import Refusal, refuse_unavailable

_NOTHING: Final = Shown()
_MAX_ACTING: Final = 32
# An API sees few scopes, and each of them with every request.
_read_scope: Final = lru_cache(1024)(parse_scope)
_SCHEMES: Final = frozenset({BEARER.lower().encode(), DPOP.lower().encode()})


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls, for which organization, through which app, and what they may do.

    `user_id` is None when an app acts for the organization itself and no person stands behind the request.
    `acting` are the clients or users who act for that person or app, the latest first (RFC 8693 §4.1); empty where
    nobody does. `authorization_details` are what was allowed in detail (RFC 9396), each with its `type`. `token_id` is
    the token's `jti`, for the audit log. `expires_at` is in epoch seconds. The token itself is not kept: what was sent
    to this API is not for forwarding (SECURITY-CASES S19).
    """

    organization_id: str
    client_id: str
    scope: tuple[str, ...]
    expires_at: int
    user_id: str | None = None
    token_id: str | None = None
    acting: tuple[str, ...] = ()
    authorization_details: tuple[dict[str, Any], ...] = ()
    signed_in_at: int | None = None
    acr: str | None = None


def find_token(authorization: Sequence[bytes], query: bytes = b"", scheme: str = BEARER) -> SentToken:
    """The request's access token, from the `Authorization` header alone (OAuth 2.1 §5.1); a `Refusal` for all else.

    A token in the query is ignored, because URLs are logged; together with one in the header it is a request
    that uses two methods (RFC 6750 §3.1).
    """
    try:
        sent = parse_sent_token(_separate(authorization))
    except OAuthError as error:
        raise Refusal(error.code, error.description, error.reason) from None
    if sent is None:
        why = f"This API needs an access token, sent as Authorization: {scheme} and the token."
        raise Refusal(None, why, scheme=scheme)
    if query and _has_access_token(query):
        raise Refusal("invalid_request", "The access token belongs in the Authorization header only.")
    return sent


def _separate(authorization: Sequence[bytes]) -> Sequence[bytes]:
    """The headers one by one: WSGI servers join several by commas (RFC 9110 §5.3), and no credentials of ours have any.
    Those of other schemes are left alone."""
    if len(authorization) == 1 and b"," not in authorization[0]:
        return [authorization[0].strip(b" ")]
    parts = [part.strip(b" ") for value in authorization for part in value.split(b",")]
    is_ours = any(part.partition(b" ")[0].lower() in _SCHEMES for part in parts)
    return parts if is_ours else authorization


def _has_access_token(query: bytes) -> bool:
    return any(unquote_to_bytes(pair.partition(b"=")[0]) == b"access_token" for pair in query.split(b"&"))


def looks_signed(token: str) -> bool:
    """Whether it can be a JWT at all; an opaque token has no dots."""
    return token.count(".") == 2


def decide_access(
    answer: IntrospectionResponse,
    *,
    issuer: str,
    resource: str,
    now: float,
    shown: Shown = _NOTHING,
    is_binding_required: bool = False,
) -> Access:
    """What the token lets its bearer do, from the server's answer (RFC 7662 §2.2); refuses a token that is
    inactive, expired, not yet valid, bound to what was not `shown`, or for another API.

    An answer that lacks what a decision needs is the server's fault, not the token's: a 503. A token without
    `aud` is for every API of the deployment; with `aud`, this API must stand in it exactly.
    """
    if not answer.active:
        raise Refusal(
            "invalid_token",
            "The access token is expired, revoked or unknown: refresh it, and if that is refused, reconnect.",
        )
    if answer.iss != issuer:
        raise refuse_unavailable(f"introspection answered for issuer {answer.iss!r}, not for {issuer!r}")
    if answer.exp is None or answer.token_type is None or not answer.client_id or not answer.organization_id:
        raise refuse_unavailable("introspection names no exp, token_type, client_id or organization_id")
    verify_possession(answer.token_type, answer.cnf, shown, is_required=is_binding_required)
    if answer.exp <= now:
        raise Refusal("invalid_token", "The access token has expired: refresh it.")
    if answer.nbf is not None and answer.nbf > now:
        raise Refusal("invalid_token", "The access token is not valid yet.")
    audience = (answer.aud,) if isinstance(answer.aud, str) else answer.aud
    if audience is not None and resource not in audience:
        raise Refusal(
            "invalid_token",
            f"The access token is for another API: request one for {resource}.",
            f"aud {answer.aud!r} lacks {resource!r}",
        )
    try:
        scope = _read_scope(answer.scope) if answer.scope else ()
    except OAuthError:
        raise refuse_unavailable("introspection answered with a malformed scope") from None
    return Access(
        user_id=answer.user_id,
        organization_id=answer.organization_id,
        client_id=answer.client_id,
        scope=scope,
        token_id=answer.jti,
        expires_at=answer.exp,
        acting=_find_acting(answer.act),
        authorization_details=tuple(answer.authorization_details or ()),
        signed_in_at=answer.auth_time,
        acr=answer.acr,
    )


def _find_acting(act: object) -> tuple[str, ...]:
    """Who acts, out of the nested `act` (RFC 8693 §4.1). Somebody who is not named is nobody to be silent about."""
    acting: list[str] = []
    while act is not None:
        subject = act.get("sub") if isinstance(act, dict) else None
        if not isinstance(subject, str) or not subject or len(acting) == _MAX_ACTING:
            raise refuse_unavailable("introspection answered with a malformed act")
        acting.append(subject)
        act = act.get("act") if isinstance(act, dict) else None
    return tuple(acting)
