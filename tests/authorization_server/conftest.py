"""The server's parts on a real store, with clock and entropy in the test's hand: Ann is a member of Acorn."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.apps import Apps
from latchstring.authorization_server.client_authentication import ClientAuthenticator
from latchstring.authorization_server.client_documents import ClientDocuments
from latchstring.authorization_server.client_keys import ClientKeys
from latchstring.authorization_server.client_secrets import ClientSecrets
from latchstring.authorization_server.clients import Clients
from latchstring.authorization_server.connections import Connections
from latchstring.authorization_server.events import SYSTEM, Source
from latchstring.authorization_server.flows.flow import Flow
from latchstring.authorization_server.introspection_endpoint import IntrospectionEndpoint
from latchstring.authorization_server.login import Login
from latchstring.authorization_server.ports import ConsentCommit, FetchRefused
from latchstring.authorization_server.proofs import Proofs
from latchstring.authorization_server.records import ClientRecord, GrantRecord, SecretHash
from latchstring.authorization_server.registration_codec import RegistrationCodec
from latchstring.authorization_server.request_objects import RequestObjects
from latchstring.authorization_server.revocation_endpoint import RevocationEndpoint
from latchstring.authorization_server.settings import Settings, validate_settings
from latchstring.authorization_server.signed_access_tokens import SignedAccessTokens
from latchstring.authorization_server.signing_keys import SigningKeys
from latchstring.authorization_server.token_endpoint import TokenEndpoint
from latchstring.authorization_server.tokens import TokenCodec
from latchstring.protocol.jose.keys import PublicKey, parse_jwk_set
from latchstring.protocol.token_request import ClientCredentials, TokenRequest
from latchstring.protocol.token_response import TokenResponse
from latchstring.storage.store import SqlStore
from latchstring.storage.url import migrate, open_store
from latchstring.wiring import build_flows, build_signing_keys
from tests.authorization_server.builders import (
    ACORN,
    ANN,
    MAILLOOP,
    NOW,
    build_client,
    build_codec,
    build_grant,
    build_organization,
    build_resource_server,
    build_user,
)
from tests.support.documents import FakeFetch
from tests.support.refusals import watching_refusals

SECRET = build_codec().render_client_secret(b"\x11" * 33)
GUARD_SECRET = build_codec().render_client_secret(b"\x22" * 33)


@dataclass
class House:
    """What the endpoints need, and shortcuts to call them."""

    store: SqlStore
    codec: TokenCodec = field(default_factory=build_codec)
    settings: Settings = field(default_factory=lambda: validate_settings(Settings(issuer="https://auth.example")))
    now: int = NOW
    # What clients publish, by URL; nothing is there unless a test says so.
    published: dict[str, bytes] = field(default_factory=dict)
    secret_uses: list[tuple[str, str, int]] = field(default_factory=list)
    secret_hashes: list[tuple[str, SecretHash, SecretHash]] = field(default_factory=list)
    grant_uses: list[tuple[bytes, str | None, int]] = field(default_factory=list)

    async def key_sets(self, url: str, *, is_wanted: Any = None) -> tuple[PublicKey, ...]:
        if url not in self.published:
            raise FetchRefused("nothing there")
        return parse_jwk_set(self.published[url])

    def clock(self) -> int:
        return self.now

    def _parts(self, *names: str) -> dict[str, Any]:
        clients = Clients(
            store=self.store,
            registrations=RegistrationCodec(self.codec),
            documents=ClientDocuments(fetch=FakeFetch(), settings=self.settings, clock=self.clock),
            settings=self.settings,
            clock=self.clock,
        )
        parts = {
            "clients": clients,
            "registrations": RegistrationCodec(self.codec),
            "proofs": Proofs(store=self.store, codec=self.codec, settings=self.settings, clock=self.clock),
            "request_objects": RequestObjects(
                clients=clients, keys=ClientKeys(key_sets=self.key_sets), settings=self.settings
            ),
            "authenticator": ClientAuthenticator(
                clients=clients,
                store=self.store,
                codec=self.codec,
                keys=ClientKeys(key_sets=self.key_sets),
                settings=self.settings,
                clock=self.clock,
                note_secret_use=self.note_secret_use,
                note_secret_hash=self.note_secret_hash,
            ),
            "store": self.store,
            "codec": self.codec,
            "settings": self.settings,
            "clock": self.clock,
            "entropy": os.urandom,
            "signing_keys": self.signing_keys,
            "signed_access_tokens": SignedAccessTokens(signing_keys=self.signing_keys, settings=self.settings),
        }
        return {name: parts[name] for name in names}

    def configure(self, **given: Any) -> None:
        self.settings = validate_settings(msgspec.structs.replace(self.settings, **given))

    @property
    def signing_keys(self) -> SigningKeys:
        """As a server that has just started."""
        return build_signing_keys(self.store, self.codec, self.settings, self.clock)

    @property
    def flows(self) -> dict[str, Flow]:
        return build_flows(
            self.settings,
            self.store,
            self.codec,
            self.signing_keys,
            self.key_sets,
            self.clock,
            os.urandom,
            self.note_grant_use,
        )

    @property
    def apps(self) -> Apps:
        return Apps(**self._parts("store", "codec", "settings", "clock", "entropy"))

    @property
    def client_secrets(self) -> ClientSecrets:
        return ClientSecrets(**self._parts("store", "codec", "clock", "entropy"))

    def note_secret_use(self, client_id: str, secret_id: str, now: int) -> None:
        self.secret_uses.append((client_id, secret_id, now))

    def note_secret_hash(self, client_id: str, kept: SecretHash, renewed: SecretHash) -> None:
        self.secret_hashes.append((client_id, kept, renewed))

    def note_grant_use(self, grant_id: bytes, address: str | None, now: int) -> None:
        self.grant_uses.append((grant_id, address, now))

    @property
    def connections(self) -> Connections:
        return Connections(**self._parts("store", "clock"))

    @property
    def login(self) -> Login:
        return Login(**self._parts("store", "settings", "clock", "entropy"))

    async def client(self, client_id: str = MAILLOOP, **given: Any) -> ClientRecord:
        """A client in the store; confidential unless told otherwise, with SECRET as its secret."""
        if given.get("token_endpoint_auth_method") != "none":
            given.setdefault("secrets", (self.codec.hash_client_secret(SECRET, self.now),))
        client = build_client(client_id=client_id, **given)
        await self.store.create_client(client)
        return client

    async def grant(self, **given: Any) -> GrantRecord:
        """A pending grant in the store, with an id and a row secret of its own."""
        values: dict[str, Any] = {"id": os.urandom(16), "row_secret": os.urandom(16), "expires_at": self.now + 60}
        grant = build_grant(**{**values, **given})
        assert await self.store.commit_consent(grant) is ConsentCommit.CREATED
        return grant

    async def token(
        self, request: TokenRequest, client_id: str = MAILLOOP, secret: str | None = SECRET, source: Source = SYSTEM
    ) -> Any:
        """What the token endpoint answers, or its refusal."""
        method = "none" if secret is None else "client_secret_post"
        endpoint = TokenEndpoint(**self._parts("authenticator", "proofs"), flows=self.flows)
        return await endpoint.answer(request, ClientCredentials(client_id, secret, method), origin=source)

    async def redeem(self, grant: GrantRecord, **given: Any) -> TokenResponse:
        who = {name: given.pop(name) for name in ("client_id", "secret", "source") if name in given}
        code = self.codec.render_code(grant.id, grant.row_secret)
        response = await self.token(TokenRequest(grant_type="authorization_code", code=code, **given), **who)
        assert isinstance(response, TokenResponse)
        return response

    async def refresh(self, refresh_token: str | None, **given: Any) -> TokenResponse:
        who = {name: given.pop(name) for name in ("client_id", "secret", "source") if name in given}
        request = TokenRequest(grant_type="refresh_token", refresh_token=refresh_token, **given)
        response = await self.token(request, **who)
        assert isinstance(response, TokenResponse)
        return response

    async def revoke(self, token: str | None, client_id: str = MAILLOOP, secret: str | None = SECRET) -> None:
        method = "none" if secret is None else "client_secret_post"
        endpoint = RevocationEndpoint(**self._parts("authenticator", "store", "codec", "signed_access_tokens", "clock"))
        await endpoint.answer(token, ClientCredentials(client_id, secret, method))

    async def introspect(
        self, token: str | None, client_id: str | None = None, secret: str | None = GUARD_SECRET
    ) -> dict[str, Any]:
        """What a guard is told of the token (or a client, if named)."""
        endpoint = IntrospectionEndpoint(
            **self._parts(
                "authenticator", "store", "codec", "signed_access_tokens", "signing_keys", "settings", "clock"
            ),
            note_grant_use=self.note_grant_use,
        )
        method = "none" if secret is None else "client_secret_basic"
        caller = client_id or build_resource_server().client_id
        response = await endpoint.answer(token, ClientCredentials(caller, secret, method))
        return {name: value for name, value in msgspec.structs.asdict(response).items() if value is not None}

    async def find(self, grant: GrantRecord) -> GrantRecord:
        """The grant as it stands now."""
        found = await self.store.find_grant(grant.id)
        assert found is not None
        return found


@pytest.fixture(autouse=True, scope="package")
def refusals() -> Iterator[None]:
    """Every refusal has its sentence."""
    with watching_refusals():
        yield


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the schema and nothing in it, to copy."""
    path = tmp_path_factory.mktemp("schema") / "latchstring.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
async def empty_house(tmp_path: Path, migrated_file: Path) -> AsyncIterator[House]:
    path = tmp_path / "latchstring.db"
    shutil.copyfile(migrated_file, path)
    store = open_store(f"sqlite:///{path}")
    yield House(store)
    await store.close()


@pytest.fixture
async def house(empty_house: House) -> House:
    store = empty_house.store
    await store.create_organization(build_organization())
    await store.create_user(build_user())
    await store.add_membership(user_id=ANN, organization_id=ACORN, role="member", now=NOW)
    await store.create_resource_server(
        build_resource_server(secrets=(empty_house.codec.hash_client_secret(GUARD_SECRET, NOW),))
    )
    await empty_house.client()
    return empty_house
