"""DPoP and client certificates at a guarded API (S11 to S16; RFC 9449 §7, RFC 8705 §3)."""

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from latchstring.protocol.client_certificate import certificate_thumbprint
from latchstring.protocol.errors import ConfigurationError
from latchstring.resource_server import Dpop
from latchstring.resource_server.guarding import render_path
from latchstring.resource_server.refusal import Refusal
from latchstring.resource_server.replay import ProcessMemory
from tests.resource_server.fakes import ACTIVE, METADATA_URL, NOW, Api, FakeServer, browse, make_guard
from tests.support.certificates import make_certificate, render_nginx, render_rfc9440
from tests.support.proofs import Prover

KEY, OTHER = Prover(), Prover()
URL = "https://api.test/contacts"
BOUND = ACTIVE | {"token_type": "DPoP", "cnf": {"jkt": KEY.jkt}}
ALGORITHMS = "ES256 EdDSA Ed25519 PS256 RS256"
SECRET = "a secret of thirty-two characters"
DER = make_certificate()


def prove(prover: Prover = KEY, *, method: str = "GET", url: str = URL, **given: Any) -> str:
    return prover.prove(method, url, **{"now": NOW, "access_token": "bound", **given})


def build(**overrides: Any) -> tuple[FakeServer, Api, Any]:
    server, api = FakeServer(), Api()
    server.tokens["bound"] = BOUND
    return server, api, make_guard(server, **overrides).asgi(api)


async def call(app: Any, *proofs: str, scheme: str = "DPoP", token: str = "bound", path: str = "/contacts") -> Any:
    headers = [("authorization", f"{scheme} {token}"), *(("dpop", proof) for proof in proofs)]
    async with browse(app) as http:
        return await http.get(path, headers=headers)


def challenged(response: Any, code: str, scheme: str = "DPoP") -> None:
    assert response.status_code == 401, response.text
    [challenge] = response.headers.get_list("www-authenticate")
    assert challenge.startswith(f'{scheme} realm="api.test", error="{code}", error_description="'), challenge
    assert (f'algs="{ALGORITHMS}"' in challenge) == (scheme == "DPoP")
    assert challenge.endswith(f'resource_metadata="{METADATA_URL}"')
    assert response.json()["error"] == code
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("scheme", ["DPoP", "dpop", "DPOP"])
async def test_bound_token_with_its_proof_reaches_the_api(scheme):
    _, api, app = build()
    response = await call(app, prove(), scheme=scheme)
    assert (response.status_code, response.text) == (200, "hello")
    assert "dpop-nonce" not in response.headers
    assert api.seen[0] is not None
    assert api.seen[0].user_id == "user_1"


@pytest.mark.parametrize(
    "proofs",
    [
        pytest.param((), id="none"),
        pytest.param((prove(), prove()), id="two-headers"),
        pytest.param((prove() + "," + prove(),), id="two-joined"),
        pytest.param(("",), id="empty"),
        pytest.param((prove(header={"typ": "JWT"}),), id="typ"),
        pytest.param((prove(header={"alg": "HS256"}),), id="alg"),
        pytest.param((prove(header={"jwk": None}),), id="jwk-missing"),
        pytest.param((prove(header={"jwk": KEY.key.as_dict(private=True)}),), id="jwk-private"),
        pytest.param((prove(method="POST"),), id="htm"),
        pytest.param((prove(url="https://api.test/other"),), id="htu-path"),
        pytest.param((prove(url="https://other.test/contacts"),), id="htu-host"),
        pytest.param((prove(access_token=None),), id="ath-missing"),
        pytest.param((prove(access_token="good"),), id="ath-other"),
        pytest.param((prove(iat=NOW - 61),), id="iat-past"),
        pytest.param((prove(iat=NOW + 11),), id="iat-future"),
        pytest.param((prove(iat=None),), id="iat-missing"),
        pytest.param((prove(jti=None),), id="jti-missing"),
        pytest.param((prove(signed_by=OTHER),), id="signed-by-another-key"),
    ],
)
async def test_s11_bad_proof_is_refused_before_the_server_is_asked(proofs):
    server, api, app = build()
    challenged(await call(app, *proofs), "invalid_dpop_proof")
    assert (server.asked, api.seen) == ([], [])


