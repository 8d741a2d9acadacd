"""The certificate behind a trusted proxy reaches the credentials of every machine endpoint (S16)."""

import pytest

from latchstring.authorization_server.settings import Settings
from latchstring.protocol.errors import OAuthError
from latchstring.web.client_certificate import find_client_certificate
from tests.support.certificates import make_certificate, render_nginx, render_rfc9440

DER = make_certificate()
SETTINGS = Settings(
    issuer="https://auth.example", client_certificate_header="Client-Cert", trusted_proxy_networks=("10.0.0.0/8",)
)


def scope(peer: tuple[str, int] | None, value: str) -> dict:
    return {"client": peer, "headers": [(b"host", b"auth.example"), (b"client-cert", value.encode())]}


@pytest.mark.parametrize("render", [render_rfc9440, render_nginx])
def test_s16_certificate_through_the_trusted_proxy_is_found(render):
    certificate = find_client_certificate(scope(("10.0.0.1", 1), render(DER)), SETTINGS)
    assert certificate is not None
    assert certificate.der == DER
    assert certificate.subject_dn.startswith("CN=mailloop")


@pytest.mark.parametrize("peer", [("203.0.113.9", 1), None])
def test_s16_certificate_from_a_stranger_is_ignored(peer):
    assert find_client_certificate(scope(peer, render_rfc9440(DER)), SETTINGS) is None


def test_s16_certificate_without_the_setting_is_ignored():
    plain = Settings(issuer="https://auth.example")
    assert find_client_certificate(scope(("10.0.0.1", 1), render_rfc9440(DER)), plain) is None


@pytest.mark.parametrize("value", [":bm90IGEgY2VydGlmaWNhdGU=:", "nonsense"])
def test_certificate_of_the_proxy_that_cannot_be_read_is_a_bad_request(value):
    with pytest.raises(OAuthError) as caught:
        find_client_certificate(scope(("10.0.0.1", 1), value), SETTINGS)
    assert caught.value.code == "invalid_request"
