"""Credentials are never shown whole: not in reprs, not to observers, not in errors."""

import json
import logging
import pickle
import pprint

import pytest
from rich.pretty import pretty_repr

from latchstring.client import ClientError, Misconfigured, redact, redact_token, redact_url
from latchstring.client.redact import redact_headers, redact_json, scrub
from latchstring.client.testing import Fault
from tests.client.conftest import BROWSER, CLIENT_SECRET, Mailloop

TOKEN = "ls_at_AbCd0123456789abcdef"


@pytest.mark.parametrize(
    "secret,shown",
    [
        (TOKEN, "ls_at_AbCd…"),
        ("acme_rt_AbCdEfGh", "acme_rt_AbCd…"),
        ("0123456789abcdef0123", "0123…"),
        ("short", "s…"),
        ("abc", "…"),
        ("", "…"),
    ],
)
def test_redact_shows_first_characters_only(secret, shown):
    assert redact(secret) == shown


def test_redact_token_tells_tokens_that_begin_alike_apart():
    first, second = redact_token(TOKEN), redact_token(TOKEN[:-1] + "0")
    assert first == "ls_at_AbCd… #1a52"
    assert second.startswith("ls_at_AbCd… #")
    assert second != first
    assert redact_token("a token too short") == "a to…"


def test_redact_url_cuts_credentials_in_the_query_only():
    url = f"https://u:p@app.example/callback?code={TOKEN}&state=0123456789abcdef&iss=https%3A%2F%2Fcrm.example#x"
    assert redact_url(url) == (
        "https://app.example/callback?code=ls_at_AbCd…&state=0123…&iss=https%3A%2F%2Fcrm.example"
    )


def test_redact_headers_keeps_the_scheme():
    shown = redact_headers({"authorization": f"Bearer {TOKEN}", "Set-Cookie": "session=0123456789", "Accept": "a"})
    assert shown == {"authorization": "Bearer ls_at_AbCd… #1a52", "Set-Cookie": "sess…", "Accept": "a"}


def test_redact_json_goes_deep_and_scrubs_text():
    value = {"a": [{"refresh_token": "0123456789abcdef", "n": 1}], "said": f"your {TOKEN} is old", "code": "x"}
    assert redact_json(value) == {
        "a": [{"refresh_token": "0123…", "n": 1}],
        "said": "your ls_at_AbCd… is old",
        "code": "x",
    }
    assert scrub("nothing here") == "nothing here"


def everything_secret(mailloop: Mailloop, *connections) -> set[str]:
    secrets = {CLIENT_SECRET}
    for connection in connections:
        secrets |= {connection.access_token, connection.refresh_token}
    for _, form in mailloop.provider.requests:
        secrets |= {form[name] for name in ("code", "code_verifier", "refresh_token", "token") if name in form}
    return secrets


def test_nothing_of_a_whole_loop_shows_a_secret(mailloop, caplog):
    caplog.set_level(logging.DEBUG)
    first = mailloop.connect()
    second = mailloop.client.refresh(first.key)
    with mailloop.api(first.key) as api:
        api.get("/api/v1/me/")
    mailloop.provider.faults = [(400, {}, json.dumps({"error": "invalid_scope", "error_description": TOKEN}).encode())]
    with pytest.raises(Misconfigured) as caught:
        mailloop.client.refresh(first.key)
    mailloop.client.disconnect(first.key)
    shown = [
        repr(first),
        str(second),
        pprint.pformat([first, second]),
        repr(mailloop.client),
        repr(mailloop.client._context),
        repr(mailloop.store),
        str(caught.value),
        repr(caught.value),
        caplog.text,
        *map(repr, mailloop.exchanges),
    ]
    text = "\n".join(shown)
    assert "ls_rt_g000…" in text
    assert "ls_at_AbCd…" in str(caught.value)
    assert not [secret for secret in everything_secret(mailloop, first, second) if secret in text]


def test_rich_shows_no_secret(mailloop):
    connection = mailloop.connect()
    assert connection.refresh_token not in pretty_repr(connection)
    assert CLIENT_SECRET not in pretty_repr(mailloop.client._context.settings)


def test_exchange_shows_the_wire_in_order(mailloop):
    mailloop.connect()
    shown = [(each.method, each.url.removeprefix(mailloop.provider.issuer), each.status) for each in mailloop.exchanges]
    assert shown == [
        ("GET", "/.well-known/oauth-authorization-server", 200),
        ("POST", "/oauth2/token/", 200),
    ]
    token = mailloop.exchanges[1]
    assert token.request_form["client_secret"] == "ls_cs_TheS…"
    assert token.request_form["grant_type"] == "authorization_code"
    assert token.response_json["organization_id"] == "orga_acorn"
    assert token.response_json["refresh_token"].startswith("ls_rt_g000… #")


def test_exchange_without_an_answer_says_why(mailloop):
    mailloop.provider.faults = [Fault.DROP_ANSWER]
    with pytest.raises(ClientError):
        mailloop.connect()
    assert mailloop.exchanges[-1].status is None
    assert mailloop.exchanges[-1].failure == "ReadTimeout: timed out"


def test_error_survives_pickling(mailloop):
    mailloop.provider.faults = [(429, {"Retry-After": "3"}, b"")]
    with pytest.raises(ClientError) as caught:
        mailloop.connect()
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), copy.code, copy.retry_after) == (type(caught.value), "rate_limited", 3.0)


def test_login_keeps_nothing_for_the_browser_to_carry(mailloop):
    url = mailloop.client.begin(browser_session=BROWSER)
    assert BROWSER not in url
    assert "code_verifier" not in url
