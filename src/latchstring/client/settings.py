"""Who the client is and how patient it is; and what its flows are given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from latchstring.client.connection import ConnectionKey
from latchstring.client.errors import Misconfigured
from latchstring.client.metadata import verify_url
from latchstring.client.provider import ProviderSource
from latchstring.client.provider_keys import ProviderKeys
from latchstring.client.stores.port import ConnectionStore
from latchstring.protocol.resource_metadata import verify_resource_identifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The client's registration and its times, all in seconds.

    `refresh_margin`: refresh that long before expiry, or in the last fifth of a shorter life.
    `time_limit`: for one exchange. `login_lifetime`: from `begin` to `complete`.

    `resource` is the API that the tokens are for (RFC 8707), sent with every request that asks for some.
    `reconnect_url` is where people connect again at the app, with the places {issuer}, {organization_id} and {user_id}.
    """

    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    redirect_uri: str
    scope: str = ""
    resource: str | None = None
    reconnect_url: str | None = None
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
        if self.resource is not None:
            try:
                verify_resource_identifier(self.resource)
            except ValueError as error:
                raise Misconfigured("argument_refused", f"The resource is not one (RFC 8707 §2): {error}.") from error
        if not 0 < self.time_limit <= 18:
            raise Misconfigured("argument_refused", "time_limit is at most 18 seconds.")

    @property
    def target(self) -> dict[str, str]:
        """What every request for a token says of the API that it is for (RFC 8707 §2)."""
        return {} if self.resource is None else {"resource": self.resource}

    def find_reconnect_url(self, key: ConnectionKey) -> str | None:
        """Where the person of that connection connects again; None where the app has not said."""
        if self.reconnect_url is None:
            return None
        places = {"issuer": key.issuer, "organization_id": key.organization_id, "user_id": key.user_id}
        url = self.reconnect_url
        for name, value in places.items():
            url = url.replace(f"{{{name}}}", quote(value, safe=""))
        return url

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
    keys: ProviderKeys = field(default_factory=ProviderKeys)

    def key(self, organization_id: str, user_id: str) -> ConnectionKey:
        return ConnectionKey(self.providers.issuer, organization_id, user_id)


def refuse_foreign(context: Context, key: ConnectionKey) -> None:
    """Refuse the key of another provider's connection: its credentials never leave for here."""
    if key.issuer != context.providers.issuer:
        why = f"The connection is {key.issuer}'s, and this client speaks to {context.providers.issuer}."
        raise Misconfigured("issuer_mismatch", why)


NO_PARAMETERS: Mapping[str, str] = {}
