"""`authorization_details` on the wire (RFC 9396 §2, §5)."""

import pytest

from latchstring.protocol.authorization_details import (
    MAX_OBJECTS,
    MAX_SIZE,
    parse_authorization_details,
    read_authorization_details,
    render_authorization_details,
)
from latchstring.protocol.errors import OAuthError


def of_length(length):
    """One object that is that long as JSON."""
    empty = len(render_authorization_details([{"type": ""}]))
    return [{"type": "x" * (length - empty)}]


def test_details_of_the_greatest_number_and_size_are_taken_and_of_one_more_refused():
    many = '{"type":"a"},' * MAX_OBJECTS
    assert len(parse_authorization_details(f"[{many[:-1]}]")) == MAX_OBJECTS
    with pytest.raises(OAuthError, match="no object, or too many"):
        parse_authorization_details(f'[{many}{{"type":"a"}}]')
    assert len(render_authorization_details(of_length(MAX_SIZE))) == MAX_SIZE
    with pytest.raises(OAuthError, match="is too long"):
        render_authorization_details(of_length(MAX_SIZE + 1))


@pytest.mark.parametrize(
    "text,why",
    [
        ("", "is not a JSON array of objects."),
        ("{}", "is not a JSON array of objects."),
        ("[1]", "is not a JSON array of objects."),
        ("[" * 100_000, "is not a JSON array of objects."),
        ("[]", "has no object, or too many."),
        ("[{}]", "has an object without a type."),
        ('[{"type":"a"},{"type":1}]', "has an object without a type."),
    ],
)
def test_details_of_another_form_are_refused_with_the_reason(text, why):
    with pytest.raises(OAuthError) as refused:
        parse_authorization_details(text)
    assert (refused.value.code, refused.value.description) == (
        "invalid_authorization_details",
        f"authorization_details {why}",
    )


def test_details_nested_too_deeply_to_be_written_are_refused():
    deep: dict[str, object] = {"type": "a"}
    for _ in range(100_000):
        deep = {"type": "a", "in": deep}
    with pytest.raises(OAuthError) as refused:
        render_authorization_details([deep])
    assert refused.value.description == "authorization_details is nested too deeply."


def test_details_are_read_as_they_were_rendered():
    details = [{"type": "a", "actions": ["read"]}]
    assert read_authorization_details(render_authorization_details(details)) == details
    assert read_authorization_details(None) is None
