"""Writes docs/conformance.md: every rule, what we do, and which case or test holds it.

python -m tests.conformance.page
"""

import re
import sys
from collections.abc import Iterator
from functools import cache
from typing import Final

from tests.conformance.tables import ROOT, Case, Rule, Section, all_cases, read_ids, read_tables

PAGE: Final = ROOT / "docs" / "conformance.md"

# Rules that no case shows, and why.
NOT_YET: Final = {
    "F8": "TLS is ended by the proxy in front; its versions and suites are the operator's",
}
HELD_BY: Final = {
    "S11": ("tests/protocol/test_dpop.py", "tests/resource_server/test_dpop.py"),
    "S12": ("tests/resource_server/test_dpop.py", "tests/resource_server/test_possession.py"),
    "S13": ("tests/protocol/test_dpop.py", "tests/resource_server/test_dpop.py"),
    "S14": ("tests/protocol/test_dpop.py", "tests/resource_server/test_dpop.py", "tests/web/test_dpop.py"),
    "S15": ("tests/resource_server/test_dpop.py", "tests/web/test_dpop.py", "tests/storage/test_races.py"),
    "S16": ("tests/protocol/test_client_certificate.py", "tests/resource_server/test_dpop.py"),
    "S17": ("tests/resource_server/test_feed.py", "tests/resource_server/test_verdicts.py"),
    "F7": ("tests/resource_server/test_asgi.py",),
    "L1": ("tests/client/test_metadata.py::test_discover_of_another_issuer_s_document_is_refused",),
    "L2": ("tests/client/test_login.py::test_complete_with_iss_follows_the_table",),
    "L4": ("tests/client/test_metadata.py::test_discover_without_s256_is_refused",),
    "L5": ("tests/client/test_login.py::test_begin_always_sends_state_and_an_s256_challenge",),
    "L6": (
        "tests/client/test_metadata.py::test_discover_of_no_https_url_is_refused_unasked",
        "tests/client/test_loopback.py::test_nothing_but_a_web_address_is_opened",
    ),
    "L7": ("tests/client/test_token.py::test_redirect_is_misconfigured_and_not_followed",),
    "L8": ("tests/client/test_reach.py",),
    "L9": (
        "tests/client/test_step_up.py::test_resource_goes_with_every_request_for_a_token",
        "tests/client/test_step_up.py::test_api_s_metadata_that_is_not_for_the_api_asked_is_never_used",
    ),
    "L10": ("tests/client/test_login.py::test_complete_with_another_token_type_is_refused",),
    "L11": ("tests/client/test_races.py::test_token_by_two_processes_on_one_file_refreshes_once",),
    "L12": ("tests/client/test_token.py::test_failure_of_the_moment_is_temporary_and_the_connection_stays",),
    "L13": ("tests/client/test_step_up.py::test_step_up_is_asked_for_twice_and_then_refused",),
    "L14": ("tests/client/test_login.py::test_credentials_of_one_issuer_are_never_sent_to_another",),
    "L15": ("tests/protocol/test_id_token.py", "tests/client/test_openid.py"),
    "L16": ("tests/client/test_userinfo.py",),
    "L17": ("tests/client/test_metadata.py::test_discover_too_big_is_not_read",),
    "L18": ("tests/client/test_login.py::test_complete_with_an_error_says_whose_move_it_is",),
    "L19": ("tests/client/test_loopback.py::test_stranger_on_the_port_spends_nothing",),
    "L20": ("tests/client/test_token.py::test_token_without_expires_in_is_used_until_an_api_refuses_it",),
    "M11": ("tests/demo/test_sample_api.py",),
}
_INTRODUCTION: Final = """\
# Conformance

<!-- Written by `python -m tests.conformance.page` from the tables in tests/conformance. Edit those instead. -->

Every rule that a server of this kind is held to, and what Latchstring does. A rule with **cases** is held by the
tables in `tests/conformance/`, sent over HTTP to the application on SQLite and on PostgreSQL; one with a **test** by
the Python tests named. "Differs" and "not yet" say why; what is not supported is itself a case wherever it can be seen
from outside. Ids such as A3 stand in test names, so that a search finds them. That the cases bite is shown by
[what they find at other servers](explanation/peers.md) and by [mutants](explanation/mutants.md).
"""


@cache
def _sources() -> dict[str, str]:
    folders = ("web", "storage", "authorization_server", "protocol", "resource_server", "client", "drills", "e2e")
    return {
        path.relative_to(ROOT).as_posix(): path.read_text()
        for folder in folders
        for path in sorted((ROOT / "tests" / folder).glob("test_*.py"))
    }


def find_tests(rule_id: str) -> list[str]:
    """The Python test files that name the rule."""
    mention = re.compile(rf"(?<![A-Za-z0-9]){rule_id}(?![0-9A-Za-z])|_{rule_id.lower()}_")
    return [path for path, source in _sources().items() if mention.search(source)]


def describe(section: Section, rule_id: str, cases: list[Case]) -> tuple[str, str]:
    """What we do about the rule, and what holds it."""
    differs = "; ".join(dict.fromkeys(case.differs for case in cases if case.differs))
    unsupported = "; ".join(dict.fromkeys(case.reason for case in cases if not case.supported))
    held = [held for case in cases for held in case.held_by] + list(HELD_BY.get(rule_id, ()))
    tests = sorted({path.partition("::")[0] for path in held}) or ([] if cases else find_tests(rule_id))
    ids = sorted(case.id for case in cases if case.send is not None)
    held_by = ", ".join([*ids, *(f"`{test}`" for test in tests)])
    if rule_id in NOT_YET:
        return f"not yet: {NOT_YET[rule_id]}", held_by
    if unsupported:
        return f"not yet: {unsupported}", held_by
    if differs:
        return f"differs: {differs}", held_by
    if cases or tests:
        return "yes", held_by
    return "not yet: no case holds it yet", ""


def rows() -> Iterator[tuple[Section, str, Rule, str, str]]:
    """Every rule with what we do and what holds it."""
    by_rule: dict[str, list[Case]] = {}
    for case in all_cases(read_tables()):
        for rule_id in case.rules:
            by_rule.setdefault(rule_id, []).append(case)
    for section in read_ids().section:
        for rule_id, rule in section.rules.items():
            answer, held_by = describe(section, rule_id, by_rule.get(rule_id, []))
            yield section, rule_id, rule, answer, held_by


def render_page() -> str:
    """The whole page."""
    lines = [_INTRODUCTION]
    last = ""
    for section, rule_id, rule, answer, held_by in rows():
        if section.letter != last:
            last = section.letter
            lines += [f"\n## {section.part} {section.title}\n", "| id | level | source | rule | what we do | held by |"]
            lines += ["| --- | --- | --- | --- | --- | --- |"]
        cells = (rule_id, rule.level, rule.source, rule.rule, answer, held_by)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page."""
    PAGE.write_text(render_page())
    counts = {"yes": 0, "differs": 0, "not yet": 0}
    for _, _, _, answer, _ in rows():
        counts[answer.partition(":")[0]] += 1
    print(f"{PAGE.relative_to(ROOT)}: {counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
