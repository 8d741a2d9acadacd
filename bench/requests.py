"""The heads of the requests, the same few headers for every subject."""

from base64 import b64encode
from urllib.parse import quote_plus

_COMMON = "Host: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: application/json\r\n"


def form_head(path: str, basic: tuple[str, str] | None = None) -> str:
    """A form POST, with HTTP Basic credentials where given (RFC 6749 §2.3.1). Content-Length follows."""
    authorization = ""
    if basic is not None:
        pair = ":".join(quote_plus(part) for part in basic)
        authorization = f"Authorization: Basic {b64encode(pair.encode()).decode()}\r\n"
    return f"POST {path} HTTP/1.1\r\n{_COMMON}{authorization}Content-Type: application/x-www-form-urlencoded\r\n"


def get_head(path: str) -> str:
    """A GET."""
    return f"GET {path} HTTP/1.1\r\n{_COMMON}"
