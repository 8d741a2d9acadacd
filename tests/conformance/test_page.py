"""docs/conformance.md is the generated one, and the tables leave no rule unanswered."""

from tests.conformance.page import HELD_BY, PAGE, render_page, rows
from tests.conformance.tables import ROOT, all_cases, read_ids, read_tables


def test_page_is_the_generated_one():
    assert PAGE.read_text() == render_page(), "run: python -m tests.conformance.page"


def test_every_case_is_for_a_rule_that_there_is():
    known = {rule_id for section in read_ids().section for rule_id in section.rules}
    assert {rule_id for case in all_cases(read_tables()) for rule_id in case.rules} <= known


def test_what_holds_a_case_elsewhere_exists():
    held_by_cases = [held for case in all_cases(read_tables()) for held in case.held_by]
    for held in [*held_by_cases, *(held for several in HELD_BY.values() for held in several)]:
        path, _, test = held.partition("::")
        assert (ROOT / path).is_file(), held
        assert f"def {test}(" in (ROOT / path).read_text() or not test, held


def test_every_rule_is_held_or_has_its_reason():
    assert [rule_id for _, rule_id, _, answer, _ in rows() if answer.endswith("no case holds it yet")] == []
