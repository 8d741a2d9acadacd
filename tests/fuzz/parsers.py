"""Finds every `parse_…` of the package and turns it into a function of bytes.

A parser that is added is fuzzed from then on. One that takes something for which there is no strategy here is an
error that says so: give the type a line in `_FROM_TEXT`, the argument one in `_FIXED`, or what a class is made of one
in `_PARTS`.
"""

import builtins
import importlib
import inspect
import pkgutil
import re
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from operator import itemgetter
from types import ModuleType
from typing import Any, Final

import latchstring
from latchstring.authorization_server.keyring import Keyring, new_keyring
from latchstring.authorization_server.passkey_verification import RelyingParty
from latchstring.authorization_server.tokens import TokenCodec
from latchstring.client.exchange import Answer, Unanswered
from latchstring.client.person import Identity
from latchstring.client.provider import Provider
from latchstring.protocol import errors
from latchstring.protocol.errors import ConfigurationError, OAuthError
from latchstring.protocol.id_token import Expected
from latchstring.protocol.jose.algorithms import RS256
from latchstring.protocol.parameters import Parameters, parse_parameters
from latchstring.protocol.token_answer import parse_members

NOW: Final = 1_800_000_000
# What reads what other people send. The rest reads what the operator has written.
ROOMS: Final = ("protocol", "authorization_server", "resource_server", "client", "web", "outbound")
# Functions of other names whose argument comes from outside as well.
ALSO: Final = (
    "latchstring.client.login.read_authorization_error",
    "latchstring.client.redact.scrub",
    "latchstring.client.token_endpoint.read_request_id",
    "latchstring.client.token_endpoint.read_retry_after",
    "latchstring.client.token_endpoint.read_tokens",
    "latchstring.client.userinfo.read_userinfo",
    "latchstring.outbound.freshness.find_max_age",
    "latchstring.protocol.errors.visible_ascii",
    "latchstring.protocol.id_token.verify_id_claims",
    "latchstring.protocol.pkce.is_code_challenge",
    "latchstring.protocol.pkce.is_code_verifier",
    "latchstring.protocol.redirect_uri.verify_registrable",
    "latchstring.protocol.request_object.read_request_claims",
    "latchstring.protocol.resource_metadata.verify_resource_identifier",
    "latchstring.protocol.scope.is_scope_token",
    "latchstring.resource_server.verify.find_token",
)
# And some that read what we ourselves have written, or the operator's settings, which are checked at start-up.
NOT_FROM_OUTSIDE: Final = (
    "latchstring.authorization_server.trusted_issuers.parse_keys",
    "latchstring.client.stores.records.parse_connection",
    "latchstring.client.stores.records.parse_login",
)


def _members(raw: bytes) -> Any:
    """A JSON object as some other reader left it; nothing to parse where there is none."""
    try:
        return parse_members(raw)
    except ValueError:
        return {}


def _answer(raw: bytes) -> Answer:
    """What a provider says: the first line in its headers, the rest as the body; its length decides the status."""
    head, _, body = raw.partition(b"\n")
    line = head.decode("latin-1")
    status = (200, 302, 400, 401, 408, 429, 500)[len(head) % 7]
    return Answer(status=status, headers={"retry-after": line, "x-request-id": line}, body=body or head, sent_at=NOW)


def _callback_error(raw: bytes) -> dict[str, str]:
    error, _, description = raw.decode(errors="replace").partition("\n")
    return {"error": error, "error_description": description}


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
    Mapping[str, Any]: _members,
    Mapping[str, str]: _callback_error,
    Answer: _answer,
    Answer | Unanswered: _answer,
    bytes | None: lambda raw: raw or None,
    str | None: lambda raw: raw.decode(errors="replace") or None,
}
_FIXED: Final[dict[str, object]] = {
    "now": NOW,
    "purpose": b"fuzz",
    "relying_party": RelyingParty("auth.example", "https://auth.example"),
    "is_new": False,
    "source": "the keyring",
    "algorithm": RS256,
    "expected": Expected(issuer="https://provider.example", client_id="client", access_token="token", nonce="nonce"),
    "signed_in": Identity(claims={"sub": "ann"}),
    "provider": Provider(
        issuer="https://provider.example",
        authorization_endpoint="https://provider.example/authorize",
        token_endpoint="https://provider.example/token",
    ),
}
# What a class with parsers is made of, by type; what has a default keeps it.
_KEYRING: Final = new_keyring(bytes(32), NOW)
_PARTS: Final[dict[Any, object]] = {Keyring: _KEYRING, TokenCodec: TokenCodec(_KEYRING)}


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
    """Every parser that there is a strategy for, by name."""
    yield from (found for found in _find_all() if isinstance(found, Parser))


def find_missing() -> list[str]:
    """What there is no strategy for."""
    return [str(found) for found in _find_all() if isinstance(found, NoStrategy)]


def _find_all() -> Iterator[Parser | NoStrategy]:
    for name, function in sorted(_find_functions(), key=itemgetter(0)):
        try:
            yield _build(name, function())
        except NoStrategy as missing:
            yield missing


def _find_functions() -> Iterator[tuple[str, Callable[[], Callable[..., object]]]]:
    for module in _find_modules():
        for name, member in vars(module).items():
            path = f"{module.__name__}.{name}"
            if getattr(member, "__module__", None) != module.__name__ or path in NOT_FROM_OUTSIDE:
                continue  # it is at home elsewhere
            if inspect.isfunction(member) and (name.startswith("parse_") or path in ALSO):
                yield path, partial(_itself, member)
            elif inspect.isclass(member):
                for method in (method for method in vars(member) if method.startswith("parse_")):
                    yield f"{path}.{method}", partial(_find_method, member, method)


def _itself(function: Callable[..., object]) -> Callable[..., object]:
    return function


def _find_method(kind: type, name: str) -> Callable[..., object]:
    """The method of one that is made for it."""
    method: Callable[..., object] = getattr(_make(kind), name)
    return method


def _make(kind: type) -> object:
    hints = typing.get_type_hints(kind.__init__)  # type: ignore[misc]  # of the class itself, not of an instance
    needed = [
        parameter for parameter in inspect.signature(kind).parameters.values() if parameter.default is parameter.empty
    ]
    for parameter in needed:
        wanted = hints.get(parameter.name)
        if wanted not in _PARTS:
            raise NoStrategy(f"{kind.__name__} is made of {parameter.name}: {wanted}, for which {__file__} has none")
    return kind(**{parameter.name: _PARTS[hints[parameter.name]] for parameter in needed})


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
    for words in re.findall(r"`([a-z_.]*[A-Z]\w+)`", inspect.getdoc(function) or ""):
        first, *rest = words.split(".")
        found = reduce(lambda value, name: getattr(value, name, None), rest, scope.get(first))
        if inspect.isclass(found) and issubclass(found, Exception):
            yield found
