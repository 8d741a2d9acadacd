"""The guard in Starlette: the same answers as in plain ASGI, and who calls at hand in an endpoint."""

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route

from latchstring.resource_server.frameworks.starlette import current_access, require
from tests.resource_server.fakes import ACTIVE, FakeServer, browse, make_guard

GOOD = {"authorization": "Bearer good"}


@pytest.fixture
def server():
    return FakeServer()


def make_app(guard, *, guarded):
    async def who(request):
        return JSONResponse({"user_id": current_access(request).user_id})

    @require(guard, "contacts.read")
    async def read(request):
        assert await request.body() == b"body"
        return JSONResponse({"user_id": current_access(request).user_id})

    @require(guard, "contacts.write")
    def write(request):
        return JSONResponse({"user_id": current_access(request).user_id})

    part = [Middleware(guard.require("contacts.write"))]
    routes = [
        Route("/who", who),
        Route("/read", read, methods=["POST"]),
        Route("/write", write),
        Route("/part", who, middleware=part),
    ]
    middleware = [Middleware(guard.asgi, exempt={"/open"})] if guarded else []
    return Starlette(routes=routes, middleware=middleware)


async def test_guarded_app_has_access_in_every_endpoint(server):
    async with browse(make_app(make_guard(server), guarded=True)) as http:
        response = await http.get("/who", headers=GOOD)
        refused = await http.get("/who")
        missing = await http.get("/nowhere")
    assert response.json() == {"user_id": "user_1"}
    assert refused.status_code == missing.status_code == 401
    assert "resource_metadata=" in refused.headers["www-authenticate"]


@pytest.mark.parametrize("guarded", [True, False])
async def test_require_lets_enough_scope_in_and_refuses_too_little(server, guarded):
    async with browse(make_app(make_guard(server), guarded=guarded)) as http:
        read = await http.post("/read", headers=GOOD, content=b"body")
        write = await http.get("/write", headers=GOOD)
        part = await http.get("/part", headers=GOOD)
        nobody = await http.post("/read", content=b"body")
        server.tokens["good"] = ACTIVE | {"scope": "contacts.read contacts.write"}
        enough = await http.get("/write", headers=GOOD)
        enough_for_part = await http.get("/part", headers=GOOD)
    assert (read.status_code, read.json()) == (200, {"user_id": "user_1"})
    assert read.headers.get_list("x-request-id") != []
    for refused in (write, part):
        assert refused.status_code == 403
        assert refused.json()["error"] == "insufficient_scope"
        assert refused.headers.get_list("x-request-id") == [refused.json()["request_id"]]
        assert 'scope="contacts.write"' in refused.headers["www-authenticate"]
    assert nobody.status_code == 401
    assert "error" not in nobody.json()
    assert enough.json() == enough_for_part.json() == {"user_id": "user_1"}


async def test_current_access_without_a_guard_fails_loudly(server):
    async with browse(make_app(make_guard(server), guarded=False)) as http:
        with pytest.raises(RuntimeError, match="No guard"):
            await http.get("/who", headers=GOOD)
