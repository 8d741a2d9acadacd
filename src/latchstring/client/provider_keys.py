"""The public keys of an OpenID Provider: fetched when first needed, kept for a while, and asked for again when a token
names one that is not among them (OpenID Connect Core §10.1.1)."""

from typing import TYPE_CHECKING, Final

from latchstring.client.errors import Misconfigured, TemporaryFailure
from latchstring.client.metadata import fetch_document
from latchstring.client.steps import Flow, once, pause

if TYPE_CHECKING:
    from latchstring.protocol.jose.keys import PublicKey

# Seconds: how long a key set is believed, and between two fetches, whatever keys tokens name.
KEYS_LIFETIME: Final = 300.0
FETCH_INTERVAL: Final = 30.0
_PAUSE: Final = 0.2


class ProviderKeys:
    """One provider's keys, as last fetched by this client."""

    def __init__(self) -> None:
        self._keys: tuple[PublicKey, ...] = ()
        self._fetched_at: float | None = None

    def find(self, url: str, key_id: object, now: float, *, tries: int) -> "Flow[tuple[PublicKey, ...]]":
        """The keys at the URL, with the one named if the provider has it. `now` in epoch seconds.

        Raises `TemporaryFailure` where they cannot be had after so many tries, or not again so soon.
        """
        age = None if self._fetched_at is None else now - self._fetched_at
        if age is None or not 0 <= age < KEYS_LIFETIME:
            yield from once(("keys", url), lambda: self._fetch(url, now, tries))
        elif not self._has(key_id):
            if age < FETCH_INTERVAL:
                why = "The provider's keys were fetched a moment ago, and the one of this ID token was not among them."
                raise TemporaryFailure("server_unavailable", why, retry_after=FETCH_INTERVAL - age)
            yield from once(("keys", url), lambda: self._fetch(url, now, tries))
        return self._keys

    def _has(self, key_id: object) -> bool:
        return not isinstance(key_id, str) or any(key.key_id in {None, key_id} for key in self._keys)

    def _fetch(self, url: str, now: float, tries: int) -> Flow[None]:
        from latchstring.protocol.jose.keys import parse_jwk_set

        body = b""
        for left in reversed(range(tries)):
            try:
                body = yield from fetch_document(url, "the provider publishes no keys there.")
                break
            except TemporaryFailure:
                if not left:
                    raise
                yield from pause(_PAUSE)
        try:
            self._keys = parse_jwk_set(body)
        except ValueError as error:
            raise Misconfigured("metadata_malformed", f"{url} is not a provider's keys: {error}.") from error
        self._fetched_at = now
