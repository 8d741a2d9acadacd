"""What an authenticator has signed (WebAuthn §7). The only module that knows the library, which no other command than
the server needs."""

from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import decode_credential_public_key, decoded_public_key_to_cryptography, parse_attestation_object
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AttestationFormat,
    AuthenticationCredential,
    AuthenticatorAssertionResponse,
    AuthenticatorAttestationResponse,
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    RegistrationCredential,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from latchstring.authorization_server.passkey_ports import PasskeyRecord
from latchstring.authorization_server.records import UserRecord

# How long the browser lets a person look for their authenticator, in milliseconds.
_TIMEOUT: Final = 300_000
_MAX_CREDENTIAL_ID: Final = 1023
_MIN_RSA_BITS: Final = 2048
_ALGORITHMS: Final = [
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]
_TRANSPORTS: Final = frozenset(transport.value for transport in AuthenticatorTransport)
_CREATE: Final = "webauthn.create"
_GET: Final = "webauthn.get"

Fault = Literal["malformed", "expired", "refused", "disabled"]


class PasskeyRefused(Exception):
    """The answer of a browser does not count. `reason` is for the log: our own words, nothing that was sent."""

    def __init__(self, fault: Fault, reason: str) -> None:
        super().__init__(reason)
        self.fault = fault
        self.reason = reason


class RelyingParty(msgspec.Struct, frozen=True):
    """Whom passkeys are made for, and the one origin that may ask for them (WebAuthn §4)."""

    id: str
    origin: str


class _ClientData(msgspec.Struct, frozen=True):
    type: str
    challenge: str
    origin: str
    crossOrigin: bool = False  # noqa: N815 -- the standard's own word


class _Response(msgspec.Struct, frozen=True):
    clientDataJSON: str  # noqa: N815 -- the standard's own word
    attestationObject: str = ""  # noqa: N815 -- the standard's own word
    authenticatorData: str = ""  # noqa: N815 -- the standard's own word
    signature: str = ""
    userHandle: str | None = None  # noqa: N815 -- the standard's own word
    transports: list[str] = []


class _Credential(msgspec.Struct, frozen=True):
    id: str
    type: Literal["public-key"]
    response: _Response


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a page's script has brought from an authenticator, taken apart and not verified (WebAuthn §5.1)."""

    credential_id: bytes
    client_data: bytes
    challenge: str
    attestation: bytes
    authenticator_data: bytes
    signature: bytes
    user_handle: bytes | None
    transports: tuple[str, ...]


