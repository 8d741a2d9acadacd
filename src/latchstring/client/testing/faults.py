"""What can go wrong with one request to a provider."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

# Status, headers, body.
Reply: TypeAlias = tuple[int, dict[str, str], bytes]


class Fault(StrEnum):
    """The request is lost, or takes effect in an unlucky way."""

    DROP_REQUEST = "drop_request"
    """The connection breaks before the request has arrived: nothing happened."""
    DROP_ANSWER = "drop_answer"
    """The request takes effect, its answer is lost."""
    DOUBLE = "double"
    """The request arrives twice, as from an eager proxy; the second answer comes back."""
    ROTATE = "rotate"
    """Somebody else with the same refresh token is a moment quicker."""
    REVOKE = "revoke"
    """The person disconnects while the answer is on its way: its tokens are dead on arrival."""


class OpenIDFault(StrEnum):
    """What is wrong with an ID token, or with userinfo."""

    MISSING = "missing"
    """There is none, although `openid` was granted; of userinfo: 403."""
    NO_SIGNATURE = "no_signature"
    """`alg` is `none`."""
    SYMMETRIC = "symmetric"
    """`alg` is `HS256`, and the secret is the provider's public key, which everybody has."""
    OTHER_ALGORITHM = "other_algorithm"
    """Signed by a key of the provider's, and not as the client is registered."""
    OTHER_KEY = "other_key"
    """Signed by somebody else, under the name of the provider's key."""
    UNKNOWN_KEY = "unknown_key"
    """Signed by a key that the provider does not publish."""
    WRONG_ISSUER = "wrong_issuer"
    WRONG_AUDIENCE = "wrong_audience"
    OTHER_PARTY = "other_party"
    """For us and for others, and issued to one of those (`azp`)."""
    WRONG_NONCE = "wrong_nonce"
    """Of another login."""
    EXPIRED = "expired"
    WRONG_ACCESS_TOKEN = "wrong_access_token"
    """`at_hash` is that of another access token."""
    OTHER_USER = "other_user"
    """`sub` is somebody else than the tokens are for."""
    SIGNED = "signed"
    """Userinfo comes as a JWT."""


@dataclass(frozen=True)
class Delay:
    """The request takes effect, its answer comes that many seconds later."""

    seconds: float


# A `Reply` is what some proxy answers: the provider never sees the request.
AnyFault: TypeAlias = Fault | Delay | Reply


class Dropped(Exception):
    """The connection breaks; `processed` tells whether the request took effect first."""

    def __init__(self, *, processed: bool) -> None:
        super().__init__()
        self.processed = processed


def render_reply(status: int, value: object, headers: Mapping[str, str] | None = None) -> Reply:
    """An answer in JSON."""
    return status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(value).encode()


def refusal(status: int, error: str, description: str) -> Reply:
    """A refusal in OAuth's words (RFC 6749 §5.2), with a request id."""
    return render_reply(status, {"error": error, "error_description": description}, {"X-Request-Id": "req_0001"})


SERVER_ERROR: Final[Reply] = (500, {"Content-Type": "text/html"}, b"<html>Something went wrong.")
SERVICE_UNAVAILABLE: Final = render_reply(503, {"error": "temporarily_unavailable"}, {"Retry-After": "7"})
# As some do it: with an error that would be final if it were not for the status.
RATE_LIMITED: Final = render_reply(429, {"error": "invalid_grant"}, {"Retry-After": "7"})
REDIRECT: Final[Reply] = (307, {"Location": "https://evil.example/oauth2/token/"}, b"")
HTML: Final[Reply] = (200, {"Content-Type": "text/html"}, b"<html>please sign in to the airport's network")
