"""What a client says when it cannot: every error has a stable `code`, a `verdict` and a `cause`.

The verdict is what the app does next: `reauthorize` sends the person to connect again, `misconfigured` wakes
the developer, `temporary` waits. Only `reauthorize` means that the grant is gone.
"""

from enum import StrEnum
from typing import ClassVar

import msgspec

from latchstring.client.redact import scrub


class Verdict(StrEnum):
    """How a connection fares."""

    OK = "ok"
    REAUTHORIZE = "reauthorize"
    MISCONFIGURED = "misconfigured"
    TEMPORARY = "temporary"


class ProviderAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The refusal as the provider sent it: HTTP status, `error` and `error_description` (RFC 6749 §5.2)."""

    status: int
    error: str | None = None
    error_description: str | None = None


class ClientError(Exception):
    """Any refusal of the client. `code` is stable; `description` is a sentence for the developer.

    `cause` is what lies behind: the exception caught, or the provider's answer. `request_id` is the
    provider's `X-Request-Id`. `retry_after` is in seconds, None when nobody said.
    """

    verdict: ClassVar[Verdict] = Verdict.MISCONFIGURED

    def __init__(
        self,
        code: str,
        description: str,
        *,
        cause: Exception | ProviderAnswer | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        description = scrub(description)
        super().__init__(code, description)
        self.code = code
        self.description = description
        self.cause = cause
        self.request_id = request_id
        self.retry_after = retry_after
        if isinstance(cause, Exception):
            self.__cause__ = cause

    def __str__(self) -> str:
        request = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.code}: {self.description}{request}"


class ReauthorizeRequired(ClientError):
    """The grant is gone or was never there: only the person can help, by connecting again.

    `reconnect_url` is where they do that at the app, if the client was told.

    Codes: `invalid_grant`, `no_refresh_token`, `disconnected`, `not_connected`, `interaction_required`,
    `login_expired`, `unmet_authentication_requirements` (they have no sign-in as strong as an API asks for).
    """

    verdict = Verdict.REAUTHORIZE
    reconnect_url: str | None = None


class Declined(ReauthorizeRequired):
    """The person said no (RFC 6749 §4.1.2.1). Code: `access_denied`."""


class CallbackRefused(ReauthorizeRequired):
    """The callback does not belong to a login that this browser began, or is not from the provider asked.

    Codes: `callback_malformed`, `state_missing`, `state_mismatch`, `login_expired`, `issuer_missing`,
    `issuer_mismatch`, `nonce_mismatch`, `organization_changed`, `sign_in_too_old`, `user_changed`.
    """


class Misconfigured(ClientError):
    """The developer's or the provider's settings are wrong; the connection itself may be well.

    Codes: the provider's (`invalid_client`, `invalid_scope`, …) and ours: `address_refused`, `argument_refused`,
    `client_changed`, `device_unsupported`, `endpoint_refused`, `id_token_missing`, `id_token_refused`,
    `identity_missing`, `issuer_mismatch`, `metadata_malformed`, `openid_unsupported`, `pkce_unsupported`,
    `provider_error`, `redirected`, `resource_mismatch`, `revocation_unsupported`, `step_up_refused`,
    `store_key_unknown`, `store_tampered`, `unsupported_token_type`, `userinfo_refused`.
    """


class IdentityChanged(Misconfigured):
    """A refresh answered for another organization or user, or with an ID token that is not the provider's for this
    person and client: refused, nothing stored.

    Codes: `id_token_refused`, `organization_changed`, `user_changed`.
    """


class TemporaryFailure(ClientError):
    """Nobody is at fault for long: try again later; the connection stays.

    Codes: `answer_unreadable`, `busy`, `rate_limited`, `server_unavailable`, `store_unavailable`,
    `unanswered`.
    """

    verdict = Verdict.TEMPORARY
