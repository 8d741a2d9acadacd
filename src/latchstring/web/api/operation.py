"""An operation of the API: where it is, what it asks, what it answers, and the request that it is called with."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, TypeVar
from urllib.parse import urlencode

import msgspec

from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.records import OrganizationRecord, UserRecord
from latchstring.protocol.errors import OAuthError
from latchstring.resource_server.verify import Access
from latchstring.web.services import Services

PATH: Final = "/api/v1"
MAX_LIMIT: Final = 200
T = TypeVar("T")


def refuse_unknown(what: str) -> OAuthError:
    """404: there is none, or none that the caller may know of."""
    return OAuthError("not_found", f"There is no such {what}.", status=404)


def refuse_conflict(description: str) -> OAuthError:
    """409: it cannot be done as things stand now; nothing has changed."""
    return OAuthError("conflict", description, status=409)


class Nothing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An operation that asks nothing beyond its path."""


class Paged(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page of a list: what follows `after`, which the page before names, at most `limit` of it."""

    after: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)] = 50


class Listed(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A page of a list. `next` is the address of the page that follows; null at the end."""

    items: list[T]
    next: str | None = None


class Export(msgspec.Struct, frozen=True):
    """A file, sent as it is read."""

    filename: str
    parts: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has been let in: who calls, through which app, for which organization. `organization` is the one
    of the token, of which the caller is an admin at this moment; an operator's call has none."""

    services: Services
    access: Access
    user: UserRecord
    organization: OrganizationRecord | None
    path: Mapping[str, str]
    address: str
    request_id: str
    location: str
    query: Mapping[str, str]

    @property
    def organization_id(self) -> str:
        """The organization that the call is about."""
        assert self.organization is not None
        return self.organization.organization_id

    @property
    def origin(self) -> Origin:
        """Who asks for a change, from where, through which app: for the event that tells of it."""
        return Origin(
            "operator" if self.organization is None else "user",
            self.user.user_id,
            self.address,
            self.request_id,
            self.access.client_id,
        )

    def render_next(self, after: str | None) -> str | None:
        """The address of the page that follows; None at the end."""
        return None if after is None else f"{self.location}?{urlencode({**self.query, 'after': after})}"


Handler = Callable[[Call, Any], Awaitable[Any]]


class Operation(msgspec.Struct, frozen=True):
    """What is answered at a path below `PATH`. Its name, words and types are the handler's own: its first line, the
    annotation of `asked` (the query of a GET, else the JSON body) and that of its answer. Nothing brings back what one
    ends that `is_final`."""

    method: str
    path: str
    scope: str
    handler: Handler
    status: int = 200
    media_type: str = "application/json"
    of: str = ""
    is_final: bool = False

    @property
    def name(self) -> str:
        """What the operation goes by; a handler that stands at several places is told apart by whose it is."""
        return f"{self.handler.__name__}_of_{self.of}" if self.of else self.handler.__name__

    @property
    def asks(self) -> type[msgspec.Struct]:
        """What it takes."""
        asked: type[msgspec.Struct] = self.handler.__annotations__["asked"]
        return asked

    @property
    def answers(self) -> Any:
        """What it gives; None for an answer without a body."""
        return self.handler.__annotations__["return"]

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""
        return self.method == "GET"
