"""Which APIs a grant or a token is for (RFC 8707)."""

from collections.abc import Sequence
from typing import Final

from latchstring.authorization_server.ports import ClientStore
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.token_request import TokenRequest

MAX_RESOURCES: Final = 8
MAX_LENGTH: Final = 1024  # of all together: they travel in access tokens


def refuse_many(resources: Sequence[str]) -> None:
    """Refuse more than a token can carry, before anything is looked up."""
    if len(resources) > MAX_RESOURCES or sum(map(len, resources)) > MAX_LENGTH:
        raise OAuthError("invalid_target", "There are too many resources.")


async def verify_resources(resources: Sequence[str], store: ClientStore) -> tuple[str, ...]:
    """The resources, each a registered resource server's identifier, or `invalid_target` (RFC 8707 §2)."""
    refuse_many(resources)
    for resource in resources:
        if not await store.has_resource(resource):
            raise OAuthError("invalid_target", "The resource is not one that this server knows.")
    return tuple(resources)


async def narrow_requested(request: TokenRequest, granted: tuple[str, ...], store: ClientStore) -> tuple[str, ...]:
    """What the access token of a request with `resource` is for (RFC 8707 §2.2)."""
    return narrow_resources(await verify_resources(request.resource, store), granted)


def narrow_resources(requested: tuple[str, ...], granted: tuple[str, ...]) -> tuple[str, ...]:
    """What an access token is for: what was asked of what was granted; empty means all that was granted.

    Refuses a resource outside the grant (RFC 8707 §2.2). A grant for every API can be narrowed to any known one.
    """
    if granted and not set(requested) <= set(granted):
        raise OAuthError("invalid_target", "The resource is not one that the member granted.")
    return () if set(requested) == set(granted) else requested
