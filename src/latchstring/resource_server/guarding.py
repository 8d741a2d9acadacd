"""What every guard does, whatever drives it. A check is a generator without I/O: it asks steps of its driver, and is
sent their answers; the guards for asyncio (`asgi`) and for threads (`wsgi`) differ in how they answer."""

from __future__ import annotations

import logging
import re
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast
from urllib.parse import quote

import msgspec

from latchstring.protocol.bearer import BEARER, DPOP
from latchstring.protocol.client_certificate import (
    CertificateRefused,
    certificate_thumbprint,
    parse_certificate_header,
)
from latchstring.protocol.errors import ConfigurationError
from latchstring.protocol.introspection import IntrospectionResponse
from latchstring.resource_server import audit
from latchstring.resource_server.dpop import Dpop, ProofChecker, refuse_replay
from latchstring.resource_server.limits import Bucket, Level, RateLimit, decide_limits, find_buckets, verify_limits
from latchstring.resource_server.possession import Sent, Shown
from latchstring.resource_server.refusal import Refusal, RenderedAnswer, render_refusal
from latchstring.resource_server.requirement import NOTHING, Requirement, close_hierarchy, decide_requirement, has_scope
from latchstring.resource_server.settings import (
    DEFAULT_BOUND,
    DEFAULT_TIMEOUT,
    GuardSettings,
    verify_scopes,
)
from latchstring.resource_server.verdicts import Verdicts, name_token
from latchstring.resource_server.verify import Access, decide_access, find_token, looks_signed

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{8,128}")

log = logging.getLogger(__name__)

T = TypeVar("T")
HttpClient = TypeVar("HttpClient")


class Introspect(msgspec.Struct, frozen=True):
    """Ask the authorization server about a token; the answer is an `IntrospectionResponse`."""

    token: str


class CheckSigned(msgspec.Struct, frozen=True):
    """Judge a signed token by the server's keys; the answer is an `IntrospectionResponse`."""

    token: str


class UseOnce(msgspec.Struct, frozen=True):
    """Note a proof as used; the answer is whether it was not used before. Times are in epoch seconds."""

    digest: bytes
    expires_at: float
    now: float


class Take(msgspec.Struct, frozen=True):
    """Take a request out of each of the caller's buckets; the answer is a `Level` for each. `now`: epoch seconds."""

    buckets: tuple[Bucket, ...]
    now: float


Step: TypeAlias = Introspect | CheckSigned | UseOnce | Take
Headers: TypeAlias = tuple[tuple[str, str], ...]
Flow: TypeAlias = Generator[Step, Any, T]


class RefusedRequest(Exception):
    """A refusal on its way to the framework's handler of exceptions, as the answer to send."""

    def __init__(self, rendered: RenderedAnswer) -> None:
        super().__init__(rendered.status)
        self.rendered = rendered


