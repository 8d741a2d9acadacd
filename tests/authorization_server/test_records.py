"""Records hold secrets and never show them (DESIGN §10, I7)."""

import msgspec

from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.keyring import Keyring, KeyringKey
from tests.authorization_server.builders import build_client, build_codec, build_grant, build_user


def test_records_repr_and_str_hold_no_secret():
    grant = build_grant(row_secret=b"GEHEIM-row-secre", code_challenge="GEHEIM")
    user = msgspec.structs.replace(build_user(), password_hash="GEHEIM", email="GEHEIM@example.com")
    keyring = Keyring((KeyringKey(1, b"GEHEIM" * 5 + b"!!", 0),))
    secret = build_codec().render_client_secret(b"\x33" * 33)
    client = build_client(secrets=(build_codec().hash_client_secret(secret, 0),))
    shown = repr([grant, user, keyring, client]) + str(grant) + str(user) + str(client)
    assert "GEHEIM" not in shown
    assert secret[11:] not in shown
    assert grant.row_secret.hex() not in shown


def test_records_are_frozen():
    for record in (build_grant(), build_user(), build_client()):
        try:
            record.created_at = 1  # type: ignore[misc]
        except AttributeError:
            continue
        raise AssertionError(f"{type(record).__name__} can be changed")


def test_origin_of_a_client_is_the_same_request_by_that_client():
    origin = Origin("system", None, "203.0.113.9", "req_1").of_client("oa2client_x")
    assert origin == Origin("client", "oa2client_x", "203.0.113.9", "req_1")
