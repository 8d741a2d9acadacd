"""The judge of the comparison: fair to our own server in every case, hard on what breaks a rule; the page in step."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.conformance.conftest import open_shared
from tests.conformance.given import Shared
from tests.conformance.placeholders import Values
from tests.conformance.tables import Case, Expect, Send, Step, all_cases, read_tables
from tests.peers.judge import OUR_CHOICE, OUR_VALUES, Probe, judge
from tests.peers.peer import PEERS
from tests.peers.results import OURS, PAGE, read_results, render_page
from tests.peers.run import judgeable_cases, run_our_case

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("peers")]
JSON = {"content-type": "application/json"}
HTML = {"content-type": "text/html; charset=utf-8"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shared]:
    async with open_shared(tmp_path_factory.mktemp("peers"), None) as opened:
        yield opened


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in judgeable_cases()])
async def test_case_at_our_own_server_is_no_finding_for_the_judge(shared: Shared, case: Case) -> None:
    result = await run_our_case(shared, case)
    assert result.verdict in {"passes", "not applicable"}, result.what


def _refused(status: int, error: str) -> httpx.Response:
    return httpx.Response(status, headers=JSON, json={"error": error})


def _sent_to(location: str, status: int = 303) -> httpx.Response:
    return httpx.Response(status, headers={"location": location})


_CODE = {"redirect_to": "https://app.example/cb", "query": {"code": "*", "state": "s"}, "status": 303}
_ERROR = {**_CODE, "query": {"error": "invalid_scope", "state": "s"}}
_BACK = "https://app.example/cb?state=s&"


@pytest.mark.parametrize(
    "expect, response, outcome",
    [
        pytest.param({"status": 400, "error": "invalid_grant"}, _refused(400, "invalid_grant"), None, id="as it says"),
        pytest.param({"status": 400, "error": "invalid_grant"}, _refused(400, "x"), "differs", id="another code"),
        pytest.param({"status": 401, "error": "x"}, _refused(400, "x"), "differs", id="another status"),
        pytest.param({"status": 400, "error": "x"}, httpx.Response(200, json={}), "fails", id="accepted"),
        pytest.param({"status": 400, "error": "x"}, httpx.Response(500), "fails", id="broken"),
        pytest.param({"status": 405}, httpx.Response(404), None, id="refused is refused"),
        pytest.param({"status": 200}, _refused(400, "x"), "fails", id="good and refused"),
        pytest.param({"status": 400, "page": True}, httpx.Response(400, headers=HTML), None, id="a page"),
        pytest.param({"status": 400, "page": True}, _sent_to("https://evil.example/"), "fails", id="an open redirect"),
        pytest.param(_CODE, _sent_to(f"{_BACK}code=1"), None, id="a code"),
        pytest.param(_CODE, _sent_to(f"{_BACK}code=1", 302), None, id="by another redirect"),
        pytest.param(_CODE, _sent_to(f"{_BACK}code=1", 307), "fails", id="by one that posts again"),
        pytest.param(_CODE, _sent_to("https://app.example/cb?code=1"), "fails", id="state lost"),
        pytest.param(_CODE, _sent_to(f"{_BACK}error=x"), "fails", id="an error for a code"),
        pytest.param(_CODE, _sent_to("https://app.example/cbx?state=s&code=1"), "fails", id="a code to another"),
        pytest.param(_ERROR, _sent_to(f"{_BACK}code=1"), "fails", id="a code for an error"),
        pytest.param(_ERROR, _sent_to(f"{_BACK}error=invalid_request"), "differs", id="another error"),
        pytest.param(_ERROR, httpx.Response(400, headers=HTML), "differs", id="an error on a page"),
        pytest.param(
            {"status": 200, "json": {"active": False}}, httpx.Response(200, json={"active": True}), "fails", id="alive"
        ),
        pytest.param(
            {"status": 400, "never": ("zebra",)}, httpx.Response(400, text="no zebra"), "fails", id="reflected"
        ),
        pytest.param(
            {"status": 200, "headers": {"cache-control": "no-store"}}, httpx.Response(200), "fails", id="kept"
        ),
    ],
)
async def test_judge_of_one_answer_says_what_the_rule_says(
    expect: dict[str, Any], response: httpx.Response, outcome: str | None
) -> None:
    response.request = httpx.Request("POST", "https://auth.example/oauth2/token")
    findings = await judge(Step(Send("POST /oauth2/token"), Expect(**expect)), Values(), [response], _PROBE, True)
    assert [finding.outcome for finding in findings][:1] == ([] if outcome is None else [outcome]), findings


async def _is_alive(token: str) -> bool:
    return token == "alive"


async def _refuse() -> httpx.Response:
    return httpx.Response(400, json={"error": "invalid_grant"})


_PROBE = Probe(_is_alive, _refuse)


@pytest.mark.parametrize(
    "expect, token, is_kept",
    [
        ({"grant": "active"}, "alive", True),
        ({"grant": "active"}, "dead", False),
        ({"grant": "ended"}, "dead", True),
        ({"grant": "ended"}, "alive", False),
        ({"grant": "pending"}, "alive", False),
        ({"dead": ("access_token",)}, "alive", False),
        ({"alive": ("access_token",)}, "dead", False),
    ],
)
async def test_judge_of_what_is_left_behind_looks_from_outside(
    expect: dict[str, Any], token: str, is_kept: bool
) -> None:
    response = httpx.Response(400, request=httpx.Request("POST", "https://auth.example/oauth2/token"))
    values = Values()
    values["access_token"], values["code"] = token, "ls_ac_x"
    step = Step(Send("POST /oauth2/token"), Expect(status=400, **expect))
    assert (await judge(step, values, [response], _PROBE, True) == []) is is_kept


async def test_judge_of_several_at_once_counts_successes() -> None:
    step = Step(Send("POST /oauth2/token", times=2), Expect(answers={"200": 1, "400 invalid_grant": 1}))
    good, bad = httpx.Response(200), httpx.Response(400)
    assert await judge(step, Values(), [good, bad], _PROBE, True) == []
    (twice,) = await judge(step, Values(), [good, good], _PROBE, True)
    assert twice.outcome == "fails"


async def test_page_is_of_the_last_results() -> None:
    assert PAGE.read_text() == render_page(read_results()), "run: python -m tests.peers --page"


async def test_results_are_of_cases_that_there_are() -> None:
    """The page leaves out what has gone; when much has, or much has come, it is time to run it again."""
    known, sent = {case.id for case in all_cases(read_tables())}, {case.id for case in judgeable_cases()}
    for server in read_results():
        met = {case.id for case in server.case}
        assert len(met - known) <= 0.1 * len(met), f"run make peers: {server.name} was asked what is no case any more"
        assert len(sent & met) >= 0.6 * len(sent), f"run make peers: {server.name} was not asked much of what is new"
    assert set(OUR_CHOICE) | set(OUR_VALUES) <= known


async def test_cases_bite_at_the_others_and_not_at_ours() -> None:
    """A case that no server fails would prove nothing."""
    servers = {server.name: server for server in read_results()}
    assert list(servers) == [OURS, *(peer.name for peer in PEERS)]
    for name, server in servers.items():
        verdicts = [case.verdict for case in server.case]
        assert verdicts.count("passes") >= 50, name
        assert (verdicts.count("fails") >= 10) is (name != OURS), name
    assert {case.verdict for case in servers[OURS].case} == {"passes", "not applicable"}
