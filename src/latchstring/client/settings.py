"""Who the client is and how patient it is; and what its flows are given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from latchstring.client.connection import ConnectionKey
from latchstring.client.errors import Misconfigured
from latchstring.client.metadata import verify_url
from latchstring.client.provider import ProviderSource
from latchstring.client.stores.port import ConnectionStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The client's registration and its times, all in seconds.

    `refresh_margin`: refresh that long before expiry, or in the last fifth of a shorter life.
    `time_limit`: for one exchange. `login_lifetime`: from `begin` to `complete`.
    """

    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    redirect_uri: str
    scope: str = ""
    refresh_margin: float = 300.0
    login_lifetime: float = 600.0
    time_limit: float = 12.0

    def __post_init__(self) -> None:
        if not self.client_id:
            raise Misconfigured("argument_refused", "client_id is empty.")
        if self.client_secret == "":
            raise Misconfigured("argument_refused", "client_secret is empty; a public client has None.")
        if self.redirect_uri.startswith(("http:", "https:")):
            verify_url(self.redirect_uri, "redirect_uri")
        if not 0 < self.time_limit <= 18:
            raise Misconfigured("argument_refused", "time_limit is at most 18 seconds.")

    @property
    def lease_lifetime(self) -> float:
        """Longer than two exchanges and the save; shorter than the server's retry window (60 s)."""
        return 3 * self.time_limit

    @property
    def patience(self) -> float:
        """How long to wait for another process: until its lease is over in any case."""
        return self.lease_lifetime + 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What every flow works with. Clock and entropy are given, so that tests can give others."""

    settings: Settings
    providers: ProviderSource
    store: ConnectionStore
    clock: Callable[[], float]
    entropy: Callable[[int], bytes]

    def key(self, organization_id: str, user_id: str) -> ConnectionKey:
        return ConnectionKey(self.providers.issuer, organization_id, user_id)


NO_PARAMETERS: Mapping[str, str] = {}
