"""API calls through httpx: one refresh on a refused token, then the API's answer stands."""

import httpx
import pytest

from latchstring.client import MemoryStore, ReauthorizeRequired
from latchstring.client.auth import is_token_rejected
from tests.client.test_races import async_client, connect, refreshes


def test_call_with_a_good_token_sends_it(mailloop):
    connection = mailloop.connect()
    with mailloop.api(connection.key) as api:
        assert api.get("/api/v1/me/").json()["organization_id"] == "orga_acorn"
    assert refreshes(mailloop.provider) == 0


def test_call_with_a_refused_token_refreshes_once_and_is_sent_again(mailloop):
    connection = mailloop.connect()
    mailloop.provider.dead_access_tokens.add(connection.access_token)
    with mailloop.api(connection.key) as api:
        assert api.get("/api/v1/me/").status_code == 200
    assert refreshes(mailloop.provider) == 1


def test_call_refused_again_after_the_refresh_is_left_at_that(mailloop, monkeypatch):
    connection = mailloop.connect()
    calls = []

    def api(path, headers):
        calls.append(headers["authorization"])
        return 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'}, b""

    monkeypatch.setattr(mailloop.provider, "_api", api)
    with mailloop.api(connection.key) as http:
        assert http.get("/api/v1/me/").status_code == 401
    assert len(calls) == len(set(calls)) == 2
    assert refreshes(mailloop.provider) == 1


def test_call_after_the_grant_ended_raises_reauthorize(mailloop):
    connection = mailloop.connect()
    next(iter(mailloop.provider.grants.values())).status = "ended"
    with mailloop.api(connection.key) as api:
        for _ in range(3):
            with pytest.raises(ReauthorizeRequired, match="invalid_grant"):
                api.get("/api/v1/me/")
    assert refreshes(mailloop.provider) == 1


class Wire(httpx.BaseTransport):
    """Reads a streamed body as a network does: once, and it is gone."""

    def __init__(self, provider) -> None:
        self.provider = provider

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.SyncByteStream)
        assert b"".join(request.stream) == b"once"
        headers = {name.lower(): value for name, value in request.headers.items()}
        status, answer_headers, body = self.provider.handle("POST", str(request.url), headers, b"")
        return httpx.Response(status, headers=answer_headers, content=body)


def test_call_with_a_streamed_body_refreshes_but_is_not_sent_again(mailloop):
    connection = mailloop.connect()
    mailloop.provider.dead_access_tokens.add(connection.access_token)
    auth = mailloop.client.auth(connection.key)
    with httpx.Client(transport=Wire(mailloop.provider), base_url=mailloop.provider.issuer, auth=auth) as api:
        assert api.post("/api/v1/contacts/", content=iter([b"once"])).status_code == 401
        assert api.post("/api/v1/contacts/", content=iter([b"once"])).status_code == 200
    assert refreshes(mailloop.provider) == 1


@pytest.mark.parametrize(
    "status,challenges,expected",
    [
        (401, ['Bearer realm="api", error="invalid_token"'], True),
        (401, ["bearer error=invalid_token"], True),
        (401, ['Basic realm="x"', 'Bearer error="invalid_token"'], True),
        (401, [], True),
        (401, ["Bearer"], False),
        (401, ['Basic realm="x"'], False),
        (401, ['Bearer error="insufficient_user_authentication"'], False),
        (401, ['Bearer error="invalid_tokens"'], False),
        (403, ['Bearer error="insufficient_scope"'], False),
        (403, ['Bearer error="invalid_token"'], False),
        (200, [], False),
    ],
)
def test_challenge_is_about_the_token_only_when_it_says_so(status, challenges, expected):
    response = httpx.Response(status, headers=[("WWW-Authenticate", each) for each in challenges])
    assert is_token_rejected(response) is expected


async def test_async_call_with_a_refused_token_refreshes_once(provider, clock):
    async with async_client(provider, MemoryStore()) as client:
        connection = await connect(client, provider)
        provider.dead_access_tokens.add(connection.access_token)
        async with httpx.AsyncClient(
            transport=provider.transport(), base_url=provider.issuer, auth=client.auth(connection.key)
        ) as api:
            assert (await api.get("/api/v1/me/")).status_code == 200
            assert (await api.get("/api/v1/me/")).status_code == 200
        assert refreshes(provider) == 1


async def test_auth_of_the_other_kind_is_refused_loudly(mailloop, provider):
    connection = mailloop.connect()
    async with httpx.AsyncClient(transport=provider.transport(), auth=mailloop.client.auth(connection.key)) as api:
        with pytest.raises(RuntimeError, match="AsyncOAuthClient"):
            await api.get("http://127.0.0.1:9/api/v1/me/")
    client = async_client(provider, mailloop.store)
    with (
        httpx.Client(transport=provider.transport(), auth=client.auth(connection.key)) as api,
        pytest.raises(RuntimeError, match="OAuthClient"),
    ):
        api.get("http://127.0.0.1:9/api/v1/me/")
    await client.aclose()
