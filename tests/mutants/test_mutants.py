"""The page of mutants is of the last runs; every mutant that lives has its reason, and nine in ten are dead."""

import os
from pathlib import Path
from typing import Final

import pytest

from tests.mutants.__main__ import find_modules
from tests.mutants.launch import Killers, Suite, is_prose
from tests.mutants.results import (
    PAGE,
    Module,
    Mutant,
    Survivor,
    merge,
    merge_again,
    read_not_run,
    read_results,
    read_unchangeable,
    render_page,
    render_results,
)


def test_page_is_of_the_last_results() -> None:
    assert PAGE.read_text() == render_page(read_results().values(), read_unchangeable(), read_not_run()), (
        "run: python -m tests.mutants --page"
    )


def test_modules_that_were_run_are_there() -> None:
    assert {f"{name}.py" for name in (*read_results(), *read_unchangeable())} <= set(find_modules([]))


def test_module_is_listed_once_at_most() -> None:
    listed = [*read_results(), *read_unchangeable(), *read_not_run()]
    assert sorted(set(listed)) == sorted(listed)


# Code that has changed since it was tried: this may only become less.
UNTRIED: Final = 11
OPEN: Final = frozenset(
    {
        "authorization_server/authorization_endpoint",
        "authorization_server/consent",
        "authorization_server/introspection_endpoint",
        "authorization_server/passkeys",
        "authorization_server/pushed_request_endpoint",
        "authorization_server/registration_endpoint",
    }
)
WEAK: Final = frozenset(
    {
        "authorization_server/life_cycle_ports",
        "authorization_server/policy_ports",
        "protocol/confirmation",
        "protocol/introspection",
    }
)


def test_mutant_that_lives_has_its_reason() -> None:
    results = read_results().items()
    assert [(name, each.added) for name, module in results for each in module.survivor if not each.reason] == []


def test_mutants_that_were_not_tried_become_fewer() -> None:
    untried = {name: module.untried for name, module in read_results().items() if module.untried}
    assert untried.keys() <= OPEN, "try these again"
    assert sum(untried.values()) <= UNTRIED


def test_nine_mutants_in_ten_are_killed_in_every_module_and_more_of_all() -> None:
    results = read_results().values()
    killed, total = sum(module.killed for module in results), sum(module.mutants for module in results)
    assert killed >= 0.98 * total > 10_000
    few = {module.name: f"{module.killed} of {module.mutants}" for module in results if _is_weak(module)}
    assert few.keys() <= WEAK, "strengthen the tests of these"


def _is_weak(module: Module) -> bool:
    return module.mutants > 0 and module.killed < 0.9 * module.mutants


def _mutant(is_killed: bool, removed: str, added: str) -> Mutant:
    return Mutant("protocol/scope", "x_parse_scope", is_killed, removed, added)


@pytest.mark.parametrize(
    "literal, is_for_people",
    [
        ('"The scope is long."', True),
        ("'revoked: a person did it.'", True),
        ('"invalid_scope"', False),
        ('" "', False),
        ('", "', False),
        ('"a"', False),
        ('b"page-mac"', False),
        ('"S256"', False),
    ],
)
def test_literal_is_left_alone_where_it_is_a_sentence(literal: str, is_for_people: bool) -> None:
    assert is_prose(literal) is is_for_people


def test_merge_keeps_reasons_and_replaces_the_modules_that_were_run() -> None:
    known = {
        "protocol/pkce": Module("protocol/pkce", 3),
        "protocol/scope": Module("protocol/scope", 1, [Survivor("x_parse_scope", "a", "b", "because")]),
    }
    found = [_mutant(True, "", ""), _mutant(True, "", ""), _mutant(False, "a", "b"), _mutant(False, "a", "c")]
    merged = merge(known, found)
    assert merged["protocol/pkce"] == known["protocol/pkce"]
    assert merged["protocol/scope"] == Module(
        "protocol/scope",
        2,
        [Survivor("x_parse_scope", "a", "b", "because"), Survivor("x_parse_scope", "a", "c")],
    )
    assert 'reason = "because"' in render_results(merged.values(), ["protocol/algorithms"], ["protocol/bearer"])


def test_suite_stops_at_the_first_that_fails_whatever_the_names_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a backslash: pytest finds no test of that name when it is an argument."""
    folder = tmp_path / "tests" / "protocol"
    folder.mkdir(parents=True)
    lines = [
        "import pytest",
        "@pytest.mark.parametrize('text', ['\\t', 'b'])",
        "def test_a(text): assert text",
        "def test_b(): assert False",
        "@pytest.fixture",
        "def broken(): raise ValueError",
        "def test_c(broken): pass",
    ]
    (folder / "test_x.py").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    name = "tests/protocol/test_x.py::test_"
    for names, killer in (
        ([f"{name}a[\\t]", f"{name}a[b]"], None),
        ([f"{name}a[b]", f"{name}b", f"{name}c"], f"{name}b"),
        ([f"{name}c"], f"{name}c"),
    ):
        assert Suite(["tests", "-c", os.devnull, "-p", "no:cacheprovider"]).run(names) == killer


def test_mutant_is_tried_first_with_what_killed_its_like(tmp_path: Path) -> None:
    killers = Killers(tmp_path / "killers")
    names = [f"tests/{folder}/test_x.py::test_{test}" for folder in ("web", "protocol") for test in "ab"]
    assert killers.sort("m.x_f__mutmut_1", names) == [*names[2:], *names[:2]]
    killers.note("m.x_f__mutmut_1", names[1])
    assert killers.sort("m.x_f__mutmut_22", names) == [names[1], *names[2:], names[0]]
    assert killers.sort("m.x_g__mutmut_1", names) == [*names[2:], *names[:2]]


def test_mutant_that_was_tried_again_and_killed_is_no_survivor_any_more() -> None:
    alive, dead, gone = (Survivor("x_parse_scope", "a", added) for added in "bcd")
    explained = Survivor("x_parse_scope", "a", "e", "why")
    other = Module("protocol/other", 1, [alive])
    known = {"protocol/scope": Module("protocol/scope", 5, [alive, dead, gone, explained], 2), "protocol/other": other}
    found = [_mutant(False, "a", "b"), _mutant(True, "a", "c"), _mutant(True, "a", "unknown")]
    scope = Module("protocol/scope", 6, [alive, explained], 3)
    assert merge_again(known, found) == {"protocol/scope": scope, "protocol/other": other}
