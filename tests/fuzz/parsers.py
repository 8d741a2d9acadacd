"""Finds every `parse_…` of the package and turns it into a function of bytes.

A parser that is added is fuzzed from then on. One that takes something for which there is no strategy here is an
error that says so: give the type a line in `_FROM_TEXT`, the argument one in `_FIXED`, or the class one in `_MADE`.
"""

import builtins
import importlib
import inspect
import pkgutil
import re
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final

import latchstring
from latchstring.authorization_server.keyring import new_keyring
from latchstring.authorization_server.registration_codec import RegistrationCodec
from latchstring.authorization_server.tokens import TokenCodec
from latchstring.protocol import errors
from latchstring.protocol.errors import ConfigurationError, OAuthError
from latchstring.protocol.parameters import Parameters, parse_parameters
from latchstring.protocol.token_answer import parse_members

NOW: Final = 1_800_000_000
# What reads what other people send. The rest reads what the operator has written.
ROOMS: Final = ("protocol", "authorization_server", "resource_server", "client", "web")
# Functions of other names whose argument comes from outside as well.
ALSO: Final = (
    "latchstring.protocol.errors.visible_ascii",
    "latchstring.protocol.pkce.is_code_challenge",
    "latchstring.protocol.pkce.is_code_verifier",
    "latchstring.protocol.redirect_uri.verify_registrable",
    "latchstring.protocol.resource_metadata.verify_resource_identifier",
    "latchstring.protocol.scope.is_scope_token",
)
# These read what the operator or this program itself has written, in a room that also reads what others send.
OWN: Final = frozenset(
    {
        "latchstring.authorization_server.trusted_issuers.parse_keys",
        "latchstring.client.stores.records.parse_connection",
        "latchstring.client.stores.records.parse_login",
    }
)


def _members(raw: bytes) -> Any:
    """A JSON object as some other reader left it; nothing to parse where there is none."""
    try:
        return parse_members(raw)
    except ValueError:
        return {}


# Arguments are divided in the input by a byte that none of the parsers gives a meaning to.
BORDER: Final = b"\x1f"
_FROM_TEXT: Final[dict[Any, Callable[[bytes], Any]]] = {
    bytes: bytes,
    str: lambda raw: raw.decode(errors="replace"),
    Parameters: parse_parameters,
    Sequence[bytes]: lambda raw: raw.split(b"\n") if raw else [],
    Sequence[str]: lambda raw: raw.decode(errors="replace").split("\n"),
    tuple[str, ...]: lambda raw: tuple(raw.decode(errors="replace").split("\n")),
    Mapping[str, object]: _members,
    dict[str, Any]: _members,
    dict[str, object]: _members,
    object: _members,
    bytes | None: lambda raw: raw or None,
    str | None: lambda raw: raw.decode(errors="replace") or None,
}
_FIXED: Final[dict[str, object]] = {"now": NOW, "purpose": b"fuzz", "source": "the keyring"}
_CODEC: Final = TokenCodec(new_keyring(bytes(32), NOW))
_MADE: Final[dict[type, Callable[[], object]]] = {
    TokenCodec: lambda: _CODEC,
    RegistrationCodec: lambda: RegistrationCodec(_CODEC),
}


class NoStrategy(AssertionError):
    """A parser takes what nothing here can make."""


@dataclass(frozen=True)
class Parser:
    """A parser as a function of bytes; `refusals` are what it says that it raises."""

    name: str
    function: Callable[..., object] = field(repr=False)
    readers: tuple[Callable[[bytes], Any], ...] = field(repr=False)
    fixed: Mapping[str, object] = field(repr=False)
    names: tuple[str, ...]
    refusals: tuple[type[BaseException], ...]

    def run(self, raw: bytes) -> object:
        """The result, or None for a refusal that it may make; every other exception is a finding."""
        given = raw.split(BORDER, len(self.readers) - 1) if len(self.readers) > 1 else [raw]
        given += [b""] * (len(self.readers) - len(given))
        try:
            arguments = {name: read(part) for name, read, part in zip(self.names, self.readers, given, strict=True)}
        except OAuthError:
            return None
        try:
            return self.function(**arguments, **self.fixed)
        except self.refusals as refused:
            if isinstance(refused, OAuthError):
                verify_refusal(refused)
            return None


def verify_refusal(refused: OAuthError) -> None:
    """A refusal's own words must be fit for the wire before anything cleans them (RFC 6749 §5.2)."""
    assert errors.visible_ascii(refused.description) == refused.description, refused.description
    assert refused.code in errors.STATUS_BY_CODE
    assert refused.status < 500, refused.status


def find_parsers() -> Iterator[Parser]:
    """Every parser there is, by name."""
    for name, function in sorted(_find_functions()):
        yield _build(name, function)


def _find_functions() -> Iterator[tuple[str, Callable[..., object]]]:
    for module in _find_modules():
        for name, member in vars(module).items():
            path = f"{module.__name__}.{name}"
            if getattr(member, "__module__", None) != module.__name__:
                continue  # it is at home elsewhere
            if path in OWN:
                continue
            if inspect.isfunction(member) and (name.startswith("parse_") or path in ALSO):
                yield path, member
            elif inspect.isclass(member):
                methods = [method for method in vars(member) if method.startswith("parse_")]
                if methods and member not in _MADE:
                    raise NoStrategy(f"{path} has {methods[0]}, and nothing makes one: add it to _MADE in {__file__}")
                for method in methods:
                    yield f"{path}.{method}", getattr(_MADE[member](), method)


def _find_modules() -> Iterator[ModuleType]:
    for room in ROOMS:
        package = importlib.import_module(f"{latchstring.__name__}.{room}")
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            try:
                yield importlib.import_module(found.name)
            except ModuleNotFoundError as missing:
                if (missing.name or "").partition(".")[0] == latchstring.__name__:
                    raise  # anything else is a framework that is not installed here


def _build(name: str, function: Callable[..., object]) -> Parser:
    hints = typing.get_type_hints(function)
    readers, names, fixed = [], [], {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in _FIXED:
            fixed[parameter.name] = _FIXED[parameter.name]
        elif hints[parameter.name] in _FROM_TEXT:
            names.append(parameter.name)
            readers.append(_FROM_TEXT[hints[parameter.name]])
        elif parameter.default is parameter.empty:
            raise NoStrategy(
                f"{name} takes {parameter.name}: {hints[parameter.name]}, for which {__file__} has no strategy"
            )
    if not readers:
        raise NoStrategy(f"{name} takes nothing that could be fuzzed")
    return Parser(
        name.removeprefix(f"{latchstring.__name__}."),
        function,
        tuple(readers),
        fixed,
        tuple(names),
        (OAuthError, ConfigurationError, *_find_promised(function)),
    )


def _find_promised(function: Callable[..., object]) -> Iterator[type[BaseException]]:
    """The exceptions that the docstring names in backticks."""
    scope = {**vars(builtins), **getattr(function, "__globals__", {})}
    for word in re.findall(r"`([A-Z]\w+)`", inspect.getdoc(function) or ""):
        found = scope.get(word)
        if inspect.isclass(found) and issubclass(found, Exception):
            yield found
