"""Authorization server metadata: where it is and what it says (RFC 8414)."""

import pytest

from latchstring.protocol.server_metadata import (
    ServerMetadata,
    metadata_url,
    parse_server_metadata,
    render_server_metadata,
)
from tests.vectors.reader import read_vectors


@pytest.mark.parametrize("vector", read_vectors("rfc8414", "metadata_url"))
def test_m1_metadata_url_rfc_example_matches(vector):
    assert metadata_url(vector["issuer"]) == vector["url"]


@pytest.mark.parametrize(
    "issuer, url",
    [
        ("https://h/t1", "https://h/.well-known/oauth-authorization-server/t1"),
        ("https://h/a/b", "https://h/.well-known/oauth-authorization-server/a/b"),
        ("https://h/X", "https://h/.well-known/oauth-authorization-server/X"),
        ("https://h/a://b", "https://h/.well-known/oauth-authorization-server/a://b"),
        ("https://h:8443", "https://h:8443/.well-known/oauth-authorization-server"),
        ("https://h/", "https://h/.well-known/oauth-authorization-server"),
        ("http://127.0.0.1:8400", "http://127.0.0.1:8400/.well-known/oauth-authorization-server"),
        ("http://[::1]:8400/t", "http://[::1]:8400/.well-known/oauth-authorization-server/t"),
    ],
)
def test_m1_metadata_url_inserts_the_well_known_part(issuer, url):
    assert metadata_url(issuer) == url


def test_m4_render_metadata_omits_empty_lists_and_round_trips():
    metadata = ServerMetadata(issuer="https://h", response_types_supported=["code"])
    body = render_server_metadata(metadata)
    assert body == b'{"issuer":"https://h","response_types_supported":["code"]}'
    assert parse_server_metadata(body) == metadata


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"issuer":1}',
        b'{"issuer":"\xff"}',
        b'{"issuer":"h","scopes_supported":"a"}',
        b'{"issuer":"h","x":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
    ids=lambda body: ascii(body)[:30],
)
def test_parse_metadata_garbage_is_a_value_error(body):
    with pytest.raises(ValueError, match=r"not authorization server metadata|utf-8"):
        parse_server_metadata(body)
