"""Whether an access token is good now: the one rule that introspection and revocation share."""

from latchstring.authorization_server.ports import GrantStore
from latchstring.authorization_server.records import GrantRecord
from latchstring.authorization_server.tokens import AccessToken


async def find_live_grant(token: AccessToken, store: GrantStore, now: int) -> GrantRecord | None:
    """The active grant on which the token stands, or None if token or grant is expired, ended or revoked.

    One read by primary key; a second only while the grant has a singly revoked token that could be this one.
    """
    if token.expires_at <= now:
        return None
    grant = await store.find_grant(token.grant_id)
    if grant is None or grant.status != "active":
        return None
    if now < grant.access_revoked_until and await store.is_access_token_revoked(token.token_id):
        return None
    return grant
