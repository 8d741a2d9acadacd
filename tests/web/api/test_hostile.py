"""Whatever stands in a path, a query or a body of any operation: an answer that the document knows, and never a 5xx."""

from typing import Any, Final
from urllib.parse import quote

from latchstring.web.api.operation import PATH
from tests.web.api.conftest import ApiWorld, Caller

# What no operation of the sweep may end: the caller's own standing.
FINAL: Final = {"close_organization", "close_overseen_organization"}
TEXTS: Final = (
    "",
    " ",
    "0",
    "-1",
    "9" * 30,
    "x" * 5000,
    "a\0b",
    "\u202e\u2028é𝕏",
    "<b>\"'`;--",
    "../../x",
    "%00%2f",
    "null",
    "grant_" + "z" * 22,
    "evnt_0000000000000000000000",
)
VALUES: Final[tuple[Any, ...]] = (
    *TEXTS,
    None,
    True,
    -1,
    0,
    1 << 40,
    1 << 70,
    1.5,
    [],
    {},
    [None],
    ["x"] * 300,
    [["x"]],
    {"x": "y"},
)


async def send(ann: Caller, method: str, described: dict[str, Any], path: str, **options: Any) -> None:
    headers = {"authorization": f"Bearer {ann.token}"}
    response = await ann.http.request(method, PATH + path, headers=headers, **options)
    assert response.status_code < 500, (described["operationId"], path, options, response.text)
    if response.status_code not in {404, 405}:  # a path with a slash is another one
        ann.verify(described, response)


def find_fields(document: dict[str, Any], described: dict[str, Any]) -> list[str]:
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    return list(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"])


async def test_hostile_paths_queries_and_bodies_are_answered(api_on_either: ApiWorld) -> None:
    ann = await api_on_either.operator()
    known = {
        **dict.fromkeys(("connection_id", "request_id", "domain", "webhook_id", "secret_id"), "x"),
        "organization_id": api_on_either.world.acorn,
        "client_id": api_on_either.world.app.client_id,
        "user_id": api_on_either.world.ann,
    }
    for path, methods in api_on_either.document["paths"].items():
        for method, described in methods.items():
            if described["operationId"] in FINAL:
                continue
            for parameter in described["parameters"]:
                for text in TEXTS:
                    if parameter["in"] == "query":
                        await send(ann, method, described, path.format(**known), params={parameter["name"]: text})
                    elif text and method == "get":
                        await send(ann, method, described, path.format(**{**known, parameter["name"]: quote(text, "")}))
            if "requestBody" not in described:
                continue
            place = path.format(**known)
            for field in find_fields(api_on_either.document, described):
                for value in VALUES:
                    await send(ann, method, described, place, json={field: value})


async def test_names_that_come_back_are_short(api: ApiWorld) -> None:
    ann = await api.caller()
    response = await ann.ask("save_policy", {"x" * 60_000: 1})
    assert response.status_code == 400
    assert len(response.content) < 600
    response = await ann.ask("save_policy", {"low": "s3cret" * 1000, "medium": "allow", "high": "allow"})
    assert "s3cret" not in response.text
    assert response.json()["field"] == "low"
