"""A second factor: six digits of an authenticator app (RFC 6238), or a recovery code where the phone is lost. Each code
counts once."""

import hashlib
from base64 import b32encode
from enum import Enum
from typing import Final
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor import InvalidToken
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from latchstring.authorization_server.commit import Commit
from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.ports import Clock, Entropy
from latchstring.authorization_server.sealing import NONCE_SIZE, Sealer
from latchstring.authorization_server.sign_in_ports import SecondFactorRecord, SignInStore
from latchstring.authorization_server.tokens import TokenCodec

SECRET_SIZE: Final = 20
STEP: Final = 30
DIGITS: Final = 6
RECOVERY_CODES: Final = 10
MAX_ATTEMPTS: Final = 10
ATTEMPT_WINDOW: Final = 600
# No vowels and nothing that is taken for something else: 20 letters, 10 of them are 43 bits.
_LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
_RECOVERY_LENGTH: Final = 10


class Verification(Enum):
    """What became of a code."""

    RIGHT = "right"
    WRONG = "wrong"
    TOO_MANY = "too_many"


def find_step(secret: bytes, code: str, now: int) -> int | None:
    """The time step that the code is of: the present one or one beside it (RFC 6238 §5.2); None for a wrong code."""
    totp = TOTP(secret, DIGITS, SHA1(), STEP)  # noqa: S303 -- what authenticator apps compute
    for step in (now // STEP, now // STEP - 1, now // STEP + 1):
        try:
            totp.verify(code.encode(), step * STEP)
        except InvalidToken:
            continue
        return step
    return None


def parse_code(typed: str) -> str:
    """What was meant, without spaces and hyphens and in capitals."""
    return "".join(character for character in typed[:64].upper() if character.isascii() and character.isalnum())


def render_secret(secret: bytes) -> str:
    """The secret as people type it into an app, in groups of four (RFC 4648 §6)."""
    text = b32encode(secret).decode("ascii").rstrip("=")
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def render_uri(secret: bytes, *, issuer: str, account: str) -> str:
    """The secret as authenticator apps scan it."""
    query = urlencode({"secret": b32encode(secret).decode("ascii").rstrip("="), "issuer": issuer}, quote_via=quote)
    return f"otpauth://totp/{quote(issuer, safe='')}:{quote(account, safe='')}?{query}"


def hash_recovery_code(user_id: str, code: str) -> bytes:
    """The name under which a recovery code is kept."""
    return hashlib.sha256(f"recovery\0{user_id}\0{code}".encode()).digest()


def render_recovery_code(code: str) -> str:
    """As people read it: `BCDFG-HJKLM`."""
    return f"{code[:5]}-{code[5:]}"


class SecondFactors:
    """Adds, asks for and removes second factors."""

    def __init__(self, *, store: SignInStore, codec: TokenCodec, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._sealer = Sealer(codec, b"second-factor")
        self._clock = clock
        self._entropy = entropy

    def new_secret(self) -> bytes:
        """A secret for an authenticator app; kept once a code of it has come back."""
        return self._entropy(SECRET_SIZE)

    async def find(self, user_id: str) -> SecondFactorRecord | None:
        """The user's second factor."""
        return await self._store.find_second_factor(user_id)

    async def add(self, user_id: str, secret: bytes, typed: str, *, origin: Origin) -> list[str] | None:
        """The recovery codes of the new second factor, shown once; None for a wrong code, or where there is one."""
        now = self._clock()
        step = find_step(secret, parse_code(typed), now)
        if step is None:
            return None
        codes = self._new_codes()
        sealed = self._sealer.seal(user_id.encode(), secret, self._entropy(NONCE_SIZE))
        factor = SecondFactorRecord(user_id=user_id, sealed_secret=sealed, created_at=now)
        hashes = [hash_recovery_code(user_id, code) for code in codes]
        commit = await self._store.save_second_factor(factor, hashes, used_step=step, now=now, origin=origin)
        return [render_recovery_code(code) for code in codes] if commit is Commit.APPLIED else None

    async def verify(self, factor: SecondFactorRecord, typed: str, *, origin: Origin) -> Verification:
        """Whether the code is the app's or a recovery code; used up if so. Attempts are counted first: a hundred at
        once are a hundred."""
        now, user_id, code = self._clock(), factor.user_id, parse_code(typed)
        count = await self._store.count_second_factor_attempt(user_id, now=now, window=ATTEMPT_WINDOW)
        if count > MAX_ATTEMPTS:
            return Verification.TOO_MANY
        if len(code) == DIGITS:
            step = find_step(self._sealer.open(user_id.encode(), factor.sealed_secret), code, now)
            used = Commit.LOST if step is None else await self._store.use_second_factor(user_id, step)
        elif len(code) == _RECOVERY_LENGTH:
            code_hash = hash_recovery_code(user_id, code)
            used = await self._store.use_recovery_code(user_id, code_hash, now=now, origin=origin)
        else:
            return Verification.WRONG
        return Verification.RIGHT if used is Commit.APPLIED else Verification.WRONG

    async def replace_recovery_codes(self, user_id: str, *, origin: Origin) -> list[str] | None:
        """Other recovery codes, shown once; None if there is no second factor."""
        codes = self._new_codes()
        hashes = [hash_recovery_code(user_id, code) for code in codes]
        commit = await self._store.replace_recovery_codes(user_id, hashes, now=self._clock(), origin=origin)
        return [render_recovery_code(code) for code in codes] if commit is Commit.APPLIED else None

    async def remove(self, user_id: str, *, origin: Origin) -> Commit:
        """Sign-in by password alone again."""
        return await self._store.end_second_factor(user_id, now=self._clock(), origin=origin)

    def _new_codes(self) -> list[str]:
        return [self._new_code() for _ in range(RECOVERY_CODES)]

    def _new_code(self) -> str:
        number, letters = int.from_bytes(self._entropy(16), "big"), []
        for _ in range(_RECOVERY_LENGTH):
            number, letter = divmod(number, len(_LETTERS))
            letters.append(_LETTERS[letter])
        return "".join(letters)
