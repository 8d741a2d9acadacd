"""An app at work for itself in one organization (RFC 6749 §4.4): a connection without a person."""

from typing import Final

from latchstring.client.connection import Connection
from latchstring.client.errors import IdentityChanged
from latchstring.client.exchange import Answer
from latchstring.client.settings import Context
from latchstring.client.steps import Flow, ask, send, tell
from latchstring.client.token_endpoint import build_request, read_tokens
from latchstring.protocol.client_metadata import CLIENT_CREDENTIALS

_OF_PEOPLE: Final = frozenset({"offline_access", "openid"})


def render_own_request(context: Context, organization_id: str) -> dict[str, str]:
    """The request for tokens of the app's own. Its scope leaves out what only a person can
    give."""
    scope = " ".join(word for word in context.settings.scope.split() if word not in _OF_PEOPLE)
    form = {"grant_type": CLIENT_CREDENTIALS, "scope": scope, "organization_id": organization_id}
    return {name: value for name, value in form.items() if value} | context.settings.target


def connect_as_app(context: Context, organization_id: str) -> Flow[Connection]:
    """The stored connection of the app itself to that organization ("" for the provider's choice); its `user_id` is "".

    It is renewed like any other, by asking again. Raises what the refusal means.
    """
    provider = yield from context.providers.resolve()
    form = render_own_request(context, organization_id)
    outcome = yield from send(build_request(context.settings, provider, provider.token_endpoint, form))
    tokens = read_tokens(provider, outcome)
    assert isinstance(outcome, Answer)
    said = tokens.find_text(provider.organization_path) if provider.organization_path else None
    if said and organization_id and said != organization_id:
        raise IdentityChanged("organization_changed", "The provider answered for another organization than asked.")
    made = Connection(
        issuer=provider.issuer,
        organization_id=organization_id or said or "",
        user_id="",
        client_id=context.settings.client_id,
        scope=form.get("scope", "") if tokens.scope is None else tokens.scope,
        access_token=tokens.access_token,
        refresh_token=None,
        expires_at=None if tokens.expires_in is None else outcome.sent_at + tokens.expires_in,
        connected_at=outcome.sent_at,
        refreshed_at=outcome.sent_at,
        grant_type=CLIENT_CREDENTIALS,
    )
    stored = yield from ask(context.store.commit_connected, made)
    yield from tell("connected", stored)
    return stored
