"""Attacks that worked elsewhere, on the guard of every framework (SECURITY-CASES 2G, 2H)."""

import hmac
import json
import logging
from base64 import urlsafe_b64encode
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from joserfc.jws import JWSRegistry

from latchstring.protocol.errors import ConfigurationError
from tests.resource_server.fakes import (
    ACTIVE,
    Api,
    FakeServer,
    browse,
    browse_wsgi,
    make_guard,
    make_sync_guard,
)
from tests.resource_server.signed import CLAIMS, KEYS, KeyServer, encode, sign
from tests.resource_server.sites import Site

HEAD: dict[str, Any] = {"alg": "ES256", "kid": "one", "typ": "at+jwt"}
PUBLIC = KEYS["one"][1]


def text(claims: dict[str, Any] | None = None, **header: Any) -> str:
    return f"{encode(HEAD | header)}.{encode(CLAIMS if claims is None else claims)}"


def attach(signed: str, signature: bytes) -> str:
    return f"{signed}.{urlsafe_b64encode(signature).decode().rstrip('=')}"


def by_hmac(secret: bytes) -> str:
    signed = text(alg="HS256")
    return attach(signed, hmac.digest(secret, signed.encode(), "sha256"))


def leave_unsigned(alg: str | None) -> str:
    return f"{text(alg=alg)}."


def by_own_key(**header: Any) -> str:
    """Signed by the attacker's key, which the header brings along."""
    signed = text(**header)
    return attach(signed, JWSRegistry.algorithms["ES256"].sign(signed.encode(), KEYS["other"][1]))


def sealed(**header: Any) -> str:
    """An encrypted JWT of five parts, whatever lies in it."""
    return ".".join([encode(header), "", encode({}), encode({"x": "y" * 200}), encode({})])


OWN_JWK = KEYS["other"][1].as_dict(private=False)
TOKENS: dict[str, Callable[[], str]] = {
    "CVE-2026-27962 the key lies in the header": lambda: by_own_key(jwk=OWN_JWK),
    "CVE-2026-27962 and is named for ours": lambda: by_own_key(jwk=OWN_JWK | {"kid": "one"}),
    "CVE-2026-49478 keys are fetched from where the header says": lambda: by_own_key(jku="https://evil.test/jwks"),
    **{
        f"CVE-2026-28802, CVE-2020-26244 alg {alg!r}": partial(leave_unsigned, alg)
        for alg in ("none", "None", "NONE", "nOnE", "", None)
    },
    "CVE-2026-28802 alg none with a signature": lambda: attach(text(alg="none"), b"x" * 64),
    "CVE-2025-59420, CVE-2026-32597 unknown crit": lambda: sign(header={"crit": ["bork"], "bork": 1}),
    "CVE-2025-59420 crit without its header": lambda: sign(header={"crit": ["bork"]}),
    "CVE-2025-59420 empty crit": lambda: sign(header={"crit": []}),
    "CVE-2024-37568, CVE-2022-29217, CVE-2017-11424 HMAC with the public key's PEM": lambda: by_hmac(
        PUBLIC.as_pem(private=False)
    ),
    "CVE-2024-33663, CVE-2026-48526, GO-2026-4779 HMAC with its DER": lambda: by_hmac(PUBLIC.as_der(private=False)),
    "CVE-2024-37568 HMAC with its JWK": lambda: by_hmac(json.dumps(PUBLIC.as_dict(private=False)).encode()),
    "CVE-2026-49852, CVE-2026-45363 HMAC with an empty key": lambda: by_hmac(b""),
    "CVE-2026-49852 HMAC with a null byte": lambda: by_hmac(b"\0"),
    "CVE-2026-48523 an algorithm of another key": lambda: sign("other", header={"kid": "one", "alg": "RS256"}),
    "CVE-2026-48523 an algorithm of nobody's list": lambda: sign("other", header={"kid": "one", "alg": "ES256K"}),
    "CVE-2022-21449 a signature of zeros": lambda: attach(text(), bytes(64)),
    "CVE-2025-61920 a header without an end": lambda: sign(header={"x": "y" * 7000}),
    "CVE-2025-61920 a token without an end": lambda: sign(x="y" * 9000),
    "CVE-2025-62706, CVE-2024-33664, CVE-2023-6681 a compressed bomb": lambda: sealed(
        alg="dir", enc="A128GCM", zip="DEF"
    ),
    "CVE-2026-27932, CVE-2026-48525 a billion iterations": lambda: sealed(
        alg="PBES2-HS256+A128KW", enc="A128GCM", p2c=10**9, p2s="AAAA"
    ),
    "CVE-2026-28490 RSA1_5": lambda: sealed(alg="RSA1_5", enc="A128GCM"),
    "CVE-2026-34986 an encrypted key of nothing": lambda: sealed(alg="A128GCMKW", enc="A128GCM"),
    "a zip in a signed one": lambda: sign(header={"zip": "DEF"}),
    "unencoded payload": lambda: sign(header={"b64": False, "crit": ["b64"]}),
    "nested without an end": lambda: f"{urlsafe_b64encode(b'[' * 2000).decode()}.{encode({})}.AAAA",
    "CVE-2026-23990 no claims": lambda: attach(
        text({}), JWSRegistry.algorithms["ES256"].sign(text({}).encode(), KEYS["one"][1])
    ),
    "CVE-2026-23990 empty claims": lambda: sign(sub="", client_id="", organization_id="", iss="", aud="", jti=""),
    "CVE-2026-55076 a time in words": lambda: sign(exp="9999999999"),
    "CVE-2026-55076 true for a time": lambda: sign(exp=True),
}


