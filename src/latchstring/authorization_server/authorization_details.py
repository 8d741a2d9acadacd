"""Which `authorization_details` a client may ask for, what of the granted a token is for, and what a member is told of
them (RFC 9396)."""

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from latchstring.authorization_server.details_types import DetailField, DetailsType, split_title
from latchstring.protocol.authorization_details import (
    parse_authorization_details,
    read_authorization_details,
    refuse_details,
    render_authorization_details,
)

# With scope and resources they must fit into an access token.
_MAX_IN_TOKEN: Final = 5000
_encode = msgspec.json.Encoder().encode

Words = tuple[tuple[str, str | None], ...]


class DetailRow(msgspec.Struct, frozen=True):
    """One member of an object as a member reads it: its name, and its values in words. True and False stay what they
    are: the page says yes and no."""

    title: str
    values: tuple[str | bool, ...]


class DetailWords(msgspec.Struct, frozen=True):
    """One object in words: `title` is texts, each with the value behind it; `rows` are what the title leaves out."""

    title: Words
    description: str
    risk: str
    rows: tuple[DetailRow, ...]


def decide(asked: str | None, allowed: Collection[str], types: Mapping[str, DetailsType]) -> str | None:
    """What was asked for, as it is kept, if every object is of a type that the client may use and as declared; else
    `invalid_authorization_details` (RFC 9396 §5)."""
    if asked is None:
        return None
    details = parse_authorization_details(asked)
    for detail in details:
        declared = types.get(detail["type"])
        if declared is None:
            raise refuse_details("authorization_details has a type that this server does not know.")
        if detail["type"] not in allowed:
            raise refuse_details("authorization_details has a type that this app is not registered for.")
        _verify_members({name: value for name, value in detail.items() if name != "type"}, declared.fields)
    return render_authorization_details(details)


def _verify_members(members: Mapping[str, Any], fields: Mapping[str, DetailField]) -> None:
    if not members.keys() <= fields.keys():
        raise refuse_details("authorization_details has a field that its type does not have.")
    for name, field in fields.items():
        if name in members:
            _verify_value(members[name], field)
        elif field.required:
            raise refuse_details("authorization_details lacks a field that its type requires.")


def _verify_value(value: object, field: DetailField) -> None:
    if field.type == "object" and isinstance(value, dict):
        _verify_members(value, field.fields)
        return
    if field.type == "strings" and isinstance(value, list):
        is_good = bool(value) and all(_is_string(part, field) for part in value) and len(set(value)) == len(value)
    elif field.type == "number":
        is_good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53
    elif field.type == "boolean":
        is_good = isinstance(value, bool)
    else:
        is_good = field.type == "string" and _is_string(value, field)
    if not is_good:
        raise refuse_details("authorization_details has a field of another type, length or value than declared.")


def _is_string(value: object, field: DetailField) -> bool:
    if not isinstance(value, str) or not 1 <= len(value) <= field.max_length or not value.isprintable():
        return False
    return not field.values or value in field.values


def narrow(asked: str | None, granted: str | None, scope: str | None) -> str | None:
    """What an access token is for where less was asked for than was granted; None stands for all of it (RFC 9396 §6).

    Each object must be one of the granted, of whose lists it may name some. `scope` is what the token names beside it.
    """
    if asked is None:
        return None
    details, within = parse_authorization_details(asked), read_authorization_details(granted) or []
    if not all(any(_is_part(detail, whole) for whole in within) for detail in details):
        raise refuse_details("authorization_details is wider than what the member granted.")
    rendered = render_authorization_details(details)
    if len(_encode(rendered)) + len(scope or "") > _MAX_IN_TOKEN:
        raise refuse_details("authorization_details and scope are too long together.")
    return None if rendered == granted else rendered


def _is_part(asked: object, granted: object) -> bool:
    if isinstance(asked, dict) and isinstance(granted, dict):
        return asked.keys() == granted.keys() and all(_is_part(asked[name], granted[name]) for name in asked)
    if isinstance(asked, list) and isinstance(granted, list):
        return bool(asked) and all(part in granted for part in asked)
    return type(asked) is type(granted) and asked == granted


def describe(kept: str | None, types: Mapping[str, DetailsType]) -> list[DetailWords]:
    """What was asked for or granted, in the deployment's words. A type that is declared no more is named alone."""
    return [_describe(detail, types.get(detail["type"])) for detail in read_authorization_details(kept) or []]


def _describe(detail: Mapping[str, Any], declared: DetailsType | None) -> DetailWords:
    if declared is None:
        return DetailWords(((detail["type"], None),), "", "high", ())
    title: list[tuple[str, str | None]] = []
    named = set()
    for text, placeholder in split_title(declared.title):
        named.add(placeholder)
        title.append((text, None if placeholder is None else _find_text(placeholder, detail, declared.fields)))
    rows = tuple(_list_rows("", "", detail, declared.fields, named))
    return DetailWords(tuple(title), declared.description, declared.risk, rows)


def _find_text(placeholder: str, members: Mapping[str, Any], fields: Mapping[str, DetailField]) -> str:
    name, _, inner = placeholder.partition(".")
    if inner:
        return _find_text(inner, _as_object(members.get(name)), fields[name].fields)
    return ", ".join(str(word) for word in _find_words(members.get(name, ""), fields[name]))


def _find_words(value: object, field: DetailField) -> tuple[str | bool, ...]:
    if isinstance(value, bool):
        return (value,)
    return tuple(field.values.get(str(part)) or str(part) for part in (value if isinstance(value, list) else [value]))


def _list_rows(
    path: str, title: str, members: Mapping[str, Any], fields: Mapping[str, DetailField], named: Collection[str | None]
) -> list[DetailRow]:
    rows: list[DetailRow] = []
    for name, field in fields.items():
        own_path, own_title = path + name, " · ".join(filter(None, (title, field.title or name)))
        if name not in members or own_path in named:
            continue
        if field.type == "object":
            rows += _list_rows(f"{own_path}.", own_title, _as_object(members[name]), field.fields, named)
        else:
            rows.append(DetailRow(own_title, _find_words(members[name], field)))
    return rows


def _as_object(value: object) -> Mapping[str, Any]:
    # What was granted before a type was declared anew may be of another form.
    return value if isinstance(value, dict) else {}
