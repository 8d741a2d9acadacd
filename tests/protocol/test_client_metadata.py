"""A client's metadata as it comes from outside (RFC 7591 §2, §3.1)."""

import pytest

from latchstring.protocol.client_metadata import MAX_METADATA_SIZE, parse_client_metadata
from latchstring.protocol.errors import OAuthError


def test_metadata_of_the_greatest_size_is_read_and_of_one_byte_more_refused():
    body = b'{"client_name":"A"}'
    padded = body + b" " * (MAX_METADATA_SIZE - len(body))
    assert parse_client_metadata(padded).client_name == "A"
    with pytest.raises(OAuthError) as refused:
        parse_client_metadata(padded + b" ")
    assert (refused.value.code, refused.value.status) == ("invalid_client_metadata", 413)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"\xff", b"{", b"[" * 8000, b'{"client_name":7}'])
def test_what_is_no_metadata_is_refused(body):
    with pytest.raises(OAuthError) as refused:
        parse_client_metadata(body)
    assert (refused.value.code, refused.value.status) == ("invalid_client_metadata", 400)
