"""The types of authorization details that a deployment declares (RFC 9396 §2): what may stand in them, and in which
words a member reads it."""

import string
from collections.abc import Iterator, Mapping
from typing import Final, Literal

import msgspec

MAX_NESTING: Final = 2
_NAME_CHARACTERS: Final = frozenset(string.ascii_letters + string.digits + "_-")
_TYPE_CHARACTERS: Final = frozenset(string.ascii_letters + string.digits + "_-./:")


class DetailField(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One member of such an object, by its JSON type; `strings` is a list of them.

    `title` names it on the consent page. `values` are the only ones that it may have, each with what it is called
    there; empty allows any. `max_length` is in characters, of each string.
    """

    type: Literal["string", "strings", "number", "boolean", "object"] = "string"
    title: str = ""
    required: bool = False
    values: dict[str, str] = {}
    max_length: int = 140
    fields: dict[str, "DetailField"] = {}


class DetailsType(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `type`. `title` is a sentence for members; `{name}` and `{name.inner}` stand for values in it."""

    title: str
    description: str = ""
    risk: Literal["low", "medium", "high"] = "medium"
    fields: dict[str, DetailField] = {}


def split_title(title: str) -> Iterator[tuple[str, str | None]]:
    """The title's texts, each with the name of the value behind it. Raises `ValueError` for a brace that is none."""
    for text, name, form, conversion in string.Formatter().parse(title):
        if form or conversion or name == "":
            raise ValueError("a placeholder is {name} or {name.inner}")
        yield text, name


def verify_details_types(types: Mapping[str, DetailsType]) -> None:
    """Refuse, by `ValueError`, types whose words would be missing on a page, or that nobody could ask for."""
    for name, declared in types.items():
        if not name or not _TYPE_CHARACTERS.issuperset(name) or len(name) > 128:
            raise ValueError(f"{name!r} is not a name of a type")
        if not declared.title:
            raise ValueError(f"{name}: give a title, which members read")
        try:
            _verify_fields(declared.fields, 1)
            for _, placeholder in split_title(declared.title):
                if placeholder is not None:
                    _verify_placeholder(placeholder, declared.fields)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


def _verify_fields(fields: Mapping[str, DetailField], depth: int) -> None:
    for name, field in fields.items():
        if name == "type" or not name or not _NAME_CHARACTERS.issuperset(name):
            raise ValueError(f"{name!r} is not a name of a field")
        if (field.type == "object") != bool(field.fields):
            raise ValueError(f"{name}: an object has fields, and nothing else has")
        if field.values and field.type not in {"string", "strings"}:
            raise ValueError(f"{name}: only strings have values to choose from")
        if not 1 <= field.max_length <= 1000:
            raise ValueError(f"{name}: max_length is 1 to 1000")
        if depth > MAX_NESTING:
            raise ValueError(f"{name}: objects are nested too deeply")
        _verify_fields(field.fields, depth + 1)


def _verify_placeholder(placeholder: str, fields: Mapping[str, DetailField]) -> None:
    """A value that the title names must be there."""
    for part in placeholder.split("."):
        field = fields.get(part)
        if field is None or not field.required:
            raise ValueError(f"{{{placeholder}}} in the title is not a required field")
        fields = field.fields
    if fields:
        raise ValueError(f"{{{placeholder}}} in the title is an object: name one of its fields")
