"""Which APIs a grant or a token is for (RFC 8707), and what tokens for them look like."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from latchstring.authorization_server.ports import ClientStore, Clock
from latchstring.authorization_server.records import AccessTokenFormat
from latchstring.authorization_server.settings import ORGANIZATION_PLACEHOLDER
from latchstring.authorization_server.signing_keys import Signer, SigningKeys
from latchstring.protocol.errors import OAuthError

MAX_RESOURCES: Final = 8
MAX_LENGTH: Final = 1024  # of all together: they travel in access tokens
# How long a resource's token format is remembered; it is chosen once, when its resource server is made.
FORMAT_KEPT: Final = 60
_MAX_KEPT: Final = 1000
_ID_CHARACTERS: Final = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-")


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


def map_resources(
    resources: Sequence[str], organization_resources: Mapping[str, str]
) -> tuple[tuple[str, ...], str | None]:
    """The resources with an API's identifier in place of those that name one organization's part of it (RFC 8707 §2
    lets the server map to a more general one), and that organization. `invalid_target` where they name several."""
    if not organization_resources:
        return tuple(resources), None
    mapped: dict[str, None] = {}
    organizations = set()
    for resource in resources:
        found = _find_part(resource, organization_resources)
        mapped[resource if found is None else found[0]] = None
        if found is not None:
            organizations.add(found[1])
    if len(organizations) > 1:
        raise OAuthError("invalid_target", "The resources are of several organizations, and a grant is for one.")
    return tuple(mapped), next(iter(organizations), None)


def _find_part(resource: str, organization_resources: Mapping[str, str]) -> tuple[str, str] | None:
    for template, identifier in organization_resources.items():
        before, _, after = template.partition(ORGANIZATION_PLACEHOLDER)
        organization_id = resource[len(before) : len(resource) - len(after)]
        is_id = bool(organization_id) and _ID_CHARACTERS.issuperset(organization_id)
        if is_id and resource.startswith(before) and resource.endswith(after):
            return identifier, organization_id
    return None


def map_own_resources(
    resources: Sequence[str], organization_id: str, organization_resources: Mapping[str, str]
) -> tuple[str, ...]:
    """The same for what stands on one organization; `invalid_target` where another one is named."""
    mapped, of_resources = map_resources(resources, organization_resources)
    if of_resources not in {None, organization_id}:
        raise OAuthError("invalid_target", "The resource is of another organization than the grant.")
    return mapped


async def verify_resources(
    resources: Sequence[str], store: ClientStore, own_resource: str | None = None
) -> tuple[str, ...]:
    """The resources, each a registered resource server's identifier or the server's own API, or `invalid_target`
    (RFC 8707 §2)."""
    refuse_many(resources)
    for resource in resources:
        if resource != own_resource and not await store.has_resource(resource):
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

    def __init__(
        self,
        *,
        store: ClientStore,
        signing_keys: SigningKeys,
        clock: Clock,
        organization_resources: Mapping[str, str] = MappingProxyType({}),
        own_resource: str | None = None,
    ) -> None:
        self._store = store
        self._signing_keys = signing_keys
        self._clock = clock
        self._organization_resources = organization_resources
        self._own_resource = own_resource
        self._formats: dict[str, tuple[AccessTokenFormat, int]] = {}

    def map_own(self, requested: Sequence[str], organization_id: str) -> tuple[str, ...]:
        """What was asked for, each API by its own identifier; refuses another organization's part of one."""
        return map_own_resources(requested, organization_id, self._organization_resources)

    async def find(self, requested: Sequence[str], granted: tuple[str, ...], organization_id: str) -> Audience:
        """What a token is for that was asked for with those resources, on an organization's grant of those (RFC 8707
        §2.2).

        A JWT where each of its APIs takes JWTs, else opaque: every API can ask about an opaque one.
        """
        resource: tuple[str, ...] = ()
        if requested:
            own = self.map_own(requested, organization_id)
            resource = narrow_resources(await verify_resources(own, self._store, self._own_resource), granted)
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
