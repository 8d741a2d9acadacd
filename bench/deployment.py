"""A deployment of ours to measure: a client, a resource server, as many grants as wanted, and requests about them."""

import asyncio
import os
import time
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote_plus

from bench import operations
from bench.operations import Operation
from bench.requests import form_head, get_head
from bench.stores import GrantStore
from bench.workload import Workload
from latchstring.authorization_server.apps import AppDetails
from latchstring.authorization_server.identifiers import new_grant_id
from latchstring.authorization_server.records import GrantRecord, OrganizationRecord, UserRecord
from latchstring.authorization_server.tokens import ROW_SECRET_SIZE, TOKEN_ID_SIZE
from latchstring.protocol.client_metadata import GRANT_TYPES
from latchstring.protocol.pkce import code_challenge
from latchstring.storage.url import open_store
from latchstring.wiring import build_apps, load_settings, prepare

REDIRECT_URI: Final = "https://app.example/callback"
SCOPE: Final = ("all.full_access", "offline_access")
# A refresh walks this many grants, an introspection asks about this many tokens.
CHAINS: Final = 1000
# Codes are checked against their row's expiry alone, so that many can be made ahead of a run.
_CODE_SECONDS: Final = 3600


class Deployment:
    """A database with a client, a resource server and as many grants as wanted, and the strings that go with them."""

    def __init__(self, store: GrantStore) -> None:
        self.store = store
        self.codec = prepare(store.url, store.keyring).codec
        asyncio.run(self._register())

    async def _register(self) -> None:
        now = int(time.time())
        store = open_store(self.store.url)
        apps = build_apps(store, self.codec, load_settings(None, issuer="http://127.0.0.1"))
        self.organization_id, self.user_id = f"orga_{0:022d}", f"user_{0:022d}"
        await store.create_organization(
            OrganizationRecord(organization_id=self.organization_id, name="Acorn Partners", created_at=now)
        )
        await store.create_user(
            UserRecord(user_id=self.user_id, email="ann@example.com", name="Ann", password_hash="-", created_at=now)
        )
        await store.add_membership(user_id=self.user_id, organization_id=self.organization_id, role="member", now=now)
        client, self.client_secret = await apps.create(
            AppDetails(name="Bench", redirect_uris=(REDIRECT_URI,)),
            organization_id=self.organization_id,
            created_by=None,
            is_published=True,
            scope=None,
            grant_types=GRANT_TYPES,
        )
        self.client_id = client.client_id
        resource_server, self.resource_server_secret = await apps.create_resource_server("API", "https://api.example/")
        self.resource_server_id = resource_server.client_id
        await store.close()

    def insert_grants(self, count: int, *, is_pending: bool, verifier: str | None = None) -> list[GrantRecord]:
        """Insert that many grants: active with a refresh token, or pending with a code."""
        now = int(time.time())
        challenge = code_challenge(verifier) if verifier else None
        grants = [self._new_grant(now, is_pending, challenge) for _ in range(count)]
        self.store.insert(grants)
        return grants

    def _new_grant(self, now: int, is_pending: bool, challenge: str | None) -> GrantRecord:
        return GrantRecord(
            id=new_grant_id(now, os.urandom(12)),
            client_id=self.client_id,
            user_id=self.user_id,
            organization_id=self.organization_id,
            scope=SCOPE,
            status="pending" if is_pending else "active",
            redirect_uri=REDIRECT_URI,
            code_challenge=challenge,
            row_secret=os.urandom(ROW_SECRET_SIZE),
            generation=0 if is_pending else 1,
            created_at=now,
            activated_at=None if is_pending else now,
            rotated_at=None,
            retry_count=0,
            expires_at=now + (_CODE_SECONDS if is_pending else 180 * 24 * 3600),
            absolute_expires_at=None,
            access_revoked_until=0,
            ended_at=None,
            ended_by=None,
            ended_reason=None,
        )

    def render_code(self, grant: GrantRecord) -> str:
        """The code of a pending grant."""
        return self.codec.render_code(grant.id, grant.row_secret)

    def render_refresh_token(self, grant: GrantRecord) -> str:
        """The current refresh token of an active grant."""
        return self.codec.render_refresh_token(grant.id, grant.generation, grant.row_secret)

    def render_access_token(self, grant_id: bytes) -> str:
        """A fresh access token of an active grant."""
        return self.codec.render_access_token(
            grant_id, token_id=os.urandom(TOKEN_ID_SIZE), issued_at=int(time.time()), lifetime=3600, scope=None
        )