class BaseGuard(ABC, Generic[HttpClient]):
    """Lets a request through to an API when its access token is good for it, and answers it otherwise.

    `issuer` and `introspection_endpoint` are the authorization server's; `client_id` and `client_secret` are
    this API's own credentials there; `resource` is this API's identifier, the audience of its tokens. Unset,
    it is refused with `ConfigurationError`. With the issuer alone, the introspection endpoint, the key set and the
    revocation feed are those of its metadata (RFC 8414), found at the first request. A token without an audience is for
    every API of the deployment. Nothing is cached unless you say so: a token revoked is dead at the next request.
    `timeout` is in seconds.

    With `revocations_endpoint` what the server has said of a token is used again, for `answer_lifetime` seconds (300),
    while the server's revocation feed tells of nothing that concerns it: what is revoked is dead within a second or so.
    If the feed has not been heard for `revocations_bound` seconds, every token is asked about. Without the feed an
    answer is kept only if `answer_lifetime` (up to 60 seconds) says so, and a token revoked may be let in so long.

    With `jwks_uri`, JWT access tokens (RFC 9068) are checked here, by their signature alone, and are good until they
    expire, or until the feed tells otherwise; opaque ones are asked about as ever. It needs `latchstring[jwt]`.

    `implied_scopes` says which scopes a scope stands for besides itself: with `{"contacts.write": ["contacts.read"]}` a
    token for `contacts.write` does where `contacts.read` is required.

    `rate_limits` are how many requests a client, an organization or a client in an organization may make; each process
    counts its own, unless a `limit_memory` that they share is given.

    Who calls is noted for the API's own logs and traces (`audit`), unless `audits` is false.

    Tokens bound to a key (RFC 9449) are taken where joserfc is installed; `dpop` says what is asked of them. Tokens
    bound to a certificate (RFC 8705) are taken with `client_certificate_header` and `trusted_proxy_networks`, or where
    the server itself ends TLS and says so (the ASGI extension `tls`).
    """

    def __init__(
        self,
        *,
        issuer: str,
        introspection_endpoint: str | None = None,
        client_id: str,
        client_secret: str,
        resource: str = "",
        jwks_uri: str | None = None,
        revocations_endpoint: str | None = None,
        revocations_bound: float = DEFAULT_BOUND,
        answer_lifetime: float | None = None,
        scopes_supported: Sequence[str] = (),
        implied_scopes: Mapping[str, Sequence[str]] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        dpop: Dpop | None = None,
        client_certificate_header: str = "",
        trusted_proxy_networks: Sequence[str] = (),
        rate_limits: Sequence[RateLimit] = (),
        limit_memory: object = None,
        audits: bool = True,
        http_client: HttpClient | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        verify_scopes(scopes_supported)
        self.settings = GuardSettings(
            issuer=issuer,
            introspection_endpoint=introspection_endpoint,
            resource=resource,
            client_id=client_id,
            client_secret=client_secret,
            jwks_uri=jwks_uri,
            revocations_endpoint=revocations_endpoint,
            revocations_bound=revocations_bound,
            answer_lifetime=answer_lifetime,
            scopes_supported=tuple(scopes_supported),
            timeout=timeout,
            client_certificate_header=client_certificate_header,
            trusted_proxy_networks=tuple(trusted_proxy_networks),
        )
        self._certificate_header = self.settings.find_certificate_header()
        self._hierarchy = close_hierarchy(implied_scopes or {})
        self._proofs = ProofChecker(dpop, resource)
        self._clock = clock
        self._limits = verify_limits(rate_limits)
        self._audits = audits
        self._connect(http_client, None if dpop is None else dpop.memory, limit_memory)
        if introspection_endpoint is not None:
            self._settle(self.settings)

    @abstractmethod
    def _connect(self, http_client: HttpClient | None, memory: object, limit_memory: object) -> None:
        """Make ready what answers the steps, but for the server's endpoints."""

    def _settle(self, settings: GuardSettings) -> None:
        """Take the settings, whole: the server's endpoints are known."""
        self.settings = settings
        self._checks_signed = settings.jwks_uri is not None
        self._verdicts = Verdicts(
            lifetime=settings.kept_for,
            bound=None if settings.revocations_endpoint is None else settings.revocations_bound,
            monotonic=time.monotonic,
        )
        self._connect_endpoints()

    @abstractmethod
    def _connect_endpoints(self) -> None:
        """Make ready what asks the server."""

    def check_flow(
        self,
        authorization: Sequence[bytes],
        query: bytes = b"",
        requirement: Requirement = NOTHING,
        sent: Sent | None = None,
    ) -> Flow[Access]:
        """Who calls, as steps for a driver; raises `Refusal`. Possession is proved first; a proof is used up last."""
        token = find_token(authorization, query, DPOP if self._proofs.is_required else BEARER)
        now = self._clock()
        proof = self._proofs.verify(token, sent, now)
        answer = self._find_kept(token.token) or (yield from self._judge(token.token))
        certificate = None if sent is None or sent.certificate is None else certificate_thumbprint(sent.certificate)
        access = decide_access(
            answer,
            issuer=self.settings.issuer,
            resource=self.settings.resource,
            now=self._clock(),
            shown=Shown(token.scheme, None if proof is None else proof.thumbprint, certificate),
            is_binding_required=self._proofs.is_required,
        )
        self.decide(access, requirement)
        if proof is not None:
            is_first = yield UseOnce(proof.digest, now + self._proofs.remembered_for, now)
            if is_first is not True:
                raise refuse_replay()
        return access

    def decide(self, access: Access, requirement: Requirement) -> None:
        """Refuse access that lacks what the request needs beyond a good token."""
        decide_requirement(access, requirement, self._hierarchy, self._clock())

    def permits(self, access: Access, *scope: str) -> bool:
        """Whether the token has all of these scopes, `implied_scopes` counted in; for endpoints that decide by it."""
        return has_scope(access, scope, self._hierarchy)

    def _find_kept(self, token: str) -> IntrospectionResponse | None:
        """What the server has said of an opaque token before, if that is as good as new: most checks end here."""
        if not self._verdicts.keeps or (self._checks_signed and looks_signed(token)):
            return None
        return self._verdicts.find(name_token(token))

    def _judge(self, token: str) -> Flow[IntrospectionResponse]:
        """What the token stands for: by itself, by what the server has said before, or by asking it."""
        verdicts = self._verdicts
        if self._checks_signed and looks_signed(token):
            answer = cast(IntrospectionResponse, (yield CheckSigned(token)))
            if not verdicts.is_in_doubt(answer):
                return answer
        if not verdicts.keeps:
            return cast(IntrospectionResponse, (yield Introspect(token)))
        name = name_token(token)
        kept = verdicts.find(name)
        if kept is not None:
            return kept
        known = verdicts.count  # what is told while the server is asked may not be in its answer
        answer = cast(IntrospectionResponse, (yield Introspect(token)))
        verdicts.keep(name, answer, known)
        return answer

    @property
    def has_limits(self) -> bool:
        """Whether requests are counted at all."""
        return bool(self._limits)

    def take_flow(self, access: Access) -> Flow[Headers]:
        """The headers that tell the caller how much of its limits is left, one request taken out of them; raises
        `Refusal` (429). Nothing of a request that was refused before counts."""
        if not self._limits:
            return ()
        levels = cast(Sequence[Level], (yield Take(find_buckets(self._limits, access), self._clock())))
        return decide_limits(self._limits, levels)

    def note(self, request_id: str, access: Access | None = None) -> None:
        """For logs and traces: from here on it is this request, and this caller's."""
        if self._audits:
            audit.note(request_id, access)

    def forget(self) -> None:
        """For logs and traces: the request is over."""
        if self._audits:
            audit.forget()

    def refuse(self, refusal: Refusal, request_id: str) -> RenderedAnswer:
        """The refusal as this API says it. Logged without any credential; an error when it is our fault."""
        level = logging.ERROR if refusal.status >= 500 else logging.INFO
        log.log(level, "Refused %s: %s %s: %s", request_id, refusal.status, refusal.code, refusal.reason)
        settings = self.settings
        return render_refusal(
            refusal,
            realm=settings.realm,
            metadata_url=settings.metadata_url,
            request_id=request_id,
            algorithms=self._proofs.algorithms,
            nonce=self.render_nonce(),
        )

    def render_nonce(self) -> str | None:
        """The `DPoP-Nonce` for the answer to a request with a proof, if this API asks for nonces (RFC 9449 §8.2)."""
        return self._proofs.render_nonce(self._clock())

    def render_metadata(self) -> bytes:
        """What this API says of itself (RFC 9728 §2)."""
        return self.settings.render_metadata(self._proofs.algorithms, is_dpop_required=self._proofs.is_required)

    def answer_metadata(self, method: str) -> RenderedAnswer:
        """The answer at the metadata's path."""
        if method not in {"GET", "HEAD"}:
            headers = [("allow", "GET, HEAD"), ("content-type", "text/plain"), ("content-length", "0")]
            return RenderedAnswer(405, headers, b"")
        body = self.render_metadata()
        headers = [
            ("content-type", "application/json"),
            ("cache-control", "public, max-age=300"),
            ("access-control-allow-origin", "*"),
            ("content-length", str(len(body))),
        ]
        return RenderedAnswer(200, headers, body if method == "GET" else b"")

    def is_metadata(self, path: str) -> bool:
        """Whether the path is the metadata's, with or without a slash at its end."""
        return path.removesuffix("/") == self.settings.metadata_path.removesuffix("/")

    def find_certificate(
        self, peer: str | None, headers: Iterable[tuple[bytes, bytes]], shown: str = ""
    ) -> bytes | None:
        """The DER of the client's certificate: a trusted proxy's word where one is configured, else what the server
        itself was `shown`, as PEM."""
        try:
            if self._certificate_header is not None:
                return self._certificate_header.find(peer, headers)
            return parse_certificate_header(shown.encode()) if shown else None
        except CertificateRefused as refused:
            raise Refusal("invalid_request", "The client certificate cannot be used.", str(refused)) from None


@contextmanager
def needing_jwt_extra() -> Iterator[None]:
    """Say what to install where signed tokens cannot be checked."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"Guard: with jwks_uri it needs {error.name}; install latchstring[jwt], or leave jwks_uri out"
        ) from None


def render_path(path: str) -> str:
    """A decoded path as it stands in a URL."""
    return quote(path, safe="/~!$&'()*+,;=:@-._")


def choose_request_id(sent: bytes) -> str:
    """The caller's own id for its request, if that is a usable one; else a new one."""
    return sent.decode("ascii") if _REQUEST_ID.fullmatch(sent) else f"req_{secrets.token_hex(10)}"
