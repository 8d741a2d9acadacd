"""The three families of refusal: what goes on the wire, what stops start-up, what means "try again"."""

from typing import Final

# RFC 6749 §4.1.2.1 and §5.2, RFC 6750 §3.1, RFC 7009 §2.2.1, RFC 7591 §3.2.2, RFC 8628 §3.5, RFC 9449 §5 and §8, RFC
# 9470 §3; OpenID Connect Core §3.1.2.6 and its Error Code unmet_authentication_requirements. 429 and 503 keep a code
# that no client reads as "your credential is bad".
STATUS_BY_CODE: Final[dict[str, int]] = {
    "invalid_request": 400,
    "invalid_client": 401,
    "invalid_grant": 400,
    "unauthorized_client": 400,
    "unsupported_grant_type": 400,
    "invalid_scope": 400,
    "invalid_target": 400,
    "access_denied": 400,
    "authorization_pending": 400,
    "slow_down": 400,
    "expired_token": 400,
    "invalid_request_object": 400,
    "invalid_authorization_details": 400,
    "invalid_request_uri": 400,
    "login_required": 400,
    "account_selection_required": 400,
    "consent_required": 400,
    "interaction_required": 400,
    "unmet_authentication_requirements": 400,
    "unsupported_response_type": 400,
    "unsupported_token_type": 400,
    "invalid_redirect_uri": 400,
    "invalid_client_metadata": 400,
    "invalid_software_statement": 400,
    "unapproved_software_statement": 400,
    "invalid_token": 401,
    "insufficient_user_authentication": 401,
    "insufficient_scope": 403,
    "invalid_dpop_proof": 400,
    "use_dpop_nonce": 400,
    "temporarily_unavailable": 503,
    "server_error": 500,
}


class OAuthError(Exception):
    """A refusal that goes on the wire (RFC 6749 §5.2).

    `code` and `description` are sent; `reason` goes to the log and the developer's trace only.
    `status` overrides the table where HTTP says more than OAuth (405, 413, 415, 429). `retry_after` (seconds) is
    sent with 429 and 503.
    """

    def __init__(
        self, code: str, description: str, reason: str = "", *, status: int | None = None, retry_after: int = 2
    ) -> None:
        super().__init__(code, description)
        self.code = code
        self.description = description
        self.reason = reason or description
        self.status = STATUS_BY_CODE[code] if status is None else status
        self.retry_after = retry_after


class ConfigurationError(Exception):
    """Stops start-up; names the setting and the fix."""


class StoreUnavailable(Exception):
    """The store did not answer or did not commit: a 503, and nothing is consumed."""


_VISIBLE: Final = frozenset(chr(c) for c in range(0x20, 0x7F)) - {'"', "\\"}


def visible_ascii(text: str) -> str:
    """The text with every character outside %x20-21 / %x23-5B / %x5D-7E replaced (RFC 6749 §5.2)."""
    return "".join(c if c in _VISIBLE else "?" for c in text)
