"""A token exchange on the wire (RFC 8693 §2.1; X1)."""

from urllib.parse import urlencode

import pytest

from latchstring.protocol.errors import OAuthError
from latchstring.protocol.parameters import parse_parameters
from latchstring.protocol.token_exchange import ACCESS_TOKEN_TYPE, ExchangeParameters, find_tokens, parse_exchange
from latchstring.protocol.token_request import parse_token_request

SUBJECT = [("subject_token", "s"), ("subject_token_type", ACCESS_TOKEN_TYPE)]
ACTOR = [("actor_token", "a"), ("actor_token_type", ACCESS_TOKEN_TYPE)]
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"


def parse(*pairs: tuple[str, str]) -> ExchangeParameters:
    return parse_exchange(parse_parameters(urlencode(pairs).encode()))


def find(*pairs: tuple[str, str]) -> tuple[str, str | None]:
    return find_tokens(parse(*pairs))


def test_parse_exchange_reads_every_audience_once():
    given = [("audience", "https://b.example/"), ("audience", "oa2resource_1"), ("audience", "https://b.example/")]
    assert parse(*SUBJECT, *given).audience == ("https://b.example/", "oa2resource_1")


def test_find_tokens_with_their_types_are_found():
    assert find(*SUBJECT, *ACTOR, ("requested_token_type", ACCESS_TOKEN_TYPE)) == ("s", "a")
    assert find(*SUBJECT) == ("s", None)


@pytest.mark.parametrize(
    "pairs",
    [
        pytest.param([], id="nothing"),
        pytest.param(ACTOR, id="actor-alone"),
        pytest.param(SUBJECT[:1], id="subject-without-type"),
        pytest.param(SUBJECT[1:], id="subject-type-without-token"),
        pytest.param([*SUBJECT, ACTOR[0]], id="actor-without-type"),
        pytest.param([*SUBJECT, ACTOR[1]], id="actor-type-without-token"),
        pytest.param([SUBJECT[0], ("subject_token_type", ID_TOKEN)], id="subject-of-another-type"),
        pytest.param([*SUBJECT, ACTOR[0], ("actor_token_type", ID_TOKEN)], id="actor-of-another-type"),
        pytest.param([*SUBJECT, ("requested_token_type", ID_TOKEN)], id="another-type-asked-for"),
    ],
)
def test_x1_find_tokens_of_half_a_pair_or_another_type_is_invalid_request(pairs):
    with pytest.raises(OAuthError) as refused:
        find(*pairs)
    assert refused.value.code == "invalid_request"


@pytest.mark.parametrize(
    "pairs,why",
    [
        ([SUBJECT[0]], "subject_token and its type come together."),
        ([SUBJECT[0], ("subject_token_type", ID_TOKEN)], "subject_token_type is none that this server exchanges."),
        ([*SUBJECT, ACTOR[1]], "actor_token and its type come together."),
        ([*SUBJECT, ACTOR[0], ("actor_token_type", ID_TOKEN)], "actor_token_type is none that this server exchanges."),
        ([], "subject_token is missing."),
        ([*SUBJECT, ("requested_token_type", ID_TOKEN)], "requested_token_type is none that this server issues."),
    ],
)
def test_find_tokens_refusal_names_the_parameter(pairs, why):
    with pytest.raises(OAuthError) as refused:
        find(*pairs)
    assert refused.value.description == why


def test_parse_token_request_of_another_grant_type_reads_no_exchange():
    body = urlencode([("grant_type", "refresh_token"), *SUBJECT]).encode()
    assert parse_token_request(parse_parameters(body)).exchange is None


def test_exchange_parameters_repr_shows_no_token():
    assert repr(ExchangeParameters(subject_token="secret", actor_token="secret")) == "ExchangeParameters(…)"
