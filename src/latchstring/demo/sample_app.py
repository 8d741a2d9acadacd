"""The sample app: Mailloop by Loop Labs, which connects to a CRM to write to its customers' contacts.

Read it as an integration developer would write it: what OAuth asks of an app is the class `Mailloop`, and
`latchstring.client` does the rest. The pages are in `sample_app_site`; the panel that shows every request is
`sample_app_panel`; `sample_app_lessons` does what a real app must not do, to show what the server says to it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from latchstring.client import AsyncOAuthClient, Connection, ConnectionKey, Declined, SQLiteStore, is_prefetch
from latchstring.demo.sample_app_lessons import Lessons
from latchstring.demo.sample_app_panel import Note, Panel
from latchstring.demo.sample_app_site import Site, Visit

SCOPE: Final = "all.full_access offline_access"


class Mailloop:
    """What the buttons do. Each answers with a sentence for the person who pressed it."""

    def __init__(self, client: AsyncOAuthClient, api_base_url: str, panel: Panel) -> None:
        self.client = client
        self.api_base_url = api_base_url
        self.panel = panel
        self.names: dict[str, str] = {}

    async def connect(self, visit: Visit) -> str:
        """Where to send the browser: the server asks the person there. To connect again means that organization and no
        other; or one organization after another, if the person wants several."""
        organization_id = visit.form.get("organization_id")
        selection = "several" if visit.form.get("several") else "fixed" if organization_id else None
        return await self.client.begin(
            browser_session=visit.browser_session,
            organization_id=organization_id,
            parameters={} if selection is None else {"organization_selection": selection},
        )

    async def complete(self, callback_url: str, browser_session: str) -> str:
        """The browser is back, with a code or with an error."""
        try:
            connections = await self.client.complete_all(callback_url, browser_session=browser_session)
        except Declined:
            return Note(
                "You declined, so nothing was connected and Mailloop has no access. You can connect at any time."
            )
        for connection in connections:
            with suppress(httpx.HTTPError):  # only for the organization's name: connected it is in any case
                await self.call_api(connection.key, "/api/v1/me/")
        return f"Mailloop is connected to {' and to '.join(map(self.name, connections))}."

    async def call(self, key: ConnectionKey) -> str:
        """Use the connection. The token is refreshed first if it is near its end."""
        await self.call_api(key, "/api/v1/me/")
        contacts = (await self.call_api(key, "/api/v1/contacts/"))["data"]
        some = ", ".join(contact["name"] for contact in contacts[:3])
        return f"{self.names[key.organization_id]} has {len(contacts)} contacts: {some} and others."

    async def refresh(self, key: ConnectionKey) -> str:
        """Trade the refresh token for a new pair now; the client saves it before anybody uses it."""
        connection = await self.client.refresh(key)
        return f"Mailloop has a new pair of tokens, its number {connection.generation}. The old refresh token is spent."

    async def disconnect(self, key: ConnectionKey) -> str:
        """Hand the tokens back; if the server does not confirm, the client says so and keeps them."""
        connection = await self.client.disconnect(key)
        return f"Mailloop is disconnected from {self.name(connection)}, and its tokens are dead everywhere."

    async def forget(self, key: ConnectionKey) -> str:
        """Remove an ended connection from the list."""
        await self.client.forget(key)
        return "Removed from Mailloop's list."

    async def call_api(self, key: ConnectionKey, path: str) -> dict[str, list[dict[str, str]]]:
        """One API call. `auth` puts the token in, and refreshes once if the API says that it is bad."""
        auth, hooks = self.client.auth(key), {"response": [self.panel.add_response]}
        async with httpx.AsyncClient(base_url=self.api_base_url, auth=auth, event_hooks=hooks) as api:
            answer = (await api.get(path)).raise_for_status().json()
        for organization in answer.get("organizations", []):
            self.names[organization["id"]] = organization["name"]
        return answer  # type: ignore[no-any-return]

    def name(self, connection: Connection) -> str:
        """The organization's name, once the API has told it."""
        return self.names.get(connection.organization_id, connection.organization_id)


def create_app(
    *, issuer: str, client_id: str, client_secret: str, redirect_uri: str, api_base_url: str, store_path: str | Path
) -> Starlette:
    """The app. Its client finds the server's endpoints by the issuer alone, when it first needs them."""
    panel = Panel(issuer=issuer, api_base_url=api_base_url)
    client = AsyncOAuthClient(
        issuer,
        client_id=client_id,
        client_secret=client_secret,
        redirect_uri=redirect_uri,
        scope=SCOPE,
        store=SQLiteStore(store_path),
        on_exchange=panel.add_exchange,
    )
    mailloop = Mailloop(client, api_base_url, panel)
    lessons = Lessons(client, panel, issuer=issuer, credentials=(client_id, client_secret), api_base_url=api_base_url)
    site = Site(client, panel, lessons, mailloop.name, redirect_uri=redirect_uri, issuer=issuer)

    async def callback(request: Request) -> Response:
        if is_prefetch(request.headers):
            return Response(status_code=503)  # the browser only looks ahead: the code is for the person's visit
        return await site.finish_login(request, mailloop.complete)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with client:
            yield

    return Starlette(
        routes=[
            *site.routes(),
            site.page("/callback", callback),
            site.login_button("/connect", "Connect", mailloop.connect),
            site.button("/call", "Call the API", mailloop.call),
            site.button("/refresh", "Refresh", mailloop.refresh),
            site.button("/replay", "Replay the old refresh token", lessons.replay_previous),
            site.button("/replay-older", "Replay an even older refresh token", lessons.replay_older),
            site.button("/disconnect", "Disconnect", mailloop.disconnect),
            site.button("/call-dead", "Call the API with the dead token", lessons.call_with_last_token),
            site.button("/forget", "Remove from the list", mailloop.forget),
        ],
        lifespan=lifespan,
    )
