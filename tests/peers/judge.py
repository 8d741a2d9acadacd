"""Whether an answer keeps the rule that a case is for, whoever gave it.

The tables say exactly what our server answers; another may keep the same rule in other words. So what counts here is
what the rule is about: accepted or refused, sent back or not, which error, alive or dead, how many of several at once.
Wording, our pages, our own members and headers do not count. A refusal with another code than the standards' is
`differs`; what is accepted that must be refused, or the other way round, is `fails`.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import httpx
import msgspec

from tests.conformance.placeholders import Values
from tests.conformance.tables import Case, Expect, Step
from tests.peers.world import NotApplicable, asks_member, read_answer

Outcome = Literal["passes", "differs", "fails"]
# Members of an answer that a standard demands.
_JUDGED: Final = frozenset({"access_token", "active", "error", "issuer"})
# Where the standards leave a choice, and our table holds ours.
OUR_CHOICE: Final = {
    "A10d": "others may have other response modes",
    "A16b": "a server may ignore a scope that it does not know (RFC 6749 §3.3)",
    "A21a": "a server may ignore a scope that it does not know (RFC 6749 §3.3)",
    "A26b": "POST is optional (RFC 6749 §3.1)",
    "T13c": "a server may ignore a scope that it does not know (RFC 6749 §3.3)",
    "V4": "it may also say that it refuses (RFC 7009 §2.1)",
}
# Single values of a case, likewise: our limits, and what has a meaning elsewhere.
OUR_VALUES: Final[dict[str, tuple[str, ...]]] = {
    "A4b": ("localhost with a port", "another port than the registered one"),
    "A9": ("a nonce of 64 characters",),
    "T10e": ("long name", "long value", "many"),
}
_JSON = "application/json"


class Finding(msgspec.Struct, frozen=True):
    """What is not as the rule says."""

    outcome: Outcome
    what: str


class Probe(msgspec.Struct, frozen=True):
    """How to look at the state that was left behind, from outside."""

    is_active: Callable[[str], Awaitable[bool]]
    redeem: Callable[[], Awaitable[httpx.Response]]


def verify_judgeable(case: Case) -> None:
    """Refuse a case whose rule cannot be seen at another server."""
    if not case.supported or case.differs:
        raise NotApplicable("our own way, said to differ")
    if case.id in OUR_CHOICE:
        raise NotApplicable(OUR_CHOICE[case.id])
    if case.level == "MAY":
        raise NotApplicable("it may, and need not")
    if case.level == "ours" or "ours" in case.cites:
        raise NotApplicable("a rule of ours")
    for step in case.steps:
        expect = step.expect
        if step.send.to == "api":
            raise NotApplicable("an API's guard is not part of it")
        if expect.posts_to or expect.announces:
            raise NotApplicable("an answer by a form is a page of its own")
        if any(source.partition(".")[0] not in {"json", "query"} for source in expect.keep.values()):
            raise NotApplicable("it goes on from what stands on a page of ours")
        if expect.leads_to or (expect.form and expect.form != "/consent"):
            raise NotApplicable("a page of the application's own")
        if str(expect.status) == "503":
            raise NotApplicable("its store cannot be made to fail")


async def judge(
    step: Step, values: Values, responses: list[httpx.Response], probe: Probe, may_redeem: bool
) -> list[Finding]:
    """Everything that is not as the step's rule says."""
    expect = step.expect
    findings = [Finding("fails", f"answers {r.status_code}") for r in responses if r.status_code >= 500]
    if findings:
        return findings[:1]
    if expect.answers:
        return _judge_many(expect, responses)
    (response,) = responses
    found = list(_judge_one(expect, values, response))
    for name, source in expect.keep.items():
        answer = read_answer(response) if source.startswith("query.") else _read_json(response)
        member = source.partition(".")[2]
        if member in answer:
            values[name] = str(answer[member])
    if not any(finding.outcome == "fails" for finding in found):
        found += await _judge_state(expect, values, response, probe, may_redeem)
    return found


