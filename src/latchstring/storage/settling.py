"""A write whose connection broke under it: what became of it is found out before its caller is answered.

A refresh or redemption that was committed but answered by an error would be a reuse or a replay when it comes again,
and end the grant of an honest client. So each such write leaves a mark of its own in the row that it changes, and
whoever is in doubt looks for it (docs/decisions/0018).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from latchstring.protocol.errors import StoreUnavailable
from latchstring.storage.engine import Row
from latchstring.storage.statements.statement import Parameters, Statement

# Seconds: how long a caller in doubt is kept waiting for a database, and how often that is asked. Longer than most
# fail-overs, shorter than a proxy's patience.
SETTLE_LIMIT: Final = 20.0
_PAUSE: Final = 0.25

Run = Callable[[Statement, Parameters], Awaitable[Row | None]]


class InDoubt(StoreUnavailable):
    """Whether the write was committed is not known."""


async def settle(run: Run, statement: Statement, parameters: Parameters) -> Row:
    """The row of a write that was in doubt: its own, found by its mark, or made now.

    `StoreUnavailable` if the database stays away, and also if the row is found changed by somebody else: what was asked
    is old by now, so it is not judged; its caller asks again.
    """
    assert statement.confirm is not None
    deadline = asyncio.get_running_loop().time() + SETTLE_LIMIT
    mark = {name: parameters[name] for name in ("grant_id", "mark")}
    while True:
        try:
            # Once more first: on the same server it waits for the lock of the first try, should that be under way yet.
            row = await run(statement, parameters)
            if row is None:
                row = await run(statement.confirm, mark)
        except StoreUnavailable:
            if asyncio.get_running_loop().time() >= deadline:
                raise
            await asyncio.sleep(_PAUSE)
        else:
            if row is None:
                raise StoreUnavailable(f"{statement.name}: another one came between")
            return row
