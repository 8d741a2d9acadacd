"""`OAuthClient` for asyncio: the same flows, another driver."""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

import httpx

from latchstring.client import login, revocation, step_up, token_source
from latchstring.client.app_access import connect_as_app
from latchstring.client.auth import AsyncConnectionAuth
from latchstring.client.connection import Connection, ConnectionKey
from latchstring.client.device import DeviceLogin, begin_device, complete_device
from latchstring.client.events import Listener
from latchstring.client.health import Health, find_health
from latchstring.client.oauth_client import BaseOAuthClient
from latchstring.client.person import Identity
from latchstring.client.provider import Provider, ProviderSource
from latchstring.client.reconnecting import begin_reconnect
from latchstring.client.settings import NO_PARAMETERS, Context, Settings
from latchstring.client.step_up import StepUp
from latchstring.client.steps import ask
from latchstring.client.stores.port import ConnectionStore
from latchstring.client.token_exchange import ExchangedToken, exchange_token
from latchstring.client.transport import AsyncDriver, Observer
from latchstring.client.transport.reach import Reach
from latchstring.client.userinfo import find_userinfo
from latchstring.protocol.token_exchange import ACCESS_TOKEN_TYPE


class AsyncOAuthClient(BaseOAuthClient):
    """`OAuthClient` for asyncio; share one instance between all tasks of one event loop.

    A refresh runs in a task of its own, so cancelling the request that wanted it loses nothing.
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
        http: httpx.AsyncClient | None = None,
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
        self._driver = AsyncDriver(
            http,
            on_exchange=on_exchange,
            on_event=on_event,
            clock=clock,
            time_limit=time_limit,
            reach=Reach(self._context.providers.named_urls, public_only),
        )

    async def begin(
        self,
        *,
        browser_session: str,
        organization_id: str | None = None,
        redirect_uri: str | None = None,
        parameters: Mapping[str, str] = NO_PARAMETERS,
    ) -> str:
        """As `OAuthClient.begin`."""
        return await self._driver.run(
            login.begin(
                self._context,
                browser_session=browser_session,
                organization_id=organization_id,
                redirect_uri=redirect_uri,
                parameters=parameters,
            )
        )

    async def complete(self, callback: str | Mapping[str, str], *, browser_session: str) -> Connection:
        """As `OAuthClient.complete`."""
        return await self._driver.run(login.complete(self._context, callback, browser_session=browser_session))

    async def complete_all(self, callback: str | Mapping[str, str], *, browser_session: str) -> list[Connection]:
        """As `OAuthClient.complete_all`."""
        return await self._driver.run(login.complete_all(self._context, callback, browser_session=browser_session))

    async def begin_reconnect(
        self, key: ConnectionKey, *, browser_session: str, redirect_uri: str | None = None
    ) -> str:
        """As `OAuthClient.begin_reconnect`."""
        return await self._driver.run(
            begin_reconnect(self._context, key, browser_session=browser_session, redirect_uri=redirect_uri)
        )

    async def begin_step_up(self, key: ConnectionKey, wanted: StepUp, *, browser_session: str) -> str:
        """As `OAuthClient.begin_step_up`."""
        return await self._driver.run(
            step_up.begin_step_up(self._context, key, wanted, browser_session=browser_session)
        )

    async def connect_as_app(self, organization_id: str = "") -> Connection:
        """As `OAuthClient.connect_as_app`."""
        return await self._driver.run(connect_as_app(self._context, organization_id))

    async def begin_device(self, *, organization_id: str | None = None) -> DeviceLogin:
        """As `OAuthClient.begin_device`."""
        return await self._driver.run(begin_device(self._context, organization_id=organization_id))

    async def complete_device(self, login: DeviceLogin) -> Connection:
        """As `OAuthClient.complete_device`."""
        return await self._driver.run(complete_device(self._context, login))

    async def exchange_token(
        self,
        subject_token: str,
        *,
        resource: str | None = None,
        audience: str | None = None,
        scope: str | None = None,
        actor_token: str | None = None,
        subject_token_type: str = ACCESS_TOKEN_TYPE,
    ) -> ExchangedToken:
        """As `OAuthClient.exchange_token`."""
        return await self._driver.run(
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

    async def userinfo(self, key: ConnectionKey) -> Identity:
        """As `OAuthClient.userinfo`."""
        return await self._driver.run(find_userinfo(self._context, key))

    async def health(self) -> Sequence[Health]:
        """As `OAuthClient.health`."""
        return await self._driver.run(find_health(self._context))

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
