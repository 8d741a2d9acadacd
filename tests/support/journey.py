"""The loop as its people walk it: sign in, choose, allow, exchange."""

from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.support.deployment import PASSWORD, App, Deployment
from tests.support.forms import find_form, submit


class Client(Protocol):
    """An app and its credentials, whether the server runs in this process or in one of its own."""

    @property
    def client_id(self) -> str: ...

    def body(self, **parameters: str) -> dict[str, str]: ...


FORM = {"content-type": "application/x-www-form-urlencoded"}


async def follow(http: httpx.AsyncClient, response: httpx.Response) -> httpx.Response:
    """Follow redirects within the server."""
    while response.status_code == 303 and response.headers["location"].startswith("/"):
        response = await http.get(response.headers["location"])
    return response


async def sign_in(
    http: httpx.AsyncClient, page: httpx.Response, email: str, password: str = PASSWORD
) -> httpx.Response:
    """Fill in the sign-in page and follow where it leads inside the server."""
    response = await submit(http, page, find_form(page, "/sign-in"), email=email, password=password)
    return await follow(http, response)


async def open_consent(
    http: httpx.AsyncClient, app: Client, email: str = "ann@example.com", **parameters: str
) -> httpx.Response:
    """The consent page (or whatever stands in its place), signing in on the way if need be."""
    query = {"client_id": app.client_id, "response_type": "code", **parameters}
    page = await follow(http, await http.get("/oauth2/authorize/", params=query))
    if page.url.path == "/sign-in":
        page = await sign_in(http, page, email)
    return page


async def decide(
    http: httpx.AsyncClient, page: httpx.Response, decision: str = "allow", organization_id: str | None = None
) -> httpx.Response:
    """Answer the consent page."""
    chosen = {} if organization_id is None else {"organization_id": organization_id}
    return await submit(http, page, find_form(page, "/consent"), decision=decision, **chosen)


def answer_of(response: httpx.Response) -> dict[str, str]:
    """The parameters that the redirect brings to the app."""
    assert response.status_code == 303, response.text
    query = parse_qs(urlsplit(response.headers["location"]).query, keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in query.values())
    return {name: values[0] for name, values in query.items()}


async def obtain_code(
    http: httpx.AsyncClient, app: Client, organization_id: str, email: str = "ann@example.com", **parameters: str
) -> str:
    """Walk up to the code."""
    page = await open_consent(http, app, email, **parameters)
    if not page.is_redirect:  # what was agreed to before is not asked again
        page = await decide(http, page, "allow", organization_id)
    return answer_of(page)["code"]


async def exchange(http: httpx.AsyncClient, app: Client, code: str, **parameters: str) -> httpx.Response:
    """Exchange a code."""
    return await http.post("/oauth2/token/", data=app.body(grant_type="authorization_code", code=code, **parameters))


async def refresh(http: httpx.AsyncClient, app: Client, refresh_token: str, **parameters: str) -> httpx.Response:
    """Refresh."""
    body = app.body(grant_type="refresh_token", refresh_token=refresh_token, **parameters)
    return await http.post("/oauth2/token/", data=body)


async def introspect(http: httpx.AsyncClient, guard: tuple[str, str], token: str) -> dict[str, Any]:
    """Ask as a guard."""
    response = await http.post("/oauth2/introspect/", data={"token": token}, auth=guard)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def grant_code(
    deployment: Deployment,
    app: App,
    user_id: str,
    organization_id: str,
    *,
    authenticated_at: Any = None,
    acr: Any = None,
    **prompt: Any,
) -> str:
    """A code straight from the consent rule, for tests whose subject is not the page."""
    from latchstring.authorization_server.answers import Answer
    from latchstring.authorization_server.authorization_endpoint import AuthorizationPrompt

    given = {
        "client_id": app.client_id,
        "redirect_uri": app.record.redirect_uris[0],
        "sent_redirect_uri": None,
        "state": None,
        "scope": app.record.scope,
        "code_challenge": None,
        "organization_id": None,
        **prompt,
    }
    code = await deployment.services.consent.allow(
        AuthorizationPrompt(**given),
        app.record,
        user_id,
        Answer(organization_id=organization_id),
        authenticated_at=authenticated_at,
        acr=acr,
    )
    assert isinstance(code, str)
    return code
