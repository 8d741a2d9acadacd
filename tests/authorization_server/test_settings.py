"""Settings are validated once, and what is wrong is named with its fix (DESIGN §10)."""

from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.api_scopes import API_SCOPES
from latchstring.authorization_server.details_types import DetailsType
from latchstring.authorization_server.mail_settings import MailSettings
from latchstring.authorization_server.settings import (
    MAX_RETRY_WINDOW,
    ScopeDefinition,
    ScopeGroup,
    Settings,
    validate_settings,
)
from latchstring.authorization_server.trusted_issuers import TrustedIssuer
from latchstring.protocol.errors import ConfigurationError

DAY = 24 * 3600
AS_LONG = "give at least access_token_lifetime, or leave it out for no limit"
ANOTHER = "give the `iss` of another issuer"
NO_HOST = "is no host name in small letters, such as app.example"
PAY = "authorization_details_types: pay: give a title, which members read"
TRUSTED = TrustedIssuer(organizations=("*",), jwks_uri="https://other.example/jwks")


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
        "https://auth.example/tenants/apps",
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
        pytest.param("https://auth.example/t:1", id="colon"),
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
    "issuer, why",
    [
        ("https://[::1", "its host or port is malformed"),
        ("auth.example", "give an http or https URL without query, fragment or user name (RFC 8414 §2)"),
        ("https://auth.example/", "leave out the slash at the end"),
        ("https://auth.example/./t1", "its path is made of plain segments, such as https://example.com/login"),
        (
            "https://auth.example/api",
            "its path begins like one of the server's own; choose another, such as /login",
        ),
    ],
)
def test_validate_settings_issuer_that_is_refused_says_how_to_mend_it(issuer, why):
    with pytest.raises(ConfigurationError) as refused:
        validate(issuer=issuer)
    assert str(refused.value) == f"issuer: {why}"


@pytest.mark.parametrize(
    "setting, accepted, refused, fix",
    [
        ("code_lifetime", [1, 60], [0, -1, 61, 600], "give 1 to 60 seconds"),
        ("access_token_lifetime", [60, 3600, DAY], [0, 59, DAY + 1], "give 60 seconds to 24 hours"),
        ("retry_window", [0, 1, 60, MAX_RETRY_WINDOW], [-1, MAX_RETRY_WINDOW + 1], "give 0 seconds to 30 days"),
        ("refresh_token_idle_lifetime", [None, 3600, 10**9], [0, -1, 3599], AS_LONG),
        ("refresh_token_absolute_lifetime", [None, 3600, 10**9], [0, -1, 3599], AS_LONG),
        ("ended_grant_lifetime", [DAY, 10**9], [DAY - 1, 0, -1], "give at least 86400 seconds (a day)"),
        ("event_lifetime", [30 * DAY, 10**9], [30 * DAY - 1, 0], "give at least 2592000 seconds (30 days)"),
        ("pushed_request_lifetime", [5, 599], [4, 600, 0, -1], "give 5 to 599 seconds"),
        ("device_code_lifetime", [60, 1800], [59, 1801, 0, -1], "give 60 seconds to 30 minutes"),
        (
            "signing_key_lifetime",
            [2 * DAY, 730 * DAY],
            [2 * DAY - 1, 730 * DAY + 1, 0],
            "give 2 days to 2 years, in seconds",
        ),
        ("trusted_proxies", [0, 1, 8], [-1, 9], "give how many proxies stand in front, 0 to 8"),
        ("registration_lifetime", [60, 30 * DAY], [59, 30 * DAY + 1, 0], "give 60 seconds to 30 days"),
        ("access_request_lifetime", [3600, 90 * DAY], [3599, 90 * DAY + 1], "give 1 hour to 90 days, in seconds"),
        (
            "high_risk_sign_in_lifetime",
            [None, 60, 10**9],
            [59, 0, -1],
            "give at least 60 seconds, or leave it out for no limit",
        ),
        ("session_lifetime", [60, DAY], [59, 0, -1], "give at least 60 seconds"),
        ("consent_page_lifetime", [60, DAY], [59, 0, -1], "give at least 60 seconds"),
        (
            "token_prefix",
            ["ls", "a", "Acorn7", "a" * 12],
            ["", "a" * 13, "a_b", "a-b", "a b", "ä", "٣"],
            "use 1 to 12 ASCII letters and digits",
        ),
    ],
)
def test_validate_settings_at_its_edges_names_the_setting_and_the_fix(setting, accepted, refused, fix):
    for value in accepted:
        assert getattr(validate(**{setting: value}), setting) == value
    for value in refused:
        with pytest.raises(ConfigurationError) as told:
            validate(**{setting: value})
        assert str(told.value) == f"{setting}: {fix}", value


