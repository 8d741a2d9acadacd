"""A key of the keyring goes when nothing needs it any more, and not before."""

import os

import msgspec
import pytest

from latchstring.authorization_server.keyring import Keyring, KeyringKey
from latchstring.authorization_server.keyring_uses import find_expiry, find_uses
from latchstring.authorization_server.records import ClientSecurity
from latchstring.authorization_server.registration import Registration
from latchstring.authorization_server.registration_codec import CarriedRegistration, RegistrationCodec
from latchstring.authorization_server.settings import Settings
from tests.authorization_server.builders import (
    KEY_ONE,
    KEY_TWO,
    NOW,
    build_client,
    build_codec,
    build_resource_server,
)

DAY = 24 * 3600
SETTINGS = Settings(issuer="https://auth.example")
SECOND = msgspec.structs.replace(KEY_TWO, used_from=NOW)
BOTH = Keyring((KEY_ONE, SECOND))
LATER = NOW + 181 * DAY
OLD, NEW = build_codec(KEY_ONE), build_codec(KEY_TWO)


def uses(key_id=1, keyring=BOTH, now=LATER, **given):
    kinds = {"clients": [], "resource_servers": [], "sealed": {}, "settings": SETTINGS, **given}
    return find_uses(key_id, keyring, now=now, **kinds)


def test_find_expiry_is_the_longest_life_of_a_token_after_the_next_key_came_into_use():
    assert find_expiry(1, BOTH, SETTINGS, NOW) == NOW + 180 * DAY
    absolute = msgspec.structs.replace(SETTINGS, refresh_token_idle_lifetime=None, refresh_token_absolute_lifetime=DAY)
    assert find_expiry(1, BOTH, absolute, NOW) == NOW + DAY
    shortest = msgspec.structs.replace(absolute, registration_lifetime=60, refresh_token_absolute_lifetime=3600)
    assert find_expiry(1, BOTH, msgspec.structs.replace(shortest, access_token_lifetime=7200), NOW) == NOW + 7200
    assert (
        find_expiry(1, BOTH, msgspec.structs.replace(shortest, registration_lifetime=30 * DAY), NOW) == NOW + 30 * DAY
    )


def test_find_expiry_of_a_key_without_a_successor_in_use_is_not_known():
    to_come = Keyring((KEY_ONE, msgspec.structs.replace(KEY_TWO, used_from=NOW + 1)))
    assert find_expiry(1, to_come, SETTINGS, NOW) is None
    assert find_expiry(2, BOTH, SETTINGS, LATER) is None
    for_ever = msgspec.structs.replace(SETTINGS, refresh_token_idle_lifetime=None)
    assert find_expiry(1, BOTH, for_ever, LATER) is None


def test_find_uses_of_a_key_that_nothing_needs_is_empty():
    client = build_client(secrets=(NEW.hash_client_secret("ls_cs_new", NOW),))
    assert uses(clients=[client]) == []


def test_find_uses_tells_whether_it_makes_what_is_new_and_whether_its_tokens_live():
    assert uses(now=LATER - 2 * DAY) == ["tokens that it made may still live"]
    making, living = uses(2)
    assert "keyring rotate" in making
    assert living == "tokens that it made may still live"


def test_find_uses_until_the_last_second_of_its_last_token():
    over = NOW + 180 * DAY
    assert uses(now=over - 1) == ["tokens that it made may still live"]
    assert uses(now=over) == []


def test_find_uses_names_those_who_hold_what_it_made():
    secret = OLD.hash_client_secret("ls_cs_old", NOW)
    registrations = RegistrationCodec(OLD)
    registration = Registration(
        name="App",
        grant_types=("authorization_code",),
        redirect_uris=("https://app.example/cb",),
        token_endpoint_auth_method="none",
    )
    public_id = registrations.render_client_id(CarriedRegistration(NOW, NOW + 60, registration), os.urandom(12))
    fapi = ClientSecurity(profile="fapi2")
    told = uses(
        clients=[
            build_client(client_id="with-secret", secrets=(secret,)),
            build_client(client_id="registered", public_id=public_id, secrets=()),
            build_client(client_id="constant", security=fapi, secrets=(), created_at=NOW - 1),
            build_client(client_id="newer", security=fapi, secrets=(), created_at=NOW),
        ],
        resource_servers=[build_resource_server(client_id="api", secrets=(secret,))],
        sealed={"signing_key.sealed_private_key": 1},
    )
    assert told == [
        "apps with a secret that it hashed, not used since the next key: 1 (with-secret)",
        "APIs with a secret that it hashed, not used since the next key: 1 (api)",
        "apps that registered themselves with it, which have to do so anew: 1 (registered)",
        "apps that keep their refresh tokens, which it may have made: 1 (constant)",
        "values that are sealed with it: 1 (signing_key.sealed_private_key)",
    ]


@pytest.mark.parametrize("key_id", [1, 9])
def test_find_uses_of_a_key_that_is_lost_says_that_its_tokens_may_live(key_id):
    assert uses(key_id, Keyring((SECOND,))) == ["tokens that it made may still live"]


def test_find_uses_of_a_key_to_come_is_that_it_is_not_known_when_its_tokens_end():
    to_come = KeyringKey(3, b"3" * 32, NOW, used_from=LATER + 60)
    assert uses(3, Keyring((*BOTH.keys, to_come))) == ["tokens that it made may still live"]


def test_find_uses_names_three_of_many():
    secret = OLD.hash_client_secret("ls_cs_old", NOW)
    many = [build_client(client_id=f"oa2client_{number}", secrets=(secret,)) for number in range(4)]
    what = "apps with a secret that it hashed, not used since the next key"
    assert uses(clients=many) == [f"{what}: 4 (oa2client_0, oa2client_1, oa2client_2, …)"]
    assert uses(clients=many[:3]) == [f"{what}: 3 (oa2client_0, oa2client_1, oa2client_2)"]
    api = build_resource_server(secrets=(secret,))
    assert uses(resource_servers=[api]) == [
        f"APIs with a secret that it hashed, not used since the next key: 1 ({api.client_id})"
    ]
