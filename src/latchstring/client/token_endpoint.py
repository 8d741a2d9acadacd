"""Requests to the token and revocation endpoints, and what the answers mean (RFC 6749 §5, RFC 7009 §2.2)."""

from base64 import b64encode
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import quote_plus

from latchstring.client.errors import (
    ClientError,
    Misconfigured,
    ProviderAnswer,
    ReauthorizeRequired,
    TemporaryFailure,
)
from latchstring.client.exchange import Answer, Request, Unanswered
from latchstring.client.provider import Provider
from latchstring.client.settings import Settings
from latchstring.protocol.client_metadata import CLIENT_SECRET_BASIC
from latchstring.protocol.errors import visible_ascii
from latchstring.protocol.token_answer import ErrorAnswer, TokenAnswer, parse_error_answer, parse_token_answer

_MAX_DESCRIPTION: Final = 500
_MAX_RETRY_AFTER: Final = 3600.0
# RFC 6749 §5.2, RFC 8707 §2, RFC 7009 §2.2.1: the request is wrong, not the grant.
_MISCONFIGURED: Final = frozenset(
    {
        "invalid_client", "invalid_request", "invalid_scope", "invalid_target", "unauthorized_client",
        "unsupported_grant_type", "unsupported_token_type",
    }
)  # fmt: skip
_TEMPORARY: Final = frozenset({"server_error", "slow_down", "temporarily_unavailable"})
_WRONG_PLACE: Final = frozenset({404, 405, 410, 413, 414, 415})


def build_request(settings: Settings, provider: Provider, url: str, form: Mapping[str, str]) -> Request:
    """The form with the client's authentication: in the body, or by Basic, never both (RFC 6749 §2.3)."""
    headers = dict(provider.request_headers)
    if settings.client_secret is None:
        form = {"client_id": settings.client_id, **form}
    elif provider.token_endpoint_auth_method == CLIENT_SECRET_BASIC:
        pair = f"{quote_plus(settings.client_id)}:{quote_plus(settings.client_secret)}"
        headers["Authorization"] = f"Basic {b64encode(pair.encode('ascii')).decode('ascii')}"
    else:
        form = {"client_id": settings.client_id, "client_secret": settings.client_secret, **form}
    return Request(url=url, form=form, headers=headers, is_json=provider.token_request_format == "json")


def read_tokens(provider: Provider, outcome: Answer | Unanswered) -> TokenAnswer:
    """The tokens issued; raises the `ClientError` of a refusal. Only `invalid_grant` speaks of the grant (§5.2).

    A refusal counts with status 200 too: some providers know no other.
    """
    if isinstance(outcome, Unanswered):
        if isinstance(outcome.cause, Misconfigured):
            raise outcome.cause
        raise TemporaryFailure("unanswered", "The token endpoint did not answer.", cause=outcome.cause)
    refusal = parse_error_answer(outcome.body, provider.error_field)
    if outcome.status != 200 or refusal is not None:
        raise read_refusal(outcome, refusal, provider.errors)
    try:
        tokens = parse_token_answer(outcome.body, default_type=None if provider.token_type else "")
    except ValueError as error:
        raise TemporaryFailure(
            "answer_unreadable",
            f"The token endpoint's answer is unusable: {error}.",
            cause=error,
            request_id=read_request_id(outcome),
        ) from error
    if tokens.token_type.lower() != provider.token_type.lower():
        raise Misconfigured(
            "unsupported_token_type",
            f"The token is of type {tokens.token_type!r}, which this client cannot use.",
        )
    return tokens


def read_refusal(answer: Answer, refusal: ErrorAnswer | None, errors: Mapping[str, str]) -> ClientError:
    """What a refusal means, its code in RFC 6749's words (`errors`). The status comes first: a 5xx or a 429 never
    speaks of the grant."""
    cause = ProviderAnswer(
        status=answer.status,
        error=None if refusal is None else refusal.error,
        error_description=None if refusal is None else refusal.error_description,
    )
    kind, code = _judge(answer.status, errors.get(cause.error or "", cause.error))
    description = (cause.error_description or f"The provider answered {answer.status}.")[:_MAX_DESCRIPTION]
    if code == "provider_error":
        description = f"{cause.error}: {description}"
    return kind(
        code,
        visible_ascii(description),
        cause=cause,
        request_id=read_request_id(answer),
        retry_after=read_retry_after(answer),
    )


def _judge(status: int, error: str | None) -> tuple[type[ClientError], str]:
    if status == 429:
        return TemporaryFailure, "rate_limited"
    if status >= 500 or status == 408 or error in _TEMPORARY:
        return TemporaryFailure, "server_unavailable"
    if 300 <= status < 400:
        return Misconfigured, "redirected"
    if error == "invalid_grant":
        return ReauthorizeRequired, "invalid_grant"
    if error in _MISCONFIGURED:
        return Misconfigured, error
    if error is not None:
        return Misconfigured, "provider_error"
    if status in _WRONG_PLACE:
        return Misconfigured, "endpoint_refused"
    # A 4xx in no OAuth words is a proxy's or a firewall's more often than the provider's.
    return TemporaryFailure, "answer_unreadable"


def read_request_id(answer: Answer) -> str | None:
    """The provider's id for this request, for its log and ours."""
    request_id = answer.headers.get("x-request-id", "")
    return visible_ascii(request_id[:128]) or None


def read_retry_after(answer: Answer, now: float | None = None) -> float | None:
    """Seconds to wait, from a number or a date; at most an hour (RFC 9110 §10.2.3)."""
    value = answer.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), _MAX_RETRY_AFTER)
    try:
        seconds = parsedate_to_datetime(value).timestamp() - (answer.sent_at if now is None else now)
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER)
