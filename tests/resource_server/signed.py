"""An authorization server that publishes keys, and access tokens signed by them (RFC 9068)."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import httpx
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from tests.resource_server.fakes import ISSUER, NOW, RESOURCE, FakeServer

JWKS_URI = "https://login.test/oauth2/jwks/"
KEYS: dict[str, Any] = {
    "one": ("ES256", ECKey.generate_key("P-256")),
    "two": ("EdDSA", OKPKey.generate_key("Ed25519")),
    "three": ("RS256", RSAKey.generate_key(2048)),
    "other": ("ES256", ECKey.generate_key("P-256")),
}
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": RESOURCE,
    "sub": "user_1",
    "client_id": "oa2client_1",
    "organization_id": "orga_1",
    "grant_id": "grant_1",
    "scope": "contacts.read offline_access",
    "iat": NOW - 60,
    "exp": NOW + 60,
    "jti": "0a1b",
}


class KeyServer(FakeServer):
    """Serves a key set too; `fault` takes its place."""

    def __init__(self, *published: str) -> None:
        super().__init__()
        self.published = list(published or ("one",))
        self.headers = {"cache-control": "public, max-age=300"}
        self.fetched = 0
        self.fault: httpx.Response | Exception | None = None

    def _handle(self, request: httpx.Request) -> httpx.Response:
        if str(request.url) != JWKS_URI:
            return super()._handle(request)
        assert request.method == "GET"
        assert "authorization" not in request.headers
        self.fetched += 1
        if isinstance(self.fault, Exception):
            raise self.fault
        if self.fault is not None:
            return self.fault
        keys = [
            {**KEYS[name][1].as_dict(private=False), "kid": name, "alg": KEYS[name][0], "use": "sig"}
            for name in self.published
        ]
        return httpx.Response(200, json={"keys": keys}, headers=self.headers)


def sign(name: str = "one", header: dict[str, Any] | None = None, **claims: Any) -> str:
    algorithm, key = KEYS[name]
    given = {key: value for key, value in {**CLAIMS, **claims}.items() if value is not None}
    # By hand: no library would write some of these headers.
    text = f"{encode({'alg': algorithm, 'kid': name, 'typ': 'at+jwt', **(header or {})})}.{encode(given)}"
    signature = JWSRegistry.algorithms[algorithm].sign(text.encode(), key)
    return f"{text}.{urlsafe_b64encode(signature).decode().rstrip('=')}"


def encode(part: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
