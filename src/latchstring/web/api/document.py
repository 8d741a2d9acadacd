"""The API in OpenAPI 3.1, made from the operations themselves and from what they ask and answer."""

import inspect
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from latchstring.authorization_server.api_scopes import API_SCOPES
from latchstring.authorization_server.settings import Settings
from latchstring.web.api.operation import PATH, Export, Operation
from latchstring.web.rendering.renderer import BUILT_IN_SCOPES

_REFERENCE: Final = "#/components/schemas/{name}"
_REFUSED: Final = {"$ref": "#/components/responses/Refused"}
_READ_REFUSALS: Final = ("400", "401", "403", "404", "503")
_CHANGE_REFUSALS: Final = (*_READ_REFUSALS, "409", "413", "415")
_PARAMETER: Final = re.compile(r"\{(\w+)\}")


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was refused, by a code that does not change and in words for a developer. `field` names what in the
    request is at fault. Without a token no error is named (RFC 6750 section 3.1)."""

    error_description: str
    error: str = ""
    field: str = ""
    request_id: str = ""


def render_document(settings: Settings, operations: Sequence[Operation]) -> bytes:
    """The document as JSON."""
    types = [operation.asks for operation in operations]
    types += [operation.answers for operation in operations if _is_json(operation)]
    _, schemas = msgspec.json.schema_components([Refusal, *types], ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = paths.setdefault(operation.path, {})
        path[operation.method.lower()] = _describe(operation, schemas)
    for operation in operations:
        if operation.is_read:
            schemas.pop(operation.asks.__name__, None)
    schemas.pop("Nothing", None)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": f"{settings.deployment_name}: management API", "version": "1"},
            "servers": [{"url": f"{settings.issuer}{PATH}"}],
            "paths": paths,
            "components": {
                "schemas": schemas,
                "responses": {"Refused": {"description": "Refused.", "content": _render_json(_find_schema("Refusal"))}},
                "securitySchemes": {"oauth2": _describe_flow(settings)},
            },
        }
    )


def _describe(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    words = " ".join((inspect.getdoc(operation.handler) or "").split())
    if operation.is_final:
        words += " Needs a person who has signed in lately (RFC 9470)."
    refusals = _READ_REFUSALS if operation.is_read else _CHANGE_REFUSALS
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": words.partition(". ")[0].removesuffix("."),
        "description": words,
        "tags": [operation.handler.__module__.rpartition(".")[2]],
        "security": [{"oauth2": [operation.scope]}],
        "parameters": [*_describe_path(operation), *_describe_query(operation, schemas)],
        "responses": {**_describe_answer(operation), **dict.fromkeys(refusals, _REFUSED)},
    }
    if not operation.is_read and msgspec.structs.fields(operation.asks):
        content = _render_json(_find_schema(operation.asks.__name__))
        described["requestBody"] = {"required": True, "content": content}
    return described


def _describe_path(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(operation.path)
    ]


def _describe_query(operation: Operation, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    if not operation.is_read:
        return []
    schema = schemas[operation.asks.__name__]
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": value}
        for name, value in schema["properties"].items()
    ]


def _describe_answer(operation: Operation) -> dict[str, Any]:
    if operation.answers is None:
        return {"204": {"description": "Done."}}
    content = (
        _render_json(msgspec.json.schema_components([operation.answers], ref_template=_REFERENCE)[0][0])
        if _is_json(operation)
        else {operation.media_type.partition(";")[0]: {"schema": {"type": "string"}}}
    )
    return {str(operation.status): {"description": "Done.", "content": content}}


def _describe_flow(settings: Settings) -> dict[str, Any]:
    endpoint = f"{settings.issuer}/oauth2"
    return {
        "type": "oauth2",
        "description": f"Ask for the resource {settings.api_resource} as well (RFC 8707).",
        "flows": {
            "authorizationCode": {
                "authorizationUrl": f"{endpoint}/authorize/",
                "tokenUrl": f"{endpoint}/token/",
                "refreshUrl": f"{endpoint}/token/",
                "scopes": {name: BUILT_IN_SCOPES[name][0] for name in API_SCOPES},
            }
        },
    }


def _is_json(operation: Operation) -> bool:
    return operation.answers is not None and operation.answers is not Export


def _find_schema(name: str) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(name=name)}


def _render_json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
