"""The token endpoint's answer, from any server."""

import json

import pytest

from latchstring.protocol.token_answer import MAX_LIFETIME, parse_error_answer, parse_token_answer


def answer(**changes):
    members = {"token_type": "Bearer", "access_token": "abc", "expires_in": 3600, **changes}
    return parse_token_answer(json.dumps({name: value for name, value in members.items() if value is not ...}).encode())


@pytest.mark.parametrize(
    "sent,expected",
    [
        (3600, 3600.0),
        ("3600", 3600.0),
        (3599.5, 3599.5),
        (0, 0.0),
        (-5, 0.0),
        (10**400, float(MAX_LIFETIME)),
        (..., None),
        (None, None),
        ("soon", None),
        (True, None),
        ("9" * 100, None),
    ],
)
def test_expires_in_is_read_leniently_and_bounded(sent, expected):
    assert answer(expires_in=sent).expires_in == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"token_type": ...},
        {"access_token": ...},
        {"access_token": ""},
        {"access_token": 7},
        {"access_token": "a b"},
        {"access_token": "a\r\nSet-Cookie: x"},
        {"access_token": "ü"},
        {"refresh_token": 7},
        {"refresh_token": "a\n"},
    ],
)
def test_answer_without_usable_tokens_is_refused(changes):
    with pytest.raises(ValueError, match="token"):
        answer(**changes)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"<html>", b"\xff", b"[" * 100_000, b'{"a":'])
def test_no_json_object_is_refused(body):
    with pytest.raises(ValueError, match="JSON"):
        parse_token_answer(body)
    assert parse_error_answer(body) is None


def test_members_are_found_by_path():
    found = answer(team={"id": 7, "name": "", "deep": {"er": "x"}}, flag=True)
    paths = ["team.id", "team.name", "team.deep.er", "team.deep", "team.id.more", "flag", "nothing"]
    assert [found.find_text(path) for path in paths] == ["7", None, "x", None, None, None, None]


def test_empty_refresh_token_counts_as_none():
    assert answer(refresh_token="").refresh_token is None
    assert answer(refresh_token=None).refresh_token is None


@pytest.mark.parametrize(
    "body,expected",
    [
        (b'{"error":"invalid_grant","error_description":"gone"}', ("invalid_grant", "gone")),
        (b'{"error":"invalid_grant","error_description":7}', ("invalid_grant", None)),
        (b'{"error":""}', None),
        (b'{"error":{"code":1}}', None),
        (b'{"access_token":"x"}', None),
    ],
)
def test_error_answer_is_read(body, expected):
    found = parse_error_answer(body)
    assert (found and (found.error, found.error_description)) == expected
