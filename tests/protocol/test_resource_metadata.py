"""Protected resource metadata: where it is and what it says (RFC 9728)."""

import pytest

from latchstring.protocol.resource_metadata import (
    ResourceMetadata,
    parse_resource_metadata,
    render_resource_metadata,
    resource_metadata_url,
    verify_resource_identifier,
)


@pytest.mark.parametrize(
    "resource, url",
    [
        ("https://api.test", "https://api.test/.well-known/oauth-protected-resource"),
        ("https://api.test/", "https://api.test/.well-known/oauth-protected-resource"),
        ("https://api.test/v1", "https://api.test/.well-known/oauth-protected-resource/v1"),
        ("https://api.test:8443/a/b", "https://api.test:8443/.well-known/oauth-protected-resource/a/b"),
        ("http://127.0.0.1:8401", "http://127.0.0.1:8401/.well-known/oauth-protected-resource"),
    ],
)
def test_m10_metadata_url_inserts_the_well_known_path(resource, url):
    verify_resource_identifier(resource)
    assert resource_metadata_url(resource) == url


@pytest.mark.parametrize(
    "resource",
    [
        "",
        "api.test",
        "/v1",
        "ftp://api.test",
        "HTTPS://api.test",
        "http://api.test",
        "http://localhost.evil.test",
        "https://",
        "https:///v1",
        "https://api.test#",
        "https://api.test/#x",
        "https://api.test?x=1",
        "https://me@api.test",
        "https://api.test:0",
        "https://api.test:port",
        "https://[::1",
        'https://api.test/"',
        "https://api.test/\\",
        "https://api.test/a b",
        "https://api.test/\r\n",
        "https://äpi.test",
    ],
)
def test_verify_resource_identifier_malformed_is_refused(resource):
    with pytest.raises(ValueError, match=r"its? |plain http"):
        verify_resource_identifier(resource)


def test_m4_render_metadata_omits_empty_lists():
    metadata = ResourceMetadata(resource="https://api.test", bearer_methods_supported=["header"])
    body = render_resource_metadata(metadata)
    assert body == b'{"resource":"https://api.test","bearer_methods_supported":["header"]}'
    assert parse_resource_metadata(body) == metadata


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"resource":1}',
        pytest.param(b'{"resource":"h","x":' + b"[" * 5000 + b"]" * 5000 + b"}", id="deep"),
    ],
)
def test_parse_metadata_garbage_is_a_value_error(body):
    with pytest.raises(ValueError, match="not protected resource metadata"):
        parse_resource_metadata(body)
