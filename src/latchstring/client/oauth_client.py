"""The client as an app uses it: a thin cover over the flows, which alone know the rules. Its twin is for asyncio."""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

import httpx

from latchstring.client import login, revocation, step_up, token_source
from latchstring.client.app_access import connect_as_app
from latchstring.client.auth import ConnectionAuth
from latchstring.client.connection import Connection, ConnectionKey
from latchstring.client.device import DeviceLogin, begin_device, complete_device
from latchstring.client.events import Listener
from latchstring.client.health import Health, find_health
from latchstring.client.person import Identity
from latchstring.client.provider import Provider, ProviderSource
from latchstring.client.reconnecting import begin_reconnect
from latchstring.client.settings import NO_PARAMETERS, Context, Settings
from latchstring.client.step_up import StepUp
from latchstring.client.steps import ask
from latchstring.client.stores.port import ConnectionStore
from latchstring.client.token_exchange import ExchangedToken, exchange_token
from latchstring.client.transport import Observer, SyncDriver
from latchstring.client.transport.reach import Reach
from latchstring.client.userinfo import find_userinfo
from latchstring.protocol.token_exchange import ACCESS_TOKEN_TYPE


class BaseOAuthClient:
    """What both clients are made of."""

    _context: Context

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends the browser back to."""
        return self._context.settings.redirect_uri

    def key(self, organization_id: str, user_id: str) -> ConnectionKey:
        """The key of this provider's connection to that organization by that user."""
        return ConnectionKey(self._context.providers.issuer, organization_id, user_id)

    def __repr__(self) -> str:
        issuer, client_id = self._context.providers.issuer, self._context.settings.client_id
        return f"{type(self).__name__}(issuer={issuer!r}, client_id={client_id!r})"