class NewCredential(msgspec.Struct, frozen=True):
    """A credential that an authenticator has made for us."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    is_synced: bool


class Assertion(msgspec.Struct, frozen=True):
    """What an authenticator says with its signature."""

    sign_count: int
    is_synced: bool


_credentials = msgspec.json.Decoder(_Credential)
_client_data = msgspec.json.Decoder(_ClientData)


def _decode(text: str) -> bytes:
    try:
        return b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except (Base64Error, ValueError):
        raise PasskeyRefused("malformed", "base64url") from None


def _describe(passkeys: Sequence[PasskeyRecord]) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(
            id=passkey.credential_id,
            transports=[AuthenticatorTransport(name) for name in passkey.transports if name in _TRANSPORTS] or None,
        )
        for passkey in passkeys
    ]


def render_new(
    relying_party: RelyingParty,
    *,
    deployment: str,
    user: UserRecord,
    handle: bytes,
    challenge: str,
    known: Sequence[PasskeyRecord],
) -> str:
    """What a page's script gives to `navigator.credentials.create()` (WebAuthn §5.4): a passkey that names its account
    by itself, and one for each authenticator."""
    options = generate_registration_options(
        rp_id=relying_party.id,
        rp_name=deployment,
        user_id=handle,
        user_name=user.email,
        user_display_name=user.name,
        challenge=_decode(challenge),
        timeout=_TIMEOUT,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=_describe(known),
        supported_pub_key_algs=_ALGORITHMS,
    )
    return options_to_json(options)


def render_sign_in(relying_party: RelyingParty, *, challenge: str) -> str:
    """What a page's script gives to `navigator.credentials.get()` (WebAuthn §5.5). It names no credential, so nobody
    learns from it who has an account."""
    options = generate_authentication_options(
        rp_id=relying_party.id,
        challenge=_decode(challenge),
        timeout=_TIMEOUT,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return options_to_json(options)


def parse_answer(text: str, relying_party: RelyingParty, *, is_new: bool) -> Answer:
    """Take apart what a browser sent; `PasskeyRefused` for what another page, or another kind of question, was the
    occasion for (WebAuthn §7.1 steps 6 to 11, §7.2 steps 9 to 14)."""
    try:
        credential = _credentials.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise PasskeyRefused("malformed", "credential") from None
    response = credential.response
    raw = _decode(response.clientDataJSON)
    try:
        data = _client_data.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        raise PasskeyRefused("malformed", "client data") from None
    if data.type != (_CREATE if is_new else _GET):
        raise PasskeyRefused("refused", "type")
    if data.origin != relying_party.origin:
        raise PasskeyRefused("refused", "origin")
    if data.crossOrigin:
        raise PasskeyRefused("refused", "cross-origin")
    credential_id = _decode(credential.id)
    if not 0 < len(credential_id) <= _MAX_CREDENTIAL_ID:
        raise PasskeyRefused("malformed", "credential id")
    return Answer(
        credential_id=credential_id,
        client_data=raw,
        challenge=data.challenge,
        attestation=_decode(response.attestationObject),
        authenticator_data=_decode(response.authenticatorData),
        signature=_decode(response.signature),
        user_handle=None if response.userHandle is None else _decode(response.userHandle),
        transports=tuple(name for name in response.transports if name in _TRANSPORTS)[: len(_TRANSPORTS)],
    )


def verify_new(answer: Answer, relying_party: RelyingParty) -> NewCredential:
    """The credential that was made: its person verified, its key of a kind that we asked for (WebAuthn §7.1). Whoever
    calls has seen that the challenge is ours.

    We ask for no attestation, so none is believed: what comes in spite of that may only be the key's own signature.
    """
    credential = RegistrationCredential(
        id=_encode(answer.credential_id),
        raw_id=answer.credential_id,
        response=AuthenticatorAttestationResponse(
            client_data_json=answer.client_data, attestation_object=answer.attestation
        ),
    )
    try:
        attestation = parse_attestation_object(answer.attestation)
        is_own = attestation.fmt == AttestationFormat.PACKED and attestation.att_stmt.x5c is None
    except Exception:  # noqa: BLE001 -- whatever the library stumbles over is in what was sent
        raise PasskeyRefused("malformed", "attestation object") from None
    if attestation.fmt != AttestationFormat.NONE and not is_own:
        raise PasskeyRefused("refused", "attestation format")
    try:
        verified = verify_registration_response(
            credential=credential,
            expected_challenge=_decode(answer.challenge),
            expected_rp_id=relying_party.id,
            expected_origin=relying_party.origin,
            require_user_verification=True,
            supported_pub_key_algs=_ALGORITHMS,
        )
        is_usable = _is_usable(verified.credential_public_key)
    except Exception:  # noqa: BLE001 -- as above
        raise PasskeyRefused("refused", "registration") from None
    if verified.credential_id != answer.credential_id:
        raise PasskeyRefused("refused", "credential id")
    if not is_usable:
        raise PasskeyRefused("refused", "public key")
    return NewCredential(
        verified.credential_id,
        verified.credential_public_key,
        verified.sign_count,
        verified.credential_device_type is CredentialDeviceType.MULTI_DEVICE,
    )


def verify_assertion(answer: Answer, relying_party: RelyingParty, passkey: PasskeyRecord) -> Assertion:
    """What the passkey has signed, its person verified (WebAuthn §7.2). Whoever calls has seen that the challenge is
    ours; what the count means is not decided here."""
    credential = AuthenticationCredential(
        id=_encode(answer.credential_id),
        raw_id=answer.credential_id,
        response=AuthenticatorAssertionResponse(
            client_data_json=answer.client_data,
            authenticator_data=answer.authenticator_data,
            signature=answer.signature,
        ),
    )
    try:
        verified = verify_authentication_response(
            credential=credential,
            expected_challenge=_decode(answer.challenge),
            expected_rp_id=relying_party.id,
            expected_origin=relying_party.origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except Exception:  # noqa: BLE001 -- whatever the library stumbles over is in what was sent
        raise PasskeyRefused("refused", "assertion") from None
    return Assertion(verified.new_sign_count, verified.credential_device_type is CredentialDeviceType.MULTI_DEVICE)


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def _is_usable(public_key: bytes) -> bool:
    """Whether the key is what its algorithm says, and strong enough: the library does not look before the first
    sign-in."""
    decoded = decode_credential_public_key(public_key)
    key = decoded_public_key_to_cryptography(decoded)
    if decoded.alg == COSEAlgorithmIdentifier.EDDSA:
        return isinstance(key, Ed25519PublicKey)
    if decoded.alg == COSEAlgorithmIdentifier.ECDSA_SHA_256:
        return isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
    return isinstance(key, RSAPublicKey) and key.key_size >= _MIN_RSA_BITS
