"""Form bodies and queries: one value a name, or a refusal (RFC 6749 §3.1, §3.2, Appendix B)."""

import contextlib
import time
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol.errors import OAuthError
from latchstring.protocol.parameters import (
    MAX_NAME_LENGTH,
    MAX_PARAMETERS,
    MAX_VALUE_LENGTH,
    Parameters,
    parse_parameters,
    render_parameters,
)
from tests.protocol.properties import PROPERTY
from tests.vectors.reader import read_vectors


@pytest.mark.parametrize(
    "raw, expected",
    [
        pytest.param(b"", {}, id="nothing"),
        pytest.param(b"a=1&b=2", {"a": "1", "b": "2"}, id="two"),
        pytest.param(b"a=1&&b=2&", {"a": "1", "b": "2"}, id="empty-pairs"),
        pytest.param(b"a=b=c", {"a": "b=c"}, id="only-the-first-equals-sign-divides"),
        pytest.param(b"a=1+2%2B3%203", {"a": "1 2+3 3"}, id="plus-and-percent"),
        pytest.param(b"%61=%c3%BC", {"a": "ü"}, id="name-encoded-hex-in-both-cases"),
        pytest.param("a=ü".encode(), {"a": "ü"}, id="raw-utf8"),
        pytest.param("ü%3d=ü%c3%bc".encode(), {"ü=": "üü"}, id="raw-and-encoded-utf8-mixed"),
        pytest.param(b"a=%2526", {"a": "%26"}, id="decoded-once"),
        pytest.param(b"a=1;b=2", {"a": "1;b=2"}, id="semicolon-does-not-divide"),
        pytest.param(b"a[]=1&A=2", {"a[]": "1", "A": "2"}, id="names-as-sent"),
        pytest.param(b"a=1&b=", {"a": "1"}, id="A9-empty-is-omitted"),
        pytest.param(b"a&b=1", {"b": "1"}, id="A9-without-equals-sign-is-empty"),
        pytest.param(b"scope=+", {"scope": " "}, id="a-space-is-not-empty"),
    ],
)
def test_parse_parameters_well_formed_is_read(raw, expected):
    parameters = parse_parameters(raw)
    assert dict(parameters) == expected
    assert not parameters.repeated
    parameters.refuse_repeats()


@pytest.mark.parametrize("vector", read_vectors("rfc6749", "form_encoding"))
def test_parse_parameters_rfc_example_is_decoded(vector):
    assert bytes(vector["utf8"]).decode() == vector["text"]
    assert parse_parameters(b"x=" + vector["encoded"].encode()) == {"x": vector["text"]}


@pytest.mark.parametrize(
    "raw, names",
    [
        pytest.param(b"code=1&code=2", {"code"}, id="T10-twice"),
        pytest.param(b"code=1&code=1", {"code"}, id="T10-twice-the-same"),
        pytest.param(b"code=&code=1", {"code"}, id="A8-once-empty"),
        pytest.param(b"code&code", {"code"}, id="A8-both-empty"),
        pytest.param(b"code=1&c%6fde=2", {"code"}, id="A8-hidden-by-encoding"),
        pytest.param(b"a=1&b=1&a=2&b=2&a=3", {"a", "b"}, id="A8-several"),
    ],
)
def test_parse_parameters_repeated_is_noted_and_refused_on_request(raw, names):
    parameters = parse_parameters(raw)
    assert parameters.repeated == names
    with pytest.raises(OAuthError) as refused:
        parameters.refuse_repeats()
    assert (refused.value.code, refused.value.status) == ("invalid_request", 400)


@pytest.mark.parametrize("name", ["resource", "audience"])
def test_parse_parameters_resource_twice_is_a_list(name):
    """RFC 8707 §2, RFC 8693 §2.1."""
    parameters = parse_parameters(f"{name}=https://a&x=1&{name}=&{name}=https://b".encode())
    assert parameters.lists == {name: ["https://a", "https://b"]}
    assert dict(parameters) == {"x": "1"}
    parameters.refuse_repeats()


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"a=%", id="bare-percent"),
        pytest.param(b"a=%4", id="cut-percent"),
        pytest.param(b"a=%4&b=1", id="cut-percent-before-next"),
        pytest.param(b"a=%zz", id="no-hex"),
        pytest.param(b"a=%+1", id="sign-in-hex"),
        pytest.param(b"a=%u0041", id="percent-u"),
        pytest.param("a=%４１".encode(), id="full-width-digits"),
        pytest.param(b"%=1", id="in-the-name"),
        pytest.param(b"a=%41%", id="percent-at-the-end"),
        pytest.param(b"a=%%41", id="percent-percent"),
        pytest.param(b"a=%ff", id="encoded-invalid-utf8"),
        pytest.param(b"a=\xff", id="raw-invalid-utf8"),
        pytest.param(b"a=%c0%af", id="overlong-utf8"),
        pytest.param(b"a=%ed%a0%80", id="surrogate"),
        pytest.param(b"a=%c3", id="cut-utf8"),
        pytest.param(b"a=\xc3&b=\xbc", id="utf8-across-a-border"),
    ],
)
def test_parse_parameters_malformed_is_invalid_request(raw):
    with pytest.raises(OAuthError) as refused:
        parse_parameters(raw)
    assert (refused.value.code, refused.value.status) == ("invalid_request", 400)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"a=b&client_id=x%00y", id="encoded-in-a-value"),
        pytest.param(b"client_id=x\0y", id="raw-in-a-value"),
        pytest.param(b"a%00=1", id="in-a-name"),
    ],
)
def test_parse_parameters_nul_is_invalid_request(raw):
    """No credential, URI or scope has one, and PostgreSQL keeps none: it must not become a store's failure."""
    with pytest.raises(OAuthError) as refused:
        parse_parameters(raw)
    assert refused.value.code == "invalid_request"


