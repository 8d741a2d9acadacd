"""How long an answer says that it may be kept (RFC 9111 §4.2, §5.2)."""

from typing import Final

MAX_AGE: Final = 24 * 3600


def find_max_age(cache_control: str, age: str) -> int | None:
    """Seconds, 0 to a day, from the `Cache-Control` and `Age` fields; None where they say nothing that counts."""
    directives = [directive.strip().lower() for directive in cache_control.split(",")]
    if any(directive.partition("=")[0] in {"no-store", "no-cache"} for directive in directives):
        return 0
    for directive in directives:
        name, _, value = directive.partition("=")
        if name == "max-age":
            return max(0, min(_read_seconds(value), MAX_AGE) - _read_seconds(age))
    return None


def _read_seconds(text: str) -> int:
    # What is no number makes the answer stale at once (RFC 9111 §4.2.1).
    text = text.strip().strip('"')
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
