"""What browsers are asked for a passkey, and what their answers have to be to the byte (WebAuthn §5, §7)."""

from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.passkey_ports import PasskeyRecord
from latchstring.authorization_server.passkey_verification import (
    Assertion,
    PasskeyRefused,
    RelyingParty,
    parse_answer,
    render_new,
    render_sign_in,
    verify_assertion,
    verify_new,
)
from latchstring.authorization_server.passkeys import find_handle
from tests.authorization_server.builders import ANN, NOW, build_user
from tests.support.authenticator import EDDSA, ES256, RS256, Passkey, encode

ORIGIN = "https://auth.example"
PARTY = RelyingParty("auth.example", ORIGIN)
CHALLENGE = encode(bytes(range(32)))
FIVE_MINUTES = 300_000


def ask_for_new() -> str:
    return render_new(
        PARTY, deployment="Northwind", user=build_user(), handle=find_handle(ANN), challenge=CHALLENGE, known=()
    )


def create(passkey: Passkey | None = None, **wrong: Any) -> dict[str, Any]:
    """The answer that makes a passkey, as a browser has it."""
    return (passkey or Passkey()).create(ask_for_new(), origin=ORIGIN, **wrong)


def parse(answer: dict[str, Any], *, is_new: bool = True):
    return parse_answer(msgspec.json.encode(answer).decode(), PARTY, is_new=is_new)


def test_question_tells_the_authenticator_whose_passkey_it_is_of_which_kind_and_how_long_there_is():
    asked = msgspec.json.decode(ask_for_new())
    assert (asked["user"]["name"], asked["user"]["displayName"]) == ("ann@example.com", "Ann")
    assert [each["alg"] for each in asked["pubKeyCredParams"]] == [EDDSA, ES256, RS256]
    assert asked["timeout"] == FIVE_MINUTES
    assert msgspec.json.decode(render_sign_in(PARTY, challenge=CHALLENGE))["timeout"] == FIVE_MINUTES


@pytest.mark.parametrize("size", [1, 33, 1023])
def test_credential_id_of_any_length_that_the_standard_has_is_taken(size):
    passkey = Passkey(credential_id=b"\x17" * size)
    assert verify_new(parse(create(passkey)), PARTY).credential_id == passkey.credential_id


def test_credential_id_is_read_whatever_its_last_letter_is():
    """Padding is no letter, and no letter is padding: three bytes are four letters, the last of them any."""
    for last in range(64):
        passkey = Passkey(algorithm=EDDSA, credential_id=bytes(32) + bytes([last]))
        made = verify_new(parse(create(passkey)), PARTY)
        kept = PasskeyRecord(
            credential_id=made.credential_id,
            user_id=ANN,
            name="",
            public_key=made.public_key,
            sign_count=0,
            is_synced=made.is_synced,
            transports=(),
            created_at=NOW,
        )
        answer = parse(passkey.get(render_sign_in(PARTY, challenge=CHALLENGE), origin=ORIGIN), is_new=False)
        assert verify_assertion(answer, PARTY, kept) == Assertion(0, True)


@pytest.mark.parametrize(
    "credential_id, reason",
    [
        ("", "credential id"),
        (encode(bytes(1024)), "credential id"),
        ("AAAA!", "base64url"),
        ("AAAA AAA", "base64url"),
        ("A", "base64url"),
        ("é", "base64url"),
    ],
)
def test_credential_id_that_is_none_is_malformed(credential_id, reason):
    with pytest.raises(PasskeyRefused, match=f"^{reason}$") as refused:
        parse({**create(), "id": credential_id})
    assert (refused.value.fault, refused.value.reason) == ("malformed", reason)


def test_credential_id_that_the_authenticator_did_not_sign_is_refused():
    with pytest.raises(PasskeyRefused) as refused:
        verify_new(parse({**create(), "id": encode(bytes(32))}), PARTY)
    assert (refused.value.fault, refused.value.reason) == ("refused", "credential id")


@pytest.mark.parametrize(
    "attestation",
    [
        pytest.param({"fmt": "packed", "attStmt": {"alg": ES256, "sig": b"", "x5c": [b""]}}, id="certificate"),
        pytest.param({"fmt": "tpm"}, id="another-format"),
    ],
)
def test_attestation_that_nobody_asked_for_is_refused_unread(attestation):
    with pytest.raises(PasskeyRefused) as refused:
        verify_new(parse(create(attestation=attestation)), PARTY)
    assert (refused.value.fault, refused.value.reason) == ("refused", "attestation format")
