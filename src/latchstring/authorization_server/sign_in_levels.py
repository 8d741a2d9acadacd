"""How strongly a member must sign in for a request, and whether they can (RFC 9470 §5; `docs/decisions/0027`)."""

from collections.abc import Collection

from latchstring.authorization_server.passkeys import find_relying_party
from latchstring.authorization_server.settings import Settings
from latchstring.protocol.authentication_context import (
    ACR_VALUES,
    MULTI_FACTOR,
    PASSWORD,
    PHISHING_RESISTANT,
    parse_acr_values,
)
from latchstring.protocol.errors import OAuthError


def find_levels(settings: Settings) -> tuple[str, ...]:
    """The levels that can be reached at this server: where browsers make no passkeys, not all."""
    if find_relying_party(settings.issuer) is None:
        return tuple(level for level in ACR_VALUES if level != PHISHING_RESISTANT)
    return ACR_VALUES


def decide_acr_values(text: str | None, settings: Settings) -> tuple[str, ...]:
    """Those of the values that asks for a level of this server's. Refuses a request that has none: with whatever token
    came of it, the app would be sent here again (RFC 9470 §5)."""
    asked = parse_acr_values(text)
    levels = find_levels(settings)
    wanted = tuple(value for value in asked if value in levels)
    if asked and not wanted:
        raise OAuthError(
            "unmet_authentication_requirements",
            "Nobody can sign in here as acr_values asks: see acr_values_supported in the metadata.",
        )
    return wanted


def find_weakest(wanted: Collection[str]) -> str | None:
    """The weakest level that does for any of what is wanted; None where every sign-in does."""
    level = min(wanted, key=ACR_VALUES.index, default=PASSWORD)
    return None if level == PASSWORD else level


def find_strongest(*, has_second_factor: bool, has_passkey: bool) -> str:
    """The strongest level that a member with a password can sign in at."""
    if has_passkey:
        return PHISHING_RESISTANT
    return MULTI_FACTOR if has_second_factor else PASSWORD


def refuse_unmet() -> OAuthError:
    """What the app is told when the member went back because they cannot sign in so strongly (OpenID Connect Core Error
    Code unmet_authentication_requirements)."""
    return OAuthError(
        "unmet_authentication_requirements", "The member cannot sign in as acr_values asks, or did not set it up."
    )
