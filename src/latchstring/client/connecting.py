"""What every way to connect ends with: whose tokens they are, and a stored connection."""

from latchstring.client.connection import Connection
from latchstring.client.identity import find_identity
from latchstring.client.provider import Provider
from latchstring.client.settings import Context
from latchstring.client.steps import Flow, ask, tell
from latchstring.protocol.token_answer import TokenAnswer


def connect(
    context: Context, provider: Provider, tokens: TokenAnswer, sent_at: float, *, scope: str, step_ups: int = 0
) -> Flow[Connection]:
    """The connection that a person's tokens make, stored before it is returned. `scope` is what was asked for: it was
    granted where the answer does not say otherwise (RFC 6749 §5.1). `sent_at` is when the tokens were asked for."""
    organization_id, user_id = yield from find_identity(context, provider, tokens)
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
        step_ups=step_ups,
    )
    stored = yield from ask(context.store.commit_connected, made)
    yield from tell("connected", stored)
    return stored
