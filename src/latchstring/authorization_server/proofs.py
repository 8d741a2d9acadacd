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
from latchstring.protocol.dpop import REMEMBERED_FOR, Expected, find_proof, verify_proof
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

        The proof counts once, on every server (RFC 9449 §11.1).
        """
        thumbprint = await self.find_key(headers, client, endpoint)
        return decide_confirmation(client, thumbprint, certificate)

    async def find_key(self, headers: Sequence[bytes], client: ClientRecord, endpoint: str) -> str | None:
        """The thumbprint of the key that the request's proof shows; None where there is no proof."""
        text = find_proof(headers)
        if text is None:
            return None
        now = self._clock()
        url = f"{self._settings.issuer}{endpoint}"
        expected = Expected(
            method="POST",
            urls=(url, f"{url}/"),
            algorithms=find_policy(client).signing_algorithms,
            nonce_keys=self._codec.nonce_keys,
            requires_nonce=self._settings.dpop_nonce_required,
        )
        proof = verify_proof(text, expected, now)
        if await self._store.use_once(proof.digest, expires_at=now + REMEMBERED_FOR, now=now) is Commit.LOST:
            raise OAuthError("invalid_dpop_proof", "The DPoP proof was used before: make one for each request.")
        return proof.thumbprint
