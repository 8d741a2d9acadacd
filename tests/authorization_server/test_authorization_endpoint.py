"""The authorization endpoint's rules (RFC 6749 §4.1.1, RFC 9700 §2.1; A1–A16): pages first, redirects only to what is
proven."""

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from latchstring.authorization_server.authorization_endpoint import (
    AuthorizationPrompt,
    AuthorizationResponse,
    RedirectTarget,
    UnsafeRequest,
    decide,
    find_target,
    render_code,
    render_codes,
    render_error,
)
from latchstring.authorization_server.records import ClientRecord, ClientSecurity
from latchstring.authorization_server.settings import ScopeDefinition, Settings
from latchstring.protocol.authorization_response import render_redirect
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.parameters import Parameters, parse_parameters
from tests.authorization_server.builders import MAILLOOP, REDIRECT_URI, build_client

CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
SETTINGS = Settings(
    issuer="https://auth.example",
    scopes={"all.full_access": ScopeDefinition(), "a.read": ScopeDefinition(), "b.write": ScopeDefinition()},
)
MUST_SIGN = ClientSecurity(requires_signed_request=True)
MUST_PUSH = ClientSecurity(requires_pushed_request=True)
PUBLIC = {"token_endpoint_auth_method": "none"}


class Clients:
    """Knows one client."""

    def __init__(self, client: ClientRecord) -> None:
        self.client = client

    async def find_current(self, client_id: str) -> ClientRecord | None:
        return self.client if client_id == self.client.client_id else None


def read(query: str | dict[str, str]) -> Parameters:
    return parse_parameters((query if isinstance(query, str) else urlencode(query)).encode())


async def prompt(query: str | dict[str, str], **client: Any) -> AuthorizationPrompt:
    """What would be put before a person."""
    parameters = read(query)
    request, found, target = await find_target(parameters, Clients(build_client(**client)))  # type: ignore[arg-type]
    return decide(parameters, request, found, target, SETTINGS)


async def refuse(query: str | dict[str, str], **client: Any) -> OAuthError:
    with pytest.raises(OAuthError) as refused:
        await prompt(query, **client)
    return refused.value


async def refuse_unsafe(query: str | dict[str, str], **client: Any) -> UnsafeRequest:
    with pytest.raises(UnsafeRequest) as refused:
        await prompt(query, **client)
    return refused.value


def ask(**parameters: str) -> dict[str, str]:
    return {"client_id": MAILLOOP, "response_type": "code", **parameters}


# -- what may not be redirected


@pytest.mark.parametrize(
    "query, key",
    [
        pytest.param({}, "unknown_client", id="A1-no-client"),
        pytest.param({"client_id": "", "redirect_uri": REDIRECT_URI}, "unknown_client", id="A1-empty-client"),
        pytest.param({"client_id": "nobody", "redirect_uri": REDIRECT_URI}, "unknown_client", id="A1-unknown-client"),
        pytest.param(
            {"client_id": "nobody", "response_type": "nonsense", "redirect_uri": "https://evil.example/"},
            "unknown_client",
            id="CVE-2026-41479",
        ),
        pytest.param(ask(redirect_uri="https://evil.example/"), "redirect_uri_mismatch", id="A2-unregistered"),
        pytest.param(ask(redirect_uri=REDIRECT_URI + "/"), "redirect_uri_mismatch", id="A2-mutated"),
        pytest.param(ask(redirect_uri="javascript:alert(1)"), "redirect_uri_mismatch", id="A7-script"),
        pytest.param(
            ask(redirect_uri="https://evil.example/", response_type="token", scope="unknown", prompt="none"),
            "redirect_uri_mismatch",
            id="A2-before-every-other-fault DOT-1719",
        ),
        pytest.param(
            ask(redirect_uri="https://evil.example/", response_mode="form_post.jwt"),
            "redirect_uri_mismatch",
            id="A2-in-every-response-mode GHSA-9vm7-v8wj-3fqw",
        ),
        pytest.param(f"client_id={MAILLOOP}&client_id={MAILLOOP}", "repeated_parameter", id="A8-client_id-twice"),
        pytest.param(
            f"client_id={MAILLOOP}&redirect_uri={REDIRECT_URI}&redirect_uri={REDIRECT_URI}",
            "repeated_parameter",
            id="A8-redirect_uri-twice",
        ),
        pytest.param(
            f"client_id={MAILLOOP}&redirect_uri=&redirect_uri=https://evil.example/",
            "repeated_parameter",
            id="A8-redirect_uri-twice-once-empty",
        ),
    ],
)
async def test_find_target_without_a_proven_redirect_uri_is_a_page(query, key):
    refused = await refuse_unsafe(query)
    assert (refused.key, str(refused)) == (key, key)


