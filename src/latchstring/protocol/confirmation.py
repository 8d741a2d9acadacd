"""The key that a token is bound to (RFC 7800 §3.1): a proof's (RFC 9449 §6.1) or a certificate's (RFC 8705 §3.1)."""

import msgspec


class Confirmation(msgspec.Struct, frozen=True, omit_defaults=True):
    """`cnf`: whoever shows the token proves that they hold this key. Where both stand, both are proved."""

    jkt: str | None = None
    x5t_s256: str | None = msgspec.field(name="x5t#S256", default=None)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Confirmation)


def render_confirmation(confirmation: Confirmation | None) -> str | None:
    """As JSON, to be kept."""
    return None if confirmation is None else _encoder.encode(confirmation).decode()


def parse_confirmation(text: str | None) -> Confirmation | None:
    """What `render_confirmation` made; raises `ValueError` for anything else."""
    try:
        return None if text is None else _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError("not a confirmation") from error
