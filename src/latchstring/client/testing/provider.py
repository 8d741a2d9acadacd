"""A small OAuth provider for tests: rotation with a retry window, as RFC 9700 §4.14 allows it, and faults on demand."""

import random
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, Self
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

from latchstring.client.testing.carriers import ProviderTransport, serving
from latchstring.client.testing.faults import (
    AnyFault,
    Delay,
    Dropped,
    Fault,
    OpenIDFault,
    Reply,
    refusal,
    render_reply,
)
from latchstring.protocol.client_metadata import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    DEVICE_CODE,
    REFRESH_TOKEN,
    TOKEN_EXCHANGE,
)
from latchstring.protocol.pkce import verify_code_verifier
from latchstring.protocol.token_exchange import ACCESS_TOKEN_TYPE


@dataclass
class Grant:
    """What one person allowed. `status` is `pending` until the code is redeemed, then `active`, then `ended`.

    `lost_answers` counts the answers to refreshes that never reached the client.
    """

    id: str
    organization_id: str
    user_id: str
    scope: str
    code_challenge: str | None
    redirect_uri: str
    generation: int = 0
    rotated_at: float = 0.0
    status: str = "pending"
    lost_answers: int = 0
    nonce: str | None = None
    signed_in_at: float = 0.0


@dataclass
class FakeProvider:
    """State to look at and switches to set, at any time. Times are in seconds.

    `faults` are spent one by one, in order, on requests for tokens and revocations; `answer_drop_rate` loses that
    share of the answers by chance (`seed`). `retry_window`: how long a refresh token that was just replaced still
    gets its successor. `latency`: before every request. `clock_skew`: how far the provider's clock is ahead; its
    tokens end that much earlier if it is set after they were issued. `expires_in` is said in answers as it is,
    None leaves it out. A `client_secret` of "" makes it a public client.

    Where the scope has `openid` it is an OpenID Provider: its ID tokens and its userinfo say `claims` besides the
    `sub`, which is the user's id. `id_token_faults` and `userinfo_faults` are spent one by one, in order. Needs
    joserfc.
    """

    issuer: str = "https://provider.example"
    client_id: str = "oa2client_mailloop"
    client_secret: str = "ls_cs_TheSecretThatIsNeverShown0001"
    clock: Callable[[], float] = time.time
    clock_skew: float = 0.0
    retry_window: float = 60.0
    expires_in: Any = 3600
    latency: float = 0.0
    announces_iss: bool = True
    organization_override: str | None = None
    claims: dict[str, Any] = field(default_factory=dict)
    id_token_faults: list[OpenIDFault] = field(default_factory=list)
    userinfo_faults: list[OpenIDFault] = field(default_factory=list)
    key_generation: int = 1
    faults: list[AnyFault] = field(default_factory=list)
    answer_drop_rate: float = 0.0
    seed: int = 0
    grants: dict[str, Grant] = field(default_factory=dict)
    devices: dict[str, Grant] = field(default_factory=dict)
    access_tokens: dict[str, tuple[str, float]] = field(default_factory=dict)
    dead_access_tokens: set[str] = field(default_factory=set)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    refreshes: int = 0
    in_flight: int = 0
    most_in_flight: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._serial = 0
        self._chance = random.Random(self.seed)  # noqa: S311

    def now(self) -> float:
        """What the provider takes for the time."""
        return self.clock() + self.clock_skew

    # what people do -----------------------------------------------------------------------------------------

    def authorize(
        self, url: str, *, organization_id: str = "orga_acorn", user_id: str = "user_ann", allow: bool = True
    ) -> str:
        """The callback URL that the browser is sent to after Allow or Decline; raises `ValueError` for a URL that
        no browser should have been sent to."""
        query = dict(parse_qsl(urlsplit(url).query))
        if query.get("client_id") != self.client_id or query.get("response_type") != "code":
            raise ValueError("this is no authorization request of the client")
        if "redirect_uri" not in query:
            raise ValueError("the authorization request has no redirect_uri")
        answer = {"state": query["state"]} if "state" in query else {}
        if self.announces_iss:
            answer["iss"] = self.issuer
        if not allow:
            said = {"error": "access_denied", "error_description": "The member declined."}
            return f"{query['redirect_uri']}?{urlencode(said | answer)}"
        with self._lock:
            grant_id = self._next("g")
            self.grants[grant_id] = Grant(
                grant_id,
                organization_id,
                user_id,
                query.get("scope", "all.full_access offline_access"),
                query.get("code_challenge"),
                query["redirect_uri"],
                nonce=query.get("nonce"),
                signed_in_at=self.now(),
            )
        return f"{query['redirect_uri']}?{urlencode({'code': f'ls_ac_{grant_id}'} | answer)}"

    def answer_device(
        self, user_code: str, *, organization_id: str = "orga_acorn", user_id: str = "user_ann", allow: bool = True
    ) -> None:
        """A person enters the code that a device shows, and allows or declines."""
        with self._lock:
            device = self.devices[user_code]
            device.organization_id, device.user_id = organization_id, user_id
            device.signed_in_at = self.now()
            device.status = "active" if allow else "ended"

    def revoke(self) -> None:
        """Every person disconnects the app, here and now."""
        with self._lock:
            for grant in self.grants.values():
                grant.status = "ended"

    def rotate(self) -> None:
        """Somebody else, with the same refresh tokens, refreshes every grant."""
        with self._lock:
            for grant in self.grants.values():
                if grant.status == "active":
                    self._advance(grant)

    def rotate_keys(self) -> None:
        """From now on the provider signs with another key, and publishes that one alone."""
        self.key_generation += 1

    # the wire ---------------------------------------------------------------------------------------------

    def handle(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """The answer to one request; raises `Dropped` where there is none."""
        path = urlsplit(target).path
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        with self._lock:
            self.requests.append((path, form))
            self.in_flight += method == "POST"
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.latency:
                time.sleep(self.latency)
            status, answer_headers, answer = self._route(method, target, headers, form)
            return status, {"Date": formatdate(self.now(), usegmt=True), **answer_headers}, answer
        finally:
            with self._lock:
                self.in_flight -= method == "POST"

    def metadata(self) -> dict[str, Any]:
        """The document at the issuer's well-known place (RFC 8414)."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/oauth2/authorize/",
            "token_endpoint": f"{self.issuer}/oauth2/token/",
            "revocation_endpoint": f"{self.issuer}/oauth2/revoke/",
            "device_authorization_endpoint": f"{self.issuer}/oauth2/device_authorization/",
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": self.announces_iss,
            "jwks_uri": f"{self.issuer}/oauth2/keys/",
            "userinfo_endpoint": f"{self.issuer}/oauth2/userinfo/",
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def _route(self, method: str, target: str, headers: dict[str, str], form: dict[str, str]) -> Reply:
        path = urlsplit(target).path
        if method == "GET" and path == "/.well-known/oauth-authorization-server":
            return render_reply(200, self.metadata())
        if path.startswith("/api/") or path == "/oauth2/userinfo/":
            return self._api(path, headers)
        if method == "GET" and path == "/oauth2/keys/":
            from latchstring.client.testing.openid import render_keys

            return render_keys(self.key_generation)
        if method == "GET" and path == "/oauth2/authorize/":
            try:
                return 303, {"Location": self.authorize(target)}, b""
            except ValueError as error:
                return refusal(400, "invalid_request", str(error))
        answers = {
            "/oauth2/token/": self._token,
            "/oauth2/revoke/": self._revoke,
            "/oauth2/device_authorization/": self._authorize_device,
        }
        answer = answers.get(path)
        if method != "POST" or answer is None:
            return refusal(404, "not_found", "The fake provider has no such page.")
        return self._answer(answer, headers, form)

    def _answer(
        self, answer: Callable[[dict[str, str]], Reply], headers: dict[str, str], form: dict[str, str]
    ) -> Reply:
        """The answer, spoiled by the fault whose turn it is."""
        with self._lock:
            fault = self.faults.pop(0) if self.faults else None
            if isinstance(fault, tuple):
                return fault
            if fault is Fault.DROP_REQUEST:
                raise Dropped(processed=False)
            if not self._knows(headers, form):
                return refusal(401, "invalid_client", "The client secret is wrong.")
            grant = self._find_grant(form)
            if fault is Fault.ROTATE and grant is not None:
                self._advance(grant)
            reply = answer(form)
            if fault is Fault.DOUBLE:
                reply = answer(form)
            if fault is Fault.REVOKE and grant is not None:
                grant.status = "ended"
            if fault is Fault.DROP_ANSWER or self._chance.random() < self.answer_drop_rate:
                if grant is not None and "refresh_token" in form:
                    grant.lost_answers += 1
                raise Dropped(processed=True)
        if isinstance(fault, Delay):
            time.sleep(fault.seconds)
        return reply

    def _knows(self, headers: dict[str, str], form: dict[str, str]) -> bool:
        """Whether it is the client, by its secret in the body or by Basic (RFC 6749 §2.3.1)."""
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        client_id, secret = form.get("client_id"), form.get("client_secret", "")
        if scheme.lower() == "basic":
            try:
                pair = b64decode(credentials, validate=True).decode("ascii").partition(":")
            except ValueError:
                return False
            client_id, secret = unquote_plus(pair[0]), unquote_plus(pair[2])
        return (client_id, secret) == (self.client_id, self.client_secret)

    def _token(self, form: dict[str, str]) -> Reply:
        grant_type = form.get("grant_type")
        if grant_type == AUTHORIZATION_CODE:
            return self._redeem(form)
        if grant_type == DEVICE_CODE:
            return self._poll(form)
        if grant_type in {CLIENT_CREDENTIALS, TOKEN_EXCHANGE}:
            return self._issue_without_a_person(form)
        if grant_type != REFRESH_TOKEN:
            return refusal(400, "unsupported_grant_type", "The fake provider knows no such grant.")
        self.refreshes += 1
        grant, generation = self._find_grant(form), _read_generation(form.get("refresh_token", ""))
        if grant is None or generation is None:
            return refusal(400, "invalid_grant", "unknown: there never was such a refresh token.")
        if grant.status != "active":
            return refusal(400, "invalid_grant", "revoked: a person disconnected the app.")
        if generation == grant.generation:
            self._advance(grant)
        elif generation != grant.generation - 1 or self.now() - grant.rotated_at >= self.retry_window:
            grant.status = "ended"
            return refusal(400, "invalid_grant", "superseded: an old refresh token was used again.")
        return self._issue(grant)

    def _authorize_device(self, form: dict[str, str]) -> Reply:
        grant_id = self._next("d")
        user_code = f"WDJB-{len(self.devices):04}"
        scope = form.get("scope", "all.full_access offline_access")
        self.devices[user_code] = Grant(grant_id, form.get("organization_id", ""), "", scope, None, "")
        uri = f"{self.issuer}/device"
        answer = {
            "device_code": f"ls_dc_{grant_id}",
            "user_code": user_code,
            "verification_uri": uri,
            "verification_uri_complete": f"{uri}?user_code={user_code}",
            "expires_in": 600,
            "interval": 5,
        }
        return render_reply(200, answer)

    def _poll(self, form: dict[str, str]) -> Reply:
        grant_id = form.get("device_code", "").removeprefix("ls_dc_")
        grant = next((device for device in self.devices.values() if device.id == grant_id), None)
        if grant is None:
            return refusal(400, "invalid_grant", "There never was such a device code.")
        if grant.status == "pending":
            return refusal(400, "authorization_pending", "Nobody has answered yet.")
        if grant.status == "ended":
            return refusal(400, "access_denied", "The member declined.")
        del self.devices[next(code for code, device in self.devices.items() if device is grant)]
        grant.generation = 1
        self.grants[grant.id] = grant
        return self._issue(grant)

    def _issue_without_a_person(self, form: dict[str, str]) -> Reply:
        grant = Grant(self._next("c"), form.get("organization_id") or "orga_acorn", "", form.get("scope", ""), None, "")
        if form["grant_type"] == TOKEN_EXCHANGE:
            subject = self.grants.get(self.access_tokens.get(form.get("subject_token", ""), ("", 0.0))[0])
            if subject is None or subject.status != "active":
                return refusal(400, "invalid_request", "The subject token is not active.")
            grant.organization_id, grant.user_id = subject.organization_id, subject.user_id
        grant.status, self.grants[grant.id] = "active", grant
        issued = {"issued_token_type": ACCESS_TOKEN_TYPE} if form["grant_type"] == TOKEN_EXCHANGE else {}
        return self._issue(grant, **issued)

    def _redeem(self, form: dict[str, str]) -> Reply:
        grant = self._find_grant(form)
        if grant is None:
            return refusal(400, "invalid_grant", "There never was such a code.")
        if grant.status != "pending":
            grant.status = "ended"
            return refusal(400, "invalid_grant", "The code was used before.")
        if form.get("redirect_uri") != grant.redirect_uri or not verify_code_verifier(
            form.get("code_verifier", ""), grant.code_challenge or ""
        ):
            return refusal(400, "invalid_grant", "The code does not fit.")
        grant.status, grant.generation = "active", 1
        return self._issue(grant)

    def _issue(self, grant: Grant, **more: str) -> Reply:
        access_token = f"ls_at_{self._next('a')}"
        lifetime = float(self.expires_in or 3600)
        self.access_tokens[access_token] = (grant.id, self.now() + lifetime)
        answer = {
            "token_type": "Bearer",
            "access_token": access_token,
            "expires_in": self.expires_in,
            "scope": grant.scope,
            "organization_id": self.organization_override or grant.organization_id,
            **({"user_id": grant.user_id} if grant.user_id else {}),
            **more,
        }
        if "offline_access" in grant.scope:
            answer["refresh_token"] = f"ls_rt_{grant.id}Gen{grant.generation:04}Gen0123456789"
        if self.expires_in is None:
            del answer["expires_in"]
        id_token = self._render_id_token(grant, access_token) if "openid" in grant.scope.split() else None
        return render_reply(200, answer if id_token is None else {**answer, "id_token": id_token})

    def _render_id_token(self, grant: Grant, access_token: str) -> str | None:
        from latchstring.client.testing.openid import LIFETIME, render_id_token

        fault = self.id_token_faults.pop(0) if self.id_token_faults else None
        if fault is OpenIDFault.MISSING:
            return None
        now = int(self.now())
        said = {"iss": self.issuer, "sub": grant.user_id, "aud": self.client_id, "iat": now, "exp": now + LIFETIME}
        if grant.nonce is not None and grant.generation == 1:
            said["nonce"] = grant.nonce
        said["auth_time"] = int(grant.signed_in_at)
        return render_id_token({**said, **self.claims}, access_token, self.key_generation, fault)

    def _userinfo(self, grant: Grant) -> Reply:
        from latchstring.client.testing.openid import render_userinfo

        fault = self.userinfo_faults.pop(0) if self.userinfo_faults else None
        return render_userinfo({"sub": grant.user_id, **self.claims}, self.key_generation, fault)

    def _revoke(self, form: dict[str, str]) -> Reply:
        token = form.get("token", "")
        grant = self._find_grant(form)
        if grant is not None and token.startswith("ls_rt_"):
            grant.status = "ended"
        self.dead_access_tokens.add(token)
        return render_reply(200, {})

    def _api(self, path: str, headers: dict[str, str]) -> Reply:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        grant_id, expires_at = self.access_tokens.get(token, ("", 0.0))
        grant = self.grants.get(grant_id)
        if grant is None or grant.status != "active" or token in self.dead_access_tokens or expires_at <= self.now():
            challenge = 'Bearer realm="api", error="invalid_token", error_description="The token is not active."'
            return render_reply(401, {"error": "invalid_token"}, {"WWW-Authenticate": challenge})
        if path == "/oauth2/userinfo/":
            return self._userinfo(grant)
        if path == "/api/v1/contacts/":
            contacts = [{"id": "cont_1", "name": "Priya Raman", "email": "priya@acorn.example"}]
            return render_reply(200, {"organization_id": grant.organization_id, "data": contacts})
        return render_reply(200, {"id": grant.user_id, "organization_id": grant.organization_id})

    def _find_grant(self, form: dict[str, str]) -> Grant | None:
        """The grant of the code or token in the form."""
        credential = form.get("code") or form.get("refresh_token") or form.get("token") or ""
        if credential in self.access_tokens:
            return self.grants[self.access_tokens[credential][0]]
        return self.grants.get(credential.removeprefix("ls_ac_").removeprefix("ls_rt_").partition("Gen")[0])

    def _advance(self, grant: Grant) -> None:
        grant.generation += 1
        grant.rotated_at = self.now()

    def _next(self, prefix: str) -> str:
        self._serial += 1
        return f"{prefix}{self._serial:04}Body0123456789"

    # how it is reached ------------------------------------------------------------------------------------

    def transport(self) -> ProviderTransport:
        """For `httpx.Client(transport=…)` and `httpx.AsyncClient(transport=…)`, in process."""
        return ProviderTransport(self)

    @contextmanager
    def serve(self, port: int = 0) -> Iterator[Self]:
        """A real server on 127.0.0.1; `issuer` becomes its address."""
        with serving(self, port) as self.issuer:
            yield self


def _read_generation(refresh_token: str) -> int | None:
    parts = refresh_token.split("Gen")
    return int(parts[1]) if len(parts) == 3 and parts[1].isdecimal() else None
