"""The subject by which a client's certificate is known, in its one spelling (RFC 8705 §2.1.2)."""

from ipaddress import ip_address
from typing import Any

import pytest
from cryptography import x509

from latchstring.authorization_server.client_certificates import find_subject, is_subject, verify_subject_fits
from latchstring.authorization_server.records import ClientSecurity
from latchstring.protocol.client_certificate import parse_certificate
from tests.support.certificates import make_certificate


def expect(*subjects: tuple[str, str]) -> ClientSecurity:
    """What a client expects that registered those subjects."""
    given: dict[str, Any] = {f"tls_client_auth_{kind}": value for kind, value in subjects}
    return ClientSecurity(**given)


def find(kind: str, value: str) -> str:
    name = f"tls_client_auth_{kind}"
    found = find_subject(expect((kind, value)))
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
    with pytest.raises(ValueError) as refused:  # noqa: PT011 -- its whole text is compared below
        find(kind, value)
    assert str(refused.value) == f"tls_client_auth_{kind}: {why}"


def test_subject_is_one_for_a_client_of_certificates_and_none_for_every_other():
    one = expect(("san_dns", "app.example"))
    verify_subject_fits("tls_client_auth", one)
    verify_subject_fits("self_signed_tls_client_auth", ClientSecurity())
    verify_subject_fits("none", ClientSecurity())
    for method, security in (("tls_client_auth", ClientSecurity()), ("private_key_jwt", one)):
        with pytest.raises(ValueError, match=r"^one subject of the certificate .* is for tls_client_auth, which needs"):
            verify_subject_fits(method, security)
    with pytest.raises(ValueError, match=r"^name one subject of its certificate, not several"):
        verify_subject_fits("tls_client_auth", expect(("san_dns", "app.example"), ("san_uri", "urn:app")))


CERTIFICATE = parse_certificate(
    make_certificate(
        names=[
            x509.DNSName("App.Example"),
            x509.UniformResourceIdentifier("urn:app"),
            x509.IPAddress(ip_address("2001:db8::1")),
            x509.RFC822Name("app@app.example"),
        ]
    )
)


@pytest.mark.parametrize(
    "kind, value, other",
    [
        ("subject_dn", "CN=mailloop,O=Acorn\\, Partners", "CN=mailloop"),
        ("san_dns", "app.EXAMPLE", "other.example"),
        ("san_uri", "urn:app", "App.Example"),
        ("san_ip", "2001:0db8::1", "2001:db8::2"),
        ("san_email", "app@app.example", "App@app.example"),
    ],
)
def test_certificate_is_of_the_subject_that_the_client_has_registered_in_the_place_that_it_named(
    kind: str, value: str, other: str
):
    """RFC 8705 §2.1.2: a name somewhere else in the certificate is not the one that was named."""
    assert is_subject(CERTIFICATE, expect((kind, value)))
    assert not is_subject(CERTIFICATE, expect((kind, other)))
    assert not is_subject(parse_certificate(make_certificate("another")), expect((kind, value)))


def test_certificate_of_a_client_without_a_registered_subject_is_nobody_s():
    assert is_subject(CERTIFICATE, ClientSecurity()) is False
