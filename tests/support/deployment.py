"""A whole deployment in the test's own process: real store, real codec, real pages; clock in the test's hand."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from latchstring.authorization_server.apps import AppDetails
from latchstring.authorization_server.keyring import Keyring, new_keyring
from latchstring.authorization_server.ports import Fetch
from latchstring.authorization_server.publishers import ResolveText
from latchstring.authorization_server.records import (
    AccessTokenFormat,
    ClientRecord,
    ClientSecurity,
    OrganizationRecord,
    Role,
    UserRecord,
)
from latchstring.authorization_server.settings import Settings, validate_settings
from latchstring.authorization_server.tokens import TokenCodec
from latchstring.protocol.client_metadata import CLIENT_SECRET_POST, GRANT_TYPES, NONE
from latchstring.storage.store import SqlStore
from latchstring.storage.url import migrate, open_store
from latchstring.web.app import Application
from latchstring.web.services import Services
from latchstring.wiring import build_services

ISSUER = "https://auth.example"
REDIRECT_URI = "https://app.example/callback"
PASSWORD = "correct horse battery"
START = 1_800_000_000


@dataclass
class Clock:
    """Epoch seconds that move when told to."""

    now: int = START

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: int) -> None:
        self.now += seconds


@dataclass
class App:
    """A client with its secret (None for a public one)."""

    record: ClientRecord
    secret: str | None

    @property
    def client_id(self) -> str:
        return self.record.client_id

    def body(self, **parameters: str) -> dict[str, str]:
        """Form parameters with the client's own credentials in the body."""
        secret = {} if self.secret is None else {"client_secret": self.secret}
        return {"client_id": self.client_id, **secret, **parameters}


@dataclass
class Deployment:
    """The server's parts and shortcuts to fill them."""

    services: Services
    application: Application
    store: SqlStore
    codec: TokenCodec
    settings: Settings
    clock: Clock
    path: Path
    _serial: int = field(default=0)

    def http(self, **options: Any) -> httpx.AsyncClient:
        """A fresh browser or program: its own cookies, no redirects followed."""
        transport = httpx.ASGITransport(self.application, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=self.settings.issuer, **options)

    def _id(self, kind: str) -> str:
        self._serial += 1
        return f"{kind}_{self._serial:022d}"

    async def organization(self, name: str = "Acorn Partners") -> str:
        organization_id = self._id("orga")
        await self.store.create_organization(
            OrganizationRecord(organization_id=organization_id, name=name, created_at=self.clock.now)
        )
        return organization_id

    async def user(self, email: str = "ann@example.com", name: str = "Ann") -> str:
        user_id = self._id("user")
        await self.store.create_user(
            UserRecord(
                user_id=user_id, email=email, name=name, password_hash=hash_password(), created_at=self.clock.now
            )
        )
        return user_id

    async def member(self, user_id: str, organization_id: str, role: Role = "member") -> None:
        await self.store.add_membership(user_id=user_id, organization_id=organization_id, role=role, now=self.clock.now)

    async def app(
        self,
        organization_id: str,
        *,
        name: str = "Mailloop",
        redirect_uris: tuple[str, ...] = (REDIRECT_URI,),
        is_public: bool = False,
        token_endpoint_auth_method: str | None = None,
        security: ClientSecurity | None = None,
        is_published: bool = True,
        scope: tuple[str, ...] | None = None,
        grant_types: tuple[str, ...] = GRANT_TYPES,
        created_by: str | None = None,
        acts_for_resource: str | None = None,
    ) -> App:
        record, secret = await self.services.apps.create(
            AppDetails(name=name, redirect_uris=redirect_uris),
            organization_id=organization_id,
            created_by=created_by,
            token_endpoint_auth_method=token_endpoint_auth_method or (NONE if is_public else CLIENT_SECRET_POST),
            security=security,
            is_published=is_published,
            scope=scope,
            grant_types=grant_types,
            acts_for_resource=acts_for_resource,
        )
        return App(record, secret)

    async def resource_server(
        self, resource: str = "https://api.example/", access_token_format: AccessTokenFormat = "opaque"
    ) -> tuple[str, str]:
        """Credentials for introspection."""
        record, secret = await self.services.apps.create_resource_server("API", resource, access_token_format)
        return record.client_id, secret


_password_hash: list[str] = []


def hash_password() -> str:
    """An argon2id hash of PASSWORD at the lowest cost, made once: tests do not spend their time hashing."""
    if not _password_hash:
        from argon2 import PasswordHasher

        _password_hash.append(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD))
    return _password_hash[0]


@asynccontextmanager
async def deploy(
    directory: Path,
    database: str | None = None,
    *,
    fetch: Fetch | None = None,
    resolve: ResolveText | None = None,
    keyring: Keyring | None = None,
    now: int = START,
    **settings: Any,
) -> AsyncIterator[Deployment]:
    """A deployment on that database, or on a SQLite file in the folder; it reads other hosts' documents by `fetch`."""
    path = directory / "latchstring.db"
    database = database or f"sqlite:///{path}"
    migrate(database)
    clock = Clock(now)
    store = open_store(database)
    codec = TokenCodec(keyring or new_keyring(os.urandom(32), clock.now), epoch=await store.marks().find_epoch())
    validated = validate_settings(Settings(**{"issuer": ISSUER, "deployment_name": "Northwind CRM", **settings}))
    services = build_services(validated, store, codec, clock=clock, fetch=fetch, resolve=resolve)
    try:
        yield Deployment(services, Application(services), store, codec, validated, clock, path)
    finally:
        await services.close()
