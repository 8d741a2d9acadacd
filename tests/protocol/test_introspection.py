"""The introspection answer (RFC 7662 §2.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol.introspection import (
    INACTIVE,
    IntrospectionResponse,
    parse_introspection,
    render_introspection,
)
from tests.protocol.properties import PROPERTY
from tests.vectors.reader import read_vectors


@pytest.mark.parametrize("vector", read_vectors("rfc7662", "introspection"))
def test_parse_introspection_rfc_example_is_read(vector):
    answer = parse_introspection(vector["body"].encode())
    assert answer.active is vector["active"]
    for name in ("scope", "sub", "exp"):
        assert getattr(answer, name) == vector.get(name)


def test_n2_render_introspection_inactive_says_nothing_else():
    """Whatever else the record happens to hold."""
    assert render_introspection(IntrospectionResponse(active=False, scope="a", sub="ann")) == b'{"active":false}'
    assert INACTIVE == b'{"active":false}'


def test_render_introspection_active_omits_what_is_not_known():
    body = render_introspection(IntrospectionResponse(active=True, scope="a", exp=5))
    assert body == b'{"active":true,"scope":"a","exp":5}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b"true",
        pytest.param(b'{"active":"true"}', id="S10-active-as-text"),
        pytest.param(b'{"active":1}', id="S10-active-as-number"),
        pytest.param(b'{"active":null}', id="S10-active-null"),
        pytest.param(b'{"active":true,"exp":"9"}', id="S10-exp-as-text"),
        pytest.param(b'{"active":true,"exp":1.5}', id="S10-exp-broken"),
        pytest.param(b'{"active":true,"scope":["a"]}', id="S10-scope-as-list"),
        pytest.param(b'{"active":true,"scope":"\xff"}', id="not-utf8"),
        pytest.param(b'{"active":true,"x":' + b"[" * 5000 + b"]" * 5000 + b"}", id="deep-unknown-member"),
        pytest.param(b'{"active":true,"cnf":' + b'{"a":' * 5000 + b"1" + b"}" * 5001, id="deep-cnf"),
    ],
)
def test_parse_introspection_anything_else_is_a_value_error(body):
    """S18: what is not an answer is no verdict, and no crash."""
    with pytest.raises(ValueError):  # noqa: PT011 -- the family is the contract
        parse_introspection(body)


@PROPERTY
@given(st.binary(max_size=100) | st.text('{}[]":,activetru0', max_size=60).map(str.encode))
def test_parse_introspection_any_bytes_yield_an_answer_or_value_error(body):
    try:
        answer = parse_introspection(body)
    except ValueError:
        return
    assert isinstance(answer.active, bool)
