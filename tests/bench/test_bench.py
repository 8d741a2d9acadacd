"""The benchmark runs: real server, real generator, a few requests of each operation; what it says is well formed."""

import tempfile
from pathlib import Path

import msgspec
import pytest

from bench import operations
from bench.__main__ import choose
from bench.generator import body_end, find_refresh_token, render_request
from bench.instructions import parse_annotated
from bench.measure import Measurement, Plan, Results
from bench.operations import Operation
from bench.publish import render_page
from bench.report import render_report
from bench.served import parse_shares
from bench.stores import find_missing_postgres, open_to_cluster
from bench.subjects.floor import Floor
from bench.subjects.latchstring import LatchstringOnPostgres, LatchstringOnSqlite
from bench.subjects.peers import OIDC_PROVIDER, render_workload
from bench.subjects.registry import SUBJECTS
from bench.subjects.subject import Subject

GRANTS = 1000
OURS: list[Subject] = [LatchstringOnSqlite(), *([] if find_missing_postgres() else [LatchstringOnPostgres()])]


@pytest.fixture(scope="module")
def results() -> Results:
    plan = Plan(
        operations=tuple(operations.ALL),
        workers=(1,),
        connections=(4,),
        rounds=1,
        requests=40,
        warm_up=8,
        seconds=30.0,
        races=2,
        refreshes=3000,
        refresh_seconds=60.0,
        budget=None,
    )
    # Not in pytest's own folder, where the user that a cluster runs as does not get in.
    with tempfile.TemporaryDirectory(prefix="latchstring-bench-") as directory:
        open_to_cluster(Path(directory))
        return Measurement(plan, [Floor(), *OURS], Path(directory)).run()


@pytest.mark.xdist_group("bench")
def test_measurement_every_operation_is_answered_without_errors(results: Results) -> None:
    assert [(figures.subject, figures.operation) for figures in results.figures] == [
        ("floor", "floor"),
        *((subject.name, name) for subject in OURS for name in operations.ALL if name != "floor"),
    ]
    for figures in results.figures:
        assert (figures.requests, figures.errors, figures.error_samples) == (40, 0, []), figures.operation
        assert figures.processor > 0
        assert figures.to_floor is not None
        assert figures.to_floor > 0


@pytest.mark.xdist_group("bench")
def test_measurement_refreshes_leave_one_row_per_grant(results: Results) -> None:
    assert [(rows.grants, rows.refreshes, rows.rows) for rows in results.rows] == [(GRANTS, 3000, GRANTS)] * len(OURS)


@pytest.mark.xdist_group("bench")
def test_measurement_races_yield_one_redemption_and_one_successor(results: Results) -> None:
    assert len(results.races) == len(OURS)
    for races in results.races:
        assert (races.redemption.fewest, races.redemption.most) == (1, 1)
        assert (races.refresh.fewest, races.refresh.most, races.refresh.successors) == (20, 20, 1)


@pytest.mark.xdist_group("bench")
def test_results_kept_read_and_published_say_the_same(results: Results) -> None:
    kept = msgspec.json.decode(msgspec.json.encode(results), type=Results)
    assert kept == results
    page, report = render_page(kept), render_report(kept)
    assert "| Latchstring, SQLite | " in page
    assert "the generator used at most" in page
    for operation in operations.ALL.values():
        assert operation.title in page
        assert operation.title in report
    assert "3,000 refreshes of 1,000 grants left 1,000 rows" in page


@pytest.mark.parametrize(
    "only, subjects, chosen",
    [
        ([], [subject.name for subject in SUBJECTS], list(operations.ALL)),
        (["latchstring"], ["floor", "latchstring-sqlite", "latchstring-postgres"], list(operations.ALL)),
        (["floor"], ["floor"], list(operations.ALL)),
        (["refresh", "exchange"], [subject.name for subject in SUBJECTS], ["exchange", "refresh"]),
        (["latchstring-postgres", "refresh"], ["floor", "latchstring-postgres"], ["refresh"]),
    ],
)
def test_only_names_subjects_and_operations(only: list[str], subjects: list[str], chosen: list[str]) -> None:
    found, names = choose(only)
    assert ([subject.name for subject in found], names) == (subjects, chosen)


@pytest.mark.parametrize(
    "data, end",
    [
        (b"HTTP/1.1 200 OK\r\ncontent-le", -1),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{", -1),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\r\n\r\n{}", 46),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n", -1),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 59),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 27),
    ],
)
def test_answer_in_parts_ends_where_its_headers_say(data: bytes, end: int) -> None:
    assert body_end(data) == end


def test_refresh_token_found_in_any_json_spelling() -> None:
    assert find_refresh_token(b'{"refresh_token":"a","x":1}') == b"a"
    assert find_refresh_token(b'{"x": 1, "refresh_token": "b"}') == b"b"
    assert find_refresh_token(b'{"error":"invalid_grant"}') is None


@pytest.mark.parametrize(
    "operation, kind, start, end",
    [
        (operations.METADATA, "repeat", "GET /.well-known/openid-configuration ", "\r\n\r\n"),
        (operations.CLIENT_CREDENTIALS, "repeat", "POST /token ", "\r\n\r\ngrant_type=client_credentials&client_id="),
        (operations.EXCHANGE, "once", "POST /token ", "&code=abc"),
        (operations.REFRESH, "chain", "POST /token ", "&refresh_token=abc"),
        (operations.INTROSPECTION, "repeat", "POST /token/introspection ", "\r\n\r\ntoken=abc"),
        (operations.REVOCATION, "once", "POST /token/revocation ", "&token=abc"),
    ],
)
def test_peer_workload_is_sent_to_its_own_endpoint(operation: Operation, kind: str, start: str, end: str) -> None:
    workload = render_workload(OIDC_PROVIDER, operation, ["abc"])
    request = render_request(workload, b"abc").decode()
    assert workload.kind == kind
    assert request.startswith(start)
    assert end in request
    assert ("Authorization: Basic " in request) == (operation is operations.INTROSPECTION)


def test_instructions_are_read_by_library_and_function() -> None:
    annotated = """
Ir
820,539,574 (15.11%)  build/Python-3.11.7/Python/ceval.c:_PyEval_EvalFrameDefault'2 [/root/lib/libpython3.11.so.1.0]
  3,755 ( 0.01%)  ???:sqlite3VdbeExec [/usr/lib/x86_64-linux-gnu/libsqlite3.so.0.8.6]
 10,222 ( 0.01%)  ???:aes [/work/cryptography/hazmat/bindings/_rust.abi3.so]
820,543,329 (100.0%)  PROGRAM TOTALS
"""
    assert parse_annotated(annotated) == {
        ("libpython3.11", "_PyEval_EvalFrameDefault'2"): 820_539_574,
        ("libsqlite3", "sqlite3VdbeExec"): 3_755,
        ("_rust", "aes"): 10_222,
    }


def test_served_shares_are_summed_up_by_library() -> None:
    report = """
    52.30%  libpython3.11.so.1.0
    24.50%  [kernel.kallsyms]
     3.00%  loop.cpython-311-x86_64-linux-gnu.so
     1.50%  _sqlite3.cpython-311-x86_64-linux-gnu.so
     6.50%  libsqlite3.so.0.8.6
     0.20%  [vdso]
"""
    shares = {name: share for name, share in parse_shares(report).items() if share}
    assert shares == pytest.approx(
        {
            "Python itself": 0.523,
            "kernel: sockets, files, waiting": 0.245,
            "event loop (uvloop)": 0.03,
            "SQLite": 0.08,
            "other": 0.002,
        }
    )
