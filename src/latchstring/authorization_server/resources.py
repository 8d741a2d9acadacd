"""Which APIs a grant or a token is for (RFC 8707), and what tokens for them look like."""

from collections.abc import Sequence
from typing import Final

import msgspec

from latchstring.authorization_server.ports import ClientStore, Clock
from latchstring.authorization_server.records import AccessTokenFormat
from latchstring.authorization_server.signing_keys import Signer, SigningKeys
from latchstring.protocol.errors import OAuthError

MAX_RESOURCES: Final = 8
MAX_LENGTH: Final = 1024  # of all together: they travel in access tokens
# How long a resource's token format is remembered; it is chosen once, when its resource server is made.
FORMAT_KEPT: Final = 60
_MAX_KEPT: Final = 1000


class Audience(msgspec.Struct, frozen=True):
    """What an access token is for. `signer` is there where it is a JWT, and `resource` then names every API."""

    resource: tuple[str, ...] = ()
    signer: Signer | None = None


# What a token for all that was granted is for, where no resource is named anywhere: an opaque one.
ALL_GRANTED: Final = Audience()


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


def narrow_resources(requested: tuple[str, ...], granted: tuple[str, ...]) -> tuple[str, ...]:
    """What an access token is for: what was asked of what was granted; empty means all that was granted.

    Refuses a resource outside the grant (RFC 8707 §2.2). A grant for every API can be narrowed to any known one.
    """
    if granted and not set(requested) <= set(granted):
        raise OAuthError("invalid_target", "The resource is not one that the member granted.")
    return () if set(requested) == set(granted) else requested


class Audiences:
    """Decides what a token is for before anything is used up for it."""

    def __init__(self, *, store: ClientStore, signing_keys: SigningKeys, clock: Clock) -> None:
        self._store = store
        self._signing_keys = signing_keys
        self._clock = clock
        self._formats: dict[str, tuple[AccessTokenFormat, int]] = {}

    async def find(self, requested: Sequence[str], granted: tuple[str, ...]) -> Audience:
        """What a token is for that was asked for with those resources, on a grant of those (RFC 8707 §2.2).

        A JWT where each of its APIs takes JWTs, else opaque: every API can ask about an opaque one.
        """
        resource: tuple[str, ...] = ()
        if requested:
            resource = narrow_resources(await verify_resources(requested, self._store), granted)
        signer = await self.find_signer(resource or granted)
        return Audience(resource if signer is None else resource or granted, signer)

    async def find_signer(self, resource: tuple[str, ...]) -> Signer | None:
        """The key that signs a token for exactly these resources, or None where it is opaque: for every API, too."""
        for name in resource:
            if await self._find_format(name) != "jwt":
                return None
        return await self._signing_keys.find_signer() if resource else None

    async def _find_format(self, resource: str) -> AccessTokenFormat:
        now = self._clock()
        kept = self._formats.get(resource)
        if kept is not None and kept[1] <= now < kept[1] + FORMAT_KEPT:
            return kept[0]
        formats = await self._store.find_access_token_formats(resource)
        found: AccessTokenFormat = "jwt" if set(formats) == {"jwt"} else "opaque"
        if len(self._formats) >= _MAX_KEPT:
            self._formats.clear()
        self._formats[resource] = (found, now)
        return found
