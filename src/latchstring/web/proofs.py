"""The `DPoP` headers of a request, and the nonce that answers them (RFC 9449 §4, §8)."""

from latchstring.web.asgi import Header, Scope, find_headers
from latchstring.web.services import Services


def find_proofs(scope: Scope) -> list[bytes]:
    """What stands in the request's `DPoP` headers."""
    return find_headers(scope, b"dpop")


def offer_nonce(services: Services, proofs: list[bytes]) -> list[Header]:
    """The header with the nonce for the next proof, for a caller that sends proofs (RFC 9449 §8.2)."""
    return [(b"dpop-nonce", services.proofs.render_nonce().encode())] if proofs else []
