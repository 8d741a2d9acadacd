"""What a rule is, what it looks at, and what it may find."""

from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

from latchstring.authorization_server.records import ClientRecord
from latchstring.authorization_server.settings import Settings

Fault = Literal["warning", "fails"]


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment as its operator has set it up. `keyring_mode` is the permission bits of the keyring's file, None
    where there is none; with `is_fapi` every client is judged as if it kept FAPI 2.0."""

    settings: Settings
    clients: tuple[ClientRecord, ...]
    now: int
    keyring_mode: int | None = None
    is_fapi: bool = False

    @property
    def fapi_clients(self) -> tuple[ClientRecord, ...]:
        """Those that FAPI 2.0 is asked of."""
        return tuple(client for client in self.clients if self.is_fapi or client.security.profile == "fapi2")


class Flaw(msgspec.Struct, frozen=True):
    """One thing that a rule found: how bad it is, what to do, and for which client."""

    fault: Fault
    advice: str
    client_id: str | None = None


class Rule(msgspec.Struct, frozen=True):
    """One item: a stable id, where it comes from, what it asks, and how to see whether it is met."""

    id: str
    source: str
    asks: str
    find: Callable[[Subject], Iterable[Flaw]]


ClientCheck = Callable[[ClientRecord, Subject], tuple[Fault, str] | None]
"""What is wrong with a client and what to do about it; None where nothing is."""


def for_each_client(check: ClientCheck) -> Callable[[Subject], Iterable[Flaw]]:
    """A rule's `find` that looks at every client."""
    return lambda subject: _find(check, subject, subject.clients)


def for_each_fapi_client(check: ClientCheck) -> Callable[[Subject], Iterable[Flaw]]:
    """A rule's `find` that looks at the clients that FAPI 2.0 is asked of."""
    return lambda subject: _find(check, subject, subject.fapi_clients)


def _find(check: ClientCheck, subject: Subject, clients: tuple[ClientRecord, ...]) -> Iterable[Flaw]:
    for client in clients:
        found = check(client, subject)
        if found is not None:
            yield Flaw(*found, client.client_id)
