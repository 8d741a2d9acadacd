"""A guard that is not told enough refuses to start, and says what is missing (S9)."""

from typing import Any

import pytest

from latchstring.protocol.errors import ConfigurationError
from latchstring.resource_server import Guard
from tests.resource_server.fakes import CLIENT_ID, CLIENT_SECRET, ENDPOINT, ISSUER, RESOURCE, Api

COMPLETE: dict[str, Any] = {
    "issuer": ISSUER,
    "introspection_endpoint": ENDPOINT,
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
    "resource": RESOURCE,
}


@pytest.mark.parametrize(
    "name, value",
    [(name, value) for name in COMPLETE for value in ("", None) if (name, value) != ("introspection_endpoint", None)]
    + [(name, "relative") for name in ("issuer", "introspection_endpoint", "resource")]
    + [(name, "http://api.test") for name in ("issuer", "introspection_endpoint", "resource")]
    + [
        ("resource", "https://api.test/#fragment"),
        ("resource", 'https://api.test/"'),
        ("scopes_supported", "contacts.read"),
        ("scopes_supported", ["two words"]),
        ("timeout", 0),
        ("timeout", 61),
    ],
)
def test_s9_guard_misconfigured_refuses_to_start(name, value):
    with pytest.raises(ConfigurationError, match=name.partition("s_supported")[0]):
        Guard(**COMPLETE | {name: value})


def test_s9_guard_without_audience_refuses_to_start():
    given = dict(COMPLETE)
    del given["resource"]
    with pytest.raises(ConfigurationError, match="resource is not set"):
        Guard(**given)


@pytest.mark.parametrize("resource", ["http://127.0.0.1:8401", "http://[::1]:8401/v1", "http://localhost"])
def test_guard_on_loopback_may_use_plain_http(resource):
    assert Guard(**COMPLETE | {"resource": resource}).settings.resource == resource


@pytest.mark.parametrize("scope", ["contacts.read", ["two words"], [""]])
def test_guard_with_impossible_required_scope_refuses_to_start(scope):
    with pytest.raises(ConfigurationError, match="scope names"):
        Guard(**COMPLETE).asgi(Api(), scope=scope)


def test_settings_repr_shows_no_secret():
    assert CLIENT_SECRET not in repr(Guard(**COMPLETE).settings)
