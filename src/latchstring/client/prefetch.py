"""A browser that fetches the callback ahead of the person must not spend the code."""

from collections.abc import Mapping


def is_prefetch(headers: Mapping[str, str]) -> bool:
    """Whether the browser only looks ahead (`Sec-Purpose: prefetch`): answer 503 and call nothing.

    `headers` finds names in small letters or without regard to case, as every framework's headers do.
    """
    purposes = (headers.get(name, "") for name in ("sec-purpose", "purpose", "x-moz"))
    return any("prefetch" in purpose.lower() or "prerender" in purpose.lower() for purpose in purposes)
