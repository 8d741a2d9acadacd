"""Whose tokens these are: told by the token answer itself, or by one further page of the provider."""

from typing import Final

from latchstring.client.errors import Misconfigured, TemporaryFailure
from latchstring.client.exchange import Answer, Request
from latchstring.client.provider import Provider
from latchstring.client.settings import Context
from latchstring.client.steps import Flow, pause, send
from latchstring.protocol.token_answer import TokenAnswer, find_text, parse_members

_TRIES: Final = 3
_PAUSE: Final = 0.2


def find_identity(context: Context, provider: Provider, tokens: TokenAnswer) -> Flow[tuple[str, str]]:
    """The organization and the user; "" where the provider knows no such thing.

    Raises `identity_missing` when it should and does not say.
    """
    members = tokens.members
    if provider.identity_url is not None:
        members = yield from _read_identity(provider.identity_url, tokens)
    found = []
    for path in (provider.organization_field, provider.user_field):
        text = find_text(members, path) if path else ""
        if text is None:
            raise Misconfigured(
                "identity_missing",
                f"The provider's answer has no {path!r}; tell Provider where the organization and the user stand.",
            )
        found.append(text)
    return found[0], found[1]


def _read_identity(url: str, tokens: TokenAnswer) -> Flow[dict[str, object]]:
    """The JSON object at the URL, read with the token; asked for again while there is no answer."""
    request = Request(url=url, headers={"Authorization": f"Bearer {tokens.access_token}"})
    for left in reversed(range(_TRIES)):
        outcome = yield from send(request)
        if isinstance(outcome, Answer) and outcome.status == 200:
            try:
                return dict(parse_members(outcome.body))
            except ValueError as error:
                raise Misconfigured("identity_missing", f"{url} is not a JSON object.", cause=error) from error
        if isinstance(outcome, Answer) and outcome.status < 500 and outcome.status != 429:
            raise Misconfigured("identity_missing", f"{url} answered {outcome.status}: does the scope allow it?")
        if left:
            yield from pause(_PAUSE)
    raise TemporaryFailure("server_unavailable", f"{url} did not say whose the tokens are; connect again.")
