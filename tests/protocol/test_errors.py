"""Refusals on the wire (RFC 6749 §5.2; T11)."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import latchstring
from latchstring.authorization_server import refusals
from latchstring.protocol.errors import STATUS_BY_CODE, OAuthError, visible_ascii
from tests.protocol.properties import PROPERTY

# %x20-21 / %x23-5B / %x5D-7E
ALLOWED = frozenset(map(chr, [*range(0x20, 0x22), *range(0x23, 0x5C), *range(0x5D, 0x7F)]))


@pytest.mark.parametrize(
    "code, status",
    [
        ("invalid_request", 400),
        ("invalid_client", 401),
        ("invalid_grant", 400),
        ("unauthorized_client", 400),
        ("unsupported_grant_type", 400),
        ("invalid_scope", 400),
        ("invalid_token", 401),
        ("insufficient_scope", 403),
        ("temporarily_unavailable", 503),
        ("server_error", 500),
    ],
)
def test_oauth_error_status_is_of_the_table(code, status):
    assert OAuthError(code, "x").status == status
    assert OAuthError(code, "x", status=413).status == 413


def test_oauth_error_unknown_code_is_a_defect_not_an_answer():
    with pytest.raises(KeyError):
        OAuthError("made_up", "x")


def test_oauth_error_keeps_its_reason_off_the_wire():
    error = OAuthError("invalid_grant", "said", "not said")
    assert (error.description, error.reason) == ("said", "not said")
    assert "not said" not in str(error)
    assert OAuthError("invalid_grant", "said").reason == "said"


@pytest.mark.parametrize(
    "given, shown",
    [
        ("plain text.", "plain text."),
        ('say "hi"', "say ?hi?"),
        ("a\\b", "a?b"),
        ("a\r\nset-cookie: x", "a??set-cookie: x"),
        ("ü\x7f\0", "???"),
    ],
)
def test_t11_visible_ascii_replaces_what_the_rfc_forbids(given, shown):
    assert visible_ascii(given) == shown


@PROPERTY
@given(st.text(max_size=200))
def test_t11_visible_ascii_of_any_text_has_allowed_characters_only(text):
    shown = visible_ascii(text)
    assert ALLOWED.issuperset(shown)
    assert len(shown) == len(text)


def _find_written_errors():
    """Every `OAuthError("code", "description" …)` and `refuse_grant("description" …)` of the protocol in the source.

    The HTTP API has codes of its own (ADR 0025), and names what does not fit.
    """
    source = Path(latchstring.__file__).parent
    for path in sorted(source.rglob("*.py")):
        if path.is_relative_to(source / "web" / "api"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id == "OAuthError" and len(node.args) >= 2:
                yield path.name, node.args[0], node.args[1]
            elif node.func.id == "refuse_grant" and node.args:
                yield path.name, ast.Constant("invalid_grant"), node.args[0]


def test_t11_written_errors_have_known_codes_and_allowed_characters():
    found = list(_find_written_errors())
    assert len(found) > 30
    for where, code, description in found:
        if isinstance(code, ast.Constant):
            assert code.value in STATUS_BY_CODE, where
        for part in ast.walk(description):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                assert ALLOWED.issuperset(part.value), (where, part.value)


def test_t11_written_errors_reflect_no_input():
    """A description is a constant: what a caller sent never comes back in it."""
    variable = {
        where
        for where, _, description in _find_written_errors()
        if not isinstance(description, ast.Constant | ast.Name | ast.BinOp)
    }
    # They choose among sentences of their own, or of the protocol's: `JwtRefused` quotes nothing.
    assert variable <= {
        "refusals.py",
        "pushed_request_endpoint.py",
        "client_authentication.py",
        "jwt_bearer.py",
        "request_objects.py",
    }


def test_t11_endings_of_grants_have_allowed_characters():
    for text in [*refusals._WORDS.values(), refusals._RECONNECT, refusals._KEEP]:
        assert ALLOWED.issuperset(text)
