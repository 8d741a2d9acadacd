"""The statements in the SQL of each engine."""

from functools import cache

from sqlalchemy import bindparam, column, func
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler

from latchstring.storage.statements import (
    access_requests,
    apps,
    clients,
    connections,
    devices,
    events,
    grants,
    health,
    keys,
    life_cycle,
    mails,
    marks,
    people,
    policy,
    publication,
    publishers,
    registrations,
    sweeping,
    webhooks,
)
from latchstring.storage.statements.statement import ALL, Insert, Statement

# Imported for what they define: every statement is compiled when an engine starts.
_DEFINING = (
    grants,
    connections,
    devices,
    clients,
    registrations,
    apps,
    keys,
    people,
    policy,
    access_requests,
    publication,
    publishers,
    events,
    life_cycle,
    mails,
    webhooks,
    sweeping,
    marks,
    health,
)


@cache
def compile_for_sqlite() -> dict[Statement, str]:
    """The statements as SQL with `:name` parameters."""
    dialect = sqlite.dialect(paramstyle="named")
    return {statement: str(_compile(statement, dialect, sqlite.insert)) for statement in ALL}


@cache
def compile_for_postgres() -> dict[Statement, tuple[str, tuple[str, ...]]]:
    """The statements as SQL with `$n` parameters, and the names of those in order."""
    dialect = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]  # as SQLAlchemy ships it
    compiled = {statement: _compile(statement, dialect, postgresql.insert) for statement in ALL}
    return {statement: (str(sql), tuple(sql.positiontup or ())) for statement, sql in compiled.items()}


@cache
def compile_batches_for_postgres() -> dict[Statement, tuple[str, tuple[str, ...]]]:
    """The hot statements for many callers at once: each parameter is an array, and the names are in order."""
    dialect = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]  # as SQLAlchemy ships it
    compiled: dict[Statement, tuple[str, tuple[str, ...]]] = {}
    for statement in ALL:
        if statement.batch is None:
            continue
        types = statement.batch.types
        arrays = [bindparam(name, type_=postgresql.ARRAY(type_)) for name, type_ in types.items()]
        given = func.unnest(*arrays).table_valued(*(column(name, type_) for name, type_ in types.items()))
        executable = statement.batch.build(given.render_derived("given").c.__getitem__)
        sql = executable.compile(dialect=dialect)
        compiled[statement] = (str(sql), tuple(sql.positiontup))
    return compiled


def _compile(statement: Statement, dialect: Dialect, insert: Insert) -> SQLCompiler:
    compiled = statement.build(insert).compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)
    hidden = [name for name, value in compiled.params.items() if value is not None]
    assert not hidden, f"{statement} has constants that no caller gives: {hidden}"
    return compiled
