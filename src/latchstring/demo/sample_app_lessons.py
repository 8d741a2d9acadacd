"""What a real app must not do, done on purpose: old tokens sent again, to see what the server makes of them.

For that the lessons remember tokens that `latchstring.client` has rightly thrown away.
"""

from collections import defaultdict, deque
from typing import Any, Final

import httpx

from latchstring.client import AsyncOAuthClient, Connection, ConnectionKey, Provider, ReauthorizeRequired
from latchstring.demo.sample_app_panel import Note, Panel

_REMEMBERED: Final = 5
_NO_OLD_TOKEN: Final = "There is no old refresh token to replay yet. Press Refresh first, then replay."


class Lessons:
    """The two lessons: an old refresh token, and a dead access token."""

    def __init__(
        self,
        client: AsyncOAuthClient,
        panel: Panel,
        *,
        issuer: str,
        credentials: tuple[str, str],
        api_base_url: str,
    ) -> None:
        self._client = client
        self._panel = panel
        self._issuer = issuer
        self._credentials = credentials
        self._api_base_url = api_base_url
        self._refresh_tokens: dict[ConnectionKey, deque[str]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))
        self._access_tokens: dict[ConnectionKey, str] = {}

    async def look(self, key: ConnectionKey) -> None:
        """Remember the connection's tokens as they stand now."""
        try:
            connection = await self._client.connection(key)
        except ReauthorizeRequired:
            return
        tokens = self._refresh_tokens[key]
        if connection.refresh_token and connection.refresh_token not in tokens:
            if connection.failure is None and connection.connected_at == connection.refreshed_at:
                tokens.clear()  # a new grant: the old one's tokens teach nothing about it
            tokens.append(connection.refresh_token)
        if connection.access_token:
            self._access_tokens[key] = connection.access_token

    def count_old(self, connection: Connection) -> int:
        """How many older refresh tokens of this grant are remembered."""
        return max(len(self._refresh_tokens[connection.key]) - 1, 0)

    def remembers_access_token(self, connection: Connection) -> bool:
        """Whether the dead token can be shown to the API."""
        return connection.key in self._access_tokens

    async def replay_previous(self, key: ConnectionKey) -> str:
        """Send the refresh token before the current one."""
        return await self._replay(key, 1)

    async def replay_older(self, key: ConnectionKey) -> str:
        """Send the refresh token before that."""
        return await self._replay(key, 2)

    async def call_with_last_token(self, key: ConnectionKey) -> str:
        """Call the API with the access token that was the last before the connection ended."""
        if key not in self._access_tokens:
            return Note("Mailloop no longer knows the dead token; it was started anew since.")
        self._panel.explain("On purpose, the API is shown the access token of the connection that has ended.")
        headers = {"Authorization": f"Bearer {self._access_tokens[key]}"}
        async with self._http(base_url=self._api_base_url, headers=headers) as api:
            answer = await api.get("/api/v1/me/")
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            return Note("Refused with 401: the token had time left on it, and still it is dead, as the connection is.")
        return f"The API answered {answer.status_code}."

    async def _replay(self, key: ConnectionKey, back: int) -> str:
        tokens = self._refresh_tokens[key]
        if len(tokens) <= back:
            return Note(_NO_OLD_TOKEN)
        provider = await Provider.discover_async(self._issuer)
        client_id, client_secret = self._credentials
        form = {
            "client_id": client_id,
            "client_secret": client_secret,
            "grant_type": "refresh_token",
            "refresh_token": tokens[-1 - back],
        }
        self._panel.explain("On purpose, a refresh token that was traded already is sent once more.")
        async with self._http() as http:
            answer = await http.post(provider.token_endpoint, data=form)
        return _explain_replay(answer, tokens[-1])

    def _http(self, **options: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(event_hooks={"response": [self._panel.add_response]}, **options)


def _explain_replay(answer: httpx.Response, current: str) -> str:
    members = answer.json() if "json" in answer.headers.get("content-type", "") else {}
    if answer.status_code == httpx.codes.OK and members.get("refresh_token") == current:
        return (
            "Accepted as a retry: the server gave the very refresh token that Mailloop holds already, and a fresh "
            "access token. So an app that never got the answer to its refresh is not shut out. This works for a "
            "short while (60 seconds unless the server says otherwise), and only until the newer token is used."
        )
    if answer.status_code == httpx.codes.OK:
        return "Accepted, with other tokens than Mailloop holds."
    if members.get("error") == "invalid_grant":
        return Note(
            "Refused: a refresh token that was replaced came back too late, so somebody else may hold it, and the "
            "server ended the whole connection. Press Call the API: even the newest token is dead now. "
            "Then connect again."
        )
    return f"The server answered {answer.status_code}."
