"""Runs every case of every table against the server, on every engine."""

import pytest

from tests.conformance.conftest import ENGINES
from tests.conformance.expect import verify_step
from tests.conformance.given import Shared, World, bring_about
from tests.conformance.send import send_step
from tests.conformance.tables import Case, read_tables

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _variants() -> list[tuple[str, Case, dict[str, str]]]:
    """Every case once, or once for each of its values."""
    found: list[tuple[str, Case, dict[str, str]]] = []
    for table in read_tables().values():
        for case in table.case:
            if case.send is None:
                continue
            if not case.each:
                found.append((case.id, case, {}))
            for name, value in case.each.items():
                found.append((f"{case.id} {name}", case, {"each": value} if isinstance(value, str) else value))
    return found


ON_EVERY_ENGINE = pytest.mark.parametrize(
    "engine",
    [pytest.param(name, marks=pytest.mark.xdist_group(f"conformance-{name}")) for name in ENGINES],
    indirect=True,
    scope="session",
)
EVERY_CASE = pytest.mark.parametrize(
    "case, values", [pytest.param(case, values, id=name) for name, case, values in _variants()]
)


@ON_EVERY_ENGINE
@EVERY_CASE
async def test_case_sent_to_the_server_is_answered_as_the_table_says(
    shared: Shared, case: Case, values: dict[str, str]
) -> None:
    world = World(shared)
    try:
        await world.settle()
        for name, value in values.items():
            world.values.define(name, value)
        for number, step in enumerate(case.steps):
            for state in step.given:
                await bring_about(world, state)
            if number == 0:
                await world.app()
            responses = await send_step(world, step.send)
            await verify_step(world, step.send, step.expect, responses)
        world.values.verify_used()
    finally:
        await world.close()
