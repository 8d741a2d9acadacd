"""Settings are validated once, and what is wrong is named with its fix (DESIGN §10)."""

from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.settings import MAX_RETRY_WINDOW, ScopeDefinition, Settings, validate_settings
from latchstring.protocol.errors import ConfigurationError

DAY = 24 * 3600


def validate(**given: Any) -> Settings:
    return validate_settings(Settings(**{"issuer": "https://auth.example", **given}))


def test_validate_settings_defaults_are_safe():
    settings = validate()
    assert settings.code_lifetime == 60
    assert settings.access_token_lifetime == 3600
    assert settings.retry_window == 60
    assert settings.scopes_supported == ("all.full_access", "offline_access")
    assert settings.is_https


@pytest.mark.parametrize(
    "issuer",
    [
        "https://auth.example",
        "https://auth.example:8443",
        "https://[2001:db8::1]:8443",
        "http://127.0.0.1:8400",
        "http://[::1]:8400",
        "http://localhost:8400",
        "https://auth.example/login",
        "https://auth.example/tenants/t1",
    ],
)
def test_validate_settings_issuer_is_accepted(issuer):
    settings = validate(issuer=issuer)
    assert settings.is_https == issuer.startswith("https")


@pytest.mark.parametrize(
    "issuer",
    [
        pytest.param("", id="empty"),
        pytest.param("auth.example", id="no-scheme"),
        pytest.param("//auth.example", id="no-scheme-but-host"),
        pytest.param("ftp://auth.example", id="other-scheme"),
        pytest.param("https://", id="no-host"),
        pytest.param("https://:8443", id="port-without-host"),
        pytest.param("HTTPS://auth.example", id="capitals-would-lose-the-secure-cookie"),
        pytest.param("https://auth.example/", id="slash"),
        pytest.param("https://auth.example/t1/", id="slash-behind-a-path"),
        pytest.param("https://auth.example//t1", id="empty-segment"),
        pytest.param("https://auth.example/t1/../t2", id="dots"),
        pytest.param("https://auth.example/./t1", id="dot"),
        pytest.param("https://auth.example/oauth2", id="own-path"),
        pytest.param("https://auth.example/apps/t1", id="own-path-and-more"),
        pytest.param("https://auth.example/t%31", id="escape"),
        pytest.param("https://auth.example?x=1", id="M3-query"),
        pytest.param("https://auth.example?", id="M3-empty-query"),
        pytest.param("https://auth.example#x", id="M3-fragment"),
        pytest.param("https://auth.example#", id="M3-empty-fragment"),
        pytest.param("https://ann@auth.example", id="user"),
        pytest.param("https://auth.example:port", id="port-no-number"),
        pytest.param("https://auth.example:99999", id="port-too-large"),
        pytest.param("https://[::1", id="bracket"),
        pytest.param("https://auth example", id="space"),
        pytest.param(" https://auth.example", id="leading-space"),
        pytest.param("https://auth.example\n", id="newline"),
        pytest.param("https://auth.example\\evil", id="backslash"),
        pytest.param('https://auth.example"', id="quote"),
        pytest.param("https://äuth.example", id="not-ascii"),
    ],
)
def test_m3_validate_settings_issuer_is_refused_by_name(issuer):
    with pytest.raises(ConfigurationError, match="^issuer: "):
        validate(issuer=issuer)


@pytest.mark.parametrize(
    "setting, accepted, refused",
    [
        ("code_lifetime", [1, 60], [0, -1, 61, 600]),
        ("access_token_lifetime", [60, 3600, DAY], [0, 59, DAY + 1]),
        ("retry_window", [0, 1, 60, MAX_RETRY_WINDOW], [-1, MAX_RETRY_WINDOW + 1]),
        ("refresh_token_idle_lifetime", [None, 3600, 10**9], [0, -1, 3599]),
        ("refresh_token_absolute_lifetime", [None, 3600, 10**9], [0, -1, 3599]),
        ("session_lifetime", [60, DAY], [59, 0, -1]),
        ("consent_page_lifetime", [60, DAY], [59, 0, -1]),
        ("token_prefix", ["ls", "a", "Acorn7", "a" * 12], ["", "a" * 13, "a_b", "a-b", "a b", "ä", "٣"]),
        (
            "scopes",
            [{"a.read": ScopeDefinition()}],
            [
                {},
                {"offline_access": ScopeDefinition()},
                {"a b": ScopeDefinition()},
                {"": ScopeDefinition()},
                {'a"': ScopeDefinition()},
                {"ä": ScopeDefinition()},
            ],
        ),
    ],
)
def test_validate_settings_at_its_edges_names_the_setting(setting, accepted, refused):
    for value in accepted:
        assert getattr(validate(**{setting: value}), setting) == value
    for value in refused:
        with pytest.raises(ConfigurationError, match=f"^{setting}: "):
            validate(**{setting: value})


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"isuer": "https://auth.example"}, id="misspelt"),
        pytest.param({"retry_window": "60"}, id="text-for-a-number"),
        pytest.param({"retry_window": True}, id="truth-for-a-number"),
        pytest.param({"retry_window": 1.5}, id="broken-number"),
        pytest.param({"scopes": ["a.read"]}, id="list-for-a-table"),
        pytest.param({"scopes": {"a.read": {"risk": "enormous"}}}, id="unknown-risk"),
    ],
)
def test_settings_of_wrong_names_or_types_are_no_settings(given):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"issuer": "https://auth.example", **given}, Settings)


def test_settings_offline_access_is_always_supported_and_last():
    assert validate(scopes={"a.read": ScopeDefinition()}).scopes_supported == ("a.read", "offline_access")


@pytest.mark.parametrize(
    "given, named",
    [
        ({"client_certificate_header": "Client-Cert"}, "trusted_proxy_networks"),
        ({"trusted_proxy_networks": ("10.0.0.0/8",)}, "client_certificate_header"),
        ({"client_certificates_verified": True}, "client_certificate_header"),
        ({"client_certificate_header": "Client_Cert", "trusted_proxy_networks": ("10.0.0.0/8",)}, "header's name"),
        ({"client_certificate_header": "Client-Cert", "trusted_proxy_networks": ("the proxy",)}, "the proxy"),
    ],
)
def test_s16_validate_settings_certificate_header_needs_the_proxies_that_are_believed(given, named):
    with pytest.raises(ConfigurationError, match=named):
        validate(**given)


def test_validate_settings_certificate_header_with_its_proxies_is_accepted():
    networks = ("10.0.0.0/8", "192.0.2.7", "fd00::/8")
    validate(client_certificate_header="Client-Cert", trusted_proxy_networks=networks)
