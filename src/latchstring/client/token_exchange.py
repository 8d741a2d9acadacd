"""Token exchange (RFC 8693): an API calls another one for the same member, with a token of its own."""

import msgspec

from latchstring.client.exchange import Answer
from latchstring.client.settings import Context
from latchstring.client.steps import Flow, send
from latchstring.client.token_endpoint import build_request, read_tokens
from latchstring.protocol.client_metadata import TOKEN_EXCHANGE
from latchstring.protocol.token_exchange import ACCESS_TOKEN_TYPE


class ExchangedToken(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an exchange; not stored: it is for the request at hand. `expires_at` in epoch seconds, None when the
    server did not say."""

    access_token: str
    issued_token_type: str
    scope: str | None
    expires_at: float | None
    organization_id: str | None
    user_id: str | None

    def __repr__(self) -> str:
        return f"ExchangedToken(scope={self.scope!r}, expires_at={self.expires_at!r})"


def exchange_token(
    context: Context,
    subject_token: str,
    *,
    resource: str | None,
    audience: str | None,
    scope: str | None,
    actor_token: str | None,
    subject_token_type: str,
) -> Flow[ExchangedToken]:
    """A token for `resource` or `audience`, in the place of the one that a caller has sent (RFC 8693 §2.1). Raises what
    the refusal means: `invalid_request` where the caller's token is no longer good (§2.2.2)."""
    provider = yield from context.providers.resolve()
    form = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": subject_token,
        "subject_token_type": subject_token_type,
        "resource": resource or (None if audience else context.settings.resource),
        "audience": audience,
        "scope": scope,
        "actor_token": actor_token,
        "actor_token_type": None if actor_token is None else ACCESS_TOKEN_TYPE,
    }
    said = {name: value for name, value in form.items() if value is not None}
    outcome = yield from send(build_request(context.settings, provider, provider.token_endpoint, said))
    tokens = read_tokens(provider, outcome)
    assert isinstance(outcome, Answer)
    return ExchangedToken(
        access_token=tokens.access_token,
        issued_token_type=tokens.find_text("issued_token_type") or ACCESS_TOKEN_TYPE,
        scope=tokens.scope,
        expires_at=None if tokens.expires_in is None else outcome.sent_at + tokens.expires_in,
        organization_id=tokens.find_text(provider.organization_path) if provider.organization_path else None,
        user_id=tokens.find_text(provider.user_path) if provider.user_path else None,
    )
