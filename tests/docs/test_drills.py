"""The page about the drills names each of them."""

from tests.docs.markdown import DOCS, ROOT, find_code, find_table, read_page

PAGE = read_page(DOCS / "explanation/drills.md")


def test_every_drill_is_on_the_page() -> None:
    told = {find_code(row[0])[0] for row in find_table(PAGE.prose, "drill")}
    # The checker's own test is no drill.
    assert told == {path.name for path in (ROOT / "tests/drills").glob("test_*.py")} - {"test_history.py"}