class Requests:
    """The requests of each operation against one deployment."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._client = f"client_id={deployment.client_id}&client_secret={deployment.client_secret}"

    def prepare(self, operation: Operation, count: int) -> Workload:
        """What `count` requests of the operation consume, and how they look."""
        make = {
            operations.METADATA: self._metadata,
            operations.CLIENT_CREDENTIALS: self._client_credentials,
            operations.EXCHANGE: self._exchange,
            operations.REFRESH: self._refresh,
            operations.INTROSPECTION: self._introspection,
            operations.INTROSPECTION_POST: self._introspection_post,
            operations.REVOCATION: self._revocation,
            operations.REVOCATION_ACCESS: self._revocation_access,
        }[operation]
        return make(count)

    def _metadata(self, count: int) -> Workload:
        return Workload(kind="repeat", head=get_head("/.well-known/oauth-authorization-server"))

    def _client_credentials(self, count: int) -> Workload:
        prefix = f"grant_type=client_credentials&{self._client}"
        return Workload(kind="repeat", head=form_head("/oauth2/token"), prefix=prefix)

    def _exchange(self, count: int) -> Workload:
        verifier = "v" * 43
        grants = self._deployment.insert_grants(count, is_pending=True, verifier=verifier)
        prefix = (
            f"grant_type=authorization_code&{self._client}&redirect_uri={quote_plus(REDIRECT_URI)}"
            f"&code_verifier={verifier}&code="
        )
        items = tuple(self._deployment.render_code(grant) for grant in grants)
        return Workload(kind="once", head=form_head("/oauth2/token"), prefix=prefix, items=items)

    def _refresh(self, count: int) -> Workload:
        grants = self._deployment.insert_grants(CHAINS, is_pending=False)
        return self.render_refresh([self._deployment.render_refresh_token(grant) for grant in grants])

    def render_refresh(self, tokens: Sequence[str]) -> Workload:
        """Refreshes with these tokens and those that follow on them."""
        prefix = f"grant_type=refresh_token&{self._client}&refresh_token="
        return Workload(kind="chain", head=form_head("/oauth2/token"), prefix=prefix, items=tuple(tokens))

    def _introspection(self, count: int) -> Workload:
        return self.render_introspection(self._access_tokens(CHAINS))

    def render_introspection(self, tokens: Sequence[str]) -> Workload:
        """Questions about these tokens, over and over."""
        deployment = self._deployment
        head = form_head("/oauth2/introspect", (deployment.resource_server_id, deployment.resource_server_secret))
        return Workload(kind="repeat", head=head, prefix="token=", items=tuple(tokens))

    def _introspection_post(self, count: int) -> Workload:
        deployment = self._deployment
        prefix = f"client_id={deployment.resource_server_id}&client_secret={deployment.resource_server_secret}&token="
        head = form_head("/oauth2/introspect")
        return Workload(kind="repeat", head=head, prefix=prefix, items=self._access_tokens(CHAINS))

    def _revocation(self, count: int) -> Workload:
        grants = self._deployment.insert_grants(count, is_pending=False)
        items = tuple(self._deployment.render_refresh_token(grant) for grant in grants)
        return Workload(kind="once", head=form_head("/oauth2/revoke"), prefix=f"{self._client}&token=", items=items)

    def _revocation_access(self, count: int) -> Workload:
        items = self._access_tokens(count)
        return Workload(kind="once", head=form_head("/oauth2/revoke"), prefix=f"{self._client}&token=", items=items)

    def _access_tokens(self, count: int) -> tuple[str, ...]:
        grants = self._deployment.insert_grants(count, is_pending=False)
        return tuple(self._deployment.render_access_token(grant.id) for grant in grants)
