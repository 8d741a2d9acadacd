"""What a statement is, and how it is defined."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Select, String, Table, bindparam, literal_column, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.expression import ClauseElement
from sqlalchemy.sql.type_api import TypeEngine

from latchstring.storage.schema import grant

Parameters = Mapping[str, Any]
Insert = Any
"""The dialect's `insert()`: the generic one has no `ON CONFLICT`, though it reads the same in both."""
Parameter = Callable[[str], ColumnElement[Any]]
"""Where a parameter's value comes from: a bind of its own, or a column of many at once."""


class Batch:
    """The form of a statement that does the work of many callers: each row it returns begins with the `key`
    of the one whose work it was. A batch holds a key at most once."""

    __slots__ = ("build", "is_read", "key", "types")

    def __init__(
        self, key: str, types: Mapping[str, TypeEngine[Any]], build: Callable[[Parameter], Any], *, is_read: bool
    ) -> None:
        self.key = key
        self.is_read = is_read
        self.types = types
        self.build = build


class Statement:
    """One statement under a name; engines key their compiled SQL by the object itself.

    `confirm` is the statement that finds, by grant and mark, what this one has written.
    """

    __slots__ = ("batch", "build", "confirm", "gives_all", "name")

    def __init__(
        self,
        name: str,
        build: Callable[[Insert], ClauseElement],
        batch: Batch | None = None,
        confirm: "Statement | None" = None,
        *,
        gives_all: bool = False,
    ) -> None:
        self.gives_all = gives_all
        self.name = name
        self.build = build
        self.batch = batch
        self.confirm = confirm

    def __repr__(self) -> str:
        return f"Statement({self.name})"


ALL: Final[list[Statement]] = []


def define_insert(name: str, build: Callable[[Insert], ClauseElement]) -> Statement:
    """A statement that needs the dialect's own `insert()`."""
    statement = Statement(name, build)
    ALL.append(statement)
    return statement


def define(name: str, executable: ClauseElement, *, confirm: Statement | None = None) -> Statement:
    """A statement that reads the same on every engine."""
    statement = Statement(name, lambda _: executable, confirm=confirm)
    ALL.append(statement)
    return statement


def define_many(name: str, executable: ClauseElement) -> Statement:
    """A statement that gives an operation all of its rows, not the first alone."""
    statement = Statement(name, lambda _: executable, gives_all=True)
    ALL.append(statement)
    return statement


def define_hot(
    name: str,
    key: str,
    types: Mapping[str, TypeEngine[Any]],
    build: Callable[[Parameter], Any],
    *,
    confirm: Statement | None = None,
) -> Statement:
    """A statement on one row by its primary key, for one caller or for many."""
    executable: ClauseElement = build(lambda parameter: bindparam(parameter, type_=types[parameter]))
    batch = Batch(key, types, build, is_read=isinstance(executable, Select))
    statement = Statement(name, lambda _: executable, batch, confirm)
    ALL.append(statement)
    return statement


def define_hot_insert(
    name: str,
    table: Table,
    *,
    key: str,
    find_more: Callable[[Parameter], Sequence[ColumnElement[Any]]] = lambda _: (),
    is_ignored_twice: bool = False,
) -> Statement:
    """An insert of one row, whose columns are the parameters, for one caller or for many; it returns the key and what
    `find_more` makes of the row's values. `is_ignored_twice`: a row whose key is there already is left as it is, and
    nothing is returned."""
    columns = [column.name for column in table.columns]
    types = {column.name: TEXT if isinstance(column.type, String) else column.type for column in table.columns}

    def finish(insertion: Any, value: Parameter) -> Any:
        if is_ignored_twice:
            insertion = insertion.on_conflict_do_nothing(index_elements=[key])
        return insertion.returning(table.c[key], *find_more(value))

    def build_for_many(parameter: Parameter) -> Any:
        insertion = postgresql.insert(table).from_select(columns, select(*map(parameter, columns)))
        # Written out: SQLAlchemy would read the table anew in a subquery of RETURNING.
        return finish(insertion, lambda column: literal_column(f"{table.name}.{column}", types[column]))

    def build(insert: Insert) -> Any:
        values = {column: bindparam(column, type_=types[column]) for column in columns}
        return finish(insert(table).values(values), values.__getitem__)

    statement = Statement(name, build, Batch(key, types, build_for_many, is_read=False))
    ALL.append(statement)
    return statement


def define_rebinding(
    name: str,
    types: Mapping[str, TypeEngine[Any]],
    build: Callable[[Parameter, Mapping[str, ColumnElement[Any]]], Any],
    *,
    confirm: Statement | None = None,
) -> tuple[Statement, Statement]:
    """A hot statement on a grant, and the one that also changes what the grant is bound to."""
    plain = define_hot(name, "grant_id", types, lambda parameter: build(parameter, {}), confirm=confirm)
    rebinding = {"confirmation": bindparam("new_confirmation", type_=grant.c.confirmation.type)}
    rebound = build(lambda parameter: bindparam(parameter, type_=types[parameter]), rebinding)
    return plain, define(f"{name}_rebound", rebound, confirm=confirm)


# Constants are written into the SQL, so that every parameter is one that a caller gives.
PENDING, ACTIVE, SUSPENDED, ENDED = (
    literal_column(f"'{status}'", String) for status in ("pending", "active", "suspended", "ended")
)
ONE = literal_column("1", BigInteger)
BIGINT: Final = BigInteger()
TEXT: Final = String()  # without a length: a cast to one would cut a longer value instead of refusing it
