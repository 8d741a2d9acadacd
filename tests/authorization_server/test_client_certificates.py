"""The subject by which a client's certificate is known, in its one spelling (RFC 8705 §2.1.2)."""

import pytest

from latchstring.authorization_server.client_certificates import find_subject
from latchstring.authorization_server.records import ClientSecurity


def find(kind: str, value: str) -> str:
    name = f"tls_client_auth_{kind}"
    found = find_subject(ClientSecurity(**{name: value}))  # type: ignore[arg-type]
    assert found is not None
    assert found[0] == name
    return found[1]


@pytest.mark.parametrize(
    "kind, value, expected",
    [
        ("san_dns", "App.Example", "app.example"),
        ("san_dns", "my-app.example", "my-app.example"),
        ("san_dns", "xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("san_dns", "localhost", "localhost"),
        ("san_uri", "urn:app:1", "urn:app:1"),
        ("san_uri", "https://App.example/~x?y=%20", "https://App.example/~x?y=%20"),
        ("san_ip", "2001:0DB8::0001", "2001:db8::1"),
        ("san_ip", "192.0.2.7", "192.0.2.7"),
        ("san_email", "app@app.example", "app@app.example"),
    ],
)
def test_subject_of_each_kind_has_one_spelling(kind, value, expected):
    assert find(kind, value) == expected


@pytest.mark.parametrize(
    "kind, value, why",
    [
        ("san_dns", "", "it is no DNS name"),
        ("san_dns", "app..example", "it is no DNS name"),
        ("san_dns", "-.example", "it is no DNS name"),
        ("san_dns", "app_1.example", "it is no DNS name"),
        ("san_dns", "*.example", "it is no DNS name"),
        ("san_dns", "äpp.example", "it is no DNS name"),
        ("san_uri", "", "it has characters that do not belong there"),
        ("san_uri", "urn:app 1", "it has characters that do not belong there"),
        ("san_uri", "urn:äpp", "it has characters that do not belong there"),
        ("san_uri", "urn:app\n1", "it has characters that do not belong there"),
        ("san_email", "äpp@app.example", "it has characters that do not belong there"),
        ("san_email", "app@app.example\x7f", "it has characters that do not belong there"),
        ("san_ip", "192.0.2.7/32", "'192.0.2.7/32' does not appear to be an IPv4 or IPv6 address"),
        ("san_ip", "app.example", "'app.example' does not appear to be an IPv4 or IPv6 address"),
    ],
)
def test_subject_that_no_certificate_has_is_refused(kind, value, why):
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        find(kind, value)
    assert str(refused.value) == f"tls_client_auth_{kind}: {why}"