@pytest.mark.parametrize("make", TOKENS.values(), ids=TOKENS)
async def test_forged_token_is_invalid_and_no_part_of_it_is_logged(site: Site, make, caplog):
    """CVE-2025-65015, CVE-2025-61920: what is refused is not written down either."""
    token = make()
    with caplog.at_level(logging.DEBUG):
        answer = await site.bear(token)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
    assert site.server.fetched <= 1
    parts = [part for part in token.split(".") if len(part) > 12]
    assert not [part for part in parts if part in caplog.text or part in answer.text]


@pytest.mark.parametrize("make", [make_guard, make_sync_guard])
@pytest.mark.parametrize(
    "uri", ["file:///etc/passwd", "ftp://login.test/jwks", "data:application/json,{}", "jwks.json"]
)
def test_keys_that_are_no_https_document_refuse_to_start(make, uri):
    """CVE-2026-48522."""
    with pytest.raises(ConfigurationError, match="jwks_uri"):
        make(KeyServer(), jwks_uri=uri)


# -- around the token: paths and headers that others were talked round by

EXEMPT = "/health"
AROUND: dict[str, tuple[str, dict[str, str]]] = {
    "CVE-2025-64484 a name with underscores": ("/read", {"X_Forwarded_User": "ann", "Authorization_": "Bearer good"}),
    "CVE-2025-54576 the skipped path in the query": ("/read?/health", {}),
    "CVE-2025-54576 and escaped": ("/read?x=%2Fhealth", {}),
    "CVE-2026-40575 another path told by a header": ("/read", {"X-Forwarded-Uri": EXEMPT, "X-Original-Url": EXEMPT}),
    "CVE-2026-34457 the agent of a health check": ("/read", {"User-Agent": "kube-probe/1.30", "X-Health": "1"}),
    "CVE-2026-41059 a fragment, escaped": ("/health%23/read", {}),
    "CVE-2026-41059 dots": ("/health/../read", {}),
    "dots, escaped": ("/health/%2e%2e/read", {}),
    "a parameter": ("/health;/read", {}),
    "two slashes": ("//health", {}),
    "a slash behind": ("/health/", {}),
    "capitals": ("/HEALTH", {}),
    "a null byte": ("/health%00", {}),
    "the method overridden": ("/read", {"X-HTTP-Method-Override": "OPTIONS"}),
    "another's word for the user": ("/read", {"X-Forwarded-User": "ann", "X-Forwarded-Email": "a@b@c.example"}),
}


def build_wsgi() -> Any:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"in"]

    return browse_wsgi(make_sync_guard(FakeServer()).wsgi(app, exempt={EXEMPT}))


def build_asgi() -> Any:
    return browse(make_guard(FakeServer()).asgi(Api(), exempt={EXEMPT}))


@pytest.mark.parametrize("build", [build_asgi, build_wsgi])
@pytest.mark.parametrize("path, headers", AROUND.values(), ids=AROUND)
async def test_guard_is_not_talked_round_by_paths_and_headers(build, path, headers):
    async with build() as http:
        assert (await http.get(EXEMPT)).status_code == 200
        assert (await http.get(f"https://api.test{path}", headers=headers)).status_code == 401


@pytest.mark.parametrize("path, headers", AROUND.values(), ids=AROUND)
async def test_endpoint_of_a_framework_is_not_reached_by_paths_and_headers(site: Site, path, headers):
    """Where each endpoint says what it needs, and one of them needs nothing: whatever the framework makes of the path,
    it is the open one, none at all, or refused."""
    answer = await site.call(
        *headers.items(), path=f"https://api.test{path.replace(EXEMPT, '/open').replace('HEALTH', 'OPEN')}"
    )
    assert (await site.call(path="/open")).text == "open"
    if path.startswith("/read"):
        assert answer.status_code == 401
    else:
        assert (answer.status_code, answer.text) == (200, "open") or answer.status_code in {301, 307, 308, 401, 404}
        assert "location" not in answer.headers or not answer.headers["location"].endswith("read")


async def test_access_is_kept_nowhere_between_requests(site: Site):
    """CVE-2026-25536, CVE-2026-33544: one guard for everybody, and nobody's access is another's."""
    site.server.tokens |= {"ann": ACTIVE | {"user_id": "ann"}, "ben": ACTIVE | {"user_id": "ben"}}
    assert (await site.bear("ann")).text.startswith("ann ")
    assert (await site.call()).status_code == 401
    assert (await site.bear("ben")).text.startswith("ben ")
    assert (await site.bear("nobody")).status_code == 401
