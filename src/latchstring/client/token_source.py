"""Always a usable token: refreshed early, by one at a time anywhere, saved before use (RFC 6749 §6).

The order of a refresh: take the lease and write "refreshing generation 7" in one step; read what stands
inside the lease; send; save; only then use. A crash at any point leaves either the old token, which the next
one sends again within the server's retry window, or the new one.
"""

from typing import Final

from latchstring.client.app_access import render_own_request
from latchstring.client.connection import Connection, ConnectionKey
from latchstring.client.errors import (
    ClientError,
    IdentityChanged,
    Misconfigured,
    ReauthorizeRequired,
    TemporaryFailure,
    Verdict,
)
from latchstring.client.exchange import Answer, Unanswered
from latchstring.client.openid import find_missing_library, refuse_another_person
from latchstring.client.provider import Provider
from latchstring.client.revocation import build_revocation
from latchstring.client.settings import Context, refuse_foreign
from latchstring.client.steps import Flow, ask, once, pause, send, tell
from latchstring.client.token_endpoint import build_request, read_tokens
from latchstring.client.verdicts import (
    disconnected,
    find_objection,
    is_due,
    must_wait,
    record_failure,
    recorded_failure,
    refuse_ended,
)
from latchstring.protocol.token_answer import TokenAnswer

_SAVE_TRIES: Final = 3
_FIRST_PAUSE: Final = 0.02
_LAST_PAUSE: Final = 0.25
# For a lease that a dead process may hold, while the old token still works.
_SHORT_PATIENCE: Final = 3.0
# After these nobody knows whether the refresh token was rotated.
_LOST: Final = frozenset({"answer_unreadable", "server_unavailable", "unanswered"})


def find_connection(context: Context, key: ConnectionKey) -> Flow[Connection]:
    """The connection as stored; raises `ReauthorizeRequired` (`not_connected`) when there is none."""
    refuse_foreign(context, key)
    connection = yield from ask(context.store.find_connection, key)
    if connection is None:
        raise ReauthorizeRequired("not_connected", "There is no such connection; the person connects first.")
    return connection


def find_usable(context: Context, key: ConnectionKey, *, rejected: int | None = None) -> Flow[Connection]:
    """The connection with a token to use now, refreshed first if it is due.

    `rejected` is the generation whose token an API has refused: nothing up to it will do. While the old token
    lives, a refresh that fails temporarily or for misconfiguration does not keep it from being used.
    """
    return (yield from _with_link(context, key, _find_usable(context, key, rejected)))


def _find_usable(context: Context, key: ConnectionKey, rejected: int | None) -> Flow[Connection]:
    connection = yield from find_connection(context, key)
    refuse_ended(connection)
    now = context.clock()
    is_rejected = rejected is not None and connection.generation <= rejected
    if not is_rejected and not is_due(connection, now, context.settings.refresh_margin):
        return connection
    is_usable = connection.is_alive(now) and not is_rejected
    if is_usable and (not connection.can_renew or must_wait(connection, now)):
        return connection
    if must_wait(connection, now):
        raise recorded_failure(connection, now)
    patience = _SHORT_PATIENCE if is_usable else context.settings.patience
    try:
        return (yield from _rotate_once(context, connection, patience=patience, is_forced=False))
    except IdentityChanged:
        raise
    except (TemporaryFailure, Misconfigured):
        if is_usable:
            return connection
        raise


def refresh(context: Context, key: ConnectionKey) -> Flow[Connection]:
    """The connection after a refresh asked for by a person: even if the last one failed, or said to wait."""
    return (yield from _with_link(context, key, _refresh_by_hand(context, key)))


def _with_link(context: Context, key: ConnectionKey, flow: Flow[Connection]) -> Flow[Connection]:
    """The flow; if only the person can help, the error says where they do."""
    try:
        return (yield from flow)
    except ReauthorizeRequired as error:
        error.reconnect_url = context.settings.find_reconnect_url(key)
        raise


def _refresh_by_hand(context: Context, key: ConnectionKey) -> Flow[Connection]:
    connection = yield from find_connection(context, key)
    if connection.disconnected_at is not None:
        raise disconnected()
    patience = context.settings.patience
    return (yield from _rotate_once(context, connection, patience=patience, is_forced=True))


def _rotate_once(context: Context, seen: Connection, *, patience: float, is_forced: bool) -> Flow[Connection]:
    name = (seen.key, seen.generation, patience, is_forced)
    return (yield from once(name, lambda: rotate(context, seen, patience=patience, is_forced=is_forced)))


def rotate(context: Context, seen: Connection, *, patience: float, is_forced: bool) -> Flow[Connection]:
    """A connection past the generation seen: by our own refresh, or by another's that was quicker.

    `patience` in seconds is how long to wait for the lease when another process has it.
    """
    provider = yield from context.providers.resolve()
    holder = context.entropy(16).hex()
    deadline = context.clock() + patience
    delay = _FIRST_PAUSE
    while True:
        now = context.clock()
        leased = yield from ask(
            context.store.commit_lease,
            seen.key,
            generation=seen.generation,
            holder=holder,
            now=now,
            until=now + context.settings.lease_lifetime,
            refreshes=True,
        )
        if leased is not None:
            return (yield from _refresh(context, provider, leased, holder, now, is_forced=is_forced))
        current = yield from find_connection(context, seen.key)
        if current.generation != seen.generation:
            return _adopt(current)
        if now >= deadline:
            raise TemporaryFailure("busy", "Another process holds the lease on this connection.", retry_after=1.0)
        yield from pause(delay)
        delay = min(delay * 1.5, _LAST_PAUSE)


