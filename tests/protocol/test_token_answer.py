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
        ("000000003600", 3600.0),
        ("0000000003600", None),
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
    assert parse_error_answer(body, "error") is None


def test_members_are_found_by_path():
    found = answer(team={"id": 7, "name": "", "deep": {"er": "x"}}, flag=True)
    paths = ["team.id", "team.name", "team.deep.er", "team.deep", "team.id.more", "flag", "nothing"]
    assert [found.find_text(path) for path in paths] == ["7", None, "x", None, None, None, None]


@pytest.mark.parametrize(
    "value,path,found",
    [
        ([{"id": 2}, {"id": "b"}, {"id": 2}, {}, "x"], "sites.*.id", "2,b"),
        (["b", "a", "b"], "sites.*", "a,b"),
        ([{"deep": [{"id": "x"}]}], "sites.*.deep.*.id", "x"),
        ([], "sites.*", None),
        ([{}], "sites.*.id", None),
        ({"*": "x"}, "sites.*", None),
        ("text", "sites.*", None),
    ],
)
def test_star_finds_what_the_items_of_a_list_say(value, path, found):
    assert answer(sites=value).find_text(path) == found


def test_answer_is_kept_as_it_was_sent():
    found = answer(refresh_token="r", scope="a b", more=[1])
    assert (found.token_type, found.access_token, found.refresh_token, found.scope) == ("Bearer", "abc", "r", "a b")
    assert found.members == {
        "token_type": "Bearer",
        "access_token": "abc",
        "expires_in": 3600,
        "refresh_token": "r",
        "scope": "a b",
        "more": [1],
    }
    assert answer(scope=["a"]).scope is None
    assert answer().scope is None


def test_type_of_a_provider_that_names_none_is_the_given_one():
    body = b'{"access_token":"abc"}'
    assert parse_token_answer(body, default_type="Bearer").token_type == "Bearer"
    assert parse_token_answer(b'{"access_token":"abc","token_type":"DPoP"}', default_type="Bearer").token_type == "DPoP"


def test_answer_shows_no_token():
    found = answer(refresh_token="secret", access_token="secret", scope="a")
    assert repr(found) == "TokenAnswer(token_type='Bearer', scope='a', access_token=…)"
    assert found.__rich_repr__() == [("token_type", "Bearer"), ("scope", "a")]


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
    found = parse_error_answer(body, "error")
    assert (found and (found.error, found.error_description)) == expected


@pytest.mark.parametrize(
    "body,path,error",
    [
        (b'{"fault":{"code":"gone"}}', "fault.code", "gone"),
        (b'{"fault":{"code":"gone"},"error":"other"}', "fault.code", "gone"),
        (b'{"error":"other"}', "fault.code", "other"),
        (b'{"fault":{}}', "fault.code", None),
        (b'{"error":7}', "error", None),
    ],
)
def test_error_is_found_at_the_path_that_a_provider_uses(body, path, error):
    found = parse_error_answer(body, path)
    assert (found and found.error) == error
