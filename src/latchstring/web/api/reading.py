"""What an operation is asked, from a query or a JSON body: strictly, so that nothing misspelt is taken for nothing."""

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from latchstring.protocol.errors import OAuthError
from latchstring.protocol.parameters import Parameters, parse_parameters
from latchstring.web.api.operation import Operation
from latchstring.web.asgi import FieldRefused, Receive, Scope, read_json_body

_PLACE: Final = re.compile(r" - at `\$\.?(?P<field>[^`]*)`$")
_VALUE: Final = re.compile(r"^Invalid enum value .*", re.DOTALL)
_MAX_ECHOED: Final = 200
_NAMED: Final = re.compile(r"field `(?P<field>[^`]*)`")
Asked = TypeVar("Asked", bound=msgspec.Struct)


def read_query(scope: Scope) -> Parameters:
    """The query's parameters, each once."""
    parameters = parse_parameters(scope.get("query_string", b""))
    parameters.refuse_repeats()
    if parameters.lists:
        raise FieldRefused(next(iter(parameters.lists)), "There is no such parameter.")
    return parameters


async def read_asked(operation: Operation, query: Mapping[str, str], scope: Scope, receive: Receive) -> msgspec.Struct:
    """What the operation asks; `FieldRefused` names what does not fit."""
    if operation.is_read:
        return convert(query, operation.asks)
    if query:
        raise FieldRefused(next(iter(query)), "What is to change stands in the body, not in the query.")
    if not msgspec.structs.fields(operation.asks):
        return operation.asks()
    body = await read_json_body(scope, receive)
    try:
        asked = msgspec.json.decode(body, type=operation.asks)
    except msgspec.ValidationError as error:
        raise _name(error) from None
    except (msgspec.DecodeError, RecursionError):
        raise OAuthError("invalid_request", "The body is no JSON object.") from None
    return _refuse_nul(asked)


def convert(values: Mapping[str, str], type: type[Asked]) -> Asked:
    """The values as the type has them: numbers and yes or no are text in a query."""
    try:
        return _refuse_nul(msgspec.convert(dict(values), type, strict=False))
    except msgspec.ValidationError as error:
        raise _name(error) from None


def _name(error: msgspec.ValidationError) -> OAuthError:
    text = str(error)
    place, named = _PLACE.search(text), _NAMED.search(text)
    path = [] if place is None else [place["field"]]
    if named is not None:
        path.append(named["field"])
    field = ".".join(path)[:_MAX_ECHOED]
    why = _VALUE.sub("This is none of the values that there are", _PLACE.sub("", text))[:_MAX_ECHOED]
    return FieldRefused(field, f"{why}.") if field else OAuthError("invalid_request", f"{why}.")


def _refuse_nul(asked: Asked) -> Asked:
    for field in msgspec.structs.fields(asked):
        if _has_nul(getattr(asked, field.name)):
            raise FieldRefused(field.encode_name, "The text has a character that cannot be kept.")
    return asked


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    return isinstance(value, list | tuple) and any(_has_nul(each) for each in value)
