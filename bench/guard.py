"""`python -m bench guard`: what a check costs that asks nobody, beside Authlib, PyJWT and the bare signature."""

import argparse
import asyncio
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from bench.machine import describe_machine
from bench.report import render_table
from bench.results import keep
from latchstring.protocol.access_token_jwt import TYPE, AccessTokenClaims
from latchstring.protocol.jose.jws import render_jwt
from latchstring.resource_server import Guard, SyncGuard
from latchstring.resource_server.requirement import make_requirement
from tests.peers.peer import FOLDER, install_into

PEERS: Final = {"Authlib": "1.9.10", "PyJWT[crypto]": "2.15.1"}
# CPU-ms, of issue 6; set for a machine on which the bare signature takes 0.015 (RS256) to 0.060 (EdDSA).
TARGETS: Final = {"JWT": 0.03, "opaque": 0.005}
OPAQUE: Final = "opaque"
ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")

_PROGRAM: Final = Path(__file__).parent / "peers" / "guards.py"
_ISSUER: Final = "https://login.example"
_API: Final = "https://api.example"
_SCOPE: Final = "contacts.read"
_SUBJECTS: Final = (
    "bare signature",
    "Latchstring, asyncio, seen before",
    "Latchstring, threads, seen before",
    "Latchstring, asyncio, first time",
    "PyJWT",
    "Authlib",
)


class Check(msgspec.Struct, frozen=True):
    """Processor time of one check in ms: the median over the rounds, and the cheapest."""

    subject: str
    token: str
    median: float
    best: float


class GuardRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run: every round measures every subject once, in turns."""

    measured_at: str
    processor: str
    python: str
    commit: str
    load: float
    versions: dict[str, str]
    rounds: int
    samples: int
    checks: list[Check]


class Case(msgspec.Struct, frozen=True):
    """Tokens of one kind, all of them good, and how they are known to be."""

    algorithm: str
    tokens: list[str]
    jwks: dict[str, Any]
    answer: dict[str, Any]


def _make_key(algorithm: str) -> Key:
    if algorithm == "RS256":
        return RSAKey.generate_key(2048)
    return ECKey.generate_key("P-256") if algorithm == "ES256" else OKPKey.generate_key("Ed25519")


def _make_cases(keys: dict[str, Key], samples: int, now: int) -> dict[str, Case]:
    answer = {
        "active": True, "iss": _ISSUER, "sub": "user_1", "user_id": "user_1", "organization_id": "orga_1",
        "client_id": "oa2client_1", "token_type": "Bearer", "scope": f"{_SCOPE} offline_access", "iat": now - 120,
        "exp": now + 3600, "jti": "at_1",
    }  # fmt: skip
    jwks = {
        "keys": [{**key.as_dict(private=False), "kid": name, "alg": name, "use": "sig"} for name, key in keys.items()]
    }
    cases = {OPAQUE: Case("", [f"ls_at_{os.urandom(40).hex()}" for _ in range(samples)], {}, answer)}
    for name, key in keys.items():
        header = {"alg": name, "kid": name, "typ": TYPE}
        tokens = [render_jwt(header, _make_claims(now, number), key) for number in range(samples)]
        cases[name] = Case(name, tokens, jwks, answer)
    return cases


def _make_claims(now: int, number: int) -> AccessTokenClaims:
    return AccessTokenClaims(
        iss=_ISSUER,
        aud=_API,
        sub="user_3VHpQ6NGUNsvhogz3Kz7SG",
        client_id="oa2client_64817s8RgrrgzxfD6HbxnF",
        organization_id="orga_6S99VTxqV4ZtpEKqtbF1Ru",
        iat=now - 120,
        exp=now + 3600,
        jti=f"{number:024x}",
        scope=f"{_SCOPE} offline_access",
        grant_id="grant_1dKZAkLb9V2VYaGkN4VfPj",
    )


class _Server:
    """The authorization server, in the process: keys, introspection, and a revocation feed with nothing to tell."""

    def __init__(self, cases: dict[str, Case]) -> None:
        self._jwks = cases[ALGORITHMS[0]].jwks
        self._answer = cases[OPAQUE].answer

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/jwks":
            return httpx.Response(200, json=self._jwks)
        return httpx.Response(200, json=self._answer)

    def answer_in_thread(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/revocations":
            time.sleep(1)
            return httpx.Response(200, json={"cursor": "1", "revocations": [], "has_more": False, "held": 1.0})
        return self.answer(request)

    async def answer_in_task(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/revocations":
            await asyncio.sleep(0.2)
            return httpx.Response(200, json={"cursor": "1", "revocations": [], "has_more": False, "held": 0.2})
        return self.answer(request)


_SETTINGS: Final[dict[str, Any]] = {
    "issuer": _ISSUER,
    "introspection_endpoint": f"{_ISSUER}/introspect",
    "jwks_uri": f"{_ISSUER}/jwks",
    "revocations_endpoint": f"{_ISSUER}/revocations",
    "revocations_bound": 60,
    "resource": _API,
    "client_id": "api",
    "client_secret": "secret",
}
_REQUIREMENT: Final = make_requirement([_SCOPE])


def _render(case: Case) -> list[list[bytes]]:
    return [[f"Bearer {token}".encode()] for token in case.tokens]


async def _check_in_tasks(cases: dict[str, Case], found: "_Found") -> None:
    http = httpx.AsyncClient(transport=httpx.MockTransport(_Server(cases).answer_in_task))
    guard = Guard(**_SETTINGS, http_client=http)
    await guard.check([f"Bearer {cases[OPAQUE].tokens[0]}".encode()])
    await asyncio.sleep(0.5)  # until the feed is heard
    for name, case in cases.items():
        sent = _render(case)
        for subject in ("first time", "seen before"):
            began = time.process_time_ns()
            for headers in sent:
                await guard.check_requirement(headers, b"", _REQUIREMENT, None)
            if (name, subject) != (OPAQUE, "first time"):  # that one is a question
                found.note(f"Latchstring, asyncio, {subject}", name, began, len(sent))
    await guard.aclose()


def _check_in_threads(cases: dict[str, Case], found: "_Found") -> None:
    http = httpx.Client(transport=httpx.MockTransport(_Server(cases).answer_in_thread))
    guard = SyncGuard(**_SETTINGS, http_client=http)
    guard.check([f"Bearer {cases[OPAQUE].tokens[0]}".encode()])
    time.sleep(1.5)  # until the feed is heard
    for name, case in cases.items():
        sent = _render(case)
        for headers in sent:
            guard.check(headers)
        began = time.process_time_ns()
        for headers in sent:
            guard.check_requirement(headers, b"", _REQUIREMENT, None)
        found.note("Latchstring, threads, seen before", name, began, len(sent))
    guard.close()


def _verify_bare(keys: dict[str, Key], samples: int, found: "_Found") -> None:
    """The floor: `cryptography` alone, the signature in the form that it takes."""
    message = os.urandom(450)
    for name, key in keys.items():
        private: Any = key.private_key
        public = private.public_key()
        verify: Callable[[], None]
        if isinstance(private, rsa.RSAPrivateKey):
            signature = private.sign(message, padding.PKCS1v15(), hashes.SHA256())
            verify = lambda: public.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())  # noqa: B023, E731
        elif isinstance(private, ec.EllipticCurvePrivateKey):
            signature = private.sign(message, ec.ECDSA(hashes.SHA256()))
            verify = lambda: public.verify(signature, message, ec.ECDSA(hashes.SHA256()))  # noqa: B023, E731
        else:
            assert isinstance(private, ed25519.Ed25519PrivateKey)
            signature = private.sign(message)
            verify = lambda: public.verify(signature, message)  # noqa: B023, E731
        began = time.process_time_ns()
        for _ in range(samples):
            verify()
        found.note("bare signature", name, began, samples)


class _Found:
    """What every round has found."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[float]] = {}

    def add(self, subject: str, token: str, milliseconds: float) -> None:
        self._found.setdefault((subject, token), []).append(milliseconds)

    def note(self, subject: str, token: str, began: int, samples: int) -> None:
        self.add(subject, token, (time.process_time_ns() - began) / samples / 1e6)

    def read(self) -> list[Check]:
        return [
            Check(subject, token, statistics.median(times), min(times))
            for (subject, token), times in sorted(self._found.items())
        ]


