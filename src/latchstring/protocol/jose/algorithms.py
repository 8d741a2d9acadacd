"""Which signatures count (RFC 7518 §3.1, RFC 8037, RFC 9864): asymmetric ones, by fixed lists, never `none`."""

from typing import Final

ES256: Final = "ES256"
EDDSA: Final = "EdDSA"
ED25519: Final = "Ed25519"
PS256: Final = "PS256"
RS256: Final = "RS256"

# FAPI 2.0 §5.4.1: RS256 is not among them.
STRICT_ALGORITHMS: Final = (ES256, EDDSA, ED25519, PS256)
ALGORITHMS: Final = (*STRICT_ALGORITHMS, RS256)
