"""Flows run in the calling thread."""

import os
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx

from latchstring.client.errors import ClientError, TemporaryFailure
from latchstring.client.events import Listener
from latchstring.client.exchange import Answer, Request, Unanswered
from latchstring.client.steps import Ask, Flow, Once, Pause, Send, Step, Tell
from latchstring.client.transport.driver import (
    FAILURES,
    TIME_LIMIT,
    AnswerRefused,
    Body,
    Driver,
    Observer,
    answer,
    store_unavailable,
    unanswered,
)
from latchstring.client.transport.reach import Reach
from latchstring.protocol.errors import StoreUnavailable

T = TypeVar("T")
# How long one thread waits for another's refresh; longer than any two exchanges take.
_PATIENCE: Final = 60.0


class SyncDriver(Driver):
    """Runs flows in the calling thread. Safe to share between threads; one `Once` per name runs at a time."""

    def __init__(
        self,
        http: httpx.Client | None = None,
        *,
        on_exchange: Observer | None = None,
        on_event: Listener | None = None,
        clock: Callable[[], float] = time.time,
        time_limit: float = TIME_LIMIT,
        reach: Reach | None = None,
    ) -> None:
        super().__init__(on_exchange, on_event, clock, time_limit)
        self._given = http
        self._reach = reach or Reach(public_only=False)
        self._own: httpx.Client | None = None
        self._own_pid = 0
        self._lock = threading.Lock()
        self._running: dict[Hashable, Future[Any]] = {}

    def run(self, flow: Flow[T]) -> T:
        """The flow's result."""
        try:
            step = next(flow)
            while True:
                try:
                    reply = self._perform(step)
                except ClientError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(reply)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    def _perform(self, step: Step) -> object:
        match step:
            case Send(request):
                return self._send(request)
            case Ask(call):
                try:
                    return call()
                except StoreUnavailable as error:
                    raise store_unavailable(error) from error
            case Pause(seconds):
                time.sleep(seconds)
                return None
            case Tell(event):
                self._tell(event)
                return None
            case Once(name, flow):
                return self._once(name, flow)

    def _once(self, name: Hashable, flow: Callable[[], Flow[T]]) -> T:
        name = (os.getpid(), name)  # a forked child inherits the table, not the threads
        with self._lock:
            future = self._running.get(name)
            leads = future is None
            if future is None:
                future = self._running[name] = Future()
        if not leads:
            try:
                return future.result(_PATIENCE)  # type: ignore[no-any-return]
            except TimeoutError as error:
                raise TemporaryFailure("busy", "Another thread's refresh took too long.", cause=error) from error
        try:
            result = self.run(flow())
        except BaseException as error:
            known = isinstance(error, Exception)
            future.set_exception(error if known else TemporaryFailure("busy", "The refresh was interrupted."))
            raise
        else:
            future.set_result(result)
            return result
        finally:
            with self._lock:
                del self._running[name]

    def _client(self) -> httpx.Client:
        if self._given is not None:
            return self._given
        with self._lock:
            if self._own is None or self._own_pid != os.getpid():  # a socket must not outlive a fork
                self._own, self._own_pid = httpx.Client(), os.getpid()
            return self._own

    def _send(self, request: Request) -> Answer | Unanswered:
        began, sent_at = time.monotonic(), self._clock()
        outcome: Answer | Unanswered
        try:
            outcome = self._exchange(self._render(request), sent_at, began + self._time_limit)
        except FAILURES as error:
            outcome = unanswered(error)
        self._observe(request, outcome, time.monotonic() - began)
        return outcome

    def _exchange(self, request: httpx.Request, sent_at: float, deadline: float) -> Answer:
        """By the app's own httpx client, which goes where it is set up to; else as far as the client reaches."""
        if self._given is not None or not self._reach.is_judged(request):
            return self._send_by(self._client(), request, sent_at, deadline)
        failure: Exception | None = None
        for address in self._reach.find_addresses(request):
            with httpx.Client(verify=self._reach.find_tls(), trust_env=False) as http:
                try:
                    return self._send_by(http, self._reach.aim(request, address), sent_at, deadline)
                except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                    failure = error
        assert failure is not None
        raise failure

    def _send_by(self, http: httpx.Client, request: httpx.Request, sent_at: float, deadline: float) -> Answer:
        response = http.send(request, stream=True, follow_redirects=False, auth=None)
        try:
            body = self._read(response, deadline)
        finally:
            response.close()
        return answer(response, body, sent_at)

    def _read(self, response: httpx.Response, deadline: float) -> Body:
        body = Body(response)
        for chunk in () if response.is_stream_consumed else response.iter_raw():
            body.add(chunk)
            if time.monotonic() > deadline:
                raise AnswerRefused("the answer took too long")
        return body

    def close(self) -> None:
        """Close the connections that the driver itself opened."""
        with self._lock:
            if self._own is not None and self._own_pid == os.getpid():
                self._own.close()
            self._own = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