async def test_s11_proof_by_another_key_than_the_token_s_is_refused():
    _, api, app = build()
    challenged(await call(app, prove(OTHER)), "invalid_dpop_proof")
    assert api.seen == []


async def test_s12_bound_token_as_bearer_is_refused_with_a_dpop_challenge():
    """CVE-2024-49755: with or without a proof beside it."""
    _, api, app = build()
    challenged(await call(app, scheme="Bearer"), "invalid_token")
    challenged(await call(app, prove(), scheme="Bearer"), "invalid_token")
    assert api.seen == []


async def test_unbound_token_with_a_proof_is_refused():
    _, api, app = build()
    challenged(await call(app, prove(access_token="good"), token="good"), "invalid_token", "Bearer")
    assert api.seen == []


@pytest.mark.parametrize(
    "url, path",
    [
        ("HTTPS://API.TEST:443/contacts", "/contacts"),
        (URL + "?a=1#b", "/contacts"),
        (URL, "/contacts?page=2"),
        ("https://api.test/%7Eann/a%20b", "/~ann/a%20b"),
        ("https://api.test/caf%c3%a9", "/caf%C3%A9"),
        ("https://api.test", "/"),
    ],
)
async def test_s13_htu_is_compared_as_a_url(url, path):
    _, _, app = build()
    assert (await call(app, prove(url=url), path=path)).status_code == 200


async def test_s13_htu_is_of_the_url_that_clients_see():
    """Behind a proxy that takes a prefix off."""
    _, _, app = build(dpop=Dpop(public_url="https://public.test/crm/"))
    assert (await call(app, prove(url="https://public.test/crm/contacts"))).status_code == 200
    challenged(await call(app, prove()), "invalid_dpop_proof")


async def test_path_without_its_raw_form_is_what_a_client_signs():
    server, _, _ = build()
    guard = make_guard(server)
    scope = {"type": "http", "method": "GET", "path": "/a b/é", "query_string": b"", "headers": [
        (b"authorization", b"DPoP bound"), (b"dpop", prove(url="https://api.test/a%20b/%C3%A9").encode())
    ]}  # fmt: skip
    assert (await guard.admit(scope)).user_id == "user_1"
    assert render_path("/a b/é/~x") == "/a%20b/%C3%A9/~x"


async def test_s15_proof_counts_once():
    _, api, app = build()
    proof = prove()
    assert (await call(app, proof)).status_code == 200
    challenged(await call(app, proof), "invalid_dpop_proof")
    assert len(api.seen) == 1


