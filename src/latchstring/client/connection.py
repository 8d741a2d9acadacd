"""What the client remembers: a connection per provider, organization and user, and a login under way."""

from typing import Self

import msgspec

from latchstring.client.errors import (
    ClientError,
    IdentityChanged,
    Misconfigured,
    ProviderAnswer,
    ReauthorizeRequired,
    TemporaryFailure,
    Verdict,
)
from latchstring.client.person import Identity
from latchstring.protocol.client_metadata import AUTHORIZATION_CODE, CLIENT_CREDENTIALS


class ConnectionKey(msgspec.Struct, frozen=True, order=True):
    """What tells connections apart: the issuer, the organization and the user, never the user alone."""

    issuer: str
    organization_id: str
    user_id: str


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why the last refresh did not succeed. Times in epoch seconds; `count` failures in a row.

    Before `retry_at` no further attempt is made by itself; None means no attempt at all.
    """

    verdict: Verdict
    code: str
    description: str
    at: float
    retry_at: float | None
    count: int = 1
    request_id: str | None = None
    provider_answer: ProviderAnswer | None = None

    def as_error(self) -> ClientError:
        """The failure as it was raised first."""
        kind: type[ClientError] = _KINDS[self.verdict]
        if self.code in {"id_token_refused", "organization_changed", "user_changed"}:
            kind = IdentityChanged
        return kind(self.code, self.description, cause=self.provider_answer, request_id=self.request_id)


_KINDS: dict[Verdict, type[ClientError]] = {
    Verdict.REAUTHORIZE: ReauthorizeRequired,
    Verdict.MISCONFIGURED: Misconfigured,
    Verdict.TEMPORARY: TemporaryFailure,
}


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """One grant as the client holds it. Times in epoch seconds; the tokens never print.

    `expires_at` counts from the moment the request was sent, None when the server did not say.
    `generation` grows with every change of tokens; writes compare it (compare-and-swap).
    `refreshing_since` stands while a refresh of this generation is under way, or its answer is missing.
    `grant_type` is how the tokens came: an app that is at work for itself has no refresh token and asks anew.
    `asked_scope` is what the person was last asked for, `step_ups` how often in a row for just that.
    `identity` is who connected, by the ID token that came then, where the scope has `openid`.
    """

    issuer: str
    organization_id: str
    user_id: str
    client_id: str
    scope: str
    access_token: str
    refresh_token: str | None
    expires_at: float | None
    connected_at: float
    refreshed_at: float
    generation: int = 1
    refreshing_since: float | None = None
    disconnected_at: float | None = None
    failure: Failure | None = None
    grant_type: str = AUTHORIZATION_CODE
    asked_scope: str | None = None
    step_ups: int = 0
    identity: Identity | None = None

    @property
    def can_renew(self) -> bool:
        """Whether new tokens can be had without the person."""
        return self.refresh_token is not None or self.grant_type == CLIENT_CREDENTIALS

    @property
    def key(self) -> ConnectionKey:
        return ConnectionKey(self.issuer, self.organization_id, self.user_id)

    @property
    def verdict(self) -> Verdict:
        """How the connection fares, from what is recorded; no request is made."""
        if self.disconnected_at is not None:
            return Verdict.REAUTHORIZE
        return Verdict.OK if self.failure is None else self.failure.verdict

    def is_alive(self, now: float) -> bool:
        """Whether the access token has not expired, as far as one can tell without asking."""
        return bool(self.access_token) and (self.expires_at is None or now < self.expires_at)

    def replace(self, **changes: object) -> Self:
        """A copy with these fields changed."""
        return msgspec.structs.replace(self, **changes)

    def __repr__(self) -> str:
        return (
            f"Connection(issuer={self.issuer!r}, organization_id={self.organization_id!r}, "
            f"user_id={self.user_id!r}, generation={self.generation}, verdict={self.verdict.value!r})"
        )

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("key", self.key), ("generation", self.generation), ("verdict", self.verdict.value)]


class PendingLogin(msgspec.Struct, frozen=True, kw_only=True):
    """A login between `begin` and `complete`: for the browser that began it, once, until `expires_at`. `reconnects` is
    the connection, by organization and user, that it is to renew and no other. `nonce` must come back in the ID token,
    where one was asked for, and a sign-in before `signed_in_after` (epoch seconds) does not count."""

    state: str
    code_verifier: str
    browser_hash: str
    issuer: str
    client_id: str
    redirect_uri: str
    scope: str
    expires_at: float
    step_ups: int = 0
    reconnects: tuple[str, str] | None = None
    nonce: str | None = None
    signed_in_after: float | None = None

    def __repr__(self) -> str:
        return f"PendingLogin(issuer={self.issuer!r}, expires_at={self.expires_at!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("issuer", self.issuer), ("expires_at", self.expires_at)]
