"""Disconnecting: the provider is told first, and what it answers is not hidden (RFC 7009)."""

from latchstring.client.connection import Connection, ConnectionKey
from latchstring.client.errors import Misconfigured, ReauthorizeRequired, TemporaryFailure
from latchstring.client.exchange import Request, Unanswered
from latchstring.client.provider import Provider
from latchstring.client.settings import Context, Settings, refuse_foreign
from latchstring.client.steps import Flow, ask, pause, send, tell
from latchstring.client.token_endpoint import build_request, read_refusal
from latchstring.protocol.token_answer import parse_error_answer


def build_revocation(settings: Settings, provider: Provider, connection: Connection) -> Request | None:
    """Revoke the refresh token, or the access token if there is none (RFC 7009 §2.1); None if impossible."""
    token = connection.refresh_token or connection.access_token
    if provider.revocation_endpoint is None or not token:
        return None
    hint = "refresh_token" if connection.refresh_token else "access_token"
    form = {"token": token, "token_type_hint": hint}
    return build_request(settings, provider, provider.revocation_endpoint, form)


def disconnect(context: Context, key: ConnectionKey) -> Flow[Connection]:
    """The connection, ended: at the provider first, then here, its tokens erased.

    Waits for a refresh under way, so that none can bring the connection back. If the provider does not
    confirm, the error says so and everything stays as it was.
    """
    refuse_foreign(context, key)
    provider = yield from context.providers.resolve()
    if provider.revocation_endpoint is None:
        raise Misconfigured(
            "revocation_unsupported",
            "The provider names no revocation endpoint: people disconnect there, and the app calls forget().",
        )
    holder = context.entropy(16).hex()
    leased = yield from _lease(context, key, holder)
    if leased.disconnected_at is not None:
        yield from ask(context.store.commit_connection, leased, generation=leased.generation, holder=holder)
        return leased
    request = build_revocation(context.settings, provider, leased)
    assert request is not None
    outcome = yield from send(request)
    if isinstance(outcome, Unanswered):
        outcome = yield from send(request)  # revoking twice is revoking once (RFC 7009 §2.2)
    if isinstance(outcome, Unanswered) or not 200 <= outcome.status < 300:
        yield from ask(context.store.commit_connection, leased, generation=leased.generation, holder=holder)
        if isinstance(outcome, Unanswered):
            raise TemporaryFailure("unanswered", "The provider did not confirm the revocation.", cause=outcome.cause)
        raise read_refusal(outcome, parse_error_answer(outcome.body, provider.error_field), provider.errors)
    ended = leased.replace(
        access_token="",
        refresh_token=None,
        expires_at=None,
        generation=leased.generation + 1,
        refreshing_since=None,
        disconnected_at=context.clock(),
        failure=None,
    )
    if (yield from ask(context.store.commit_connection, ended, generation=leased.generation, holder=holder)):
        yield from tell("disconnected", ended)
        return ended
    return (yield from disconnect(context, key))  # it moved on meanwhile, past our lease


def _lease(context: Context, key: ConnectionKey, holder: str) -> Flow[Connection]:
    deadline = context.clock() + context.settings.patience
    while True:
        connection = yield from ask(context.store.find_connection, key)
        if connection is None:
            raise ReauthorizeRequired("not_connected", "There is no such connection.")
        now = context.clock()
        leased = yield from ask(
            context.store.commit_lease,
            key,
            generation=connection.generation,
            holder=holder,
            now=now,
            until=now + context.settings.lease_lifetime,
            refreshes=False,
        )
        if leased is not None:
            return leased
        if now >= deadline:
            raise TemporaryFailure("busy", "A refresh of this connection is taking too long.", retry_after=1.0)
        yield from pause(0.05)
