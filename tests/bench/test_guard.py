"""What a check costs an API is measured: every kind of token by every guard of ours, and the bare signature."""

from bench.guard import ALGORITHMS, OPAQUE, render_guard_cells, run_guard


def test_guard_s_checks_are_measured() -> None:
    run = run_guard(1, 3, with_peers=False)
    found = {(check.subject, check.token) for check in run.checks}
    assert found == {
        *(("bare signature", name) for name in ALGORITHMS),
        *(("Latchstring, asyncio, first time", name) for name in ALGORITHMS),
        *(("Latchstring, asyncio, seen before", name) for name in (OPAQUE, *ALGORITHMS)),
        *(("Latchstring, threads, seen before", name) for name in (OPAQUE, *ALGORITHMS)),
    }
    assert all(check.median > 0 for check in run.checks)
    assert len(render_guard_cells(run)) == 6
