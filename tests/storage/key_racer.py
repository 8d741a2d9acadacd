"""Another server that starts on the same database: a process that needs a signing key when told to.

`python -m tests.storage.key_racer URL` says `ready`, waits for a line, and prints the id of the key that it signs with.
"""

import asyncio
import sys

from latchstring.authorization_server.settings import Settings
from latchstring.storage.url import open_store
from latchstring.wiring import build_signing_keys
from tests.authorization_server.builders import NOW, build_codec


async def race(url: str) -> str:
    store = open_store(url)
    keys = build_signing_keys(store, build_codec(), Settings(issuer="https://auth.example"), lambda: NOW)
    await store.find_client("nobody")
    print("ready", flush=True)
    sys.stdin.readline()
    signer = await keys.find_signer()
    await store.close()
    return signer.key_id


if __name__ == "__main__":
    print(asyncio.run(race(sys.argv[1])), flush=True)
