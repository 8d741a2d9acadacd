"""Passkeys (WebAuthn): a person signs in with what their device, or its password manager, keeps for this host alone.

A challenge is no row: it is made for one session (so for one user, where one is signed in) and one purpose, and says so
by its MAC. Once it has counted, its digest is kept until it would have expired.
"""

import hashlib
import ipaddress
from collections.abc import Sequence
from typing import Final, Protocol
from urllib.parse import urlsplit

from latchstring.authorization_server.commit import Commit
from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.mail import Mail, MailKey, MailRecord, Post
from latchstring.authorization_server.passkey_ports import PasskeyRecord, PasskeyStore, PasskeyUse, hash_credential
from latchstring.authorization_server.passkey_verification import (
    Answer,
    PasskeyRefused,
    RelyingParty,
    parse_answer,
    render_new,
    render_sign_in,
    verify_assertion,
    verify_new,
)
from latchstring.authorization_server.ports import Clock, Entropy, PeopleStore
from latchstring.authorization_server.records import UserRecord
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.tokens import TokenCodec

CHALLENGE_LIFETIME: Final = 600
RECENT_SIGN_IN: Final = 600
MAX_PASSKEYS: Final = 20
MAX_NAME_LENGTH: Final = 64
_NONCE_SIZE: Final = 16
_NEW: Final = b"passkey-new"
_SIGN_IN: Final = b"passkey-sign-in"


def find_relying_party(issuer: str) -> RelyingParty | None:
    """Whom passkeys are made for: the issuer's host. None where browsers make none: under an IP address, and without
    TLS anywhere but on `localhost` (WebAuthn §5.1.3, Secure Contexts §3.1)."""
    parts = urlsplit(issuer)
    host = parts.hostname or ""
    is_local = host == "localhost" or host.endswith(".localhost")
    if _is_address(host) or not (parts.scheme == "https" or is_local):
        return None
    is_default = parts.port is None or parts.port == {"https": 443, "http": 80}[parts.scheme]
    return RelyingParty(host, f"{parts.scheme}://{host}" if is_default else f"{parts.scheme}://{host}:{parts.port}")


