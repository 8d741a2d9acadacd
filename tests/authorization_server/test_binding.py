"""What tokens and grants are bound to (C11, R10, F2, S12, S16; RFC 9449, RFC 8705)."""

import pytest

from latchstring.authorization_server.binding import (
    decide_confirmation,
    find_rebinding,
    is_proved,
    verify_binding,
    verify_retry_binding,
)
from latchstring.authorization_server.records import ClientSecurity, Rebinding
from latchstring.protocol.client_certificate import ClientCertificate
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.errors import OAuthError
from tests.authorization_server.builders import build_client, build_grant

PLAIN = build_client(security=ClientSecurity())
DPOP = build_client(security=ClientSecurity(dpop_bound_access_tokens=True))
MTLS = build_client(security=ClientSecurity(tls_client_certificate_bound_access_tokens=True))
BOTH = build_client(
    security=ClientSecurity(dpop_bound_access_tokens=True, tls_client_certificate_bound_access_tokens=True)
)
FAPI = build_client(security=ClientSecurity(profile="fapi2"))
CERTIFICATE = ClientCertificate("x5t", "CN=app", b"DER")


@pytest.mark.parametrize(
    "client, key, certificate, confirmation",
    [
        (PLAIN, None, None, None),
        (PLAIN, "jkt", None, Confirmation("jkt")),
        (PLAIN, None, CERTIFICATE, None),
        (PLAIN, "jkt", CERTIFICATE, Confirmation("jkt")),
        (DPOP, "jkt", CERTIFICATE, Confirmation("jkt")),
        (MTLS, None, CERTIFICATE, Confirmation(None, "x5t")),
        (MTLS, "jkt", CERTIFICATE, Confirmation("jkt", "x5t")),
        (BOTH, "jkt", CERTIFICATE, Confirmation("jkt", "x5t")),
        (FAPI, "jkt", None, Confirmation("jkt")),
        (FAPI, None, CERTIFICATE, Confirmation(None, "x5t")),
        (FAPI, "jkt", CERTIFICATE, Confirmation("jkt")),
    ],
)
def test_confirmation_is_what_was_proved_and_wanted(client, key, certificate, confirmation):
    assert decide_confirmation(client, key, certificate) == confirmation


@pytest.mark.parametrize(
    "client, key, certificate",
    [
        (DPOP, None, None),
        (DPOP, None, CERTIFICATE),
        (MTLS, None, None),
        (MTLS, "jkt", None),
        (BOTH, "jkt", None),
        (BOTH, None, CERTIFICATE),
        (FAPI, None, None),
    ],
)
def test_f2_client_that_must_be_bound_and_proved_too_little_is_an_invalid_request(client, key, certificate):
    with pytest.raises(OAuthError) as caught:
        decide_confirmation(client, key, certificate)
    assert caught.value.code == "invalid_request"


KEY, CERT, PAIR = Confirmation("k"), Confirmation(None, "c"), Confirmation("k", "c")


@pytest.mark.parametrize(
    "bound_to, proved", [(None, None), (None, KEY), (KEY, KEY), (KEY, PAIR), (CERT, CERT), (CERT, PAIR), (PAIR, PAIR)]
)
def test_c11_r10_binding_is_held_by_whoever_proves_all_of_it(bound_to, proved):
    verify_binding(build_grant(confirmation=bound_to), proved)


@pytest.mark.parametrize(
    "bound_to, proved, code",
    [
        (KEY, None, "invalid_request"),
        (KEY, CERT, "invalid_request"),
        (KEY, Confirmation("other"), "invalid_grant"),
        (KEY, Confirmation("K"), "invalid_grant"),
        (CERT, None, "invalid_request"),
        (CERT, Confirmation("c"), "invalid_request"),
        (CERT, Confirmation(None, "k"), "invalid_grant"),
        (PAIR, KEY, "invalid_request"),
        (PAIR, CERT, "invalid_request"),
        (PAIR, Confirmation("k", "other"), "invalid_grant"),
    ],
)
def test_c11_r10_binding_proved_in_part_or_by_another_key_is_refused(bound_to, proved, code):
    with pytest.raises(OAuthError) as caught:
        verify_binding(build_grant(confirmation=bound_to), proved)
    assert caught.value.code == code
    assert "bound to" in caught.value.description
    if code == "invalid_grant":
        assert caught.value.reason == "bound to another key"
        assert caught.value.description.startswith("This grant is bound to another key.")


@pytest.mark.parametrize(
    "bound_to, proved, holds",
    [
        (None, None, True),
        (None, KEY, True),
        (KEY, KEY, True),
        (KEY, PAIR, True),
        (CERT, CERT, True),
        (CERT, PAIR, True),
        (PAIR, PAIR, True),
        (KEY, None, False),
        (KEY, CERT, False),
        (KEY, Confirmation("other"), False),
        (CERT, None, False),
        (CERT, KEY, False),
        (CERT, Confirmation("c"), False),
        (PAIR, KEY, False),
        (PAIR, CERT, False),
        (PAIR, Confirmation("other", "c"), False),
    ],
)
def test_s12_access_token_is_proved_by_all_that_it_is_bound_to(bound_to, proved, holds):
    assert is_proved(bound_to, proved) is holds


@pytest.mark.parametrize("bound_to, proved", [(None, KEY), (KEY, None), (KEY, PAIR), (KEY, Confirmation("other"))])
def test_retry_by_whoever_proves_something_else_is_refused(bound_to, proved):
    with pytest.raises(OAuthError) as caught:
        verify_retry_binding(build_grant(confirmation=bound_to), proved)
    assert (caught.value.code, caught.value.reason) == ("invalid_grant", "retry by another key")
    assert caught.value.description.startswith("superseded: ")
    verify_retry_binding(build_grant(confirmation=bound_to), bound_to)


def test_rebinding_is_found_only_where_something_changes():
    assert find_rebinding(build_grant(), None) is None
    assert find_rebinding(build_grant(confirmation=KEY), KEY) is None
    assert find_rebinding(build_grant(confirmation=KEY), None) == Rebinding(None)
    assert find_rebinding(build_grant(), KEY) == Rebinding(KEY)
