"""What a flow may ask of its driver. Flows are generators without I/O: they yield steps and receive replies.

One flow, two drivers (sync and async, in `transport`): the rules are written once.
"""

from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

from latchstring.client.connection import Connection
from latchstring.client.events import Event, EventKind
from latchstring.client.exchange import Answer, Request, Unanswered

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request; the reply is `Answer` or `Unanswered`."""

    request: Request


@dataclass(frozen=True, slots=True)
class Ask:
    """Call the store; the reply is what it returns. `StoreUnavailable` comes back as `TemporaryFailure`."""

    call: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait that many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Once:
    """Run a flow unless one of that name is running in this process; the reply is its result, shared by all.

    Once begun it runs to its end, even if everybody who waits for it is cancelled.
    """

    name: Hashable
    flow: "Callable[[], Flow[Any]]"


@dataclass(frozen=True, slots=True)
class Tell:
    """Let the app know; nothing comes back, and nothing that goes wrong there stops the flow."""

    event: Event


Step: TypeAlias = Send | Ask | Pause | Once | Tell
Flow: TypeAlias = Generator[Step, Any, T]


def send(request: Request) -> Flow[Answer | Unanswered]:
    """The request's answer."""
    return cast(Answer | Unanswered, (yield Send(request)))


def ask(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Flow[T]:
    """What the store's method returns."""
    return cast(T, (yield Ask(lambda: call(*args, **kwargs))))


def pause(seconds: float) -> Flow[None]:
    """Nothing, later."""
    yield Pause(seconds)


def tell(kind: EventKind, connection: Connection) -> Flow[None]:
    """Nothing; the app's listener is called."""
    yield Tell(Event(kind, connection))


def once(name: Hashable, flow: Callable[[], Flow[T]]) -> Flow[T]:
    """The result of the one running flow of that name."""
    return cast(T, (yield Once(name, flow)))
