"""Whether the caller holds a key: its DPoP proof, verified and used up (RFC 9449 §5, §8, §11.1)."""

from collections.abc import Sequence

from latchstring.authorization_server.binding import decide_confirmation
from latchstring.authorization_server.policy import find_policy
from latchstring.authorization_server.ports import Clock, Commit, GrantStore
from latchstring.authorization_server.records import ClientRecord
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.tokens import TokenCodec
from latchstring.protocol.client_certificate import ClientCertificate
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.dpop import MAX_PROOF_AGE, REMEMBERED_FOR, Expected, Proof, find_proof, verify_proof
from latchstring.protocol.dpop_nonce import render_nonce
from latchstring.protocol.errors import OAuthError


class Proofs:
    """Proves possession; the same at every endpoint that takes proofs."""

    def __init__(self, *, store: GrantStore, codec: TokenCodec, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._codec = codec
        self._settings = settings
        self._clock = clock

    def render_nonce(self) -> str:
        """What the next proof may carry, or must where the deployment demands it."""
        return render_nonce(self._codec.nonce_keys[0], self._clock())

    async def confirm(
        self, headers: Sequence[bytes], certificate: ClientCertificate | None, client: ClientRecord, endpoint: str
    ) -> Confirmation | None:
        """What the client's tokens are bound to, from its `DPoP` headers at an endpoint and its certificate.

        The proof counts once, on every server (RFC 9449 §11.1); where something else is missing it is not used up.
        """
        proof = self._verify(headers, client, endpoint)
        confirmation = decide_confirmation(client, None if proof is None else proof.thumbprint, certificate)
        if proof is not None:
            await self._use_up(proof)
        return confirmation

    async def find_key(self, headers: Sequence[bytes], client: ClientRecord, endpoint: str) -> str | None:
        """The thumbprint of the key that the request's proof shows, once; None where there is no proof."""
        proof = self._verify(headers, client, endpoint)
        if proof is None:
            return None
        await self._use_up(proof)
        return proof.thumbprint

    def _verify(self, headers: Sequence[bytes], client: ClientRecord, endpoint: str) -> Proof | None:
        text = find_proof(headers)
        if text is None:
            return None
        url = f"{self._settings.issuer}{endpoint}"
        now = self._clock()
        # A proof without a nonce may have been used before the database was restored; one with a nonce of now was not.
        is_forgotten = self._codec.epoch.is_younger_than(MAX_PROOF_AGE, now)
        expected = Expected(
            method="POST",
            urls=(url, f"{url}/"),
            algorithms=find_policy(client).signing_algorithms,
            nonce_keys=self._codec.nonce_keys,
            requires_nonce=self._settings.dpop_nonce_required or is_forgotten,
        )
        return verify_proof(text, expected, now)

    async def _use_up(self, proof: Proof) -> None:
        now = self._clock()
        if await self._store.use_once(proof.digest, expires_at=now + REMEMBERED_FOR, now=now) is Commit.LOST:
            raise OAuthError("invalid_dpop_proof", "The DPoP proof was used before: make one for each request.")
