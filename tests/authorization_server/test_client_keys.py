"""A client's keys: as they are kept, and when they are asked for anew (RFC 7591 §2, RFC 8705 §2.2.2)."""

from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.client_keys import ClientKeys, clean_key_set
from latchstring.authorization_server.records import ClientSecurity
from latchstring.outbound.key_sets import ASK_AGAIN_AFTER, CachedKeySets
from latchstring.protocol.client_metadata import SELF_SIGNED_TLS_CLIENT_AUTH
from tests.authorization_server.builders import NOW, build_client
from tests.support.documents import FakeFetch
from tests.support.signing import key_set, make_key, public_jwk

JWKS_URI = "https://app.example/keys.json"
OLD, NEW = "o" * 43, "n" * 43


def test_key_set_is_kept_without_the_space_between():
    document: dict[str, Any] = {"keys": [public_jwk(make_key(), kid="1")]}
    spacious = msgspec.json.format(msgspec.json.encode(document), indent=4)
    assert clean_key_set(spacious) == msgspec.json.encode(document).decode()
    with pytest.raises(ValueError, match="none of its keys is usable"):
        clean_key_set(b'{"keys":[]}')


async def test_certificate_that_the_client_has_just_published_is_its_own_at_once():
    """A client that goes on to its next certificate does not have to wait until what we kept is old."""
    now, fetch = NOW, FakeFetch()
    keys = ClientKeys(key_sets=CachedKeySets(fetch=fetch, clock=lambda: now))
    security = ClientSecurity(jwks_uri=JWKS_URI)
    client = build_client(token_endpoint_auth_method=SELF_SIGNED_TLS_CLIENT_AUTH, security=security)
    fetch.documents[JWKS_URI] = key_set(public_jwk(make_key(), **{"x5t#S256": OLD}))
    assert await keys.has_certificate(client, OLD)
    fetch.documents[JWKS_URI] = key_set(public_jwk(make_key(number=2), **{"x5t#S256": NEW}))
    assert await keys.has_certificate(client, OLD)
    now += ASK_AGAIN_AFTER
    assert await keys.has_certificate(client, NEW)
    assert not await keys.has_certificate(client, OLD)
    assert fetch.asked[JWKS_URI] == 2
