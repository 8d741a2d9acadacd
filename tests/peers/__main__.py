"""The cases of the tables at other servers (`make peers`): installs them in .peers/, runs them, writes what happened.

python -m tests.peers [--only NAME] [--case A3]      sends, and writes tests/peers/results.toml
python -m tests.peers --page                         writes docs/explanation/peers.md of it
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from latchstring import __version__
from tests.conformance.conftest import open_shared
from tests.peers.peer import PEERS, Peer, install, running
from tests.peers.results import (
    OURS,
    PAGE,
    RESULTS,
    ServerResult,
    read_results,
    render_page,
    render_results,
)
from tests.peers.run import judgeable_cases, run_our_case, run_peer_case


async def _run_ours(part: str) -> ServerResult:
    with tempfile.TemporaryDirectory(prefix="latchstring-") as folder:
        async with open_shared(Path(folder), None) as shared:
            cases = [await run_our_case(shared, case) for case in judgeable_cases() if case.id.startswith(part)]
    return ServerResult(OURS, __version__, cases)


async def _run_peer(peer: Peer, issuer: str, part: str) -> ServerResult:
    cases = [await run_peer_case(peer, issuer, case) for case in judgeable_cases() if case.id.startswith(part)]
    return ServerResult(peer.name, peer.version, cases)


def _print(server: ServerResult) -> None:
    counts = dict.fromkeys(("passes", "differs", "fails", "not applicable"), 0)
    for case in server.case:
        counts[case.verdict] += 1
        if case.verdict in {"differs", "fails"}:
            print(f"  {case.id:6} {case.verdict}: {case.what}")
    print(f"{server.name} {server.version}: {counts}", flush=True)


def main() -> int:
    """Run, or write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers")
    parser.add_argument("--page", action="store_true", help="write docs/explanation/peers.md and send nothing")
    parser.add_argument("--only", default="", help="one server; nothing is written")
    parser.add_argument("--case", default="", help="the beginning of the cases' ids; nothing is written")
    given = parser.parse_args()
    if given.page:
        PAGE.write_text(render_page(read_results()))
        return 0
    servers = []
    if given.only in {"", OURS}:
        servers.append(asyncio.run(_run_ours(given.case)))
        _print(servers[-1])
    for peer in PEERS:
        if given.only in {"", peer.name}:
            install(peer)
            with running(peer) as issuer:
                servers.append(asyncio.run(_run_peer(peer, issuer, given.case)))
            _print(servers[-1])
    if not given.only and not given.case:
        RESULTS.write_text(render_results(servers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
