"""The token endpoint's answer as a client reads it, from any server (RFC 6749 §5.1, §5.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol.token_answer import MAX_LIFETIME, parse_error_answer, parse_members, parse_token_answer
from tests.protocol.properties import PROPERTY


@pytest.mark.parametrize(
    "given, lifetime",
    [
        ("3600", 3600.0),
        ('"3600"', 3600.0),
        ("0.5", 0.5),
        ("-5", 0.0),
        ("1e300", float(MAX_LIFETIME)),
        ("9" * 40, float(MAX_LIFETIME)),
        ("null", None),
        ("true", None),
        ('"soon"', None),
        ('"-5"', None),
        ('"' + "9" * 40 + '"', None),
        ("[1]", None),
    ],
)
def test_l20_parse_token_answer_expires_in_is_read_leniently(given, lifetime):
    body = f'{{"token_type":"bearer","access_token":"a","expires_in":{given}}}'.encode()
    assert parse_token_answer(body).expires_in == lifetime


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"token_type":"Bearer"}',
        b'{"access_token":"a"}',
        b'{"token_type":1,"access_token":"a"}',
        b'{"token_type":"Bearer","access_token":""}',
        b'{"token_type":"Bearer","access_token":"a b"}',
        b'{"token_type":"Bearer","access_token":"a\\r\\nx: y"}',
        b'{"token_type":"Bearer","access_token":"a","refresh_token":["b"]}',
        b"[" * 100_000,
    ],
    ids=lambda body: ascii(body)[:50],
)
def test_parse_token_answer_unusable_is_a_value_error(body):
    with pytest.raises(ValueError):  # noqa: PT011 -- the family is the contract
        parse_token_answer(body)
    assert parse_error_answer(body) is None


@PROPERTY
@given(st.binary(max_size=80) | st.text('{}[]":,ero_dscipt', max_size=60).map(str.encode))
def test_parse_members_any_bytes_yield_an_object_or_value_error(body):
    try:
        assert isinstance(parse_members(body), dict)
    except ValueError:
        pass