def _judge_many(expect: Expect, responses: list[httpx.Response]) -> list[Finding]:
    met = Counter("200" if response.status_code < 300 else "refused" for response in responses)
    wanted = sum(count for answer, count in expect.answers.items() if answer.startswith("2"))
    if met["200"] != wanted:
        return [Finding("fails", f"of {len(responses)} at once, {met['200']} succeed instead of {wanted}")]
    for member, count in expect.distinct.items():
        different = {_read_json(r).get(member) for r in responses if r.status_code == 200}
        if len(different) != count:
            return [Finding("fails", f"{len(different)} different {member} instead of {count}")]
    return []


def _judge_one(expect: Expect, values: Values, response: httpx.Response) -> Any:
    if response.request.method == "OPTIONS":  # what is refused is the other origin
        if "access-control-allow-origin" in response.headers:
            yield Finding("fails", "lets other origins in")
        return
    status = int(values.fill(str(expect.status)))
    error = None if expect.error is None else values.fill(expect.error)
    if expect.redirect_to is not None:
        yield from _judge_redirect(expect, values, response)
    elif expect.form is not None and status < 400:
        if not asks_member(response):
            yield Finding("fails", f"refuses what is good: {_describe(response)}")
    elif status >= 400:
        yield from _judge_refusal(status, error, response)
    elif response.status_code >= 400:
        if response.request.headers["host"] not in str(response.request.url):
            return  # a forged host need not be answered at all
        yield Finding("fails", f"refuses what is good: {_describe(response)}")
    elif response.is_redirect:
        yield Finding("fails", f"redirects: {_describe(response)}")
    else:
        yield from _judge_members(expect, values, response)
    yield from _judge_headers(expect, values, response)


def _judge_redirect(expect: Expect, values: Values, response: httpx.Response) -> Any:
    target, answer = values.fill(expect.redirect_to or ""), read_answer(response)
    location = response.headers.get("location", "")
    wanted = values.fill_all(expect.query)
    if not location.startswith(target) or location[len(target) :][:1] not in {"?", "&", "#"}:
        if "error" in wanted and 400 <= response.status_code < 500:
            yield Finding("differs", f"refuses by a page, {_describe(response)}")
        elif asks_member(response):
            yield Finding("fails", "accepts it: asks the member")
        else:
            yield Finding("fails", f"does not go back to the app: {_describe(response)}")
        return
    if "code" in wanted and "code" not in answer:
        yield Finding("fails", f"refuses what is good: {_describe(response)}")
    elif "error" in wanted and "error" not in answer:
        yield Finding("fails", "gives a code")
    elif "error" in wanted and answer["error"] != wanted["error"]:
        yield Finding("differs", f"{answer['error']} instead of {wanted['error']}")
    if answer.get("state") != wanted.get("state"):
        yield Finding("fails", "state does not come back as it was")
    if "iss" in wanted and answer.get("iss", wanted["iss"]) != wanted["iss"]:
        yield Finding("fails", f"iss is {answer['iss']}")
    if response.status_code in {307, 308}:
        yield Finding("fails", f"a form's answer redirects by {response.status_code}")


def _judge_refusal(status: int, error: str | None, response: httpx.Response) -> Any:
    if response.is_redirect:
        yield Finding("fails", f"sends the browser on: {_describe(response)}")
        return
    if response.status_code < 400:
        yield Finding("fails", f"accepts it: {_describe(response)}")
        return
    met = _read_json(response).get("error")
    if error is not None and met != error:
        yield Finding("differs", f"{_describe(response)} instead of {status} {error}")
    elif error is not None and status in {400, 401} and response.status_code != status:
        yield Finding("differs", f"{response.status_code} instead of {status}")


