"""Which URLs a document may be fetched from (K1)."""

import pytest

from latchstring.protocol.https_url import HttpsUrl, parse_https_url


@pytest.mark.parametrize(
    "url, expected",
    [
        ("https://app.example", HttpsUrl("app.example", 443, "app.example", "/")),
        ("https://App.example/a/../b?c=d", HttpsUrl("app.example", 443, "App.example", "/a/../b?c=d")),
        ("https://app.example:8443/j", HttpsUrl("app.example", 8443, "app.example:8443", "/j")),
        ("https://app.example/" + "a" * 1980, HttpsUrl("app.example", 443, "app.example", "/" + "a" * 1980)),
        ("https://[2606:4700::1]:8443/j", HttpsUrl("2606:4700::1", 8443, "[2606:4700::1]:8443", "/j")),
    ],
)
def test_https_url_absolute_is_read(url: str, expected: HttpsUrl) -> None:
    assert parse_https_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "app.example",
        "//app.example/j",
        "http://app.example/j",
        "HTTPS://app.example/j",
        "file:///etc/passwd",
        "https:///j",
        "https:app.example",
        "https://user@app.example/j",
        "https://user:word@app.example/j",
        "https://app.example@evil.test/j",
        "https://app.example/j#keys",
        "https://app.example/j#",
        "https://app.example:0/j",
        "https://app.example:/j",
        "https://app.example:65536/j",
        "https://app.example:port/j",
        "https://app%2eexample/j",
        "https://[::1/j",
        "https://[fe80::1%25eth0]/j",
        "https://app.example\\@evil.test/j",
        "https://app.example/a b",
        "https://app.example/\r\nHost: evil.test",
        "https://äpp.example/j",
        "https://app.example/" + "a" * 1981,
    ],
)
def test_https_url_of_another_shape_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="it"):
        parse_https_url(url)
