"""Whether an access token is good now: the one rule that introspection and revocation share."""

import msgspec

from latchstring.authorization_server.ports import Store
from latchstring.authorization_server.tokens import AccessToken, ClientAccessToken
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.scope import render_scope


class LiveAccess(msgspec.Struct, frozen=True):
    """What a good access token stands for, as last committed. `client_id` is whom it was issued to, `sub` whom it is
    about; `user_id` is None where no member granted it. `touched_at` is when its grant's row last noted a use,
    `authenticated_at` when the member had signed in, `acr` how."""

    client_id: str
    sub: str
    user_id: str | None
    organization_id: str
    scope: str
    resource: tuple[str, ...]
    confirmation: Confirmation | None
    authorization_details: str | None = None
    touched_at: int = 0
    authenticated_at: int | None = None
    acr: str | None = None


async def find_live_access(token: AccessToken | ClientAccessToken, store: Store, now: int) -> LiveAccess | None:
    """What the token stands for, or None if it is expired or revoked, or what it stands on has ended.

    One read by primary key; a second for a client at work for another organization than its owner, and while a token of
    the same grant or client is singly revoked.
    """
    if token.expires_at <= now:
        return None
    if isinstance(token, ClientAccessToken):
        client = await store.find_client(token.client_id)
        if client is None or client.ended_at is not None or client.is_suspended:
            return None
        if client.organization_id != token.organization_id and not await _is_approved(token, store):
            return None
        live = LiveAccess(
            find_holder(token, token.client_id),
            token.client_id,
            None,
            token.organization_id,
            token.scope,
            token.resource,
            _find_confirmation(token),
        )
        revoked_until = client.access_revoked_until
    else:
        grant = await store.find_grant(token.grant_id)
        if grant is None or grant.status != "active":
            return None
        if grant.taken_over_at is not None and token.issued_at <= grant.taken_over_at:
            return None
        scope = render_scope(grant.scope) if token.scope is None else token.scope
        live = LiveAccess(
            find_holder(token, grant.client_id),
            grant.user_id,
            grant.user_id,
            grant.organization_id,
            scope,
            token.resource or grant.resource,
            _find_confirmation(token),
            grant.authorization_details,
            grant.rotated_at or grant.activated_at or 0,
            grant.authenticated_at,
            grant.acr,
        )
        if token.facts is not None and token.facts.authorization_details is not None:
            live = msgspec.structs.replace(live, authorization_details=token.facts.authorization_details)
        revoked_until = grant.access_revoked_until
    if now < revoked_until and await _is_revoked(token, store):
        return None
    return live


def find_holder(token: AccessToken | ClientAccessToken, client_id: str) -> str:
    """Whom the token was issued to: the client that got it by an exchange, or the one that it stands on."""
    return client_id if token.facts is None or token.facts.client_id is None else token.facts.client_id


async def _is_approved(token: ClientAccessToken, store: Store) -> bool:
    """Whether the approval under which the token was issued still lasts: that one, not a later one."""
    approval = await store.find_client_approval(token.client_id, token.organization_id)
    generation = None if token.facts is None else token.facts.approval
    return approval is not None and approval.ended_at is None and approval.generation == generation


async def _is_revoked(token: AccessToken | ClientAccessToken, store: Store) -> bool:
    """Whether the token was revoked singly, or one that it came from by exchanges."""
    ancestors = () if token.facts is None else token.facts.ancestors
    for token_id in (token.token_id, *ancestors):
        if await store.is_access_token_revoked(token_id):
            return True
    return False


def _find_confirmation(token: AccessToken | ClientAccessToken) -> Confirmation | None:
    return None if token.facts is None else token.facts.confirmation
