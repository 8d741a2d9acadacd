"""The growth and memory runs work on small stores: filled past the server, served, swept, published."""

import asyncio
import time
from collections.abc import Sequence

import msgspec
import pytest

from bench import operations
from bench.deployment import Deployment
from bench.growth import OPERATIONS, Growth, render_growth_cells, render_growth_facts, run_growth
from bench.memory import Memory, render_memory_cells, run_memory
from bench.population import SWEEPABLE, Population, Sample
from bench.stores import find_missing_postgres, open_temporary_store
from latchstring.storage.operations import SweepPlan
from latchstring.storage.url import open_store
from latchstring.wiring import epoch_seconds

ENGINES = ["sqlite", pytest.param("postgres", marks=pytest.mark.skipif(bool(find_missing_postgres()), reason="absent"))]


@pytest.mark.parametrize("engine", ENGINES)
def test_population_filled_is_what_the_server_itself_would_count(engine: str) -> None:
    with open_temporary_store(engine) as (_, database):
        deployment = Deployment(database)
        population = Population(deployment, 1000, int(time.time()), samples=50)
        database.fill(population)
        assert database.count_grants() == 1000
        assert 30 < len(population.samples) < 70
        asyncio.run(_verify(database.url, deployment.client_id, population.samples))


async def _verify(url: str, client_id: str, samples: Sequence[Sample]) -> None:
    store = open_store(url)
    census = await store.sweeper(epoch_seconds, SweepPlan(retention=30 * 24 * 3600)).count()
    assert census.grants == {"live": 910, "kept": 40, "overdue": 1000 * SWEEPABLE}
    for sample in samples:
        grant = await store.find_grant(sample.grant_id)
        assert grant is not None
        assert (grant.status, grant.client_id) == ("active", client_id)
        assert (grant.row_secret, grant.generation) == (sample.row_secret, sample.generation)
    await store.close()


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.xdist_group("bench")
@pytest.mark.parametrize("engine", ENGINES)
def test_growth_small_sizes_are_filled_measured_and_swept(engine: str) -> None:
    growth = run_growth(engine, [400, 2000], None, samples=60, rounds=2)
    kept = msgspec.json.decode(msgspec.json.encode(growth), type=Growth)
    assert kept == growth
    assert [size.grants for size in growth.sizes] == [400, 2000]
    for size in growth.sizes:
        assert [figures.operation for figures in size.operations] == [operation.name for operation in OPERATIONS]
        assert all(figures.errors == 0 for figures in (*size.operations, size.refresh_while_sweeping))
        assert (size.sweep.rows_before, size.sweep.rows_deleted) == (size.grants, size.grants * SWEEPABLE)
        assert 100 < size.bytes_each < 2000
    titles = {operations.ALL[figures.operation].title for figures in growth.sizes[0].operations}
    assert {line[2] for line in render_growth_cells(kept)} == {"operation", "refresh while it is swept", *titles}
    assert len(render_growth_facts(kept)) == len(OPERATIONS) + 2


@pytest.mark.xdist_group("bench")
def test_memory_is_looked_at_after_so_many_requests() -> None:
    memory = run_memory("sqlite", [60, 240], turn=40)
    assert [look.requests for look in memory.looks] == [60, 240]
    assert all(20 < look.memory < 1000 for look in memory.looks)
    assert memory.errors == 0
    assert render_memory_cells([memory])[0] == ("MiB after", "60", "240", "errors")
    assert msgspec.json.decode(msgspec.json.encode(memory), type=Memory) == memory
