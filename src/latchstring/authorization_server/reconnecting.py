"""A request to renew one certain grant: nobody else's, and for no other organization."""

import msgspec

from latchstring.authorization_server.authorization_endpoint import AuthorizationPrompt
from latchstring.authorization_server.identifiers import GRANT, parse_identifier
from latchstring.authorization_server.ports import GrantStore
from latchstring.authorization_server.records import ClientRecord
from latchstring.protocol.errors import OAuthError


async def find_reconnected(prompt: AuthorizationPrompt, client: ClientRecord, store: GrantStore) -> AuthorizationPrompt:
    """The prompt held to the grant that it names; `invalid_request` where that is none of the client's, or of another
    organization than the one that the request names too. One that has ended can be renewed while it is known."""
    if prompt.grant_id is None:
        return prompt
    grant_id = parse_identifier(GRANT, prompt.grant_id)
    grant = None if grant_id is None else await store.find_grant(grant_id)
    if grant is None or grant.client_id != client.client_id or grant.status == "pending":
        raise OAuthError("invalid_request", "grant_id is not a grant of this client's: it may be gone. Leave it out.")
    if prompt.organization_id not in {None, grant.organization_id}:
        raise OAuthError("invalid_request", "The grant is for another organization than the request.")
    return msgspec.structs.replace(
        prompt,
        organization_id=grant.organization_id,
        is_organization_fixed=True,
        reconnects=(grant.id, grant.user_id),
    )


def is_anothers(prompt: AuthorizationPrompt, user_id: str) -> bool:
    """Whether the grant to be renewed is not that member's."""
    return prompt.reconnects is not None and prompt.reconnects[1] != user_id


def refuse_mismatch(prompt: AuthorizationPrompt) -> OAuthError:
    """What the app is told whose request was for another member or organization than whoever answered it."""
    if prompt.reconnects is None:
        return OAuthError("access_denied", "The organization is not one of the member's who is signed in.")
    return OAuthError("access_denied", "The grant is not the member's who is signed in.")