def _ask_peers(cases: dict[str, Case], found: _Found) -> None:
    folder = FOLDER / "bench-guards"
    packages = [f"{name}=={version}" for name, version in PEERS.items()]
    install_into(folder, ("venv/bin/python", "-m", "pip", "install", "--quiet", *packages))
    asked = {"issuer": _ISSUER, "audience": _API, "scope": _SCOPE, "cases": cases}
    ran = subprocess.run(
        [folder / "venv/bin/python", _PROGRAM], input=msgspec.json.encode(asked), stdout=subprocess.PIPE, check=True
    )
    for subject, times in msgspec.json.decode(ran.stdout).items():
        for token, microseconds in times.items():
            found.add(subject, token, microseconds / 1000)


def run_guard(rounds: int, samples: int, *, with_peers: bool = True) -> GuardRun:
    """Measure everything, in turns."""
    machine = describe_machine(Path.cwd())
    measured_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    found = _Found()
    keys = {name: _make_key(name) for name in ALGORITHMS}
    cases = _make_cases(keys, samples, int(time.time()))
    for _ in range(rounds):
        _verify_bare(keys, samples, found)
        asyncio.run(_check_in_tasks(cases, found))
        _check_in_threads(cases, found)
        if with_peers:
            _ask_peers(cases, found)
    return GuardRun(
        measured_at=measured_at,
        processor=machine.processor,
        python=machine.python,
        commit=machine.commit,
        load=machine.load,
        versions=PEERS if with_peers else {},
        rounds=rounds,
        samples=samples,
        checks=found.read(),
    )


def render_guard_cells(run: GuardRun) -> list[tuple[str, ...]]:
    """A line for each subject: the median, and the best in brackets."""
    found = {(check.subject, check.token): check for check in run.checks}
    lines: list[tuple[str, ...]] = [("CPU-ms", "opaque", *ALGORITHMS)]
    for subject in _SUBJECTS:
        cells = [found.get((subject, token)) for token in (OPAQUE, *ALGORITHMS)]
        if any(cells):
            lines.append((subject, *("" if cell is None else f"{cell.median:.4f} ({cell.best:.4f})" for cell in cells)))
    jwt = f"{TARGETS['JWT']:.3f}"
    return [*lines, ("goal", f"{TARGETS[OPAQUE]:.3f}", jwt, jwt, jwt)]


def main(arguments: Sequence[str]) -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m bench guard", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--samples", type=int, default=1000, help="tokens of each kind; one of them is checked once")
    given = parser.parse_args(arguments)
    run = run_guard(given.rounds, given.samples)
    print(render_table(render_guard_cells(run), text_columns=1))
    keep("guard", run.measured_at, run)
