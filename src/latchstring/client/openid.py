"""Who has connected, where the provider is an OpenID Provider: when an ID token must come, and what comes of it.

Light: what verifies it (`id_token`) is loaded when there is one.
"""

from typing import Final

from latchstring.client.connection import Connection, PendingLogin
from latchstring.client.errors import Misconfigured
from latchstring.client.person import Identity
from latchstring.client.provider import Provider
from latchstring.client.settings import Context
from latchstring.client.steps import Flow
from latchstring.protocol.token_answer import TokenAnswer

SCOPE: Final = "openid"


def asks_for_id_token(scope: str) -> bool:
    """Whether that scope makes the request one of OpenID Connect (OpenID Connect Core §3.1.2.1)."""
    return SCOPE in scope.split()


def refuse_unverifiable(provider: Provider, scope: str) -> None:
    """Refuse to ask for an ID token that could not be verified, before anybody is sent anywhere."""
    if not asks_for_id_token(scope):
        return
    if provider.jwks_uri is None:
        raise Misconfigured(
            "openid_unsupported",
            "The scope has openid, and the provider names no keys for ID tokens: leave it out, or say where they are "
            "(Provider(jwks_uri=…)).",
        )
    missing = find_missing_library()
    if missing is not None:
        raise missing


def find_missing_library() -> Misconfigured | None:
    """What stands against reading ID tokens here: the client may be installed without what verifies signatures."""
    try:
        import joserfc  # noqa: F401 -- only whether it is there
    except ImportError as error:
        why = "ID tokens are verified with joserfc, which is not installed: pip install 'latchstring[jwt]'."
        return Misconfigured("openid_unsupported", why, cause=error)
    return None


def find_person(
    context: Context,
    provider: Provider,
    tokens: TokenAnswer,
    *,
    scope: str,
    login: PendingLogin | None,
    code: str | None,
) -> Flow[Identity | None]:
    """Who it was, by the ID token that came with the tokens; None where it is not about OpenID Connect.

    Once `openid` was asked for or granted there is no way around a token that verifies. `login` is what the browser was
    sent away with, `code` what it brought; a device has neither.
    """
    is_granted = provider.jwks_uri is not None and asks_for_id_token(tokens.scope or "")
    if not asks_for_id_token(scope) and not is_granted:
        return None
    refuse_unverifiable(provider, SCOPE)
    if "id_token" not in tokens.members:
        raise Misconfigured("id_token_missing", "The scope has openid, and the provider's answer has no ID token.")
    from latchstring.client.id_token import verify

    return (yield from verify(context, provider, tokens, login=login, code=code))


def refuse_another_person(context: Context, provider: Provider, leased: Connection, tokens: TokenAnswer) -> Flow[None]:
    """Refuse the answer to a refresh whose ID token is not of who connected (OpenID Connect Core §12.2). It need not
    have one, and what it says besides changes nothing here."""
    if leased.identity is None or "id_token" not in tokens.members:
        return
    from latchstring.client.id_token import verify_again

    yield from verify_again(context, provider, leased.identity, tokens)
