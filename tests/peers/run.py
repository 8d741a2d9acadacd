"""Sends every case to a server and asks the judge."""

from collections.abc import Iterator
from typing import Any

import httpx

from tests.conformance import given
from tests.conformance.given import VERIFIER
from tests.conformance.send import send_step
from tests.conformance.tables import Case, all_cases, read_tables
from tests.peers.judge import OUR_VALUES, Finding, Outcome, Probe, judge, verify_judgeable
from tests.peers.peer import Peer
from tests.peers.results import CaseResult
from tests.peers.world import NotApplicable, PeerWorld, bring_about
from tests.support.journey import exchange, introspect


def variants(case: Case) -> Iterator[tuple[str, dict[str, str]]]:
    """The case once, or once for each of its values."""
    if not case.each:
        yield "", {}
    for name, value in case.each.items():
        if name in OUR_VALUES.get(case.id, ()):
            continue
        yield name, {"each": value} if isinstance(value, str) else value


def judgeable_cases() -> Iterator[Case]:
    """Every case that is sent over HTTP."""
    yield from (case for case in all_cases(read_tables()) if case.send is not None)


def _redemption(case: Case) -> dict[str, str]:
    """What the owner of the case's code would send with it."""
    states: list[Any] = [state for step in case.steps for state in step.given]
    is_public = any("public app" in repr(state) for state in states)
    code: dict[str, str] = next((state["code"] for state in states if isinstance(state, dict) and "code" in state), {})
    has_challenge = code.get("pkce") or "code with PKCE" in states or is_public
    uri = {"redirect_uri": code["redirect_uri"]} if "redirect_uri" in code else {}
    return uri | ({"code_verifier": VERIFIER} if has_challenge else {})


def summarize_variants(case: Case, found: dict[str, list[Finding] | NotApplicable]) -> CaseResult:
    """The case's verdict: the worst of its variants, and what happened there."""
    reasons = [reason for reason in found.values() if isinstance(reason, NotApplicable)]
    judged = {name: findings for name, findings in found.items() if not isinstance(findings, NotApplicable)}
    if not judged:
        return CaseResult(case.id, "not applicable", str(reasons[0]))
    outcomes: tuple[Outcome, ...] = ("fails", "differs")
    for outcome in outcomes:
        met: dict[str, list[str]] = {}
        for name, findings in judged.items():
            for finding in findings:
                if finding.outcome == outcome:
                    met.setdefault(finding.what, []).append(name)
                    break
        if met:
            texts = [what + (f" ({', '.join(names)})" if any(names) else "") for what, names in met.items()]
            return CaseResult(case.id, outcome, "; ".join(texts))
    return CaseResult(case.id, "passes")


def verify_comparable(case: Case, peer: Peer) -> None:
    """Refuse a case that would say nothing there."""
    if case.rules[0] in peer.absent:
        raise NotApplicable(peer.absent[case.rules[0]])
    if any(step.expect.says for step in case.steps):
        raise NotApplicable("it is about what a page says")


async def run_peer_case(peer: Peer, issuer: str, case: Case) -> CaseResult:
    """The case at another server."""
    found: dict[str, list[Finding] | NotApplicable] = {}
    for name, values in variants(case):
        world = PeerWorld(peer, issuer, case)
        try:
            verify_judgeable(case)
            verify_comparable(case, peer)
            await world.settle()
            for placeholder, value in values.items():
                world.values[placeholder] = value
            found[name] = await _run_at_peer(world, case)
        except NotApplicable as reason:
            found[name] = reason
        finally:
            await world.close()
    return summarize_variants(case, found)


async def _run_at_peer(world: PeerWorld, case: Case) -> list[Finding]:
    findings: list[Finding] = []

    async def redeem() -> httpx.Response:
        body = world.apps["app"].body(grant_type="authorization_code", code=world.values["code"])
        return await world.post("/oauth2/token", body | world.values.fill_all(_redemption(case)))

    for number, step in enumerate(case.steps):
        for state in step.given:
            await bring_about(world, state)
        if number == 0:
            await world.app()
        responses = await world.send(step.send)
        may_redeem = number == len(case.steps) - 1 and "later" not in repr(step.given)
        probe = Probe(world.is_active, redeem)
        try:
            findings += await judge(step, world.values, responses, probe, may_redeem)
        except AssertionError as error:
            raise NotApplicable(str(error)[:160]) from None
        if any(finding.outcome == "fails" for finding in findings):
            break
    return findings


async def run_our_case(shared: given.Shared, case: Case) -> CaseResult:
    """The case at our own server, before the same judge."""
    found: dict[str, list[Finding] | NotApplicable] = {}
    for name, values in variants(case):
        world = given.World(shared)
        try:
            verify_judgeable(case)
            await world.settle()
            for placeholder, value in values.items():
                world.values[placeholder] = value
            found[name] = await _run_at_ours(world, case)
        except NotApplicable as reason:
            found[name] = reason
        finally:
            await world.close()
    return summarize_variants(case, found)


async def _run_at_ours(world: given.World, case: Case) -> list[Finding]:
    findings: list[Finding] = []

    async def is_active(token: str) -> bool:
        answer = await introspect(world.browser("a guard"), world.shared.guard, token)
        return bool(answer["active"])

    async def redeem() -> httpx.Response:
        more = world.values.fill_all(_redemption(case))
        return await exchange(world.browser("a program"), world.apps["app"], world.values["code"], **more)

    for number, step in enumerate(case.steps):
        for state in step.given:
            await given.bring_about(world, state)
        if number == 0:
            await world.app()
        responses = await send_step(world, step.send)
        may_redeem = number == len(case.steps) - 1 and "later" not in repr(step.given)
        findings += await judge(step, world.values, responses, Probe(is_active, redeem), may_redeem)
    return findings
