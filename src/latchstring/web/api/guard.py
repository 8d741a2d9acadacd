"""The guard of the server's own API: the one that other APIs have, whose questions are answered in this process."""

from typing import Final

import msgspec

from latchstring.authorization_server.api_scopes import API_SCOPES, IMPLIED
from latchstring.authorization_server.introspection_endpoint import OwnApi
from latchstring.authorization_server.ports import Commit
from latchstring.protocol.introspection import IntrospectionResponse
from latchstring.resource_server.guarding import BaseGuard, Introspect, Step, UseOnce, render_path
from latchstring.resource_server.possession import Sent
from latchstring.resource_server.requirement import Requirement
from latchstring.resource_server.verify import Access
from latchstring.web.asgi import Scope, find_headers
from latchstring.web.services import Services

_OWN: Final = OwnApi()
# Nothing is asked over the network, so that there is nobody to show credentials to.
_NOBODY: Final = "itself"


class OwnGuard(BaseGuard[None]):
    """Lets a request through when its access token is good for it now. A token that names no API is for all others:
    what manages the organization has to be meant for it (RFC 8707)."""

    def __init__(self, services: Services) -> None:
        settings = services.settings
        assert settings.api_resource is not None
        self._introspection = services.introspection_endpoint
        self._store = services.store
        self._base_path = settings.base_path
        super().__init__(
            issuer=settings.issuer,
            introspection_endpoint=f"{settings.issuer}/oauth2/introspect/",
            client_id=_NOBODY,
            client_secret=_NOBODY,
            resource=settings.api_resource,
            scopes_supported=tuple(API_SCOPES),
            implied_scopes=IMPLIED,
            client_certificate_header=settings.client_certificate_header or "",
            trusted_proxy_networks=settings.trusted_proxy_networks,
            clock=services.clock,
        )

    def _connect(self, http_client: None, memory: object, limit_memory: object) -> None:
        """There is nothing to connect to."""

    def _connect_endpoints(self) -> None:
        """Nor any endpoint to ask."""

    async def admit(self, scope: Scope, requirement: Requirement) -> Access:
        """Who calls; raises `Refusal`, and `StoreUnavailable` where nobody can tell."""
        flow = self.check_flow(
            find_headers(scope, b"authorization"), scope.get("query_string", b""), requirement, self._find_sent(scope)
        )
        try:
            step = next(flow)
            while True:
                step = flow.send(await self._perform(step))
        except StopIteration as stop:
            access: Access = stop.value
            return access

    async def _perform(self, step: Step) -> object:
        match step:
            case Introspect(token):
                return await self._introspect(token)
            case UseOnce(digest, expires_at, now):
                used = await self._store.use_once(digest, expires_at=int(expires_at), now=int(now))
                return used is Commit.APPLIED
        raise AssertionError("signed tokens are asked about like others")

    async def _introspect(self, token: str) -> IntrospectionResponse:
        answer = await self._introspection.answer(token, _OWN)
        return msgspec.structs.replace(answer, aud=answer.aud or []) if answer.active else answer

    def _find_sent(self, scope: Scope) -> Sent:
        peer = scope.get("client")
        return Sent(
            method=scope["method"],
            path=render_path(self._base_path + scope["path"]),
            proofs=find_headers(scope, b"dpop"),
            certificate=self.find_certificate(peer[0] if peer else None, scope["headers"]),
        )
