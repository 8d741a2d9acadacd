"""The guard in FastAPI, as a dependency that shows in OpenAPI.

`guard_app(app, guard)` once; then an endpoint that needs a token takes
`access: Annotated[Access, require(guard, "contacts.read")]`. What takes none is open.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Security
from fastapi.openapi.models import OAuth2, OAuthFlowAuthorizationCode, OAuthFlows
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from latchstring.resource_server.asgi import Guard, answer_refused, identify
from latchstring.resource_server.guarding import RefusedRequest
from latchstring.resource_server.refusal import Refusal
from latchstring.resource_server.requirement import Requirement, make_requirement
from latchstring.resource_server.verify import Access


def guard_app(app: FastAPI, guard: Guard) -> None:
    """Have the app answer as the guard says: refusals, the API's metadata, `X-Request-Id`. A mounted app of its own
    needs its own call."""
    app.add_exception_handler(RefusedRequest, _answer)
    app.add_middleware(guard.where_required)


def require(guard: Guard, *scope: str, max_age: int | None = None, acr_values: Sequence[str] = ()) -> Any:
    """The dependency: who calls, with a token that has all of `scope`, and with `max_age` (seconds) for a member who
    signed in that lately, with `acr_values` as strongly as any of them."""
    requirement = make_requirement(scope, max_age, acr_values)
    return Security(AccessToken(guard, requirement.max_age, requirement.acr_values), scopes=scope)


class AccessToken(SecurityBase):
    """The security scheme: OpenAPI names the authorization server's endpoints and the scopes. They are those of a
    Latchstring server at the guard's issuer."""

    def __init__(self, guard: Guard, max_age: int | None = None, acr_values: tuple[str, ...] = ()) -> None:
        self._guard = guard
        self._sign_in = (max_age, acr_values)
        issuer = guard.settings.issuer.removesuffix("/")
        flow = OAuthFlowAuthorizationCode(
            authorizationUrl=f"{issuer}/oauth2/authorize/",
            tokenUrl=f"{issuer}/oauth2/token/",
            refreshUrl=f"{issuer}/oauth2/token/",
            scopes=dict.fromkeys(guard.settings.scopes_supported, ""),
        )
        self.model = OAuth2(flows=OAuthFlows(authorizationCode=flow))
        self.scheme_name = "latchstring"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccessToken) and (other._guard, other._sign_in) == (self._guard, self._sign_in)

    def __hash__(self) -> int:
        return hash((id(self._guard), self._sign_in))

    async def __call__(self, connection: HTTPConnection, scopes: SecurityScopes) -> Access:
        if RefusedRequest not in connection.app.exception_handlers:
            raise RuntimeError("This app cannot answer for its guard yet: call guard_app(app, guard).")
        request_id = identify(connection.scope)
        try:
            return await self._guard.admit(connection.scope, Requirement(tuple(scopes.scopes), *self._sign_in))
        except Refusal as refusal:
            raise RefusedRequest(self._guard.refuse(refusal, request_id)) from None


async def _answer(connection: Request | WebSocket, error: Exception) -> Response:
    assert isinstance(error, RefusedRequest)
    rendered = error.rendered
    if isinstance(connection, WebSocket):
        await answer_refused(rendered, connection.scope, connection.receive, connection.send)
    return Response(rendered.body, rendered.status, dict(rendered.headers))
