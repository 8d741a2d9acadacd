"""The token endpoint's successful answer (RFC 6749 §5.1), with the organization it is for."""

from typing import Any

import msgspec


class TokenResponse(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Seven fields; `refresh_token` stands exactly when `offline_access` was granted, `user_id` where a member did,
    `issued_token_type` after an exchange (RFC 8693 §2.2.1), `authorization_details` where there are any (RFC 9396 §7);
    `scope` only then may be missing.

    `expires_in` is in seconds, counted from the moment of issue.
    """

    token_type: str
    access_token: str
    expires_in: int
    organization_id: str
    scope: str = ""
    user_id: str | None = None
    refresh_token: str | None = None
    issued_token_type: str | None = None
    authorization_details: list[dict[str, Any]] | None = None

    def __repr__(self) -> str:
        return f"TokenResponse(scope={self.scope!r}, organization_id={self.organization_id!r}, access_token=…)"


_encoder = msgspec.json.Encoder()


def render_token_response(response: TokenResponse) -> bytes:
    """The answer as JSON."""
    return _encoder.encode(response)
