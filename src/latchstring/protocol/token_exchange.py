"""A token exchange on the wire (RFC 8693 §2.1, §3)."""

from typing import Final

import msgspec

from latchstring.protocol.errors import OAuthError
from latchstring.protocol.parameters import Parameters

ACCESS_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"


class ExchangeParameters(msgspec.Struct, frozen=True, kw_only=True):
    """What is exchanged, who acts, and for whom the result is; None where omitted."""

    subject_token: str | None = None
    subject_token_type: str | None = None
    actor_token: str | None = None
    actor_token_type: str | None = None
    requested_token_type: str | None = None
    audience: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "ExchangeParameters(…)"


def parse_exchange(parameters: Parameters) -> ExchangeParameters:
    """The exchange's parameters, as they were sent."""
    get = parameters.get
    return ExchangeParameters(
        subject_token=get("subject_token"),
        subject_token_type=get("subject_token_type"),
        actor_token=get("actor_token"),
        actor_token_type=get("actor_token_type"),
        requested_token_type=get("requested_token_type"),
        audience=tuple(dict.fromkeys(parameters.lists.get("audience", ()))),
    )


def find_tokens(exchange: ExchangeParameters) -> tuple[str, str | None]:
    """The subject token and the actor token, if any. Refuses a token without its type, a type without its token, and
    every type but an access token's (RFC 8693 §2.1)."""
    subject_token = _find_token("subject_token", exchange.subject_token, exchange.subject_token_type)
    if subject_token is None:
        raise OAuthError("invalid_request", "subject_token is missing.")
    if exchange.requested_token_type not in {None, ACCESS_TOKEN_TYPE}:
        raise OAuthError("invalid_request", "requested_token_type is none that this server issues.")
    return subject_token, _find_token("actor_token", exchange.actor_token, exchange.actor_token_type)


def _find_token(name: str, token: str | None, token_type: str | None) -> str | None:
    if token is None and token_type is None:
        return None
    if token is None or token_type is None:
        raise OAuthError("invalid_request", name + " and its type come together.")
    if token_type != ACCESS_TOKEN_TYPE:
        raise OAuthError("invalid_request", name + "_type is none that this server exchanges.")
    return token
