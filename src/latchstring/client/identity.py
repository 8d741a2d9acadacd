"""Whose tokens these are: told by the token answer itself, by its ID token, or by one further page of the provider."""

from typing import Final

from latchstring.client.auth import render_authorization
from latchstring.client.errors import Misconfigured, TemporaryFailure
from latchstring.client.exchange import Answer, Request
from latchstring.client.person import Identity
from latchstring.client.provider import Provider
from latchstring.client.steps import Flow, pause, send
from latchstring.client.userinfo import read_userinfo
from latchstring.protocol.token_answer import TokenAnswer, find_text, parse_json

_TRIES: Final = 3
_PAUSE: Final = 0.2


def find_identity(provider: Provider, tokens: TokenAnswer, person: Identity | None) -> Flow[tuple[str, str]]:
    """The organization and the user; "" where the provider knows no such thing. `person` is who the ID token says.

    Raises `identity_missing` when it should and does not say.
    """
    said: object = tokens.members
    if provider.identity_url is not None:
        said = yield from _read_identity(provider, provider.identity_url, provider.identity_query, tokens, person)
    organization_id = provider.organization or _find(said, provider.organization_field)
    if provider.organization_claim is not None:
        organization_id = _find_claim(person, provider.organization_claim)
    if provider.user_claim is not None:
        return organization_id, _find_claim(person, provider.user_claim)
    if provider.user_url is not None:
        said = yield from _read_identity(provider, provider.user_url, None, tokens, person)
    return organization_id, _find(said, provider.user_field)


def _find_claim(person: Identity | None, path: str) -> str:
    text = None if person is None else find_text(person.claims, path)
    if text is None:
        why = f"No ID token says {path!r}: does the client ask for the scope openid?"
        raise Misconfigured("identity_missing", why)
    return text


def _find(said: object, path: str | None) -> str:
    text = find_text(said, path) if path else ""
    if text is None:
        raise Misconfigured(
            "identity_missing",
            f"The provider's answer has no {path!r}; tell Provider where the organization and the user stand.",
        )
    return text


def _read_identity(
    provider: Provider, url: str, query: str | None, tokens: TokenAnswer, person: Identity | None
) -> Flow[object]:
    """The JSON at the URL, read with the token; asked for again while there is no answer. If that is userinfo,
    it must be of the ID token's person."""
    name, value = render_authorization(tokens.access_token, provider.token_header)
    request = Request(
        url=url,
        form=None if query is None else {"query": query},
        is_json=query is not None,
        headers={**provider.request_headers, name: value},
    )
    for left in reversed(range(_TRIES)):
        outcome = yield from send(request)
        if isinstance(outcome, Answer) and outcome.status == 200:
            if url == provider.userinfo_endpoint and person is not None:
                return read_userinfo(outcome, person).claims
            try:
                return parse_json(outcome.body)
            except ValueError as error:
                raise Misconfigured("identity_missing", f"{url} is not JSON.", cause=error) from error
        if isinstance(outcome, Answer) and outcome.status < 500 and outcome.status != 429:
            raise Misconfigured("identity_missing", f"{url} answered {outcome.status}: does the scope allow it?")
        if left:
            yield from pause(_PAUSE)
    raise TemporaryFailure("server_unavailable", f"{url} did not say whose the tokens are; connect again.")
