"""What every refusal owes, whichever test brings it about (RFC 6749 §5.2)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from latchstring.protocol.errors import OAuthError, visible_ascii


@contextmanager
def watching_refusals() -> Iterator[None]:
    """While this is open, a refusal without a sentence that is fit for the wire is an error where it is made."""
    make = OAuthError.__init__

    def verify(self: OAuthError, code: str, description: str, reason: str = "", **options: Any) -> None:
        assert isinstance(description, str), f"{code} says nothing"
        assert description, f"{code} says nothing"
        assert visible_ascii(description) == description, f"not for the wire: {description}"
        assert isinstance(reason, str), f"{code} has no reason for the log"
        make(self, code, description, reason, **options)

    with mock.patch.object(OAuthError, "__init__", verify):
        yield
