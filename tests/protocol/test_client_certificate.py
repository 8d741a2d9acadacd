"""The certificate that a trusted proxy passes on, and no other (S16; RFC 8705, RFC 9440)."""

import hashlib
from base64 import b64encode, urlsafe_b64encode
from ipaddress import ip_address

import pytest
from cryptography import x509

from latchstring.protocol.client_certificate import (
    MAX_CERTIFICATE_LENGTH,
    MAX_HEADER_LENGTH,
    AlternativeNames,
    CertificateRefused,
    certificate_thumbprint,
    normalize_subject_dn,
    parse_alternative_names,
    parse_certificate,
    parse_certificate_header,
    parse_certificate_source,
)
from tests.support.certificates import make_certificate, render_nginx, render_rfc9440

DER = make_certificate()
SOURCE = parse_certificate_source("Client-Cert", ["10.0.0.0/8", "192.0.2.7", "fd00::/8"])


@pytest.mark.parametrize("render", [render_rfc9440, render_nginx])
def test_certificate_header_of_each_form_is_the_der(render):
    assert parse_certificate_header(render(DER).encode()) == DER
    assert parse_certificate_header(b" " + render(DER).encode() + b" ") == DER


def test_certificate_header_at_the_caps_is_read():
    largest = b"\x30" * MAX_CERTIFICATE_LENGTH
    assert parse_certificate_header(b":" + b64encode(largest) + b":") == largest
    with pytest.raises(CertificateRefused, match="empty or too long"):
        parse_certificate_header(b":" + b64encode(largest + b"\x30") + b":")
    longest = render_nginx(DER).encode().ljust(MAX_HEADER_LENGTH, b"\n")
    assert parse_certificate_header(longest) == DER
    with pytest.raises(CertificateRefused, match="certificate is too long"):
        parse_certificate_header(longest + b"\n")


@pytest.mark.parametrize(
    "value, why",
    [
        (b"", "neither"),
        (b":", "byte sequence"),
        (b"::", "is empty"),
        (b":!!!!:", "not Base64"),
        (b":" + b"A" * (2 * MAX_CERTIFICATE_LENGTH) + b":", "too long"),
        (render_rfc9440(DER)[:-1].encode(), "byte sequence"),
        (render_rfc9440(DER)[1:].encode(), "neither"),
        (b"\t" + render_rfc9440(DER).encode(), "neither"),
        (b"X" + render_rfc9440(DER).encode(), "neither"),
        (render_rfc9440(DER).replace(":", ":\t").encode(), "byte sequence"),
        (render_nginx(DER)[:-30].encode(), "neither"),
        ((render_nginx(DER) + render_nginx(DER)).encode(), "neither"),
        (b"-----BEGIN CERTIFICATE-----%0A-----END CERTIFICATE-----", "is empty"),
        (b"(null)", "neither"),
    ],
)
def test_certificate_header_malformed_is_refused(value, why):
    with pytest.raises(CertificateRefused, match=why):
        parse_certificate_header(value)


def test_certificate_is_named_by_its_digest_and_subject():
    certificate = parse_certificate(DER)
    digest = urlsafe_b64encode(hashlib.sha256(DER).digest()).decode().rstrip("=")
    assert certificate.thumbprint == certificate_thumbprint(DER) == digest
    assert certificate.subject_dn == "CN=mailloop,O=Acorn\\, Partners"
    assert certificate.der == DER


def test_certificate_that_is_none_is_refused():
    for der in (DER[:-1], b"not DER"):
        with pytest.raises(CertificateRefused, match="cannot be read"):
            parse_certificate(der)


@pytest.mark.parametrize("peer", ["10.1.2.3", "192.0.2.7", "fd00::1", "::ffff:10.1.2.3"])
def test_s16_certificate_from_a_trusted_proxy_is_found(peer):
    assert SOURCE.find(peer, [(b"client-cert", render_rfc9440(DER).encode())]) == DER


@pytest.mark.parametrize("peer", ["203.0.113.9", "192.0.2.8", "::1", "", None, "unix", "::ffff:203.0.113.9"])
def test_s16_certificate_from_a_stranger_is_not_even_read(peer):
    assert SOURCE.find(peer, [(b"client-cert", b"nonsense")]) is None
    assert SOURCE.find(peer, [(b"client-cert", render_rfc9440(DER).encode())]) is None


def test_certificate_in_another_header_is_not_read():
    headers = [(b"client_cert", render_rfc9440(DER).encode()), (b"x-client-cert", render_rfc9440(DER).encode())]
    assert SOURCE.find("10.1.2.3", headers) is None


def test_certificate_that_a_proxy_leaves_empty_is_none():
    """What nginx sends for a client without one."""
    assert SOURCE.find("10.1.2.3", [(b"client-cert", b"")]) is None


def test_s16_certificate_that_stands_twice_is_refused():
    header = (b"client-cert", render_rfc9440(DER).encode())
    with pytest.raises(CertificateRefused, match="more than once"):
        SOURCE.find("10.1.2.3", [header, header])


@pytest.mark.parametrize(
    "name, networks",
    [
        ("", ["10.0.0.0/8"]),
        ("Client Cert", ["10.0.0.0/8"]),
        ("client_cert", ["10.0.0.0/8"]),
        ("Client-Cert", []),
        ("Client-Cert", ["10.0.0.1/8"]),
        ("Client-Cert", ["proxy.example"]),
    ],
)
def test_certificate_source_that_cannot_be_is_refused(name, networks):
    with pytest.raises(ValueError, match=r"^(?!None)."):
        parse_certificate_source(name, networks)


def test_certificate_source_is_named_in_small_letters_as_headers_arrive():
    source = parse_certificate_source("Client-Cert", ["10.0.0.0/8"])
    assert source.name == b"client-cert"
    assert [str(network) for network in source.networks] == ["10.0.0.0/8"]


def test_alternative_names_are_those_of_the_extension():
    names = [
        x509.DNSName("a.example"),
        x509.DNSName("*.b.example"),
        x509.UniformResourceIdentifier("spiffe://a.example/b"),
        x509.IPAddress(ip_address("2001:db8:0::7")),
        x509.RFC822Name("a@b.example"),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
    ]
    assert parse_alternative_names(make_certificate(names=names)) == AlternativeNames(
        hosts=("a.example", "*.b.example"),
        uris=("spiffe://a.example/b",),
        addresses=("2001:db8::7",),
        emails=("a@b.example",),
    )


@pytest.mark.parametrize("der", [make_certificate(), b"", b"no certificate"])
def test_alternative_names_that_are_not_there_are_none(der):
    assert parse_alternative_names(der) == AlternativeNames()


def test_subject_dn_is_spelt_as_the_certificate_s():
    certificate = parse_certificate(make_certificate("a+b"))
    assert normalize_subject_dn(certificate.subject_dn) == certificate.subject_dn
    assert normalize_subject_dn("CN=a\\+b,O=Acorn\\2c Partners") == certificate.subject_dn


@pytest.mark.parametrize("text", ["", "a", "CN=", "=a", "XX=a", "CN=a;O=b", "CN=a,"])
def test_subject_dn_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="RFC 4514|empty"):
        normalize_subject_dn(text)