def _is_address(host: str) -> bool:
    # Browsers take a host whose last label is a number for an IPv4 address, however it is written.
    last = host.rpartition(".")[2]
    if not host or last.isdigit() or last.startswith("0x"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_recent(authenticated_at: int, now: int) -> bool:
    """Whether a sign-in is fresh enough to change passkeys: a browser left open gives nothing away."""
    return now - authenticated_at <= RECENT_SIGN_IN


def find_handle(user_id: str) -> bytes:
    """How authenticators name the account (WebAuthn §14.6.1): one name for all of its passkeys, and nothing that says
    who it is."""
    return hashlib.sha256(b"passkey-handle\0" + user_id.encode()).digest()


def clean_name(typed: str) -> str:
    """What a passkey is called, in one line and bounded; empty where nothing is left of it."""
    shown = "".join(character if character.isprintable() else " " for character in typed)
    return " ".join(shown.split())[:MAX_NAME_LENGTH].rstrip()


class PasskeyPeopleStore(PasskeyStore, PeopleStore, Protocol):
    """What passkeys and their people are kept in."""


class Passkeys:
    """Adds, asks for and removes passkeys."""

    def __init__(
        self,
        *,
        store: PasskeyPeopleStore,
        codec: TokenCodec,
        post: Post,
        settings: Settings,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._store = store
        self._codec = codec
        self._post = post
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        self.relying_party = find_relying_party(settings.issuer)

    async def find_all(self, user_id: str) -> Sequence[PasskeyRecord]:
        """The user's passkeys."""
        return await self._store.find_passkeys(user_id)

    # -- questions to an authenticator

    def ask_for_new(self, user: UserRecord, known: Sequence[PasskeyRecord], *, cookie: str) -> str | None:
        """What the browser's script asks, as JSON; None where there are passkeys enough, or never any. Give it out only
        after a recent sign-in (`is_recent`): whoever brings an answer to it is not asked again."""
        if self.relying_party is None or len(known) >= MAX_PASSKEYS:
            return None
        return render_new(
            self.relying_party,
            deployment=self._settings.deployment_name,
            user=user,
            handle=find_handle(user.user_id),
            challenge=self._make_challenge(_NEW, cookie),
            known=known,
        )

    def ask_for_sign_in(self, *, cookie: str) -> str | None:
        """The same for a sign-in, by whomever."""
        if self.relying_party is None:
            return None
        return render_sign_in(self.relying_party, challenge=self._make_challenge(_SIGN_IN, cookie))

    def _make_challenge(self, purpose: bytes, cookie: str) -> str:
        content = self._clock().to_bytes(5, "big") + self._entropy(_NONCE_SIZE)
        return self._codec.render_page_value(purpose, cookie.encode(), content)

    def _open_challenge(self, purpose: bytes, cookie: str, answer: Answer) -> tuple[bytes, int]:
        """The digest under which the challenge counts once, and until when it has to be remembered."""
        content = self._codec.parse_page_value(purpose, cookie.encode(), answer.challenge)
        if content is None:
            raise PasskeyRefused("refused", "challenge")
        expires_at = int.from_bytes(content[:5], "big") + CHALLENGE_LIFETIME
        if self._clock() > expires_at:
            raise PasskeyRefused("expired", "challenge")
        return hashlib.sha256(purpose + b"\0" + content).digest(), expires_at

    # -- answers

    async def add(
        self, user: UserRecord, text: str, name: str, *, cookie: str, locale: str, origin: Origin
    ) -> PasskeyRecord:
        """Keep the passkey that the browser's authenticator has made; `PasskeyRefused` for what is none, or was not
        asked for in this browser of this user."""
        relying_party = self._require_relying_party()
        answer = parse_answer(text, relying_party, is_new=True)
        digest, expires_at = self._open_challenge(_NEW, cookie, answer)
        made = verify_new(answer, relying_party)
        passkey = PasskeyRecord(
            credential_id=made.credential_id,
            user_id=user.user_id,
            name=clean_name(name),
            public_key=made.public_key,
            sign_count=made.sign_count,
            is_synced=made.is_synced,
            transports=answer.transports,
            created_at=self._clock(),
        )
        commit = await self._store.save_passkey(
            passkey,
            challenge_digest=digest,
            challenge_expires_at=expires_at,
            at_most=MAX_PASSKEYS,
            origin=origin,
            mail=self._tell("passkey_added", user, passkey.name, locale),
        )
        if commit is Commit.LOST:
            raise PasskeyRefused("refused", "already there")
        return passkey

    async def sign_in(self, text: str, *, cookie: str, origin: Origin) -> UserRecord:
        """Whose passkey has signed this browser's challenge; the challenge is used up. `PasskeyRefused` for what proves
        nothing. An account that is disabled is told of itself, and nothing is used up."""
        relying_party = self._require_relying_party()
        answer = parse_answer(text, relying_party, is_new=False)
        digest, expires_at = self._open_challenge(_SIGN_IN, cookie, answer)
        passkey = await self._store.find_passkey(hash_credential(answer.credential_id))
        user = None if passkey is None else await self._store.find_user(passkey.user_id)
        if passkey is None or user is None:
            raise PasskeyRefused("refused", "unknown passkey")
        assertion = verify_assertion(answer, relying_party, passkey)
        if answer.user_handle != find_handle(user.user_id):
            raise PasskeyRefused("refused", "user handle")
        if assertion.is_synced is not passkey.is_synced:
            raise PasskeyRefused("refused", "backup eligibility")
        if user.disabled_at is not None:
            raise PasskeyRefused("disabled", "user")
        use = await self._store.use_passkey(
            passkey.credential_hash,
            assertion.sign_count,
            challenge_digest=digest,
            challenge_expires_at=expires_at,
            now=self._clock(),
            origin=Origin("user", user.user_id, origin.address, origin.request_id),
        )
        if use is not PasskeyUse.COUNTED:
            raise PasskeyRefused("refused", f"use {use.value}")
        return user

    def _require_relying_party(self) -> RelyingParty:
        if self.relying_party is None:
            raise PasskeyRefused("refused", "no relying party")
        return self.relying_party

    # -- changes

    async def rename(self, user_id: str, credential_hash: bytes, name: str) -> Commit:
        """Another name."""
        return await self._store.rename_passkey(user_id, credential_hash, clean_name(name))

    async def remove(self, user: UserRecord, passkey: PasskeyRecord, *, locale: str, origin: Origin) -> Commit:
        """The passkey signs in no more; who is signed in by it stays so."""
        mail = self._tell("passkey_removed", user, passkey.name, locale)
        return await self._store.end_passkey(
            user.user_id, passkey.credential_hash, now=self._clock(), origin=origin, mail=mail
        )

    def _tell(self, template: MailKey, user: UserRecord, passkey: str, locale: str) -> MailRecord:
        link = f"{self._settings.issuer}/account/passkeys"
        values = {"passkey": passkey, "link": link}
        return self._post.seal(Mail(to=user.email, template=template, locale=locale, values=values))
