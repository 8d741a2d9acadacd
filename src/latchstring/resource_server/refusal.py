"""The guard's refusals and how they read on the wire (RFC 6750 §3, RFC 9728 §5.1)."""

from collections.abc import Sequence
from typing import Final

import msgspec

from latchstring.protocol.bearer import BEARER, DPOP, render_challenge
from latchstring.protocol.errors import STATUS_BY_CODE
from latchstring.protocol.scope import render_scope

DEFAULT_RETRY_AFTER: Final = 5
# RFC 9449 §7.1: 401 at an API, while the token endpoint has 400.
_PROOF_CODES: Final = frozenset({"invalid_dpop_proof", "use_dpop_nonce"})
_CHALLENGED: Final = frozenset({400, 401, 403})


class Refusal(Exception):
    """Why a request does not reach the API.

    `code` is None when the request carries no credentials at all (RFC 6750 §3.1: then no error is named).
    `description` is sent; `reason` goes to the log only. `scope` is everything the request needs;
    `retry_after` is in seconds and stands exactly when the same request is worth sending again. `scheme` is the one
    under which to come again: `Bearer` or `DPoP`. `max_age` (seconds) is how old the member's sign-in may be,
    `acr_values` how strong it has to be. `status` overrides the table of codes, and `headers` stand in the answer
    beside its own.
    """

    def __init__(
        self,
        code: str | None,
        description: str,
        reason: str = "",
        *,
        scope: Sequence[str] = (),
        retry_after: int | None = None,
        scheme: str = BEARER,
        max_age: int | None = None,
        acr_values: Sequence[str] = (),
        status: int | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(code, description)
        self.code = code
        self.description = description
        self.reason = reason or description
        self.scope = tuple(scope)
        self.retry_after = retry_after
        self.scheme = scheme
        self.max_age = max_age
        self.acr_values = tuple(acr_values)
        self.headers = tuple(headers)
        if status is None:
            status = 401 if code is None or code in _PROOF_CODES else STATUS_BY_CODE[code]
        self.status = status


def refuse_unavailable(reason: str, retry_after: int = DEFAULT_RETRY_AFTER) -> Refusal:
    """A 503: nobody could say whether the token is good, so no client may read it as bad (case S18)."""
    return Refusal(
        "temporarily_unavailable",
        "The access token could not be checked just now. It may be fine: keep it and try again.",
        reason,
        retry_after=retry_after,
    )


class RefusalBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The JSON body of a refusal. `error` is absent when the request carries no credentials."""

    error: str | None = None
    error_description: str
    request_id: str


class RenderedAnswer(msgspec.Struct, frozen=True):
    """An answer as bytes, for any framework."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


_encoder = msgspec.json.Encoder()


def render_refusal(
    refusal: Refusal,
    *,
    realm: str,
    metadata_url: str,
    request_id: str,
    algorithms: Sequence[str] = (),
    nonce: str | None = None,
) -> RenderedAnswer:
    """The answer: status, challenge where the client can do something about it, JSON body, never stored.

    A challenge to use DPoP names the `algorithms` of proofs, and has the `nonce` beside it (RFC 9449 §7.1, §9).
    """
    headers = [
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-request-id", request_id),
        *refusal.headers,
    ]
    if refusal.status in _CHALLENGED:
        parameters = {"realm": realm}
        if refusal.code is not None:
            parameters |= {"error": refusal.code, "error_description": refusal.description}
        if refusal.scope:
            parameters["scope"] = render_scope(refusal.scope)
        if refusal.max_age is not None:
            parameters["max_age"] = str(refusal.max_age)
        if refusal.acr_values:
            parameters["acr_values"] = " ".join(refusal.acr_values)
        if refusal.scheme == DPOP and algorithms:
            parameters["algs"] = " ".join(algorithms)
        parameters["resource_metadata"] = metadata_url
        headers.append(("www-authenticate", render_challenge(refusal.scheme, parameters)))
        if refusal.scheme == DPOP and nonce is not None:
            headers.append(("dpop-nonce", nonce))
    if refusal.retry_after is not None:
        headers.append(("retry-after", str(refusal.retry_after)))
    body = _encoder.encode(
        RefusalBody(error=refusal.code, error_description=refusal.description, request_id=request_id)
    )
    headers.append(("content-length", str(len(body))))
    return RenderedAnswer(refusal.status, headers, body)
