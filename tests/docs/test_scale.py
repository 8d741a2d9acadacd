"""What the page about scale says of the schema and the statements is so."""

import re

import pytest
from sqlalchemy import Table, UniqueConstraint
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import visitors

from latchstring.storage.schema import metadata
from latchstring.storage.statements.compiled import compile_for_postgres
from latchstring.storage.statements.statement import ALL, Statement
from tests.docs.markdown import DOCS, find_code, find_table, read_page
from tests.storage.test_plans import HOT, TELLING

PAGE = read_page(DOCS / "explanation/scale.md")
PLACES = {find_code(row[0])[0]: row[1:3] for row in find_table(PAGE.section("Which table goes where"), "table")}
OPERATIONS = find_table(PAGE.section("Why a grant can live anywhere"), "operation")
DISTRIBUTED = {name: find_code(by)[0] for name, (kind, by) in PLACES.items() if kind == "distributed"}
STATEMENTS = {statement.name: statement for statement in ALL}


def find_tables(statement: Statement) -> set[str]:
    """The tables that a statement reads or writes."""
    compile_for_postgres()
    found: set[str] = set()
    for element in visitors.iterate(statement.build(postgresql.insert)):
        for table in (element, getattr(element, "table", None)):
            if isinstance(table, Table):
                found.add(table.name)
    return found


def test_every_table_has_its_place() -> None:
    assert set(PLACES) == {table.name for table in metadata.sorted_tables}, "docs/explanation/scale.md lists them"
    assert {kind for kind, _ in PLACES.values()} == {"distributed", "reference"}


@pytest.mark.parametrize("name", DISTRIBUTED)
def test_distributed_table_can_be_split_by_its_column(name: str) -> None:
    """Its keys hold the column, and it refers to nothing that is split up itself."""
    table, column = metadata.tables[name], DISTRIBUTED[name]
    keys = [constraint for constraint in table.constraints if isinstance(constraint, UniqueConstraint)]
    uniques = [*keys, table.primary_key, *(index for index in table.indexes if index.unique)]
    assert all(column in {found.name for found in unique.columns} for unique in uniques)  # type: ignore[attr-defined]
    assert {key.column.table.name for key in table.foreign_keys} <= set(PLACES) - set(DISTRIBUTED)


def test_reference_tables_refer_to_reference_tables_alone() -> None:
    for name in set(PLACES) - set(DISTRIBUTED):
        assert {key.column.table.name for key in metadata.tables[name].foreign_keys} <= set(PLACES) - set(DISTRIBUTED)


def test_grants_have_no_foreign_keys() -> None:
    assert not metadata.tables["oauth_grant"].foreign_keys


def test_citus_lines_are_those_of_the_table() -> None:
    [block] = [block for block in PAGE.blocks if block.info == "sql"]
    references = re.findall(r"create_reference_table\('(\w+)'\)", block.content)
    distributed = dict(re.findall(r"create_distributed_table\('(\w+)', '(\w+)'\)", block.content))
    assert distributed == DISTRIBUTED
    assert sorted(references) == sorted(set(PLACES) - set(DISTRIBUTED))
    # What is referred to comes first.
    for name in references:
        earlier = references[: references.index(name)]
        assert {key.column.table.name for key in metadata.tables[name].foreign_keys} <= set(earlier)


@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: row[0])
def test_hot_operation_touches_what_is_told(row: list[str]) -> None:
    _, statements, distributed, shared = row
    touched: set[str] = set()
    for name in find_code(statements):
        assert STATEMENTS[name] in (*HOT, TELLING), f"{name} is not one whose plan is proved"
        tables = find_tables(STATEMENTS[name])
        assert len(tables) == 1 or STATEMENTS[name] is TELLING, f"{name} touches {tables}"
        assert len(tables & set(DISTRIBUTED)) <= 1, f"{name} touches {tables}"
        touched |= tables
    assert touched & set(DISTRIBUTED) == set(find_code(distributed))
    assert touched - set(DISTRIBUTED) == set(find_code(shared))
