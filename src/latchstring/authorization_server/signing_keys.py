"""The keys that sign: made by the server itself when first needed, followed by the next one in time, kept until the
last token that they signed has expired (RFC 7517 §5, RFC 8414 §2).

No server leads: whoever notices that a key is due makes it, and the store lets one of them win. A key is published
for a day before it signs, so that every copy of the key set has it by then.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from joserfc.jwk import Key, import_key

from latchstring.authorization_server.ports import Clock, Commit, Entropy, MakeKeyPair, SigningKeyStore
from latchstring.authorization_server.records import SigningKeyRecord
from latchstring.authorization_server.settings import KEY_PUBLICATION_LEAD, MAX_ACCESS_TOKEN_LIFETIME, Settings
from latchstring.authorization_server.tokens import KeyNotOpened, TokenCodec
from latchstring.protocol.errors import ConfigurationError, StoreUnavailable
from latchstring.protocol.jose.jws import render_jwt
from latchstring.protocol.jose.keys import PublicKey, parse_jwk

# How old what a process knows of the keys may be; far below the time for which a key is published before it signs.
RELOAD_AFTER: Final = 60
# After its successor signs, a key's last token lives so long; the rest is for clocks that differ.
KEPT_AFTER: Final = MAX_ACCESS_TOKEN_LIFETIME + 3600
_NONCE_SIZE: Final = 12
_MAX_ROUNDS: Final = 5
_encode = msgspec.json.Encoder().encode


class DueKey(msgspec.Struct, frozen=True):
    """A key that is to be made now, and from when it signs."""

    sequence: int
    used_from: int


def decide_due(keys: Sequence[SigningKeyRecord], settings: Settings, now: int) -> DueKey | None:
    """The key to make now, if any: the very first one signs at once, each later one after it was published for long."""
    own = _of_algorithm(keys, settings.signing_algorithm)
    if not own:
        return DueKey(1, now + KEY_PUBLICATION_LEAD if keys else now)
    newest = own[-1]
    over_at = newest.used_from + settings.signing_key_lifetime
    if newest.used_from > now or now < over_at - KEY_PUBLICATION_LEAD:
        return None
    return DueKey(newest.sequence + 1, max(over_at, now + KEY_PUBLICATION_LEAD))


def decide_signer(keys: Sequence[SigningKeyRecord], settings: Settings, now: int) -> SigningKeyRecord:
    """The key that signs now: the newest in use of the algorithm that is set; until there is one, of any other."""
    own = _of_algorithm(keys, settings.signing_algorithm)
    used = [key for key in own if key.used_from <= now] or [key for key in keys if key.used_from <= now]
    # Where this machine's clock is behind the one that made the first key, no key is in use yet.
    return max(used, key=lambda key: key.used_from) if used else keys[0]


def decide_published(keys: Sequence[SigningKeyRecord], settings: Settings, now: int) -> list[SigningKeyRecord]:
    """The keys that verify: every one that will sign, signs, or has signed a token that may still live."""
    published = []
    for key in keys:
        own = _of_algorithm(keys, key.algorithm)
        successor = next((later for later in own if later.sequence > key.sequence), None)
        if successor is not None:
            over_at: int | None = successor.used_from
        elif key.algorithm == settings.signing_algorithm:
            over_at = None
        else:
            over_at = key.used_from + settings.signing_key_lifetime + KEY_PUBLICATION_LEAD
        if over_at is None or now < over_at + KEPT_AFTER:
            published.append(key)
    return published


def describe(keys: Sequence[SigningKeyRecord], settings: Settings, now: int) -> dict[str, str]:
    """In a word for each key's id: `next`, `signing`, `verifying`, or `over` until it is cleared away."""
    if not keys:
        return {}
    signer, published = decide_signer(keys, settings, now), decide_published(keys, settings, now)
    states = {}
    for key in keys:
        if key == signer:
            states[key.key_id] = "signing"
        elif key.used_from > now:
            states[key.key_id] = "next"
        else:
            states[key.key_id] = "verifying" if key in published else "over"
    return states


def _of_algorithm(keys: Sequence[SigningKeyRecord], algorithm: str) -> list[SigningKeyRecord]:
    return sorted((key for key in keys if key.algorithm == algorithm), key=lambda key: key.sequence)


class Signer(msgspec.Struct, frozen=True):
    """A private key, ready to sign."""

    key_id: str
    algorithm: str
    key: Key

    def sign(self, claims: Mapping[str, Any] | msgspec.Struct, *, type: str) -> str:
        """The claims as a JWT of that `typ` (RFC 8725 §3.11)."""
        return render_jwt({"alg": self.algorithm, "kid": self.key_id, "typ": type}, claims, self.key)

    def __repr__(self) -> str:
        return f"Signer(key_id={self.key_id!r}, algorithm={self.algorithm!r})"


