"""What every way to connect ends with: whose tokens they are, and a stored connection."""

from latchstring.client.connection import Connection, PendingLogin
from latchstring.client.errors import CallbackRefused
from latchstring.client.identity import find_identity
from latchstring.client.openid import find_person
from latchstring.client.provider import Provider
from latchstring.client.revocation import build_revocation
from latchstring.client.settings import Context
from latchstring.client.steps import Flow, ask, send, tell
from latchstring.protocol.token_answer import TokenAnswer


def connect(
    context: Context,
    provider: Provider,
    tokens: TokenAnswer,
    sent_at: float,
    *,
    scope: str,
    login: PendingLogin | None = None,
    code: str | None = None,
) -> Flow[Connection]:
    """The connection that a person's tokens make, stored before it is returned. `scope` is what was asked for: it was
    granted where the answer does not say otherwise (RFC 6749 §5.1). `sent_at` is when the tokens were asked for.
    `login` is what the browser was sent away with, `code` what it brought; a device has neither. Another's connection
    than the one that the login is to renew is refused and not stored."""
    person = yield from find_person(context, provider, tokens, scope=scope, login=login, code=code)
    organization_id, user_id = yield from find_identity(provider, tokens, person)
    made = Connection(
        issuer=provider.issuer,
        organization_id=organization_id,
        user_id=user_id,
        client_id=context.settings.client_id,
        scope=scope if tokens.scope is None else tokens.scope,
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        expires_at=None if tokens.expires_in is None else sent_at + tokens.expires_in,
        connected_at=sent_at,
        refreshed_at=sent_at,
        asked_scope=scope,
        step_ups=0 if login is None else login.step_ups,
        identity=person,
    )
    reconnects = None if login is None else login.reconnects
    if reconnects is not None and reconnects != (organization_id, user_id):
        raise (yield from _refuse_another(context, provider, made, reconnects))
    stored = yield from ask(context.store.commit_connected, made)
    yield from tell("connected", stored)
    return stored


def _refuse_another(
    context: Context, provider: Provider, made: Connection, reconnects: tuple[str, str]
) -> Flow[CallbackRefused]:
    """Why it is not taken. Its tokens are handed back, as well as one can; but not where there is a connection of that
    very person's, which some providers would end with them."""
    if (yield from ask(context.store.find_connection, made.key)) is None:
        request = build_revocation(context.settings, provider, made)
        if request is not None:
            yield from send(request)
    meant = yield from ask(context.store.find_connection, context.key(*reconnects))
    if meant is not None:
        yield from tell("mismatched", meant)
    if made.organization_id != reconnects[0]:
        return CallbackRefused("organization_changed", "Another organization was chosen than the connection's.")
    return CallbackRefused("user_changed", "Somebody else signed in than the one whose connection it is.")