@pytest.mark.parametrize(
    "raw, is_accepted",
    [
        pytest.param(b"&".join(b"p%d=1" % n for n in range(MAX_PARAMETERS)), True, id="most-parameters"),
        pytest.param(b"&".join(b"p%d=1" % n for n in range(MAX_PARAMETERS + 1)), False, id="one-parameter-more"),
        pytest.param(b"a" * MAX_NAME_LENGTH + b"=1", True, id="longest-name"),
        pytest.param(b"a" * (MAX_NAME_LENGTH + 1) + b"=1", False, id="name-one-longer"),
        pytest.param(b"%61" * (MAX_NAME_LENGTH + 1) + b"=1", False, id="encoded-name-one-longer"),
        pytest.param(b"a=" + b"v" * MAX_VALUE_LENGTH, True, id="longest-value"),
        pytest.param(b"a=" + b"%41" * MAX_VALUE_LENGTH, True, id="longest-value-encoded"),
        pytest.param(b"a=" + b"v" * (MAX_VALUE_LENGTH + 1), False, id="value-one-longer"),
        pytest.param(b"a=" + b"%41" * (MAX_VALUE_LENGTH + 1), False, id="encoded-value-one-longer"),
        pytest.param(b"resource=" + b"v" * (MAX_VALUE_LENGTH + 1), False, id="list-value-one-longer"),
    ],
)
def test_parse_parameters_at_its_caps_holds_them(raw, is_accepted):
    if is_accepted:
        assert len(parse_parameters(raw)) == raw.count(b"=")
    else:
        with pytest.raises(OAuthError) as refused:
            parse_parameters(raw)
        assert refused.value.code == "invalid_request"


@PROPERTY
@given(st.binary(max_size=300) | st.text("a&=%+;0fFzé\0\r\n", max_size=300).map(str.encode))
def test_parse_parameters_any_bytes_yield_parameters_or_oauth_error(raw):
    try:
        parameters = parse_parameters(raw)
    except OAuthError as refused:
        assert refused.code == "invalid_request"
        return
    assert isinstance(parameters, Parameters)
    assert all(parameters.values())
    assert len(parameters) <= MAX_PARAMETERS
    # What is accepted means the same to the standard library, so that no two readers disagree about a request.
    theirs = parse_qsl(raw.decode(), keep_blank_values=True)
    for name, value in parameters.items():
        assert next(given for key, given in theirs if key == name) == value


@PROPERTY
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20).filter(
            lambda name: name not in {"resource", "audience"}
        ),
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=50),
        max_size=10,
    )
)
def test_parse_parameters_of_a_form_yields_the_form(form):
    assert parse_parameters(urlencode(form).encode()) == form


@pytest.mark.parametrize(
    "piece", [b"v", b"%41", b"+", b"%", b"%%", b"=", b"%c3%bc", b"%ff"], ids=lambda piece: piece.decode()
)
def test_parse_parameters_hostile_input_takes_linear_time(piece):
    """Caps before work (CVE-2026-4634): eight times the input costs about eight times as much, not sixty-four."""

    def measure(size: int) -> float:
        body = b"&".join(b"p%d=%s" % (n, piece * (size // len(piece))) for n in range(MAX_PARAMETERS))
        best = 1e9
        for _ in range(5):
            started = time.process_time()
            with contextlib.suppress(OAuthError):
                parse_parameters(body)
            best = min(best, time.process_time() - started)
        return best

    assert measure(8000) < 30 * measure(1000) + 0.005


def test_parameters_repr_has_names_and_no_values():
    """I7: a body with credentials in it may end up in a trace."""
    parameters = parse_parameters(b"client_secret=ls_cs_geheim&code=ls_ac_geheim&resource=https://geheim")
    for text in (repr(parameters), str(parameters), f"{parameters}"):
        assert "geheim" not in text
    assert repr(parse_parameters(b"client_secret=geheim&code=geheim")) == "Parameters(client_secret, code)"


def test_render_parameters_of_some_names_is_read_back_as_those():
    """RFC 9126: what is pushed is kept, and what is kept is asked again."""
    parameters = parse_parameters(b"a=1+2&b=%26&client_secret=s&resource=https://b&resource=https://a&audience=x")
    rendered = render_parameters(parameters, {"a", "b", "resource"})
    assert rendered == "a=1+2&b=%26&resource=https%3A%2F%2Fb&resource=https%3A%2F%2Fa"
    again = parse_parameters(rendered.encode())
    assert (dict(again), again.lists) == ({"a": "1 2", "b": "&"}, {"resource": ["https://b", "https://a"]})