class SigningKeys:
    """What one process knows of the keys: as they were at most a minute ago."""

    def __init__(
        self,
        *,
        store: SigningKeyStore,
        codec: TokenCodec,
        settings: Settings,
        clock: Clock,
        entropy: Entropy,
        make_key_pair: MakeKeyPair,
    ) -> None:
        self._store = store
        self._codec = codec
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        self._make_key_pair = make_key_pair
        self._records: Sequence[SigningKeyRecord] = ()
        self._read_at: int | None = None
        self._signers: dict[str, Signer] = {}
        self._verifiers: dict[str, PublicKey] = {}

    async def find_signer(self) -> Signer:
        """The key that signs now. `StoreUnavailable` where it cannot be had: a new one is never made in its place."""
        return self._open(decide_signer(await self._keep_up(), self._settings, self._clock()))

    async def find_published(self) -> list[SigningKeyRecord]:
        """The keys of the key set, oldest first."""
        return decide_published(await self._keep_up(), self._settings, self._clock())

    async def render_key_set(self) -> bytes:
        """The key set, for everybody (RFC 7517 §5): public parts alone."""
        keys = [msgspec.Raw(record.public_key.encode()) for record in await self.find_published()]
        return _encode({"keys": keys})

    async def find_verifiers(self, key_id: str) -> tuple[PublicKey, ...]:
        """The public keys of that id: one or none. A key that another server has just made is looked for once."""
        if self._read_at is not None and all(key.key_id != key_id for key in self._records):
            await self._read()
        if all(record.key_id != key_id for record in await self.find_published()):
            return ()
        verifier = self._verifiers.get(key_id)
        if verifier is None:
            [record] = [record for record in self._records if record.key_id == key_id]
            verifier = self._verifiers[key_id] = parse_jwk(msgspec.json.decode(record.public_key))
        return (verifier,)

    async def verify_keyring(self) -> None:
        """Raise `ConfigurationError` if the keyring is not the one with which the keys were sealed."""
        for record in await self._read():
            try:
                self._codec.open_private_key(record.key_id, record.sealed_private_key)
            except KeyNotOpened as error:
                raise ConfigurationError(
                    f"keyring: {error}; restore the keyring from your backup, or let all signed tokens fail and start "
                    "anew with `latchstring key rotate --compromised`"
                ) from None

    async def rotate(self, *, is_compromised: bool = False) -> SigningKeyRecord:
        """Make the next key before its time. It is published first, as always; where the old ones are compromised it
        signs at once, and they verify nothing any more."""
        for _ in range(_MAX_ROUNDS):
            keys, now = await self._read(), self._clock()
            own = _of_algorithm(keys, self._settings.signing_algorithm)
            if own and own[-1].used_from > now and not is_compromised:
                return own[-1]
            used_from = now if is_compromised or not keys else now + KEY_PUBLICATION_LEAD
            due = DueKey(own[-1].sequence + 1 if own else 1, used_from)
            made = await self._make(due, now, forgotten=keys if is_compromised else ())
            if made is not None:
                await self._read()
                return made
        raise StoreUnavailable("other servers kept making signing keys")

    async def _keep_up(self) -> Sequence[SigningKeyRecord]:
        """The keys, once the one that is due is made, by whomever."""
        now = self._clock()
        if self._read_at is None or not 0 <= now - self._read_at < RELOAD_AFTER:
            await self._read()
        for _ in range(_MAX_ROUNDS):
            due = decide_due(self._records, self._settings, now)
            if due is None:
                return self._records
            published = decide_published(self._records, self._settings, now)
            await self._make(due, now, forgotten=[key for key in self._records if key not in published])
            await self._read()
        raise StoreUnavailable("the signing key that is due could not be made")

    async def _read(self) -> Sequence[SigningKeyRecord]:
        now = self._clock()
        self._records = await self._store.find_signing_keys()
        self._read_at = now
        known = {key.key_id for key in self._records}
        for opened in (self._signers, self._verifiers):
            for key_id in opened.keys() - known:
                del opened[key_id]
        return self._records

    async def _make(self, due: DueKey, now: int, *, forgotten: Sequence[SigningKeyRecord]) -> SigningKeyRecord | None:
        """Make the key in place of those forgotten; None if another server was first."""
        for kept in self._records:
            # A keyring that cannot go on with the keys that there are is the wrong one, and makes none beside them.
            if kept not in forgotten:
                self._open(kept)
        algorithm = self._settings.signing_algorithm
        private = await self._make_key_pair(algorithm)
        key = import_key(dict(private))
        key_id = key.thumbprint()
        public = {**key.as_dict(private=False), "kid": key_id, "use": "sig", "alg": algorithm}
        sealed = self._codec.seal_private_key(key_id, _encode(private), self._entropy(_NONCE_SIZE))
        made = SigningKeyRecord(
            algorithm=algorithm,
            sequence=due.sequence,
            key_id=key_id,
            public_key=_encode(public).decode(),
            sealed_private_key=sealed,
            created_at=now,
            used_from=due.used_from,
        )
        commit = await self._store.create_signing_key(made, forgotten=[key.key_id for key in forgotten])
        return made if commit is Commit.APPLIED else None

    def _open(self, record: SigningKeyRecord) -> Signer:
        signer = self._signers.get(record.key_id)
        if signer is None:
            try:
                private = self._codec.open_private_key(record.key_id, record.sealed_private_key)
            except KeyNotOpened as error:
                raise StoreUnavailable(str(error)) from None
            signer = Signer(record.key_id, record.algorithm, import_key(msgspec.json.decode(private)))
            self._signers[record.key_id] = signer
        return signer
