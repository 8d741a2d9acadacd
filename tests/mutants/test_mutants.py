"""The page of mutants is of the last runs; every mutant that lives has its reason, and nine in ten are dead."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.mutants.__main__ import find_modules
from tests.mutants.launch import group_by_stage, is_prose, run_chosen
from tests.mutants.results import (
    PAGE,
    Module,
    Mutant,
    Survivor,
    merge,
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


def test_every_mutant_that_lives_has_a_reason() -> None:
    unexplained = [
        (name, survivor.added)
        for name, module in read_results().items()
        for survivor in module.survivor
        if not survivor.reason
    ]
    assert unexplained == []


def test_nine_mutants_in_ten_are_killed_in_every_module() -> None:
    results = read_results().values()
    assert sum(module.mutants for module in results) > 1000
    few = {module.name: f"{module.killed} of {module.mutants}" for module in results if _is_weak(module)}
    assert few == {}, "strengthen the tests of these"


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


def test_tests_are_tried_by_folder_in_the_order_given() -> None:
    names = ["tests/web/test_a.py::b", "tests/protocol/test_c.py::d[x]", "tests/web/test_a.py::a"]
    assert group_by_stage(names) == [names[1:2], [names[0], names[2]]]


def test_chosen_tests_run_whatever_their_names_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a backslash: pytest finds no test of that name when it is an argument."""
    folder = tmp_path / "tests" / "protocol"
    folder.mkdir(parents=True)
    lines = [
        "import pytest",
        "@pytest.mark.parametrize('text', ['\\t', 'b'])",
        "def test_a(text): print('ran', repr(text))",
        "def test_b(): assert False",
    ]
    (folder / "test_x.py").write_text("\n".join(lines))
    ran: list[str] = []

    class Runner:
        def execute_pytest(self, arguments: list[str], plugins: list[Any]) -> int:
            command = [*arguments, "-p", "no:cacheprovider", f"--rootdir={tmp_path}", "-c", os.devnull]
            return int(pytest.main(command, plugins=[*plugins, self]))

        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            ran.extend([report.nodeid] if report.when == "call" else [])

    monkeypatch.chdir(tmp_path)
    name = "tests/protocol/test_x.py::test_"
    assert run_chosen(Runner(), [f"{name}a[\\t]"]) == 0
    assert run_chosen(Runner(), [f"{name}b", f"{name}a[b]"]) == 1
    assert ran == [f"{name}a[\\t]", f"{name}b"]