def _judge_members(expect: Expect, values: Values, response: httpx.Response) -> Any:
    body = _read_json(response)
    if b"client_credentials" in response.request.content and "refresh_token" in body:
        yield Finding("fails", "gives an app on its own a refresh token")
    for name, wanted in values.fill_all(expect.json).items():
        if name in _JUDGED and wanted is False and body.get(name):
            yield Finding("fails", f"has {name}")
        elif name in _JUDGED and wanted not in (False, "*") and str(body.get(name)).lower() != str(wanted).lower():
            yield Finding("fails", f"{name} is {body.get(name)!r} instead of {wanted!r}")
        elif name in _JUDGED and wanted == "*" and not body.get(name):
            yield Finding("fails", f"{name} is missing")
        elif name == "scope" and isinstance(wanted, str) and wanted != "*" and "scope" in body:
            given = set(body["scope"].split(" ")) - {"offline_access"}
            if given - set(wanted.split(" ")):
                yield Finding("fails", f"the scope is {body['scope']!r} instead of {wanted!r}")


def _judge_headers(expect: Expect, values: Values, response: httpx.Response) -> Any:
    met = response.headers.get("cache-control", "")
    if expect.headers.get("cache-control") == "no-store" and "no-store" not in met:
        yield Finding("fails", f"may be cached: {met or 'no Cache-Control'}")
    kind = expect.headers.get("content-type")
    if isinstance(kind, str) and kind.startswith(_JSON) and _JSON not in response.headers.get("content-type", ""):
        yield Finding("differs", f"content-type {response.headers.get('content-type')}")
    if (
        "scheme" in expect.challenge
        and response.status_code == 401
        and not response.headers.get("www-authenticate", "").startswith(str(expect.challenge["scheme"]))
    ):
        yield Finding("fails", "no WWW-Authenticate of the scheme")
    everything = response.text + "\n".join(response.headers.values())
    for text in values.fill_all(expect.never):
        if text in everything:
            yield Finding("fails", f"what was sent comes back: {text}")


async def _judge_state(
    expect: Expect, values: Values, response: httpx.Response, probe: Probe, may_redeem: bool
) -> list[Finding]:
    found = []
    for name, wanted in (*((name, True) for name in expect.alive), *((name, False) for name in expect.dead)):
        if await probe.is_active(values[name]) is not wanted:
            found.append(Finding("fails", f"{name} is {'dead' if wanted else 'alive'}"))
    known = (_read_json(response).get("access_token"), _find(values, "access_token"), _find(values, "refresh_token"))
    tokens = [str(token) for token in known if token]
    is_single = "access_token" in expect.dead  # revoked alone: it says nothing of its grant
    if expect.ended_reason or expect.grant == "ended" or (expect.grant == "active" and not is_single):
        wanted = expect.grant == "active"
        if not tokens and "code" not in values:
            return found  # nothing to look at it by
        if tokens:
            is_alive = any([await probe.is_active(token) for token in tokens])
        else:
            is_alive = (await probe.redeem()).status_code == 200
        if is_alive is not wanted:
            found.append(Finding("fails", f"the tokens are {'alive' if is_alive else 'dead'} afterwards"))
    if expect.grant == "pending" and may_redeem and "code" in values and _is_lost(await probe.redeem()):
        found.append(Finding("fails", "the code is lost to its owner afterwards"))
    return found


def _is_lost(response: httpx.Response) -> bool:
    """Whether the code is refused, and not the probe itself, which proves no key and no certificate."""
    return response.status_code != 200 and _read_json(response).get("error") == "invalid_grant"


def _find(values: Values, name: str) -> str | None:
    return values[name] if name in values else None  # noqa: SIM401 -- they are no dict


def _read_json(response: httpx.Response) -> dict[str, Any]:
    if _JSON not in response.headers.get("content-type", "") or not response.content:
        return {}
    body = response.json()
    return body if isinstance(body, dict) else {}


def _describe(response: httpx.Response) -> str:
    answer = read_answer(response)
    error = _read_json(response).get("error") or answer.get("error")
    host = urlsplit(response.headers.get("location", "")).netloc
    where = f"to {host}" if host else None
    return " ".join(filter(None, (str(response.status_code), where, "with a code" if "code" in answer else error)))
