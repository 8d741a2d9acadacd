"""What the store needs of a database: a read, and an operation committed whole."""

from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol, TypeVar

from latchstring.storage.statements.statement import Parameters, Statement

Many = list[Parameters]
"""A statement's parameters many times over: it runs for each, and gives nothing back."""
Row = Sequence[Any]
Outcome = TypeVar("Outcome")

Steps = Generator[tuple[Statement, Parameters | Many], Row | None, Outcome]
"""One transaction: it yields statements, gets each one's first row (all rows, where the statement is defined so), and
returns its outcome. No I/O of its own."""

Operation = Callable[[], Steps[Outcome]]
"""Begins those steps; an engine may begin them again after undoing all that they did."""


class Engine(Protocol):
    """One database. Every method raises `StoreUnavailable` if the database did not answer or commit."""

    async def read(self, statement: Statement, parameters: Parameters) -> Row | None:
        """The first row, as last committed."""

    async def read_all(self, statement: Statement, parameters: Parameters) -> Sequence[Row]:
        """All rows, as last committed."""

    async def write(self, statement: Statement, parameters: Parameters) -> Row | None:
        """Run one writing statement, atomic by itself; its first row once that is durable."""

    async def commit(self, operation: Operation[Outcome]) -> Outcome:
        """Run the operation in one transaction; its outcome once that is durable."""

    async def commit_shared(self, kind: str, key: bytes, operation: Operation[Outcome]) -> Outcome:
        """The same, and many callers may share one transaction: of a kind, each with another key, which is that of the
        row they change. None of them fails for what another one does."""

    def find_version(self) -> int | None:
        """A number that changes before this engine's reads can show what others have written; None where there is
        none, so that nothing may be remembered."""

    async def close(self) -> None:
        """Finish what is under way and let go of the database."""
