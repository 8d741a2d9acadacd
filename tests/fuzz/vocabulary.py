"""The words of the wire, read out of the source, so that what is added there is fuzzed with its own words."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import latchstring

_SOURCE: Final = Path(latchstring.__file__).parent
_ROOMS: Final = ("protocol", "authorization_server", "web")
_LOOKS_UP: Final = frozenset({"get", "getlist", "pop"})


@cache
def _trees() -> tuple[ast.Module, ...]:
    return tuple(ast.parse(path.read_text()) for room in _ROOMS for path in sorted((_SOURCE / room).rglob("*.py")))


def _text(node: ast.AST | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _name_of(function: ast.expr) -> str:
    """`get` of `form.get` and of `get` alone."""
    return function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)


def _find_names() -> Iterator[str]:
    for tree in _trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name_of(node.func) in _LOOKS_UP:
                yield _text(node.args[0]) if node.args else ""
            elif isinstance(node, ast.Subscript):
                yield _text(node.slice)
            elif isinstance(node, ast.Compare) and any(isinstance(operator, ast.In) for operator in node.ops):
                yield _text(node.left)


@cache
def parameter_names() -> tuple[str, ...]:
    """Names that some code looks for in a form, a query or a JSON object."""
    return tuple(sorted({name for name in _find_names() if name.isascii() and name.replace("_", "").isalpha()}))


@cache
def header_names() -> tuple[bytes, ...]:
    """Headers that some code reads."""
    found: set[bytes] = set()
    for tree in _trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            is_reader = isinstance(node.func, ast.Name) and node.func.id.startswith(("find_header", "read_header"))
            for argument in node.args if is_reader else ():
                if isinstance(argument, ast.Constant) and isinstance(argument.value, bytes):
                    found.add(argument.value)
            if isinstance(node.func, ast.Attribute) and ast.unparse(node.func).endswith("headers.get"):
                found.add(_text(node.args[0]).lower().encode())
    return tuple(sorted(found - {b""} | {b"cookie", b"host", b"origin", b"referer", b"x-forwarded-for"}))


@cache
def words() -> tuple[str, ...]:
    """Short texts that stand anywhere in the source: values of grant types, methods, algorithms, URNs."""
    found = {
        node.value
        for tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return tuple(sorted(word for word in found if 0 < len(word) <= 80 and word.isprintable() and " " not in word))
