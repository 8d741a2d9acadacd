"""Another server at the same database: a process that redeems, rotates or ends grants as fast as it can when told to.

`python -m tests.storage.racer URL ACTION ATTEMPTS` reads grant ids (hex, one line), says `ready`, waits for a line,
and prints how often each grant's write was applied; an exception is printed as such.
"""

import asyncio
import json
import sys
from collections import Counter

from latchstring.authorization_server.ports import Commit
from latchstring.storage.store import SqlStore
from latchstring.storage.url import open_store

NOW = 1_800_000_000


async def attempt(store: SqlStore, action: str, grant_id: bytes) -> Commit:
    """One write that at most one of all racers may win."""
    if action == "redeem":
        return await store.commit_redemption(
            grant_id, generation=1, now=NOW, expires_at=NOW + 1000, absolute_expires_at=None
        )
    if action == "rotate":
        return await store.commit_rotation(grant_id, generation=1, now=NOW, expires_at=NOW + 1000)
    return await store.end_grant(grant_id, by="racer", reason="disconnected", now=NOW)


async def race(url: str, action: str, attempts: int) -> dict[str, int]:
    store = open_store(url)
    grant_ids = [bytes.fromhex(text) for text in sys.stdin.readline().split()]
    await store.find_grant(grant_ids[0])
    print("ready", flush=True)
    sys.stdin.readline()
    work = [grant_id for _ in range(attempts) for grant_id in grant_ids]
    outcomes = await asyncio.gather(*(attempt(store, action, grant_id) for grant_id in work))
    await store.close()
    return dict(
        Counter(grant_id.hex() for grant_id, outcome in zip(work, outcomes, strict=True) if outcome is Commit.APPLIED)
    )


if __name__ == "__main__":
    print(json.dumps(asyncio.run(race(sys.argv[1], sys.argv[2], int(sys.argv[3])))), flush=True)