async def test_a2_find_target_redirect_uri_may_be_omitted_only_while_one_is_registered():
    alone = await prompt(ask())
    assert (alone.redirect_uri, alone.sent_redirect_uri) == (REDIRECT_URI, None)
    assert (await prompt(ask(redirect_uri=""))).sent_redirect_uri is None
    for uris in ((), (REDIRECT_URI, "https://app.example/other")):
        refused = await refuse_unsafe(ask(), redirect_uris=uris)
        assert refused.key == "redirect_uri_missing"
    assert (await refuse_unsafe(ask(redirect_uri="https://x/"), redirect_uris=())).key == "redirect_uri_mismatch"


async def test_a4_find_target_loopback_goes_to_the_port_that_asked():
    uri = "http://127.0.0.1:53177/cb"
    found = await prompt(ask(redirect_uri=uri), redirect_uris=("http://127.0.0.1/cb", REDIRECT_URI))
    assert (found.redirect_uri, found.sent_redirect_uri) == (uri, uri)


async def test_find_target_mismatch_tells_the_page_which_app_and_what_came():
    refused = await refuse_unsafe(ask(redirect_uri="https://evil.example/"))
    assert refused.client is not None
    assert (refused.client.client_id, refused.received) == (MAILLOOP, "https://evil.example/")


# -- what is redirected


@pytest.mark.parametrize(
    "query, client, code",
    [
        pytest.param({"client_id": MAILLOOP}, {}, "invalid_request", id="A10-no-response_type"),
        pytest.param(ask(response_type=""), {}, "invalid_request", id="A10-empty-response_type"),
        pytest.param(ask(response_type="token"), {}, "unsupported_response_type", id="A10-implicit"),
        pytest.param(ask(response_type="id_token"), {}, "unsupported_response_type", id="A10-id_token"),
        pytest.param(ask(response_type="code token"), {}, "unsupported_response_type", id="A10-hybrid"),
        pytest.param(ask(response_type="CODE"), {}, "unsupported_response_type", id="A10-case"),
        pytest.param(ask(response_mode="fragment"), {}, "invalid_request", id="response_mode-fragment"),
        pytest.param(
            ask(response_mode="form_post"),
            {"redirect_uris": ("com.example.app:/cb",)},
            "invalid_request",
            id="form_post-to-an-app",
        ),
        pytest.param(ask(), {"security": MUST_SIGN}, "invalid_request", id="A29-unsigned"),
        pytest.param(ask(), {"security": MUST_PUSH}, "invalid_request", id="P6-not-pushed"),
        pytest.param(ask(prompt="none login"), {}, "invalid_request", id="O1-prompt"),
        pytest.param(ask(max_age="x"), {}, "invalid_request", id="O2-max-age"),
        pytest.param(ask(acr_values="mfa  phr"), {}, "invalid_request", id="O2-acr-values"),
        pytest.param(ask(acr_values="gold"), {}, "unmet_authentication_requirements", id="O2-nobody-signs-in-so"),
        pytest.param(ask(), {"grant_types": ("client_credentials",)}, "unauthorized_client", id="T9-grant-type"),
        pytest.param(ask(), PUBLIC, "invalid_request", id="A11-public-without-pkce"),
        pytest.param(ask(code_challenge=""), PUBLIC, "invalid_request", id="A11-public-with-empty-challenge"),
        pytest.param(
            ask(code_challenge=CHALLENGE, code_challenge_method="plain"), {}, "invalid_request", id="A12-plain"
        ),
        pytest.param(ask(code_challenge=CHALLENGE), {}, "invalid_request", id="A12-method-omitted"),
        pytest.param(ask(code_challenge=CHALLENGE, code_challenge_method="S512"), {}, "invalid_request", id="A12-S512"),
        pytest.param(ask(code_challenge=CHALLENGE, code_challenge_method="s256"), {}, "invalid_request", id="A12-case"),
        pytest.param(ask(code_challenge_method="S256"), {}, "invalid_request", id="A12-method-without-challenge"),
        pytest.param(
            ask(code_challenge=CHALLENGE + "=", code_challenge_method="S256"), {}, "invalid_request", id="A13-padded"
        ),
        pytest.param(
            ask(code_challenge=CHALLENGE[:-1], code_challenge_method="S256"), {}, "invalid_request", id="A13-short"
        ),
        pytest.param(ask(scope="unknown"), {}, "invalid_scope", id="A16-unknown-scope"),
        pytest.param(ask(scope="a.read"), {}, "invalid_scope", id="A16-scope-not-of-the-app"),
        pytest.param(ask(scope="all.full_access a.read"), {}, "invalid_scope", id="A16-one-scope-not-of-the-app"),
        pytest.param(ask(scope="all.full_access  x"), {}, "invalid_scope", id="A16-malformed-scope"),
        pytest.param(ask(scope='"'), {}, "invalid_scope", id="A16-scope-alphabet"),
        pytest.param(ask(scope="offline_access"), {}, "invalid_scope", id="scope-of-nothing"),
        pytest.param(ask(), {"scope": ("offline_access",)}, "invalid_scope", id="app-with-nothing"),
        pytest.param(ask(), {"scope": ("gone.read",)}, "invalid_scope", id="app-with-scopes-that-are-gone"),
    ],
)
async def test_decide_wrong_request_is_refused_to_the_app(query, client, code):
    assert (await refuse(query, **client)).code == code


