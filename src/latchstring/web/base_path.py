"""A server whose issuer has a path: everything lies below it, and its metadata where clients look for it."""

from collections.abc import Iterator
from typing import Final

from latchstring.web.asgi import Scope

_WELL_KNOWN: Final = "/.well-known/"
_OPENID: Final = "/.well-known/openid-configuration"


def place_machine(path: str, base_path: str) -> Iterator[str]:
    """Where a machine's path is answered, with and without its slash.

    A well-known document has the issuer's path behind it (RFC 8414 §3.1). OpenID Connect clients put theirs before
    it (RFC 8414 §5): that one lies below the issuer's path like everything else.
    """
    places = [path]
    if base_path and path.startswith(_WELL_KNOWN):
        places = [path + base_path, path] if path == _OPENID else [path + base_path]
    for found in places:
        yield found
        yield found + "/"


def find_relative(scope: Scope, base_path: str) -> Scope:
    """The request with its path as it is below the issuer's, whether a proxy left that on or took it off, and whatever
    framework mounted us (`root_path`)."""
    root_path = scope.get("root_path", "")
    if not root_path and not base_path:
        return scope
    path = scope["path"]
    for prefix in (root_path, base_path):
        if prefix and (path == prefix or path.startswith(prefix + "/")):
            path = path[len(prefix) :] or "/"
    return {**scope, "path": path, "root_path": ""}
