"""Judges a deployment by every rule."""

from typing import Final, Literal

import msgspec

from latchstring.authorization_server.checks import built_in, clients, deployment
from latchstring.authorization_server.checks.rule import Rule, Subject

Verdict = Literal["ok", "warning", "fails"]

RULES: Final[tuple[Rule, ...]] = (*built_in.RULES, *deployment.RULES, *clients.RULES)
_FAPI: Final = "fapi-"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """How one item stands: the worst that was found, for which clients, and what to do, each piece of advice once."""

    id: str
    source: str
    asks: str
    verdict: Verdict
    clients: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()


def judge(subject: Subject) -> tuple[Finding, ...]:
    """Every item that concerns the deployment, in order; those of FAPI 2.0 where they are asked of anybody."""
    is_fapi = subject.is_fapi or bool(subject.fapi_clients)
    return tuple(_judge(rule, subject) for rule in RULES if is_fapi or not rule.id.startswith(_FAPI))


def _judge(rule: Rule, subject: Subject) -> Finding:
    flaws = tuple(rule.find(subject))
    faults = {flaw.fault for flaw in flaws}
    return Finding(
        id=rule.id,
        source=rule.source,
        asks=rule.asks,
        verdict="fails" if "fails" in faults else "warning" if faults else "ok",
        clients=tuple(dict.fromkeys(flaw.client_id for flaw in flaws if flaw.client_id is not None)),
        advice=tuple(dict.fromkeys(flaw.advice for flaw in flaws)),
    )