@pytest.mark.parametrize(
    "name", ["response_type", "scope", "state", "code_challenge", "code_challenge_method", "response_mode", "nonce"]
)
async def test_a8_decide_repeated_parameter_is_invalid_request(name):
    query = urlencode(ask()) + f"&{name}=code&{name}=code"
    assert (await refuse(query)).code == "invalid_request"


async def test_a8_find_target_repeated_state_is_not_brought_back():
    query = urlencode(ask()) + "&state=a&state=b"
    _, _, target = await find_target(read(query), Clients(build_client()))  # type: ignore[arg-type]
    assert target == RedirectTarget(REDIRECT_URI, None)


async def test_a9_decide_unknown_parameters_are_ignored():
    assert await prompt(ask(display="page", nonce="n", ui_locales="de", foo="bar")) == await prompt(ask())


@pytest.mark.parametrize("client", [{}, PUBLIC], ids=["confidential", "public"])
async def test_decide_pkce_s256_is_kept_for_the_grant(client):
    found = await prompt(ask(code_challenge=CHALLENGE, code_challenge_method="S256"), **client)
    assert found.code_challenge == CHALLENGE


async def test_decide_confidential_client_may_come_without_pkce():
    """The reference CRM's integrations send none (DESIGN §1)."""
    assert (await prompt(ask())).code_challenge is None


@pytest.mark.parametrize(
    "asked, client, granted",
    [
        (None, {}, ("all.full_access", "offline_access")),
        ("", {}, ("all.full_access", "offline_access")),
        ("all.full_access", {}, ("all.full_access",)),
        ("offline_access all.full_access", {}, ("offline_access", "all.full_access")),
        ("a.read", {"scope": ("a.read", "b.write")}, ("a.read",)),
        (None, {"scope": ("a.read", "gone.read")}, ("a.read",)),
        (None, {"grant_types": ("authorization_code",)}, ("all.full_access",)),
        ("all.full_access offline_access", {"grant_types": ("authorization_code",)}, ("all.full_access",)),
    ],
)
async def test_decide_scope_is_what_was_asked_within_what_the_app_has(asked, client, granted):
    """RFC 6749 §3.3; T13."""
    query = ask() if asked is None else ask(scope=asked)
    assert (await prompt(query, **client)).scope == granted


async def test_decide_prompt_carries_state_and_the_organization_asked_for():
    found = await prompt(ask(state="a b&c", organization_id="orga_x", response_mode="query"))
    assert (found.state, found.organization_id, found.client_id) == ("a b&c", "orga_x", MAILLOOP)
    assert found.target == RedirectTarget(REDIRECT_URI, "a b&c")


# -- the answer


def _read_query(response: AuthorizationResponse) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(render_redirect(response.target.redirect_uri, response.parameters)).query)


@pytest.mark.parametrize("state", [None, "x", "a b&code=planted", "ü" * 500])
def test_a14_a15_redirects_carry_state_and_issuer_on_success_and_error(state):
    target = RedirectTarget("https://app.example/cb?x=1", state)
    success = render_code(target, "ls_ac_x", "https://auth.example")
    error = render_error(target, OAuthError("access_denied", "No.", "hidden"), "https://auth.example")
    common = [] if state is None else [("state", state)]
    common.append(("iss", "https://auth.example"))
    assert _read_query(success) == [("x", "1"), ("code", "ls_ac_x"), *common]
    assert _read_query(error) == [
        ("x", "1"),
        ("error", "access_denied"),
        ("error_description", "No."),
        *common,
    ]
    assert "hidden" not in str(error.parameters)


@pytest.mark.parametrize("further, sent", [((), None), (("two",), "two"), (("two", "three"), "two three")])
def test_codes_of_several_grants_are_the_first_as_always_and_the_others_beside_it(further, sent):
    """ADR 0021."""
    answer = render_codes(RedirectTarget(REDIRECT_URI, "x"), ("one", *further), "https://auth.example")
    assert answer.parameters == {"code": "one", "further_codes": sent, "state": "x", "iss": "https://auth.example"}
