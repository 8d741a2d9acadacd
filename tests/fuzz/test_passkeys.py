"""What authenticators send, nearly right: CBOR and authenticator data with pieces exchanged are refused, and never a
defect of ours (the parsers are the library's)."""

import contextlib
from typing import Any

import cbor2
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latchstring.authorization_server.passkey_ports import PasskeyRecord
from latchstring.authorization_server.passkey_verification import (
    Answer,
    PasskeyRefused,
    RelyingParty,
    verify_assertion,
    verify_new,
)
from tests.protocol.properties import PROPERTY
from tests.support.authenticator import EDDSA, ES256, RS256, Passkey, decode, render_key

PARTY = RelyingParty("auth.example", "https://auth.example")
QUESTION = '{"challenge":"AAAA","rp":{"id":"auth.example"},"rpId":"auth.example","user":{"id":"AAAA"}}'
KEYS = {algorithm: Passkey(algorithm=algorithm) for algorithm in (ES256, EDDSA, RS256)}
_LEAVES = st.none() | st.booleans() | st.integers(-300, 2**70) | st.binary(max_size=40) | st.text(max_size=8)
_CBOR = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.integers(-4, 4) | st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=6,
)


def make_answer(sent: dict[str, Any]) -> Answer:
    """As `parse_answer` would have it."""
    response = sent["response"]
    return Answer(
        credential_id=decode(sent["id"]),
        client_data=decode(response["clientDataJSON"]),
        challenge="AAAA",
        attestation=decode(response.get("attestationObject", "")),
        authenticator_data=decode(response.get("authenticatorData", "")),
        signature=decode(response.get("signature", "")),
        user_handle=None,
        transports=(),
    )


# Once: what ES256 signs is another text each time, and a search wants to go the same way twice.
MADE = {algorithm: make_answer(key.create(QUESTION, origin=PARTY.origin)) for algorithm, key in KEYS.items()}
SIGNED = {algorithm: make_answer(key.get(QUESTION, origin=PARTY.origin)) for algorithm, key in KEYS.items()}


@st.composite
def mangled(draw: st.DrawFn, raw: bytes) -> bytes:
    """Bytes with one stretch exchanged."""
    begin = draw(st.integers(0, len(raw)))
    end = draw(st.integers(begin, min(len(raw), begin + 4)))
    return raw[:begin] + draw(st.binary(max_size=6)) + raw[end:]


@pytest.mark.parametrize("algorithm", KEYS)
@settings(PROPERTY, max_examples=150)
@given(data=st.data())
def test_registration_that_is_mangled_is_taken_or_refused(algorithm: int, data: st.DataObject) -> None:
    whole = MADE[algorithm].attestation
    members = cbor2.loads(whole)
    changed = data.draw(
        mangled(whole)
        | _CBOR.map(cbor2.dumps)
        | st.builds(lambda name, value: cbor2.dumps({**members, name: value}), st.sampled_from([*members, "x"]), _CBOR)
        | mangled(members["authData"]).map(lambda raw: cbor2.dumps({**members, "authData": raw}))
    )
    with contextlib.suppress(PasskeyRefused):
        verify_new(msgspec.structs.replace(MADE[algorithm], attestation=changed), PARTY)


@pytest.mark.parametrize("algorithm", KEYS)
@settings(PROPERTY, max_examples=100)
@given(data=st.data())
def test_public_key_of_whatever_members_is_taken_or_refused(algorithm: int, data: st.DataObject) -> None:
    key = render_key(KEYS[algorithm].key, algorithm)
    key = {**key, data.draw(st.sampled_from([*key, 7])): data.draw(_CBOR)}
    sent = KEYS[algorithm].create(QUESTION, origin=PARTY.origin, public_key=key)
    with contextlib.suppress(PasskeyRefused):
        verify_new(make_answer(sent), PARTY)


@pytest.mark.parametrize("algorithm", KEYS)
@settings(PROPERTY, max_examples=150)
@given(data=st.data())
def test_assertion_that_is_mangled_proves_nothing(algorithm: int, data: st.DataObject) -> None:
    """Whatever bit of data, client data or signature is another: refused."""
    passkey = KEYS[algorithm]
    record = PasskeyRecord(
        credential_id=passkey.credential_id,
        user_id="user_1",
        name="",
        public_key=cbor2.dumps(render_key(passkey.key, algorithm)),
        sign_count=0,
        is_synced=True,
        created_at=0,
    )
    answer = SIGNED[algorithm]
    verify_assertion(answer, PARTY, record)
    name = data.draw(st.sampled_from(["authenticator_data", "client_data", "signature"]))
    raw = getattr(answer, name)
    changed = data.draw(mangled(raw))
    if changed == raw:
        return
    with pytest.raises(PasskeyRefused):
        verify_assertion(msgspec.structs.replace(answer, **{name: changed}), PARTY, record)
