"""What the comparison has found, kept in one committed file, and the page of it."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from tests.conformance.tables import Case, Rule, all_cases, read_ids, read_tables

ROOT: Final = Path(__file__).parents[2]
RESULTS: Final = Path(__file__).parent / "results.toml"
PAGE: Final = ROOT / "docs" / "explanation" / "peers.md"
OURS: Final = "latchstring"

Verdict = Literal["passes", "differs", "fails", "not applicable"]
# From bad to good: a rule with several cases has the worst of their verdicts.
_ORDER: Final[tuple[Verdict, ...]] = ("fails", "differs", "passes", "not applicable")
_MARKS: Final = {"fails": "**fails**", "differs": "differs", "passes": "passes", "not applicable": "–"}
_INTRODUCTION: Final = """\
# The same cases at other servers

<!-- Written by `python -m tests.peers --page` from tests/peers/results.toml. -->

A case that no server could fail proves nothing. So the cases of [conformance](../conformance.md) that can be seen from
outside are also sent to other servers, each installed from its registry and run as it is, on this machine, over HTTP:
{servers}. `make peers` does it anew.

How it is done: the tables and the code that builds the requests are the same (`tests/conformance/`). States that a case
begins with (an app, a code, tokens, a refresh) are brought about over HTTP, with the consent page answered by a browser
without scripts; paths are the server's own (`tests/peers/peer.py`). Where a server has a choice of settings, it has the
safer one (`tests/peers/servers/`). Because each may keep a rule in its own words, a judge looks at what the rule is
about (`tests/peers/judge.py`): accepted or refused, sent back or not, alive or dead, how many of twenty at once. Our
own server stands before the same judge, in `make test` too.

- **passes**: in every case that could be sent.
- **differs**: it refuses what must be refused, with another code or status than the standards name.
- **fails**: it accepts what must be refused, refuses what must be accepted, or leaves something alive or dead that must
  not be. What happened is said.
- **–**: the rule is about something that it has not, or that cannot be reached from outside (time, a broken database,
  an application's own pages).

Neither of the others is a bad server: both are careful with what they set out to do, and some of these rules are
younger than they are, are meant for the application around them, or are recommendations. The point is that the cases
bite.
"""


class CaseResult(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One case at one server."""

    id: str
    verdict: Verdict
    what: str = ""


class ServerResult(msgspec.Struct, forbid_unknown_fields=True):
    """One server's run."""

    name: str
    version: str
    case: list[CaseResult]


def read_results() -> list[ServerResult]:
    """The last run at every server."""
    return msgspec.convert(tomllib.loads(RESULTS.read_text())["server"], list[ServerResult])


def render_results(servers: Iterable[ServerResult]) -> str:
    """The file."""
    lines = ["# Written by `make peers`."]
    for server in servers:
        lines += ["", "[[server]]", f"name = {json.dumps(server.name)}", f"version = {json.dumps(server.version)}"]
        lines.append("case = [")
        for case in server.case:
            members = {"id": case.id, "verdict": case.verdict, **({"what": case.what} if case.what else {})}
            inline = ", ".join(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in members.items())
            lines.append(f"  {{ {inline} }},")
        lines.append("]")
    return "\n".join(lines) + "\n"


def summarize(results: Iterable[CaseResult]) -> tuple[Verdict, str]:
    """A rule's verdict, and what happened in the cases that decided it."""
    results = list(results)
    if not results:
        return "not applicable", ""
    worst = min((result.verdict for result in results), key=_ORDER.index)
    if worst == "not applicable":
        return worst, ""
    found = [f"{result.id}: {result.what}" if result.what else "" for result in results if result.verdict == worst]
    return worst, "; ".join(dict.fromkeys(filter(None, found))) if worst in {"fails", "differs"} else ""


def _by_rule(server: ServerResult, cases: Mapping[str, Case]) -> dict[str, list[CaseResult]]:
    found: dict[str, list[CaseResult]] = {}
    for result in server.case:
        for rule_id in cases[result.id].rules if result.id in cases else ():
            found.setdefault(rule_id, []).append(result)
    return found


def render_page(servers: list[ServerResult]) -> str:
    """The page."""
    cases = {case.id: case for case in all_cases(read_tables())}
    others = [server for server in servers if server.name != OURS]
    named = " and ".join(f"{server.name} {server.version}" for server in others)
    rows, counts = [], {server.name: dict.fromkeys(_ORDER, 0) for server in servers}
    by_rule = {server.name: _by_rule(server, cases) for server in servers}
    for rule_id, rule in _rules().items():
        verdicts = {name: summarize(results.get(rule_id, ())) for name, results in by_rule.items()}
        if all(verdicts[server.name][0] == "not applicable" for server in others):
            continue
        for name, (verdict, _) in verdicts.items():
            counts[name][verdict] += 1
        cells = [_cell(*verdicts[server.name]) for server in servers]
        rows.append(" | ".join(["", rule_id, rule.level, rule.rule.replace("|", "\\|"), *cells, ""]).strip())
    lines = [_INTRODUCTION.format(servers=named), "| of the rules below | passes | differs | fails | – |"]
    lines.append("| --- | ---: | ---: | ---: | ---: |")
    for server in servers:
        numbers = [str(counts[server.name][verdict]) for verdict in ("passes", "differs", "fails", "not applicable")]
        lines.append(f"| {server.name} {server.version} | " + " | ".join(numbers) + " |")
    heads = ["id", "level", "rule", *(server.name for server in servers)]
    lines += ["", "| " + " | ".join(heads) + " |", "| " + " | ".join(["---"] * len(heads)) + " |", *rows]
    return "\n".join(lines) + "\n"


def _rules() -> dict[str, Rule]:
    return {rule_id: rule for section in read_ids().section for rule_id, rule in section.rules.items()}


def _cell(verdict: Verdict, what: str) -> str:
    mark = _MARKS[verdict]
    return (f"{mark}: {what}" if what else mark).replace("|", "\\|").replace("<", "&lt;")
