"""How a guard takes tokens that are bound by DPoP (RFC 9449 §7, §9)."""

import hashlib
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from latchstring.protocol.bearer import DPOP, SentToken
from latchstring.protocol.dpop_nonce import render_nonce
from latchstring.protocol.errors import ConfigurationError, OAuthError
from latchstring.protocol.jose.algorithms import ALGORITHMS
from latchstring.protocol.resource_metadata import verify_resource_identifier
from latchstring.resource_server.possession import Sent
from latchstring.resource_server.refusal import Refusal, refuse_unavailable
from latchstring.resource_server.replay import ReplayMemory, ThreadReplayMemory

if TYPE_CHECKING:
    from latchstring.protocol.dpop import Proof

MIN_SECRET_LENGTH: Final = 32
_INSTALL: Final = "Install it with: pip install 'latchstring[jwt]'."


class Dpop(msgspec.Struct, frozen=True, kw_only=True):
    """What an API asks of DPoP.

    `is_required` refuses tokens that are not bound. `nonce_secret`, the same in every process of this API, has each
    proof carry a nonce of ours. `public_url` is where clients find the path `/` of this API, if that is not the origin
    of its `resource`. `memory` takes the place of each process's own: a `ReplayMemory` for
    `Guard`, a `ThreadReplayMemory` for `SyncGuard`.
    """

    is_required: bool = False
    nonce_secret: str = ""
    public_url: str = ""
    memory: ReplayMemory | ThreadReplayMemory | None = None

    def __post_init__(self) -> None:
        if self.nonce_secret and len(self.nonce_secret) < MIN_SECRET_LENGTH:
            raise ConfigurationError(f"Guard: dpop.nonce_secret has at least {MIN_SECRET_LENGTH} random characters.")
        if self.public_url:
            try:
                verify_resource_identifier(self.public_url)
            except ValueError as error:
                raise ConfigurationError(
                    f"Guard: dpop.public_url {self.public_url!r} cannot be used: {error}."
                ) from None

    def __repr__(self) -> str:
        return f"Dpop(is_required={self.is_required}, public_url={self.public_url!r})"


class ProofChecker:
    """Verifies proofs against this API's own URL. Without joserfc it can say so, and nothing else."""

    def __init__(self, options: Dpop | None, resource: str) -> None:
        try:
            from latchstring.protocol import dpop
        except ModuleNotFoundError as missing:
            if options is not None:
                raise ConfigurationError(f"Guard: DPoP needs joserfc. {_INSTALL}") from missing
            self._rules = None
        else:
            self._rules = dpop
        options = options or Dpop()
        parts = urlsplit(resource)
        self._base = (options.public_url or f"{parts.scheme}://{parts.netloc}").rstrip("/")
        self._nonce_keys = (_derive(options.nonce_secret),) if options.nonce_secret else ()
        self.is_required = options.is_required

    @property
    def remembered_for(self) -> int:
        """For how many seconds a proof that was used is remembered."""
        return 0 if self._rules is None else self._rules.REMEMBERED_FOR

    @property
    def algorithms(self) -> tuple[str, ...]:
        """What a proof may be signed by; none where proofs cannot be checked."""
        return () if self._rules is None else ALGORITHMS

    def render_nonce(self, now: float) -> str | None:
        """What the next proof must carry, if this API asks for nonces."""
        return render_nonce(self._nonce_keys[0], int(now)) if self._nonce_keys else None

    def verify(self, token: SentToken, sent: Sent | None, now: float) -> "Proof | None":
        """The proof that came with a token of the scheme DPoP, not yet used up; None for another scheme.

        Raises `Refusal`: `invalid_dpop_proof`, `use_dpop_nonce`, or a 503 where proofs cannot be checked here.
        """
        if token.scheme != DPOP:
            return None
        if self._rules is None or sent is None:
            raise refuse_unavailable(f"a DPoP proof cannot be checked without joserfc and the request. {_INSTALL}")
        expected = self._rules.Expected(
            method=sent.method,
            urls=(f"{self._base}{sent.path}",),
            algorithms=ALGORITHMS,
            access_token=token.token,
            nonce_keys=self._nonce_keys,
            requires_nonce=bool(self._nonce_keys),
        )
        try:
            text = self._rules.find_proof(sent.proofs)
            if text is None:
                raise OAuthError("invalid_dpop_proof", "The DPoP header is missing.")
            proof: Proof = self._rules.verify_proof(text, expected, int(now))
        except OAuthError as error:
            raise Refusal(error.code, error.description, error.reason, scheme=DPOP) from None
        return proof


def refuse_replay() -> Refusal:
    """A proof came before."""
    return Refusal("invalid_dpop_proof", "The DPoP proof was used before: make one for each request.", scheme=DPOP)


def _derive(secret: str) -> bytes:
    return hashlib.blake2b(secret.encode(), digest_size=32, person=b"dpop-nonce").digest()
