"""The sample API: a CRM whose customers are organizations, protected by Latchstring's guard.

Read it as an API developer would write it. The guard stands before the whole app, so every request that
reaches an endpoint carries a good access token. An endpoint then asks one question only: what may this token
see? The answer is `access.organization_id`, and every look-up starts with it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from latchstring.demo.sample_crm import Crm, Organization
from latchstring.resource_server import Guard
from latchstring.resource_server.frameworks.starlette import current_access, current_request_id, require

FULL_ACCESS = "all.full_access"


def create_app(
    *,
    issuer: str,
    introspection_endpoint: str,
    resource: str,
    client_id: str,
    client_secret: str,
    organizations: Sequence[Organization] = (),
) -> Starlette:
    """The API, guarded: `client_id` and `client_secret` are its own at the authorization server."""
    crm = Crm(organizations)
    guard = Guard(
        issuer=issuer,
        introspection_endpoint=introspection_endpoint,
        resource=resource,
        client_id=client_id,
        client_secret=client_secret,
        scopes_supported=[FULL_ACCESS],
    )

    async def me(request: Request) -> Response:
        """Who calls, through which app, and for which of their organizations."""
        access = current_access(request)
        return answer(
            {
                "user_id": access.user_id,
                "organization_id": access.organization_id,
                "organizations": [
                    {
                        "id": organization.id,
                        "name": organization.name,
                        "is_token_organization": organization.id == access.organization_id,
                    }
                    for organization in crm.find_organizations(access.user_id, access.organization_id)
                ],
                "scope": " ".join(access.scope),
                "client_id": access.client_id,
            }
        )

    @require(guard, FULL_ACCESS)
    async def contacts(request: Request) -> Response:
        """The contacts of the token's organization."""
        return answer({"data": crm.list_contacts(current_access(request).organization_id)})

    @require(guard, FULL_ACCESS)
    async def contact(request: Request) -> Response:
        """One contact. Another organization's does not exist here: 404, not 403, so that nobody can probe."""
        found = crm.find_contact(current_access(request).organization_id, request.path_params["contact_id"])
        if found is None:
            raise HTTPException(404, "This organization has no such contact.")
        return answer(found)

    app = Starlette(
        routes=[
            *both_ways("/api/v1/me", me),
            *both_ways("/api/v1/contacts", contacts),
            *both_ways("/api/v1/contacts/{contact_id}", contact),
        ],
        middleware=[Middleware(guard.asgi)],
        exception_handlers={HTTPException: explain},
    )
    app.router.redirect_slashes = False
    return app


def both_ways(path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> list[Route]:
    """The path with and without a slash at its end; a redirect from one to the other would cost a request."""
    return [Route(path, endpoint), Route(path + "/", endpoint)]


def answer(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The content as JSON."""
    return Response(msgspec.json.encode(content), status, headers, media_type="application/json")


async def explain(request: Request, error: Exception) -> Response:
    """What went wrong, in the same shape as the guard's refusals."""
    if not isinstance(error, HTTPException):
        raise error
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    body = {"error": code, "error_description": error.detail, "request_id": current_request_id(request)}
    return answer(body, error.status_code, error.headers)
