"""States about keys, DPoP proofs and client certificates.

`${proof}` is a proof by the app's key for the token endpoint, now; a case makes what it needs by the state `proof`.
"""

from ipaddress import ip_address
from typing import Any, Final

import msgspec
from cryptography import x509

from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import ClientSecurity
from latchstring.protocol.client_certificate import certificate_thumbprint
from tests.conformance.given import STATES, World, _code, _state
from tests.support.certificates import make_certificate, render_rfc9440
from tests.support.journey import exchange
from tests.support.proofs import Prover, make_okp, make_rsa

# One of each for all cases: what a case is about is who proves what, not how keys are made.
_KEYS: Final = {
    "the app's key": Prover(),
    "another key": Prover(),
    "an RSA key": make_rsa("RS256"),
    "an RSA key for PSS": make_rsa("PS256"),
    "an Edwards key": make_okp(),
}
_APP_NAMES: Final = (
    x509.DNSName("client.app.example"),
    x509.UniformResourceIdentifier("spiffe://app.example/client"),
    x509.IPAddress(ip_address("2001:db8::7")),
    x509.RFC822Name("client@app.example"),
)
CERTIFICATES: Final = {"app": make_certificate("app", _APP_NAMES), "another": make_certificate("another")}
_PATHS: Final = {"token": "/oauth2/token/", "par": "/oauth2/par/"}


@_state("keys")
async def _keys(world: World) -> None:
    """`${jkt}` and `${another_jkt}` name them."""
    world.values["jkt"] = _KEYS["the app's key"].jkt
    world.values["another_jkt"] = _KEYS["another key"].jkt


@_state("proof")
async def _proof(
    world: World,
    *,
    name: str = "proof",
    by: str = "the app's key",
    signed_by: str | None = None,
    at: str = "token",
    method: str = "POST",
    access_token: str | None = None,
    header: str = "{}",
    claims: str = "{}",
) -> None:
    """`${proof}`, or another name. `at` is `token`, `par` or a URL; `header` and `claims` are JSON, in which null
    leaves a member out and a number behind `+` in `iat` is relative to now."""
    url = f"{world.values['issuer']}{_PATHS[at]}" if at in _PATHS else at
    now = world.deployment.clock.now
    changed: dict[str, Any] = msgspec.json.decode(claims)
    if isinstance(changed.get("iat"), str) and changed["iat"][:1] == "+":
        changed["iat"] = now + int(changed["iat"][1:])
    world.values[name] = _KEYS[by].prove(
        method,
        url,
        now=now,
        access_token=access_token,
        header=msgspec.json.decode(header),
        signed_by=None if signed_by is None else _KEYS[signed_by],
        **changed,
    )


@_state("code bound to the key")
async def _bound_code(world: World) -> None:
    await _code(world, dpop_jkt=_KEYS["the app's key"].jkt)


@_state("bound tokens")
async def _bound_tokens(world: World, *, by: str = "the app's key") -> None:
    """The code was redeemed with a proof by that key."""
    await _code(world)
    app = await world.app()
    with_verifier = {} if app.secret is not None else {"code_verifier": world.values["verifier"]}
    await _proof(world, by=by)
    http = world.browser("a program")
    http.headers["dpop"] = world.values["proof"]
    response = await exchange(http, app, world.values["code"], **with_verifier)
    del http.headers["dpop"]
    assert response.status_code == 200, response.text
    world.remember_tokens(response.json())


@_state("bound refreshed")
async def _bound_refreshed(world: World, *, by: str = "the app's key") -> None:
    """Refreshed with a proof by that key."""
    await _proof(world, by=by)
    app = await world.app()
    body = app.body(grant_type="refresh_token", refresh_token=world.values["refresh_token"])
    response = await world.browser("a program").post(
        "/oauth2/token/", data=body, headers={"dpop": world.values["proof"]}
    )
    assert response.status_code == 200, response.text
    world.remember_tokens(response.json())


@_state("certificates")
async def _certificates(world: World) -> None:
    """`${certificate}` is the app's as its proxy passes it on, with `${x5t}`; `${another_certificate}` is not."""
    world.values["x5t"] = certificate_thumbprint(CERTIFICATES["app"])
    world.values["certificate"] = render_rfc9440(CERTIFICATES["app"])
    world.values["another_certificate"] = render_rfc9440(CERTIFICATES["another"])


@_state("certificate tokens")
async def _certificate_tokens(world: World) -> None:
    """The code was redeemed with the app's certificate."""
    await _certificates(world)
    await _code(world)
    app = await world.app()
    with_verifier = {} if app.secret is not None else {"code_verifier": world.values["verifier"]}
    body = app.body(grant_type="authorization_code", code=world.values["code"], **with_verifier)
    headers = {"client-cert": world.values["certificate"]}
    response = await world.browser("a program").post("/oauth2/token/", data=body, headers=headers)
    assert response.status_code == 200, response.text
    world.remember_tokens(response.json())


# -- profiles


@_state("profile")
async def _profile(world: World, **security: Any) -> None:
    """The app is held to that from now on, past every check of registration."""
    app = await world.app()
    changed = msgspec.structs.replace(app.record, security=msgspec.convert(security, ClientSecurity))
    store, now = world.deployment.store, world.deployment.clock.now
    assert await store.update_client_security(changed, now=now) is Commit.APPLIED


@_state("fapi app")
async def _fapi_app(world: World) -> None:
    await STATES["key app"](world, profile="fapi2")


@_state("fapi code")
async def _fapi_code(world: World) -> None:
    """With the redirect URI, as it stands in a pushed request."""
    await _fapi_app(world)
    await _code(world, redirect_uri=world.values["redirect_uri"])


@_state("fapi tokens")
async def _fapi_tokens(world: World) -> None:
    """Redeemed with an assertion and a proof."""
    await _fapi_code(world)
    await STATES["assertion"](world)
    await _proof(world)
    values = world.values
    body = {
        "grant_type": "authorization_code",
        "code": values["code"],
        "redirect_uri": values["redirect_uri"],
        "code_verifier": values["verifier"],
        "client_assertion": values["assertion"],
        "client_assertion_type": values["jwt_bearer"],
    }
    http = world.browser("a program")
    response = await http.post("/oauth2/token/", data=body, headers={"dpop": values["proof"]})
    assert response.status_code == 200, response.text
    world.remember_tokens(response.json())
