"""What a request shows beside its token, to prove that the token is its own (RFC 9449 §7, RFC 8705 §3)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from latchstring.protocol.bearer import BEARER, DPOP
from latchstring.resource_server.refusal import Refusal

_JKT: Final = "jkt"
_X5T: Final = "x5t#S256"


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What of a request a bound token is proved with: its method, its path as it stands in the URL (with its percent
    signs), its `DPoP` headers, and the DER of the certificate that the client showed."""

    method: str
    path: str
    proofs: Sequence[bytes] = ()
    certificate: bytes | None = None

    def __repr__(self) -> str:
        return f"Sent(method={self.method!r}, path={self.path!r})"


class Shown(msgspec.Struct, frozen=True):
    """What was proved: the scheme under which the token came, the thumbprint of the key whose proof holds, the
    thumbprint of the certificate."""

    scheme: str = BEARER
    key: str | None = None
    certificate: str | None = None


def verify_possession(
    token_type: str, confirmation: Mapping[str, Any] | None, shown: Shown, *, is_required: bool
) -> None:
    """Refuse a bound token whose key was not shown, one that is bound in a way unknown here, and a DPoP proof beside a
    token that is bound to no key (RFC 9449 §7.1, §7.2; RFC 8705 §3)."""
    if confirmation is None and token_type == BEARER == shown.scheme and not is_required:
        return  # by far the most
    is_known = confirmation is None or (confirmation and confirmation.keys() <= {_JKT, _X5T})
    if token_type.lower() not in {"bearer", "dpop"} or not is_known:
        reason = f"token_type {token_type!r}, cnf {confirmation and sorted(confirmation)}"
        raise Refusal(
            "invalid_token", "The token is of a type, or bound in a way, that this API does not know.", reason
        )
    confirmation = confirmation or {}
    is_bound = token_type.lower() == "dpop" or _JKT in confirmation
    if is_bound and shown.scheme != DPOP:
        raise Refusal(
            "invalid_token",
            "The access token is bound to a key: send it as Authorization: DPoP, with a proof.",
            scheme=DPOP,
        )
    if is_bound and (shown.key is None or confirmation.get(_JKT) != shown.key):
        raise Refusal("invalid_dpop_proof", "The access token is bound to another key than the proof's.", scheme=DPOP)
    if not is_bound and shown.scheme == DPOP:
        raise Refusal("invalid_token", "The access token is bound to no key: send it as Authorization: Bearer.")
    if not is_bound and is_required:
        raise Refusal("invalid_token", "This API takes only tokens that are bound to a key by DPoP.", scheme=DPOP)
    if _X5T in confirmation and (shown.certificate is None or confirmation[_X5T] != shown.certificate):
        raise Refusal("invalid_token", "The access token is bound to a client certificate, which was not shown.")