def _refresh(
    context: Context, provider: Provider, leased: Connection, holder: str, now: float, *, is_forced: bool
) -> Flow[Connection]:
    """Inside the lease."""
    refusal = None if is_forced else find_objection(leased, now)
    if leased.client_id != context.settings.client_id:
        refusal = Misconfigured("client_changed", "The connection was made by another client_id.")
    elif not leased.can_renew:
        refusal = ReauthorizeRequired(
            "no_refresh_token",
            "The token has ended and there is none to refresh it with (no offline_access).",
        )
    elif leased.identity is not None:
        refusal = refusal or find_missing_library()
    # An intent from before us: that refresh was sent, and what came of it is still unaccounted for.
    earlier = None if leased.refreshing_since == now else leased.refreshing_since
    if refusal is not None:
        released = leased.replace(refreshing_since=earlier)
        yield from ask(context.store.commit_connection, released, generation=leased.generation, holder=holder)
        raise refusal
    outcome, is_retry = yield from _send_refresh(context, provider, leased)
    try:
        tokens = read_tokens(provider, outcome)
        assert isinstance(outcome, Answer)
        yield from refuse_another_person(context, provider, leased, tokens)
        renewed = _renew(provider, leased, tokens, outcome.sent_at)
    except ClientError as error:
        since = leased.refreshing_since if is_retry or error.code in _LOST else earlier
        if error.code == "invalid_grant" and since is not None:
            error.description += " An earlier answer to this refresh was lost, and its tokens with it."
        return (yield from _fail(context, leased.replace(refreshing_since=since), holder, error))
    if (yield from _save(context, renewed, leased.generation, holder)):
        if leased.failure is not None:
            yield from tell("recovered", renewed)
        return renewed
    current = yield from find_connection(context, leased.key)
    if current.disconnected_at is not None:
        yield from _revoke_unwanted(context, provider, renewed)
    return _adopt(current)


def _send_refresh(context: Context, provider: Provider, leased: Connection) -> Flow[tuple[Answer | Unanswered, bool]]:
    """The answer, and whether it is the second: the same refresh token is sent once more if the first answer
    was lost or unreadable."""
    request = build_request(context.settings, provider, provider.token_endpoint, _render_renewal(context, leased))
    outcome = yield from send(request)
    if isinstance(outcome, Unanswered):
        is_retry = outcome.may_have_arrived
        outcome = yield from send(request)
        return outcome, is_retry
    if outcome.status == 200 and _is_unreadable(provider, outcome):
        return (yield from send(request)), True
    return outcome, False


def _render_renewal(context: Context, leased: Connection) -> dict[str, str]:
    """The refresh token (RFC 6749 §6); for an app that is at work for itself, what it said the first time (§4.4)."""
    if leased.refresh_token is None:
        return render_own_request(context, leased.organization_id)
    return {"grant_type": "refresh_token", "refresh_token": leased.refresh_token, **context.settings.target}


def _is_unreadable(provider: Provider, answer: Answer) -> bool:
    try:
        read_tokens(provider, answer)
    except TemporaryFailure:
        return True
    except ClientError:
        return False
    return False


def _renew(provider: Provider, leased: Connection, tokens: TokenAnswer, sent_at: float) -> Connection:
    """The connection with the new tokens; refuses tokens of another organization or user."""
    for path, known, code, word in (
        (provider.organization_path, leased.organization_id, "organization_changed", "organization"),
        (provider.user_path, leased.user_id, "user_changed", "user"),
    ):
        said = tokens.find_text(path) if path else None
        if said is not None and said != known:
            raise IdentityChanged(code, f"The refresh answered for another {word}; its tokens were refused.")
    return leased.replace(
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token or leased.refresh_token,
        scope=leased.scope if tokens.scope is None else tokens.scope,
        expires_at=None if tokens.expires_in is None else sent_at + tokens.expires_in,
        refreshed_at=sent_at,
        generation=leased.generation + 1,
        refreshing_since=None,
        failure=None,
    )


def _save(context: Context, renewed: Connection, generation: int, holder: str) -> Flow[bool]:
    """Whether the new tokens were written. If the store fails, the intent stays and nothing is used."""
    for left in reversed(range(_SAVE_TRIES)):
        try:
            return (yield from ask(context.store.commit_connection, renewed, generation=generation, holder=holder))
        except TemporaryFailure:
            if not left:
                raise
            yield from pause(0.1)
    raise AssertionError


def _fail(context: Context, leased: Connection, holder: str, error: ClientError) -> Flow[Connection]:
    """Record the failure and raise it, unless somebody else has moved the connection on."""
    if error.verdict is Verdict.REAUTHORIZE:
        current = yield from find_connection(context, leased.key)
        if current.generation != leased.generation:
            return _adopt(current)
    failed = leased.replace(failure=record_failure(leased, error, context.clock()))
    if error.verdict is Verdict.REAUTHORIZE:
        failed = failed.replace(refreshing_since=None)
    written = yield from ask(context.store.commit_connection, failed, generation=leased.generation, holder=holder)
    if not written:
        return _adopt((yield from find_connection(context, leased.key)))
    if leased.failure is None or leased.failure.verdict is not error.verdict:
        yield from tell("lost" if error.verdict is Verdict.REAUTHORIZE else "failing", failed)
    raise error


def _adopt(current: Connection) -> Connection:
    """Another's outcome, as if it were ours."""
    refuse_ended(current)
    return current


def _revoke_unwanted(context: Context, provider: Provider, renewed: Connection) -> Flow[None]:
    """Tokens that arrived after a disconnect are handed back, as well as one can."""
    request = build_revocation(context.settings, provider, renewed)
    if request is not None:
        yield from send(request)