def test_validate_settings_lifetimes_of_refresh_tokens_are_as_long_as_an_access_token_s():
    assert validate(access_token_lifetime=7200, refresh_token_idle_lifetime=7200)
    with pytest.raises(ConfigurationError, match="^refresh_token_absolute_lifetime: "):
        validate(access_token_lifetime=7200, refresh_token_absolute_lifetime=7199)


NO_SCOPE = "is not a scope that a deployment can define (RFC 6749 §3.3)"


@pytest.mark.parametrize(
    "given, told",
    [
        ({"scopes": {}}, "scopes: define at least one scope"),
        ({"scopes": {"offline_access": ScopeDefinition()}}, f"scopes: 'offline_access' {NO_SCOPE}"),
        ({"scopes": {"a b": ScopeDefinition()}}, f"scopes: 'a b' {NO_SCOPE}"),
        ({"scopes": {"": ScopeDefinition()}}, f"scopes: '' {NO_SCOPE}"),
        ({"scopes": {'a"': ScopeDefinition()}}, f"scopes: 'a\"' {NO_SCOPE}"),
        ({"scopes": {"ä": ScopeDefinition()}}, f"scopes: 'ä' {NO_SCOPE}"),
        ({"scopes": {"a": ScopeDefinition(group="x")}}, "scopes: a: 'x' is not one of scope_groups"),
        (
            {"scopes": {"a": ScopeDefinition(roles=())}},
            "scopes: a: name a role that it is for, or leave out roles",
        ),
        (
            {"scopes": {"latchstring:own": ScopeDefinition()}},
            "scopes: latchstring:own: names that begin with latchstring: are the server's own",
        ),
        (
            {"scopes": {"latchstring:apps.read": ScopeDefinition()}, "serves_api": True},
            "scopes: latchstring:apps.read: names that begin with latchstring: are the server's own",
        ),
        ({"scope_groups": {"x": ScopeGroup(title="")}}, "scope_groups: x: give a title, which members read"),
        ({"authorization_details_types": {"pay": DetailsType(title="")}}, PAY),
        ({"trusted_issuers": {"https://auth.example": TRUSTED}}, f"trusted_issuers: https://auth.example: {ANOTHER}"),
        ({"trusted_issuers": {"": TRUSTED}}, f"trusted_issuers: : {ANOTHER}"),
        ({"metadata_document_hosts": ("App.example",)}, f"metadata_document_hosts: 'App.example' {NO_HOST}"),
        ({"metadata_document_hosts": ("app.example", "")}, f"metadata_document_hosts: '' {NO_HOST}"),
        ({"metadata_document_hosts": ("*.example",)}, f"metadata_document_hosts: '*.example' {NO_HOST}"),
        ({"mail": MailSettings(port=0)}, "mail.port: give 1 to 65535"),
        (
            {"issuer": "http://auth.example", "serves_api": True},
            "serves_api: the API would be http://auth.example/api/v1, and plain http is only for 127.0.0.1, [::1] and "
            "localhost",
        ),
    ],
)
def test_validate_settings_that_cannot_work_say_which_and_why(given, told):
    with pytest.raises(ConfigurationError) as refused:
        validate(**given)
    assert str(refused.value) == told


def test_validate_settings_of_what_works_are_as_they_were_given():
    given: dict[str, Any] = {
        "scopes": {"a.read": ScopeDefinition(group="x", roles=("admin",))},
        "scope_groups": {"x": ScopeGroup(title="X")},
        "authorization_details_types": {"pay": DetailsType(title="Pay")},
        "trusted_issuers": {"https://other.example": TRUSTED},
        "metadata_document_hosts": ("app.example", "xn--9.example", "127.0.0.1"),
        "mail": MailSettings(port=25),
    }
    assert validate(**given) == Settings(issuer="https://auth.example", **given)


def test_settings_that_serve_the_api_have_its_scopes_beside_their_own_for_nobody_who_registered_themselves():
    settings = validate(serves_api=True, scopes={"a.read": ScopeDefinition()})
    assert settings.scopes == {
        "a.read": ScopeDefinition(),
        **{
            name: ScopeDefinition(risk=scope.risk, roles=scope.roles, is_for_anyone=False)
            for name, scope in API_SCOPES.items()
        },
    }
    assert settings.scopes_for_anyone == ("a.read", "offline_access")
    assert validate_settings(settings) == settings, "and are valid themselves"


def test_settings_without_scopes_have_one_of_high_risk():
    assert validate().scopes == {"all.full_access": ScopeDefinition(risk="high")}


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
        ({"client_certificate_header": "Client-Cert"}, "^client_certificate_header, trusted_proxy_networks: name the"),
        ({"trusted_proxy_networks": ("10.0.0.0/8",)}, "^trusted_proxy_networks: name the client_certificate_header"),
        ({"client_certificates_verified": True}, "^client_certificates_verified: name the client_certificate_header"),
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