async def test_s15_proof_sent_many_times_at_once_counts_once():
    _, api, app = build()
    proof = prove()
    answers = await asyncio.gather(*(call(app, proof) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200, *[401] * 9]
    assert len(api.seen) == 1


async def test_s15_proof_that_was_refused_for_its_token_is_not_used_up():
    """Consume last: the same proof is good once the token is."""
    server, _, app = build()
    server.tokens["bound"] = BOUND | {"active": False}
    proof = prove()
    assert (await call(app, proof)).json()["error"] == "invalid_token"
    server.tokens["bound"] = BOUND
    assert (await call(app, proof)).status_code == 200


async def test_s15_memory_shared_by_processes_is_asked():
    memory = ProcessMemory()
    _, _, first = build(dpop=Dpop(memory=memory))
    _, _, second = build(dpop=Dpop(memory=memory))
    proof = prove()
    assert (await call(first, proof)).status_code == 200
    challenged(await call(second, proof), "invalid_dpop_proof")


async def test_process_memory_forgets_what_has_expired_and_refuses_when_full():
    memory = ProcessMemory(max_remembered=2)
    for digest in (b"a", b"b"):
        assert await memory.use_once(digest, expires_at=NOW + 10, now=NOW)
    assert not await memory.use_once(b"a", expires_at=NOW + 19, now=NOW + 9)
    with pytest.raises(Refusal) as refused:
        await memory.use_once(b"c", expires_at=NOW + 19, now=NOW + 9)
    assert (refused.value.status, refused.value.code) == (503, "temporarily_unavailable")
    assert await memory.use_once(b"a", expires_at=NOW + 20, now=NOW + 10)
    assert await memory.use_once(b"c", expires_at=NOW + 20, now=NOW + 10)


# -- nonces


async def test_s14_nonce_demanded_is_given_out_once_and_then_taken():
    server, api, app = build(dpop=Dpop(nonce_secret=SECRET))
    refused = await call(app, prove())
    challenged(refused, "use_dpop_nonce")
    [nonce] = refused.headers.get_list("dpop-nonce")
    assert server.asked == []
    taken = await call(app, prove(nonce=nonce))
    assert taken.status_code == 200
    assert taken.headers.get_list("dpop-nonce") == [nonce]
    challenged(await call(app, prove()), "use_dpop_nonce")
    assert len(api.seen) == 1


async def test_s14_nonce_of_another_process_with_the_same_secret_is_taken():
    _, _, first = build(dpop=Dpop(nonce_secret=SECRET))
    _, _, second = build(dpop=Dpop(nonce_secret=SECRET))
    _, _, stranger = build(dpop=Dpop(nonce_secret=SECRET[::-1]))
    nonce = (await call(first, prove())).headers["dpop-nonce"]
    assert (await call(second, prove(nonce=nonce))).status_code == 200
    challenged(await call(stranger, prove(nonce=nonce)), "use_dpop_nonce")


# -- where DPoP is required


async def test_f2_unbound_token_where_bound_ones_are_required_is_refused():
    _, api, app = build(dpop=Dpop(is_required=True))
    challenged(await call(app, scheme="Bearer", token="good"), "invalid_token")
    assert (await call(app, prove())).status_code == 200
    assert len(api.seen) == 1


async def test_s1_no_credentials_where_dpop_is_required_is_challenged_so():
    _, _, app = build(dpop=Dpop(is_required=True))
    async with browse(app) as http:
        response = await http.get("/")
    expected = f'DPoP realm="api.test", algs="{ALGORITHMS}", resource_metadata="{METADATA_URL}"'
    assert (response.status_code, response.headers["www-authenticate"]) == (401, expected)


async def test_s21_metadata_says_what_of_dpop_is_taken():
    _, _, plain = build()
    _, _, strict = build(dpop=Dpop(is_required=True), client_certificate_header="c", trusted_proxy_networks=["::1"])
    async with browse(plain) as http:
        document = (await http.get(METADATA_URL)).json()
    assert document["dpop_signing_alg_values_supported"] == ALGORITHMS.split(" ")
    assert "dpop_bound_access_tokens_required" not in document
    async with browse(strict) as http:
        document = (await http.get(METADATA_URL)).json()
    assert document["dpop_bound_access_tokens_required"] is True
    assert document["tls_client_certificate_bound_access_tokens"] is True


@pytest.mark.parametrize(
    "options, named",
    [({"nonce_secret": "short"}, "nonce_secret"), ({"public_url": "http://api.test"}, "public_url")],
)
def test_dpop_options_that_cannot_be_are_refused(options, named):
    with pytest.raises(ConfigurationError, match=named):
        Dpop(**options)


def test_dpop_options_hide_their_secret():
    assert SECRET not in repr(Dpop(nonce_secret=SECRET))


# -- certificates


def build_mtls(**overrides: Any) -> tuple[FakeServer, Api, Any]:
    options = {"client_certificate_header": "Client-Cert", "trusted_proxy_networks": ["10.0.0.0/8"], **overrides}
    server, api, app = build(**options)
    server.tokens["bound"] = ACTIVE | {"cnf": {"x5t#S256": certificate_thumbprint(DER)}}
    return server, api, app


async def send(app: Any, peer: str, *certificates: str, extensions: Any = None) -> tuple[int, bytes]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send_message(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", b"Bearer bound"), *((b"client-cert", value.encode()) for value in certificates)]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers,
             "client": (peer, 1), "extensions": extensions}  # fmt: skip
    await app(scope, receive, send_message)
    return sent[0]["status"], dict(sent[0]["headers"]).get(b"www-authenticate", b"")


@pytest.mark.parametrize("render", [render_rfc9440, render_nginx])
async def test_s16_certificate_of_the_token_through_the_trusted_proxy_is_taken(render):
    _, api, app = build_mtls()
    assert (await send(app, "10.0.0.1", render(DER)))[0] == 200
    assert len(api.seen) == 1


@pytest.mark.parametrize(
    "peer, certificates",
    [
        pytest.param("10.0.0.1", [], id="none"),
        pytest.param("10.0.0.1", [""], id="empty"),
        pytest.param("10.0.0.1", [render_rfc9440(make_certificate("another"))], id="another"),
        pytest.param("203.0.113.9", [render_rfc9440(DER)], id="from-a-stranger"),
    ],
)
async def test_s16_certificate_missing_other_or_from_a_stranger_is_invalid_token(peer, certificates):
    _, api, app = build_mtls()
    status, challenge = await send(app, peer, *certificates)
    assert (status, challenge.startswith(b'Bearer realm="api.test", error="invalid_token"')) == (401, True)
    assert api.seen == []


async def test_s16_certificate_twice_or_unreadable_is_a_bad_request():
    _, api, app = build_mtls()
    for certificates in ([render_rfc9440(DER)] * 2, ["nonsense"]):
        assert (await send(app, "10.0.0.1", *certificates))[0] == 400
    assert api.seen == []


async def test_s16_certificate_without_the_setting_is_ignored():
    server, api, app = build()
    server.tokens["bound"] = ACTIVE | {"cnf": {"x5t#S256": certificate_thumbprint(DER)}}
    assert (await send(app, "10.0.0.1", render_rfc9440(DER)))[0] == 401
    assert api.seen == []


async def test_s16_certificate_that_the_server_itself_has_seen_is_taken():
    """The ASGI extension `tls`: PEM, the client's own first."""
    from base64 import encodebytes

    server, api, app = build()
    server.tokens["bound"] = ACTIVE | {"cnf": {"x5t#S256": certificate_thumbprint(DER)}}
    pem = f"-----BEGIN CERTIFICATE-----\n{encodebytes(DER).decode()}-----END CERTIFICATE-----\n"
    assert (await send(app, "203.0.113.9", extensions={"tls": {"client_cert_chain": [pem]}}))[0] == 200
    assert (await send(app, "203.0.113.9", extensions={"tls": {"client_cert_chain": []}}))[0] == 401
    assert len(api.seen) == 1


@pytest.mark.parametrize(
    "given", [{"client_certificate_header": "Client-Cert"}, {"trusted_proxy_networks": ["10.0.0.0/8"]}]
)
def test_s16_guard_with_half_a_certificate_source_is_refused(given):
    with pytest.raises(ConfigurationError, match="belong together"):
        make_guard(FakeServer(), **given)


# -- without joserfc

_WITHOUT_JOSERFC = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"joserfc", "cryptography"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
from latchstring.protocol.errors import ConfigurationError
from latchstring.resource_server import Dpop, Guard
from latchstring.resource_server.possession import Sent
from latchstring.resource_server.refusal import Refusal

given = dict(
    issuer="https://login.test", introspection_endpoint="https://login.test/i", client_id="a", client_secret="b",
    resource="https://api.test",
)
guard = Guard(**given)
assert b"dpop" not in guard.render_metadata()
try:
    Guard(**given, dpop=Dpop())
except ConfigurationError as error:
    print(error)
import asyncio
try:
    asyncio.run(guard.check([b"DPoP abc"], sent=Sent(method="GET", path="/")))
except Refusal as refused:
    print(refused.status, refused.reason)
"""


def test_guard_without_joserfc_works_and_says_what_is_missing():
    done = subprocess.run([sys.executable, "-c", _WITHOUT_JOSERFC], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    asked, refused = done.stdout.splitlines()
    assert asked == "Guard: DPoP needs joserfc. Install it with: pip install 'latchstring[jwt]'."
    assert refused.startswith("503 ")
    assert "latchstring[jwt]" in refused
