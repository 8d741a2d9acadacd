"""Reads the tables: one TOML file for each area, one `[[case]]` for each case. What they do not know is an error.

How to write one: docs/conformance.md says what the ids are, `given.py` which states there are.
"""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import msgspec

FOLDER: Final = Path(__file__).parent
ROOT: Final = FOLDER.parents[1]
IDS: Final = "ids.toml"

Level = Literal["MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "ours"]
Fields = str | dict[str, str] | list[tuple[str, str]]
_REQUEST: Final = re.compile(r"([A-Z]+|\$\{each\}) /.*|\$\{[a-z]+\}")
_CASE_ID: Final = re.compile(r"([A-Z][0-9]{1,2})([a-z]?)")


class Send(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One request; every text may hold placeholders. `query`, `form` and `body` that are plain text are sent as is."""

    request: str  # method and path: "POST /oauth2/token"
    client: str | None = None  # who proves itself in the body: "app", "second app", "guard"
    basic: str | tuple[str, str] | None = None  # the same by HTTP Basic, or a client_id and secret of one's own
    query: Fields = ""
    form: Fields = ""
    body: str | None = None  # instead of a form; its type is a header
    headers: dict[str, str] | list[tuple[str, str]] = {}
    to: Literal["server", "api"] = "server"
    browser: Literal["ann's", "another"] = "ann's"
    times: int = 1  # so many at once


class Expect(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What must hold afterwards; every text may hold placeholders, and "*" stands for anything but nothing.

    Beside what is written here, `expect.py` holds every answer to the rules of its kind.
    """

    status: int | str | None = None
    error: str | None = None  # of an OAuth refusal in JSON (RFC 6749 §5.2)
    json: dict[str, Any] = {}  # members; false for one that must be absent
    only: bool = False  # and no other members
    body: str | None = None
    redirect_to: str | None = None  # what the answer's parameters were added to
    posts_to: str | None = None  # the same by a form that posts itself there
    announces: str | None = None  # the same, behind a page that tells where it leads and waits for a click
    query: dict[str, str] = {}  # those parameters, all of them (error_description may come along)
    leads_to: str | None = None  # the path of a redirect within the server
    page: bool = False  # a page from which nothing leads off the server
    form: str | None = None  # a page with a form that posts to that path
    says: tuple[str, ...] = ()  # in the body
    never: tuple[str, ...] = ()  # in neither body nor headers
    headers: dict[str, str | bool] = {}  # exact, or whether it is there at all
    challenge: dict[str, str | bool] = {}  # WWW-Authenticate: `scheme` and parameters
    answers: dict[str, int] = {}  # of a request sent several times at once: "400 invalid_grant" and how many
    distinct: dict[str, int] = {}  # and how many different values a JSON member has in the answers
    grant: str | None = None  # the status of the case's grant
    ended_reason: str | None = None
    grants: int | None = None  # how many grants Ann has
    alive: tuple[str, ...] = ()  # access tokens, by placeholder, that introspection calls active
    dead: tuple[str, ...] = ()
    same: tuple[str, ...] = ()  # placeholders whose values are equal
    differ: tuple[str, ...] = ()  # placeholders whose values differ
    keep: dict[
        str, str
    ] = {}  # placeholder = "json.…", "query.…", "field.…" or "header.…" of this answer, or "location"


class Step(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A further request of a case, after `given` has happened."""

    send: Send
    expect: Expect
    given: tuple[str | dict[str, Any], ...] = ()


class Case(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One case. It is sent (`send` and `expect`), or held elsewhere (`held_by`: "path::test").

    `covers` names further rules that the case shows; `each` runs it once for every value of `${each}`, or for
    every table of placeholders.
    """

    id: str
    cites: str
    level: Level
    title: str
    covers: tuple[str, ...] = ()
    given: tuple[str | dict[str, Any], ...] = ()
    send: Send | None = None
    expect: Expect | None = None
    then: tuple[Step, ...] = ()
    each: dict[str, str | dict[str, str]] = {}
    held_by: tuple[str, ...] = ()
    supported: bool = True
    reason: str = ""
    differs: str = ""

    @property
    def rules(self) -> tuple[str, ...]:
        """The ids of SECURITY-CASES that the case is for."""
        match = _CASE_ID.fullmatch(self.id)
        assert match is not None, f"{self.id} is not an id with at most one letter behind it"
        return (match[1], *self.covers)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All requests in order."""
        if self.send is None or self.expect is None:
            return ()
        return (Step(self.send, self.expect, self.given), *self.then)


class Table(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One area's cases."""

    about: str
    case: tuple[Case, ...] = ()


class Rule(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One rule of SECURITY-CASES in a sentence."""

    level: Level
    source: str
    rule: str


class Section(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The rules of one letter, in the order of SECURITY-CASES."""

    part: str
    letter: str
    title: str
    rules: dict[str, Rule]


class Ids(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Every rule there is."""

    section: tuple[Section, ...]


class Malformed(AssertionError):
    """A table says something that it may not say."""


Content = TypeVar("Content", Table, Ids)


def _read(path: Path, kind: type[Content]) -> Content:
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), kind)
    except (msgspec.ValidationError, tomllib.TOMLDecodeError) as error:
        raise Malformed(f"{path.name}: {error}") from None


def read_ids() -> Ids:
    """The rules."""
    return _read(FOLDER / IDS, Ids)


def read_tables() -> dict[str, Table]:
    """Every table by its file's name, checked."""
    tables = {path.name: _read(path, Table) for path in sorted(FOLDER.glob("*.toml")) if path.name != IDS}
    for name, table in tables.items():
        for case in table.case:
            verify_case(case, name)
    return tables


def verify_case(case: Case, table: str) -> None:
    """Refuse a case that proves nothing, or that does not say what it must."""

    def require(condition: object, why: str) -> None:
        if not condition:
            raise Malformed(f"{table}: {case.id}: {why}")

    require((case.send is None) == (case.expect is None), "send and expect belong together")
    require(case.send is not None or case.held_by, "it sends nothing and names nothing that holds it")
    require(
        case.send is not None or not (case.given or case.then or case.each), "it has given, then or each for nothing"
    )
    require(case.title[:1].isupper() and case.title.endswith("."), "the title is a sentence")
    for step in case.steps:
        _verify_step(step, require)
    require(_CASE_ID.fullmatch(case.id), "the id is one of SECURITY-CASES with at most one letter behind it")
    require(case.supported or case.reason, "what is not supported needs a reason")
    require(case.supported or not case.differs, "what is not supported does not differ")
    require(not case.supported or not case.reason, "a reason is for what is not supported; say `differs`")


def _verify_step(step: Step, require: Any) -> None:
    send, expect = step.send, step.expect
    require(_REQUEST.fullmatch(send.request), f"{send.request!r} is not a method and a path")
    require(not (send.form and send.body is not None), "it sends both a form and a body")
    if send.times > 1:
        require(expect.answers and expect.status is None, "several requests at once need `answers`, not `status`")
        require(sum(expect.answers.values()) == send.times, "the answers are not as many as the requests")
    else:
        require(expect.status is not None, "one request needs a status")
        require(not expect.answers and not expect.distinct, "`answers` and `distinct` are for several requests at once")
    ways = [way for way in (expect.redirect_to, expect.posts_to, expect.announces) if way is not None]
    require(len(ways) <= 1, "`redirect_to`, `posts_to` and `announces` are three ways of one answer")
    require(not expect.query or ways, "`query` belongs to `redirect_to`, `posts_to` or `announces`")
    require(not expect.only or expect.json, "`only` belongs to `json`")
    require(len(expect.same) != 1 and len(expect.differ) != 1, "`same` and `differ` compare at least two")


def all_cases(tables: dict[str, Table]) -> Iterator[Case]:
    """Every case of every table."""
    for table in tables.values():
        yield from table.case
