"""Which redirect URIs may be registered and which request matches (RFC 6749 §3.1.2, RFC 8252 §7, RFC 9700 §2.1)."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol.redirect_uri import (
    MAX_REDIRECT_URI_LENGTH,
    RedirectUriRefused,
    find_registered,
    is_loopback,
    is_web_address,
    redirect_host,
    verify_registrable,
)
from tests.protocol.properties import PROPERTY

REGISTERED = "https://app.example/cb/in?mode=a&x=1"

# Every one of them leads, in some product's history, to somewhere else than what was registered.
MUTATIONS = {
    "A3-case-of-path CVE-2020-15234": "https://app.example/CB/in?mode=a&x=1",
    "A3-case-of-host": "https://APP.example/cb/in?mode=a&x=1",
    "A3-case-of-scheme": "HTTPS://app.example/cb/in?mode=a&x=1",
    "A3-other-scheme": "http://app.example/cb/in?mode=a&x=1",
    "A3-trailing-slash": "https://app.example/cb/in/?mode=a&x=1",
    "A3-double-slash": "https://app.example//cb/in?mode=a&x=1",
    "A3-extra-query DOT-3.4.1": "https://app.example/cb/in?mode=a&x=1&y=2",
    "A3-reordered-query": "https://app.example/cb/in?x=1&mode=a",
    "A3-query-dropped": "https://app.example/cb/in",
    "A3-query-cut": "https://app.example/cb/in?mode=a",
    "A3-bare-question-mark": "https://app.example/cb/in?",
    "A3-path-parameter DOT-3.4.1": "https://app.example/cb/in;p=1?mode=a&x=1",
    "A3-encoded-dots": "https://app.example/cb/%2e%2e/evil?mode=a&x=1",
    "A3-dots": "https://app.example/cb/in/../evil?mode=a&x=1",
    "A3-dots-back-to-the-same-path CVE-2024-2419": "https://app.example/cb/x/../in?mode=a&x=1",
    "A3-dots-semicolon CVE-2026-3872": "https://app.example/cb/..;/evil?mode=a&x=1",
    "A3-encoded-letter": "https://app.example/c%62/in?mode=a&x=1",
    "A3-user DOT-3.4.1": "https://user@app.example/cb/in?mode=a&x=1",
    "A3-host-as-user CVE-2026-28512": "https://app.example@evil.example/cb/in?mode=a&x=1",
    "A3-two-at-signs CVE-2026-7504": "https://app.example@b@evil.example/cb/in?mode=a&x=1",
    "A3-empty-fragment": "https://app.example/cb/in?mode=a&x=1#",
    "A3-fragment CVE-2026-9689": "https://app.example/cb/in?mode=a&x=1#x",
    "A3-default-port": "https://app.example:443/cb/in?mode=a&x=1",
    "A3-empty-port": "https://app.example:/cb/in?mode=a&x=1",
    "A3-other-port": "https://app.example:8443/cb/in?mode=a&x=1",
    "A3-backslash": "https://app.example\\@evil.example/cb/in?mode=a&x=1",
    "A3-backslash-for-slash": "https:\\\\app.example\\cb\\in?mode=a&x=1",
    "A3-tab": "https://app.example/cb/\tin?mode=a&x=1",
    "A3-carriage-return": "https://app.example/cb/in?mode=a&x=1\r",
    "A3-line-feed": "https://app.example/cb/in?mode=a&x=1\n",
    "A3-header-injection": "https://app.example/cb/in?mode=a&x=1\r\nset-cookie: a=b",
    "A3-leading-space": " https://app.example/cb/in?mode=a&x=1",
    "A3-trailing-space": "https://app.example/cb/in?mode=a&x=1 ",
    "A3-nul": "https://app.example/cb/in?mode=a&x=1\0",
    "A3-look-alike-cyrillic": "https://аpp.example/cb/in?mode=a&x=1",
    "A3-full-width-dot": "https://app．example/cb/in?mode=a&x=1",
    "A3-suffix-of-host": "https://app.example.evil.test/cb/in?mode=a&x=1",
    "A3-prefix-of-host": "https://evilapp.example/cb/in?mode=a&x=1",
    "A3-dot-as-pattern CVE-2024-52289": "https://appxexample/cb/in?mode=a&x=1",
    "A3-trailing-dot-of-host": "https://app.example./cb/in?mode=a&x=1",
    "A3-no-scheme": "//app.example/cb/in?mode=a&x=1",
    "A3-path-alone": "/cb/in?mode=a&x=1",
    "A3-prefix-only GHSA-p64j-f4x9-wq66": "https://app.example/",
    "A3-planted-code CVE-2026-18209": "https://app.example/cb/in?mode=a&x=1&code=planted",
    "A3-wildcard CVE-2026-7504": "https://app.example/*",
    "A3-empty": "",
    "CVE-2026-41479 elsewhere": "https://evil.example/",
    "GHSA-vp58-j275-797x pattern": "https://evil.example/https://app.example/cb/in?mode=a&x=1",
    "A7-script CVE-2022-4361": "javascript://app.example/cb/in?mode=a&x=1",
}


@pytest.mark.parametrize("requested", MUTATIONS.values(), ids=MUTATIONS.keys())
def test_find_registered_mutated_uri_is_no_match(requested):
    assert not find_registered(requested, [REGISTERED])


def test_find_registered_equal_uri_is_a_match():
    assert find_registered(REGISTERED, ["https://other.example/", REGISTERED])
    assert not find_registered(REGISTERED, [])


LOOPBACK = [
    "http://127.0.0.1/cb",
    "http://127.0.0.1:9000/fixed",
    "http://localhost/cb",
    "http://127.0.0.1",
    "http://127.0.0.1/q?a=1",
    "https://127.0.0.1/tls",
    "com.example.app:/cb",
]


@pytest.mark.parametrize(
    "requested, is_match",
    [
        pytest.param("http://127.0.0.1:53177/cb", True, id="A4-any-port"),
        pytest.param("http://127.0.0.1:1/cb", True, id="A4-smallest-port"),
        pytest.param("http://127.0.0.1:65535/cb", True, id="A4-largest-port"),
        pytest.param("http://127.0.0.1:80/cb", True, id="A4-default-port"),
        pytest.param("http://127.0.0.1/cb", True, id="A4-no-port"),
        pytest.param("http://127.0.0.1:53177", True, id="A4-without-path"),
        pytest.param("http://127.0.0.1:53177/q?a=1", True, id="A4-with-its-query"),
        pytest.param("http://127.0.0.1:9000/fixed", True, id="A4-registered-port"),
        pytest.param("http://127.0.0.1:9001/fixed", False, id="A4-other-than-the-registered-port"),
        pytest.param("http://127.0.0.1/fixed", False, id="A4-registered-port-left-out"),
        pytest.param("http://127.0.0.1:0/cb", False, id="A4-port-zero"),
        pytest.param("http://127.0.0.1:65536/cb", False, id="A4-port-too-large"),
        pytest.param("http://127.0.0.1:/cb", False, id="A4-empty-port"),
        pytest.param("http://127.0.0.1:+80/cb", False, id="A4-signed-port"),
        pytest.param("http://127.0.0.1:８０/cb", False, id="A4-full-width-port"),
        pytest.param("http://127.0.0.1:53177/CB", False, id="A4-other-path"),
        pytest.param("http://127.0.0.1:53177/cb/", False, id="A4-longer-path"),
        pytest.param("http://127.0.0.1:53177/q?a=1&b=2", False, id="A4-more-query CVE-2020-15233"),
        pytest.param("http://127.0.0.1:53177/cb?a=1", False, id="A4-query-added CVE-2020-15233"),
        pytest.param("http://127.0.0.1:53177/cb#x", False, id="A4-fragment"),
        pytest.param("http://127.0.0.1:53177/cb\n", False, id="A4-newline"),
        pytest.param("http://[::1]:53177/cb", False, id="A4-other-loopback-address"),
        pytest.param("http://127.0.0.2:53177/cb", False, id="A4-other-address"),
        pytest.param("http://localhost:53177/cb", False, id="A4-localhost-keeps-its-port CVE-2024-8883"),
        pytest.param("http://localhost.evil.test/cb", False, id="A3-localhost-prefix CVE-2026-18211"),
        pytest.param("http://127.0.0.1.evil.test:80/cb", False, id="A3-address-prefix CVE-2026-18211"),
        pytest.param("http://127.0.0.1:80@evil.example/cb", False, id="A3-user Authlib-1.8.0"),
        pytest.param("http://x@127.0.0.1:80/cb", False, id="A3-user-before"),
        pytest.param("http://127.0.0.1:80:81/cb", False, id="A3-two-ports"),
        pytest.param("https://127.0.0.1:8443/tls", False, id="A4-only-plain-http"),
        pytest.param("HTTP://127.0.0.1:80/cb", False, id="A3-case-of-scheme"),
        pytest.param("http://127.1:80/cb", False, id="A3-short-address"),
        pytest.param("com.example.app:80/cb", False, id="A4-no-port-for-private-schemes"),
    ],
)
def test_find_registered_loopback_varies_in_port_only(requested, is_match):
    """A4; RFC 8252 §7.3."""
    assert find_registered(requested, LOOPBACK) is is_match


def test_find_registered_ipv6_loopback_varies_in_port():
    assert find_registered("http://[::1]:53177/cb", ["http://[::1]/cb"])
    assert not find_registered("http://127.0.0.1:53177/cb", ["http://[::1]/cb"])


@pytest.mark.parametrize(
    "uri",
    [
        "https://app.example/cb",
        "https://app.example",
        "https://app.example/",
        "https://app.example:8443/cb?x=1&mode=a%20b",
        "https://app.example/cb?",
        "https://app.example/a..b/...",
        "https://xn--80ak6aa92e.example/cb",
        "https://192.0.2.1/cb",
        "https://[2001:db8::1]:8443/cb",
        "https://app.example/path;v=1/cb",
        "https://app.example/" + "a" * (MAX_REDIRECT_URI_LENGTH - len("https://app.example/")),
        pytest.param("http://127.0.0.1/cb", id="A5-loopback"),
        pytest.param("http://127.0.0.1:8080/cb", id="A5-loopback-port"),
        pytest.param("http://[::1]/cb", id="A5-loopback-ipv6"),
        pytest.param("http://localhost:3000/cb", id="A5-localhost"),
        pytest.param("com.example.app:/cb", id="A6-private-scheme"),
        pytest.param("com.example.app://cb/in", id="A6-private-scheme-with-authority"),
        pytest.param("com.example-app.v2:/oauth2redirect", id="A6-private-scheme-digits-and-dash"),
    ],
)
def test_verify_registrable_safe_uri_is_accepted(uri):
    verify_registrable(uri)
    assert find_registered(uri, [uri])


@pytest.mark.parametrize(
    "uri, code",
    [
        pytest.param("", "not_absolute", id="empty"),
        pytest.param("app.example/cb", "not_absolute", id="no-scheme"),
        pytest.param("/cb", "not_absolute", id="path"),
        pytest.param("//app.example/cb", "not_absolute", id="no-scheme-but-host"),
        pytest.param("https:app.example/cb", "not_absolute", id="no-slashes"),
        pytest.param("https:/app.example/cb", "not_absolute", id="one-slash"),
        pytest.param("https:///cb", "not_absolute", id="no-host"),
        pytest.param("https://", "not_absolute", id="nothing-after-the-scheme"),
        pytest.param("https://:443/cb", "not_absolute", id="port-without-host"),
        pytest.param("HTTPS://app.example/cb", "not_absolute", id="scheme-in-capitals"),
        pytest.param("http://app.example/cb", "not_https", id="A5-plain-http"),
        pytest.param("http://localhost.evil.test/cb", "not_https", id="A5-localhost-prefix CVE-2026-18211"),
        pytest.param("http://evil-localhost/cb", "not_https", id="A5-localhost-suffix"),
        pytest.param("http://127.0.0.1.evil.test/cb", "not_https", id="A5-address-prefix"),
        pytest.param("http://127.0.0.2/cb", "not_https", id="A5-other-loopback-address"),
        pytest.param("http://127.1/cb", "not_https", id="A5-short-address"),
        pytest.param("http://2130706433/cb", "not_https", id="A5-address-as-number"),
        pytest.param("http://0.0.0.0/cb", "not_https", id="A5-any-address"),
        pytest.param("http://[::ffff:127.0.0.1]/cb", "not_https", id="A5-mapped-address"),
        pytest.param("http://localhost:80@evil.example/cb", "with_user", id="A5-user Authlib-1.8.0"),
        pytest.param("https://good.example@evil.example/cb", "with_user", id="A3-user CVE-2026-28512"),
        pytest.param("https://a@b@c/cb", "with_user", id="A3-two-at-signs CVE-2026-7504"),
        pytest.param("https://@app.example/cb", "with_user", id="empty-user"),
        pytest.param("https://app.example/cb#", "with_fragment", id="RFC6749-3.1.2-empty-fragment"),
        pytest.param("https://app.example/cb#x", "with_fragment", id="RFC6749-3.1.2-fragment"),
        pytest.param("https://*.example/cb", "with_wildcard", id="wildcard-host CVE-2026-7504"),
        pytest.param("https://app.example/*", "with_wildcard", id="wildcard-path"),
        pytest.param("javascript:alert(1)", "dangerous_scheme", id="A7-javascript CVE-2024-21637"),
        pytest.param("javascript://app.example/%0aalert(1)", "dangerous_scheme", id="A7-javascript-with-host"),
        pytest.param("JavaScript:alert(1)", "not_absolute", id="A7-javascript-in-capitals"),
        pytest.param("data:text/html,x", "dangerous_scheme", id="A7-data"),
        pytest.param("file:///etc/passwd", "dangerous_scheme", id="A7-file"),
        pytest.param("vbscript:x", "dangerous_scheme", id="A7-vbscript"),
        pytest.param("blob:https://app.example/x", "dangerous_scheme", id="A7-blob"),
        pytest.param("about:blank", "dangerous_scheme", id="A7-about"),
        pytest.param("view-source:https://app.example/", "dangerous_scheme", id="A7-view-source"),
        pytest.param("myapp:/cb", "private_scheme", id="A6-no-dot"),
        pytest.param("myapp://cb", "private_scheme", id="A6-no-dot-with-authority"),
        pytest.param("mailto:ann@example.com", "private_scheme", id="A6-mailto"),
        pytest.param("ftp://app.example/cb", "private_scheme", id="A6-ftp"),
        pytest.param("intent:/x", "private_scheme", id="A6-intent"),
        pytest.param("com.:/cb", "private_scheme", id="A6-empty-label"),
        pytest.param("https://app.example/../cb", "dot_segments", id="A3-dots CVE-2024-2419"),
        pytest.param("https://app.example/cb/..", "dot_segments", id="A3-dots-at-the-end"),
        pytest.param("https://app.example/./cb", "dot_segments", id="A3-one-dot"),
        pytest.param("https://app.example/%2e%2E/cb", "dot_segments", id="A3-encoded-dots"),
        pytest.param("https://app.example/.%2e/cb", "dot_segments", id="A3-half-encoded-dots"),
        pytest.param("https://app.example/a%2f..%2fb", "dot_segments", id="A3-encoded-slashes"),
        pytest.param("https://app.example/ok/..;/evil", "dot_segments", id="A3-dots-semicolon CVE-2026-3872"),
        pytest.param("com.example.app:/../cb", "dot_segments", id="A3-dots-private-scheme"),
        pytest.param("https://app.example/cb?code=x", "reserved_parameter", id="planted-code CVE-2026-9689"),
        pytest.param("https://app.example/cb?a=1&state=x", "reserved_parameter", id="planted-state"),
        pytest.param("https://app.example/cb?iss=", "reserved_parameter", id="planted-iss-empty"),
        pytest.param("https://app.example/cb?error", "reserved_parameter", id="planted-error-bare"),
        pytest.param("https://app.example/cb?%63ode=x", "reserved_parameter", id="planted-code-encoded"),
        pytest.param("https://app.example/cb?response=x", "reserved_parameter", id="planted-jarm-response"),
        pytest.param("https://app.example:0/cb", "unusable", id="port-zero"),
        pytest.param("https://app.example:65536/cb", "unusable", id="port-too-large"),
        pytest.param("https://app.example:x/cb", "unusable", id="port-no-number"),
        pytest.param("https://app.example:80:81/cb", "unusable", id="two-ports"),
        pytest.param("https://[::1/cb", "unusable", id="bracket-open"),
        pytest.param("https://app.example\\@evil.example/cb", "unusable", id="A3-backslash"),
        pytest.param("https://app.example/a b", "unusable", id="space"),
        pytest.param(" https://app.example/", "unusable", id="leading-space"),
        pytest.param("https://app.example/\tcb", "unusable", id="A3-tab"),
        pytest.param("https://app.example/cb\r\nx: y", "unusable", id="A3-crlf"),
        pytest.param("https://app.example/\0", "unusable", id="nul"),
        pytest.param("java\nscript:alert(1)", "unusable", id="A7-javascript-broken-by-newline"),
        pytest.param("https://аpp.example/cb", "unusable", id="A3-cyrillic"),
        pytest.param("https://app.example/ü", "unusable", id="not-ascii"),
        pytest.param('https://app.example/"', "unusable", id="quote"),
        pytest.param("https://app.example/<script>", "unusable", id="angle-brackets"),
        pytest.param("https://app.example/{x}", "unusable", id="braces"),
        pytest.param(
            "https://app.example/" + "a" * (MAX_REDIRECT_URI_LENGTH + 1 - len("https://app.example/")),
            "too_long",
            id="too-long",
        ),
    ],
)
def test_verify_registrable_unsafe_uri_is_refused_with_its_reason(uri, code):
    with pytest.raises(RedirectUriRefused) as refused:
        verify_registrable(uri)
    assert refused.value.code == code
    assert str(refused.value).endswith("."), "a developer reads why"


uri_text = st.text("htps:/.@#?&=%2eE\\;[]*127localco \t\n~ü", max_size=60) | st.text(max_size=60)


@PROPERTY
@given(uri_text)
def test_verify_registrable_any_text_is_accepted_or_refused_never_an_error(uri):
    try:
        verify_registrable(uri)
    except RedirectUriRefused:
        return
    assert uri.isascii()
    assert not set(uri) & set(" \t\r\n\\#")


@PROPERTY
@given(uri_text, st.sampled_from(["", "https://app.example", "http://127.0.0.1:", "http://[::1]:"]))
def test_find_registered_any_text_matches_only_itself_or_a_port(tail, start):
    requested = start + tail
    registered = [REGISTERED, *LOOPBACK]
    if find_registered(requested, registered) and requested not in registered:
        head, _, rest = requested.removeprefix("http://127.0.0.1:").partition("/")
        assert head.isdigit()
        assert (f"http://127.0.0.1/{rest}" if "/" in requested[10:] else "http://127.0.0.1") in registered


@pytest.mark.parametrize("piece", ["a", "/", "../", "a.", "-.", "%2e", "&a=1", ":", "[", "1"])
def test_redirect_uri_hostile_length_is_judged_at_once(piece):
    """CVE-2022-36087: no input makes the validator hang."""
    started = time.process_time()
    for start in ("https://app.example/", "http://127.0.0.1:", "http://127.0.0.1:1/", "a.", "https://app.example?", ""):
        for size in (MAX_REDIRECT_URI_LENGTH, 100_000):
            uri = (start + piece * size)[:size]
            find_registered(uri, LOOPBACK)
            with contextlib.suppress(RedirectUriRefused):
                verify_registrable(uri)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "uri, host, loops",
    [
        ("https://app.example:8443/cb", "app.example:8443", False),
        ("http://127.0.0.1:53177/cb", "127.0.0.1:53177", True),
        ("http://localhost/cb", "localhost", True),
        ("http://[::1]/cb", "[::1]", True),
        ("com.example.app:/cb", "com.example.app:", False),
        ("https://localhost.evil.test/cb", "localhost.evil.test", False),
        ("https://localhost/cb", "localhost", False),
    ],
)
def test_redirect_host_is_where_a_person_returns_to(uri, host, loops):
    """A24."""
    assert redirect_host(uri) == host
    assert is_loopback(uri) is loops
    assert is_web_address(uri) is uri.startswith(("https:", "http:"))