class OAuthClient(BaseOAuthClient):
    """An app's client at one provider; share one instance between all threads.

    `provider` is a `Provider`, or an issuer whose metadata is fetched when first needed. `http` lends an
    httpx client (proxy, certificates); redirects are not followed whatever it says. `on_exchange` is shown
    each request and answer with the credentials cut; `on_event` is told what becomes of connections. The other
    arguments are those of `Settings`.

    Hosts that the app itself has named (the issuer, or the addresses of its `Provider`) are connected to wherever they
    are; hosts that metadata names, only on the public internet. `public_only=True` asks that of all: where people say
    which server it is. `public_only=False` asks it of none: local development. An `http` of the app's own goes where it
    is set up to.
    """

    def __init__(
        self,
        provider: Provider | str,
        *,
        client_id: str,
        client_secret: str | None = None,
        redirect_uri: str = "",
        scope: str = "",
        resource: str | None = None,
        reconnect_url: str | None = None,
        store: ConnectionStore,
        on_exchange: Observer | None = None,
        on_event: Listener | None = None,
        http: httpx.Client | None = None,
        refresh_margin: float = 300.0,
        login_lifetime: float = 600.0,
        time_limit: float = 12.0,
        public_only: bool | None = None,
        clock: Callable[[], float] = time.time,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        settings = Settings(
            client_id=client_id,
            client_secret=client_secret,
            redirect_uri=redirect_uri,
            scope=scope,
            resource=resource,
            reconnect_url=reconnect_url,
            refresh_margin=refresh_margin,
            login_lifetime=login_lifetime,
            time_limit=time_limit,
        )
        self._context = Context(
            settings=settings, providers=ProviderSource(provider), store=store, clock=clock, entropy=entropy
        )
        self._driver = SyncDriver(
            http,
            on_exchange=on_exchange,
            on_event=on_event,
            clock=clock,
            time_limit=time_limit,
            reach=Reach(self._context.providers.named_urls, public_only),
        )

    def begin(
        self,
        *,
        browser_session: str,
        organization_id: str | None = None,
        redirect_uri: str | None = None,
        parameters: Mapping[str, str] = NO_PARAMETERS,
    ) -> str:
        """The URL to send the browser to (RFC 6749 §4.1.1, RFC 7636 §4.3).

        `browser_session` is a value that only this browser's session at your app has, such as its session
        id; `organization_id` is a hint; `redirect_uri` is for this login in place of the client's.
        """
        return self._driver.run(
            login.begin(
                self._context,
                browser_session=browser_session,
                organization_id=organization_id,
                redirect_uri=redirect_uri,
                parameters=parameters,
            )
        )

    def complete(self, callback: str | Mapping[str, str], *, browser_session: str) -> Connection:
        """The stored connection that the callback's URL (or its parameters) brings; raises `Declined`,
        `CallbackRefused` or another `ClientError` (RFC 6749 §4.1.2, RFC 9207 §2.4)."""
        return self._driver.run(login.complete(self._context, callback, browser_session=browser_session))

    def complete_all(self, callback: str | Mapping[str, str], *, browser_session: str) -> list[Connection]:
        """As `complete`, and every connection that the callback brings: a login begun with the parameter
        `organization_selection` as `several` connects one organization after another."""
        return self._driver.run(login.complete_all(self._context, callback, browser_session=browser_session))

    def begin_reconnect(self, key: ConnectionKey, *, browser_session: str, redirect_uri: str | None = None) -> str:
        """The URL to send the browser to so that this connection lives again, in its organization and by its user:
        `complete` refuses everybody else's answer (`organization_changed`, `user_changed`), stores nothing of it, and
        the connection stays as it was."""
        return self._driver.run(
            begin_reconnect(self._context, key, browser_session=browser_session, redirect_uri=redirect_uri)
        )

    def begin_step_up(self, key: ConnectionKey, wanted: StepUp, *, browser_session: str) -> str:
        """The URL to send the browser to when an API wants more than was granted (`find_step_up`): for that and for all
        that the connection has, in the same organization (RFC 6750 §3.1, RFC 9470)."""
        return self._driver.run(step_up.begin_step_up(self._context, key, wanted, browser_session=browser_session))

    def connect_as_app(self, organization_id: str = "") -> Connection:
        """The app's own connection to that organization, without a person (RFC 6749 §4.4); renewed like any other."""
        return self._driver.run(connect_as_app(self._context, organization_id))

    def begin_device(self, *, organization_id: str | None = None) -> DeviceLogin:
        """The code and the address to show, where there is no browser (RFC 8628 §3.1)."""
        return self._driver.run(begin_device(self._context, organization_id=organization_id))

    def complete_device(self, login: DeviceLogin) -> Connection:
        """The stored connection, as soon as the person has entered the code and allowed it (RFC 8628 §3.4)."""
        return self._driver.run(complete_device(self._context, login))

    def exchange_token(
        self,
        subject_token: str,
        *,
        resource: str | None = None,
        audience: str | None = None,
        scope: str | None = None,
        actor_token: str | None = None,
        subject_token_type: str = ACCESS_TOKEN_TYPE,
    ) -> ExchangedToken:
        """A token for another API in the place of the one that a caller has sent here (RFC 8693 §2.1); not stored."""
        return self._driver.run(
            exchange_token(
                self._context,
                subject_token,
                resource=resource,
                audience=audience,
                scope=scope,
                actor_token=actor_token,
                subject_token_type=subject_token_type,
            )
        )

    def token(self, key: ConnectionKey) -> str:
        """An access token to use now, refreshed first if it is near its end (RFC 6749 §6)."""
        return self._driver.run(token_source.find_usable(self._context, key)).access_token

    def auth(self, key: ConnectionKey) -> httpx.Auth:
        """For `httpx.Client(auth=…)`: the token in each request, and one refresh if the API says it is bad.

        Give that httpx client the API's `base_url`: the token goes wherever it sends requests.
        """
        return ConnectionAuth(
            lambda rejected: self._driver.run(token_source.find_usable(self._context, key, rejected=rejected)),
            self._context.providers.token_header,
        )

    def refresh(self, key: ConnectionKey) -> Connection:
        """The connection after a refresh now, even if it is marked `reauthorize` or told to wait."""
        return self._driver.run(token_source.refresh(self._context, key))

    def connection(self, key: ConnectionKey) -> Connection:
        """The connection as stored; no request is made."""
        return self._driver.run(token_source.find_connection(self._context, key))

    def connections(self) -> list[Connection]:
        """Every connection at this provider, as stored."""
        issuer = self._context.providers.issuer
        return self._driver.run(ask(self._context.store.find_connections, issuer))

    def userinfo(self, key: ConnectionKey) -> Identity:
        """What an OpenID Provider says now of the person who connected (OpenID Connect Core §5.3); of nobody else. What
        it said when they did is `connection.identity`."""
        return self._driver.run(find_userinfo(self._context, key))

    def health(self) -> Sequence[Health]:
        """How every connection at this provider fares, those that need somebody first; no request is made."""
        return self._driver.run(find_health(self._context))

    def disconnect(self, key: ConnectionKey) -> Connection:
        """Revoke at the provider, then here; unless the provider confirms, everything stays (RFC 7009)."""
        return self._driver.run(revocation.disconnect(self._context, key))

    def forget(self, key: ConnectionKey) -> None:
        """Erase the connection here without a word to the provider; its grant, if alive, lives on there."""
        self._driver.run(ask(self._context.store.end_connection, key))

    def close(self) -> None:
        """Close the connections to the provider."""
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
