"""The client as an app uses it, sync and async: thin covers over the flows, which alone know the rules."""

import secrets
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import httpx

from latchstring.client import login, revocation, token_source
from latchstring.client.auth import AsyncConnectionAuth, ConnectionAuth
from latchstring.client.connection import Connection, ConnectionKey
from latchstring.client.provider import Provider, ProviderSource
from latchstring.client.settings import NO_PARAMETERS, Context, Settings
from latchstring.client.steps import ask
from latchstring.client.stores.port import ConnectionStore
from latchstring.client.transport import AsyncDriver, Observer, SyncDriver


class _Base:
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


class OAuthClient(_Base):
    """An app's client at one provider; share one instance between all threads.

    `provider` is a `Provider`, or an issuer whose metadata is fetched when first needed. `http` lends an
    httpx client (proxy, certificates); redirects are not followed whatever it says. `on_exchange` is shown
    each request and answer with the credentials cut. The other arguments are those of `Settings`.
    """

    def __init__(
        self,
        provider: Provider | str,
        *,
        client_id: str,
        client_secret: str | None = None,
        redirect_uri: str,
        scope: str = "",
        store: ConnectionStore,
        on_exchange: Observer | None = None,
        http: httpx.Client | None = None,
        refresh_margin: float = 300.0,
        login_lifetime: float = 600.0,
        time_limit: float = 12.0,
        clock: Callable[[], float] = time.time,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        settings = Settings(
            client_id=client_id,
            client_secret=client_secret,
            redirect_uri=redirect_uri,
            scope=scope,
            refresh_margin=refresh_margin,
            login_lifetime=login_lifetime,
            time_limit=time_limit,
        )
        self._context = Context(
            settings=settings, providers=ProviderSource(provider), store=store, clock=clock, entropy=entropy
        )
        self._driver = SyncDriver(http, on_exchange=on_exchange, clock=clock, time_limit=time_limit)

    def begin(
        self,
        *,
        browser_session: str,
        organization_id: str | None = None,
        parameters: Mapping[str, str] = NO_PARAMETERS,
    ) -> str:
        """The URL to send the browser to (RFC 6749 §4.1.1, RFC 7636 §4.3).

        `browser_session` is a value that only this browser's session at your app has, such as its session
        id; `organization_id` is a hint.
        """
        return self._driver.run(
            login.begin(
                self._context,
                browser_session=browser_session,
                organization_id=organization_id,
                parameters=parameters,
            )
        )

    def complete(self, callback: str | Mapping[str, str], *, browser_session: str) -> Connection:
        """The stored connection that the callback's URL (or its parameters) brings; raises `Declined`,
        `CallbackRefused` or another `ClientError` (RFC 6749 §4.1.2, RFC 9207 §2.4)."""
        return self._driver.run(login.complete(self._context, callback, browser_session=browser_session))

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


class AsyncOAuthClient(_Base):
    """`OAuthClient` for asyncio; share one instance between all tasks of one event loop.

    A refresh runs in a task of its own, so cancelling the request that wanted it loses nothing.
    """

    def __init__(
        self,
        provider: Provider | str,
        *,
        client_id: str,
        client_secret: str | None = None,
        redirect_uri: str,
        scope: str = "",
        store: ConnectionStore,
        on_exchange: Observer | None = None,
        http: httpx.AsyncClient | None = None,
        refresh_margin: float = 300.0,
        login_lifetime: float = 600.0,
        time_limit: float = 12.0,
        clock: Callable[[], float] = time.time,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        settings = Settings(
            client_id=client_id,
            client_secret=client_secret,
            redirect_uri=redirect_uri,
            scope=scope,
            refresh_margin=refresh_margin,
            login_lifetime=login_lifetime,
            time_limit=time_limit,
        )
        self._context = Context(
            settings=settings, providers=ProviderSource(provider), store=store, clock=clock, entropy=entropy
        )
        self._driver = AsyncDriver(http, on_exchange=on_exchange, clock=clock, time_limit=time_limit)

    async def begin(
        self,
        *,
        browser_session: str,
        organization_id: str | None = None,
        parameters: Mapping[str, str] = NO_PARAMETERS,
    ) -> str:
        """As `OAuthClient.begin`."""
        return await self._driver.run(
            login.begin(
                self._context,
                browser_session=browser_session,
                organization_id=organization_id,
                parameters=parameters,
            )
        )

    async def complete(self, callback: str | Mapping[str, str], *, browser_session: str) -> Connection:
        """As `OAuthClient.complete`."""
        return await self._driver.run(login.complete(self._context, callback, browser_session=browser_session))

    async def token(self, key: ConnectionKey) -> str:
        """As `OAuthClient.token`."""
        return (await self._driver.run(token_source.find_usable(self._context, key))).access_token

    def auth(self, key: ConnectionKey) -> httpx.Auth:
        """As `OAuthClient.auth`, for `httpx.AsyncClient(auth=…)`."""
        return AsyncConnectionAuth(
            lambda rejected: self._driver.run(token_source.find_usable(self._context, key, rejected=rejected)),
            self._context.providers.token_header,
        )

    async def refresh(self, key: ConnectionKey) -> Connection:
        """As `OAuthClient.refresh`."""
        return await self._driver.run(token_source.refresh(self._context, key))

    async def connection(self, key: ConnectionKey) -> Connection:
        """As `OAuthClient.connection`."""
        return await self._driver.run(token_source.find_connection(self._context, key))

    async def connections(self) -> list[Connection]:
        """As `OAuthClient.connections`."""
        issuer = self._context.providers.issuer
        return await self._driver.run(ask(self._context.store.find_connections, issuer))

    async def disconnect(self, key: ConnectionKey) -> Connection:
        """As `OAuthClient.disconnect`."""
        return await self._driver.run(revocation.disconnect(self._context, key))

    async def forget(self, key: ConnectionKey) -> None:
        """As `OAuthClient.forget`."""
        await self._driver.run(ask(self._context.store.end_connection, key))

    async def aclose(self) -> None:
        """Let a refresh under way finish, then close the connections to the provider."""
        await self._driver.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
