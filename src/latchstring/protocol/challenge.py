"""What an API's `WWW-Authenticate` asks for, as a client reads it (RFC 9110 §11.6.1). Ours are rendered by `bearer`."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

_MAX_LENGTH: Final = 8192
_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# A parameter, the scheme with which the next challenge begins, or a text without an end; all else is stepped over.
_PART: Final = re.compile(
    rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))|({_TOKEN})(?=[ \t,]|$)|=[ \t]*".*'
)
_ESCAPED: Final = re.compile(r"\\(.)")


class Challenge(msgspec.Struct, frozen=True):
    """One challenge: its scheme in small letters, its parameters by their names in small letters."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(values: Sequence[str]) -> list[Challenge]:
    """The challenges of all the headers, in their order. A header that is too long or makes no sense yields none."""
    found: list[Challenge] = []
    for value in values:
        parameters: dict[str, str] | None = None
        for match in _PART.finditer(value) if len(value) <= _MAX_LENGTH else ():
            name, quoted, plain, scheme = match.groups()
            if scheme is not None:
                parameters = {}
                found.append(Challenge(scheme.lower(), parameters))
            elif name is not None and parameters is not None:
                text = plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
                parameters.setdefault(name.lower(), text)
    return found
