"""Token exchange (RFC 8693): less of what a token is good for, in the hands of a client that it was meant for.

The member, the organization and the grant stay what they are; `docs/decisions/0013` says who may exchange what.
"""

from typing import Final

import msgspec

from latchstring.authorization_server.binding import is_proved
from latchstring.authorization_server.records import ClientRecord
from latchstring.authorization_server.tokens import Actor, TokenFacts
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.scope import OFFLINE_ACCESS, parse_scope
from latchstring.protocol.token_request import TokenRequest

# Each exchange makes the token longer; nothing honest is passed on more often.
MAX_EXCHANGES: Final = 5


class Presented(msgspec.Struct, frozen=True, kw_only=True):
    """An access token shown for an exchange, good now. `client_id` is whom it was issued to, `sub` whom it is about."""

    token_id: bytes
    client_id: str
    sub: str
    organization_id: str
    scope: str
    resource: tuple[str, ...]
    facts: TokenFacts


class Exchange(msgspec.Struct, frozen=True):
    """The new token's scope, and what it carries."""

    scope: tuple[str, ...]
    facts: TokenFacts


def decide(
    request: TokenRequest,
    client: ClientRecord,
    subject: Presented,
    actor: Presented | None,
    confirmation: Confirmation | None,
) -> Exchange:
    """What the exchange yields; a token that will not do is `invalid_request` (RFC 8693 §2.2.2). Writes nothing."""
    _verify_usable("subject_token", subject, client, confirmation)
    if request.organization_id not in {None, subject.organization_id}:
        raise OAuthError("invalid_request", "The subject token is for another organization than organization_id.")
    if len(subject.facts.ancestors) >= MAX_EXCHANGES:
        raise OAuthError("invalid_request", "The subject token was exchanged too often.")
    if actor is not None:
        _verify_usable("actor_token", actor, client, confirmation)
        if actor.organization_id != subject.organization_id:
            raise OAuthError("invalid_request", "The actor token is for another organization than the subject token.")
        if actor.facts.actor is not None:
            raise OAuthError("invalid_request", "Somebody acts for the actor token's own subject.")
    facts = msgspec.structs.replace(
        subject.facts,
        confirmation=confirmation,
        actor=_find_actor(client, subject, actor),
        client_id=client.client_id,
        ancestors=(*subject.facts.ancestors, subject.token_id),
    )
    return Exchange(_narrow(request, client, subject), facts)


def _verify_usable(name: str, token: Presented, client: ClientRecord, confirmation: Confirmation | None) -> None:
    if token.client_id != client.client_id and not _is_meant_for(client.acts_for_resource, token.resource):
        raise OAuthError("invalid_request", name + " was not meant for this client.")
    if not is_proved(token.facts.confirmation, confirmation):
        raise OAuthError("invalid_request", name + " is bound to a key that this request does not prove.")


def _is_meant_for(own_resource: str | None, resource: tuple[str, ...]) -> bool:
    # As introspection sees it: a token that names no API is for every one.
    return own_resource is not None and (not resource or own_resource in resource)


def _find_actor(client: ClientRecord, subject: Presented, actor: Presented | None) -> Actor | None:
    """Who acts from now on, before those who did (RFC 8693 §4.1). A client that only narrows a token of its own is not
    acting for anybody else than before."""
    if actor is not None:
        return Actor(actor.sub, subject.facts.actor)
    if subject.client_id == client.client_id:
        return subject.facts.actor
    return Actor(client.client_id, subject.facts.actor)


def _narrow(request: TokenRequest, client: ClientRecord, subject: Presented) -> tuple[str, ...]:
    """What was asked for; or else all of the subject's that the client is registered for. Never `offline_access`: there
    is no refresh token to go with it."""
    within = [value for value in subject.scope.split(" ") if value in client.scope and value != OFFLINE_ACCESS]
    scope = tuple(within) if request.scope is None else parse_scope(request.scope)
    if not scope or not set(scope) <= set(within):
        raise OAuthError("invalid_scope", "The scope is wider than the subject token's, or than this client may have.")
    return scope
