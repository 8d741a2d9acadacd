"""A process of the drill: 16 tasks that always want a token, until the file `stop` is there; then what they saw."""

import asyncio
import sys
from collections import Counter
from pathlib import Path

import msgspec

from latchstring.client import AsyncOAuthClient, ReauthorizeRequired, SQLiteStore, TemporaryFailure

TASKS = 16
# The lease of a killed process lives for three times as long.
TIME_LIMIT = 2.0


class Report(msgspec.Struct):
    """Tokens handed out, and refusals by verdict and code, each with the reasons that were given."""

    tokens: list[str]
    refusals: dict[str, int]
    reasons: list[str]


async def use(client: AsyncOAuthClient, stop: Path, report: Report, refusals: Counter[str]) -> None:
    key = client.key("orga_acorn", "user_ann")
    while not stop.exists():
        try:
            token = await client.token(key)
        except TemporaryFailure as error:
            refusals[f"temporary {error.code}"] += 1
            await asyncio.sleep(min(error.retry_after or 0.1, 1.0))
        except ReauthorizeRequired as error:
            refusals[f"reauthorize {error.code}"] += 1
            if error.description not in report.reasons:
                report.reasons.append(error.description)
            await asyncio.sleep(0.05)
        else:
            if token not in report.tokens[-TASKS:]:
                report.tokens.append(token)
            await asyncio.sleep(0)


async def main(issuer: str, client_id: str, client_secret: str, database: str, stop: str) -> None:
    report, refusals = Report([], {}, []), Counter[str]()
    async with AsyncOAuthClient(
        issuer,
        client_id=client_id,
        client_secret=client_secret,
        redirect_uri="https://app.example/callback",
        store=SQLiteStore(database),
        time_limit=TIME_LIMIT,
    ) as client:
        await asyncio.gather(*(use(client, Path(stop), report, refusals) for _ in range(TASKS)))
    report.refusals = dict(refusals)
    sys.stdout.buffer.write(msgspec.json.encode(report))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
