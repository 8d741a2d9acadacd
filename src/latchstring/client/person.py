"""Who somebody is, in the words of an OpenID Provider."""

from collections.abc import Mapping
from typing import Any

import msgspec


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What a verified ID token, or userinfo of the same `sub`, says of a person (OpenID Connect Core §2, §5.1).

    `claims` are all of it. A person is `iss` and `sub` together: addresses change hands. Neither they nor names print.
    """

    claims: Mapping[str, Any]

    @property
    def sub(self) -> str:
        """The person's own name at the provider: never reused, and nobody else's there."""
        return str(self.claims["sub"])

    @property
    def email(self) -> str | None:
        """The person's address; prove nothing by it unless it is `email_verified`."""
        return self._find_text("email")

    @property
    def email_verified(self) -> bool:
        """Whether the provider vouches for the address: only by `true` itself, not by a word for it."""
        return self.claims.get("email_verified") is True

    @property
    def name(self) -> str | None:
        """The person's name, for people to read."""
        return self._find_text("name")

    def _find_text(self, claim: str) -> str | None:
        value = self.claims.get(claim)
        return value if isinstance(value, str) and value else None

    def __hash__(self) -> int:
        return hash(self.claims["sub"])

    def __repr__(self) -> str:
        return f"Identity(sub={self.sub!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("sub", self.sub)]
