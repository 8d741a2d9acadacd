"""Verifying ID tokens (OpenID Connect Core §3.1.3.7, §12.2). Needs joserfc: loaded when there is one (`openid`)."""

from typing import Final

from latchstring.client.connection import PendingLogin
from latchstring.client.errors import CallbackRefused, ClientError, IdentityChanged, Misconfigured
from latchstring.client.person import Identity
from latchstring.client.provider import Provider
from latchstring.client.settings import Context
from latchstring.client.steps import Flow
from latchstring.protocol.id_token import (
    MAX_ID_TOKEN_LENGTH,
    Expected,
    NonceMismatch,
    SignInTooOld,
    SubjectChanged,
    verify_id_token,
    verify_same_person,
)
from latchstring.protocol.jose.jws import JwtRefused, UnverifiedJwt, parse_jwt
from latchstring.protocol.token_answer import TokenAnswer

_TRIES: Final = 3


def verify(
    context: Context, provider: Provider, tokens: TokenAnswer, *, login: PendingLogin | None, code: str | None
) -> Flow[Identity]:
    """Who the ID token is of. Raises `CallbackRefused` where it is of another login (`nonce_mismatch`) or of a sign-in
    too long ago (`sign_in_too_old`), and `Misconfigured` (`id_token_refused`) for all else that is wrong with it."""
    expected = Expected(
        issuer=provider.issuer,
        client_id=context.settings.client_id,
        access_token=tokens.access_token,
        code=code,
        nonce=None if login is None else login.nonce,
        signed_in_after=None if login is None else login.signed_in_after,
    )
    try:
        return (yield from _verify(context, provider, _parse(tokens), expected, tries=_TRIES))
    except NonceMismatch as refused:
        raise CallbackRefused(
            "nonce_mismatch", "The ID token is not of the login that this browser began."
        ) from refused
    except SignInTooOld as refused:
        why = "The person signed in longer ago than was asked for (max_age)."
        raise CallbackRefused("sign_in_too_old", why) from refused
    except JwtRefused as refused:
        raise Misconfigured("id_token_refused", f"The ID token was refused: {refused}.", cause=refused) from refused


def verify_again(context: Context, provider: Provider, before: Identity, tokens: TokenAnswer) -> Flow[None]:
    """Refuse a refresh's ID token that is not of the same person, provider and client, or is none of the provider's.

    Where the provider's keys cannot be had, the comparison alone decides: the refresh token may have been rotated, and
    what came with the answer would be lost.
    """
    try:
        jwt = _parse(tokens)
        verify_same_person(jwt.claims, before.claims)
        expected = Expected(
            issuer=provider.issuer,
            client_id=context.settings.client_id,
            access_token=tokens.access_token,
            nonce=jwt.claims.get("nonce"),
        )
        yield from _verify(context, provider, jwt, expected, tries=1)
    except SubjectChanged as refused:
        why = "The refresh answered for another user by its ID token; its tokens were refused."
        raise IdentityChanged("user_changed", why) from refused
    except JwtRefused as refused:
        raise IdentityChanged("id_token_refused", f"The refresh's ID token was refused: {refused}.") from refused
    except ClientError:
        return


def _parse(tokens: TokenAnswer) -> UnverifiedJwt:
    text = tokens.members["id_token"]
    if not isinstance(text, str):
        raise JwtRefused("it is not a string")
    return parse_jwt(text, max_length=MAX_ID_TOKEN_LENGTH)


def _verify(
    context: Context, provider: Provider, jwt: UnverifiedJwt, expected: Expected, *, tries: int
) -> Flow[Identity]:
    if provider.jwks_uri is None:
        raise Misconfigured("openid_unsupported", "The provider names no keys for ID tokens any more.")
    keys = yield from context.keys.find(provider.jwks_uri, jwt.header.get("kid"), context.clock(), tries=tries)
    algorithm = provider.id_token_signed_response_alg
    claims = verify_id_token(jwt, keys, algorithm=algorithm, expected=expected, now=context.clock())
    return Identity(claims=claims)
