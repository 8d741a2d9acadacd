"""`latchstring check`'s rules: each finds what it is for, and nothing in a deployment that keeps them all."""

from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.checks import built_in
from latchstring.authorization_server.checks.report import RULES, Finding, judge
from latchstring.authorization_server.checks.rule import Fault, Flaw, Subject, for_each_client, for_each_fapi_client
from latchstring.authorization_server.policy import LEGACY
from latchstring.authorization_server.records import ClientRecord, ClientSecurity, SecretHash
from latchstring.authorization_server.settings import ScopeDefinition, Settings, validate_settings
from latchstring.authorization_server.trusted_issuers import TrustedIssuer
from latchstring.protocol.client_metadata import CLIENT_CREDENTIALS, JWT_BEARER, PRIVATE_KEY_JWT, TOKEN_EXCHANGE
from tests.authorization_server.builders import ACORN, MAILLOOP, NOW, build_client

YEAR = 365 * 24 * 3600
IDP = TrustedIssuer(organizations=(ACORN,), jwks_uri="https://idp.example/keys")
SETTINGS: dict[str, Any] = {
    "issuer": "https://auth.example",
    "scopes": {"contacts.read": ScopeDefinition(title="Read contacts")},
    "trusted_proxies": 1,
}
CLIENT: dict[str, Any] = {
    "scope": ("contacts.read", "offline_access"),
    "token_endpoint_auth_method": PRIVATE_KEY_JWT,
    "security": ClientSecurity(dpop_bound_access_tokens=True),
}
FAPI = ClientSecurity(profile="fapi2")


def build_subject(
    *clients: ClientRecord, keyring_mode: int | None = 0o600, is_fapi: bool = False, **settings: Any
) -> Subject:
    validated = validate_settings(Settings(**{**SETTINGS, **settings}))
    return Subject(settings=validated, clients=clients, now=NOW, keyring_mode=keyring_mode, is_fapi=is_fapi)


def good(**given: Any) -> ClientRecord:
    return build_client(**{**CLIENT, **given})


def secure(**given: Any) -> ClientRecord:
    """Of the FAPI 2.0 profile, but for what is given."""
    return good(**{"security": FAPI, **given})


def secrets(*ages: int, ended: int = 0) -> tuple[SecretHash, ...]:
    live = [SecretHash(bytes([n]) * 32, 1, "ls_cs_", NOW - age) for n, age in enumerate(ages)]
    return (*live, *(SecretHash(b"\xff" * 32, 1, "", 0, expires_at=NOW) for _ in range(ended)))


def find(subject: Subject, rule_id: str) -> Finding:
    [rule] = [rule for rule in RULES if rule.id == rule_id]
    flaws = list(rule.find(subject))
    assert {flaw.fault for flaw in flaws} <= {"warning", "fails"}
    assert all(flaw.advice.endswith(".") for flaw in flaws)
    [found] = [finding for finding in judge(subject) if finding.id == rule_id]
    assert (found.source, found.asks) == (rule.source, rule.asks)
    return found


def test_judge_deployment_that_keeps_every_rule_is_ok_throughout():
    for profile in (False, True):
        findings = judge(build_subject(secure(), is_fapi=profile))
        assert [finding.id for finding in findings] == [rule.id for rule in RULES]
        assert {finding.id for finding in findings if finding.verdict != "ok"} == set()
        assert not any(finding.clients or finding.advice for finding in findings)


def test_judge_without_clients_of_the_profile_says_nothing_of_fapi():
    findings = judge(build_subject(good()))
    assert [finding for finding in findings if finding.id.startswith("fapi-")] == []
    assert {finding.verdict for finding in findings} == {"ok"}


DEPLOYMENTS: list[tuple[str, str, dict[str, Any]]] = [
    ("issuer-https", "fails", {"issuer": "http://auth.example"}),
    ("issuer-https", "fails", {"issuer": "http://localhost.example.com"}),
    ("issuer-https", "fails", {"issuer": "http://127.0.0.1.example.com:8400"}),
    ("issuer-https", "warning", {"issuer": "http://127.0.0.1:8400"}),
    ("issuer-https", "warning", {"issuer": "http://[::1]:8400"}),
    ("issuer-https", "warning", {"issuer": "http://localhost:8400/login"}),
    ("access-token-lifetime", "warning", {"access_token_lifetime": 3601}),
    ("refresh-token-expiry", "warning", {"refresh_token_idle_lifetime": None}),
    ("retry-window", "warning", {"retry_window": 301}),
    ("scope-words", "warning", {"scopes": {"a.read": ScopeDefinition(), "b.read": ScopeDefinition(title="B")}}),
    ("trusted-proxies", "warning", {"trusted_proxies": 0}),
    ("keyring-mode", "fails", {"keyring_mode": 0o640}),
    ("keyring-mode", "fails", {"keyring_mode": 0o604}),
    ("registration", "warning", {"registration": "open"}),
    ("issuer-reach", "warning", {"trusted_issuers": {"i": msgspec.structs.replace(IDP, organizations=("*",))}}),
    ("fapi-algorithms", "fails", {"signing_algorithm": "RS256", "is_fapi": True}),
    ("fapi-registration", "fails", {"registration": "open", "is_fapi": True}),
    (
        "fapi-algorithms",
        "fails",
        {"trusted_issuers": {"i": msgspec.structs.replace(IDP, algorithms=("RS256",))}, "is_fapi": True},
    ),
    *(
        (
            "proxy-networks",
            verdict,
            {"client_certificate_header": "client-cert", "trusted_proxy_networks": (network,)},
        )
        for network, verdict in (("0.0.0.0/0", "fails"), ("::/0", "fails"), ("10.0.0.0/8", "warning"))
    ),
]
DEPLOYMENTS_IN_ORDER: list[tuple[str, dict[str, Any]]] = [
    ("access-token-lifetime", {"access_token_lifetime": 3600}),
    ("refresh-token-expiry", {"refresh_token_idle_lifetime": None, "refresh_token_absolute_lifetime": YEAR}),
    ("retry-window", {"retry_window": 300}),
    ("trusted-proxies", {"issuer": "http://127.0.0.1", "trusted_proxies": 0}),
    ("keyring-mode", {"keyring_mode": None}),
    ("registration", {"registration": "gated"}),
    ("issuer-reach", {"trusted_issuers": {"i": IDP}}),
    ("proxy-networks", {"client_certificate_header": "client-cert", "trusted_proxy_networks": ("10.0.0.0/16",)}),
]


@pytest.mark.parametrize(
    "rule_id, verdict, given", DEPLOYMENTS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_judge_deployment_with_one_flaw_is_told_what_to_do(rule_id, verdict, given):
    found = find(build_subject(good(), **given), rule_id)
    assert (found.verdict, found.clients, len(found.advice)) == (verdict, (), 1)


def test_advice_names_every_scope_without_words_and_the_network_that_is_too_wide():
    scopes = {name: ScopeDefinition() for name in ("b.read", "a.read")}
    assert find(build_subject(scopes=scopes), "scope-words").advice == (
        "Give a title, in the members' words, to: a.read, b.read.",
    )
    behind: dict[str, Any] = {"client_certificate_header": "client-cert", "trusted_proxy_networks": ("10.0.0.0/8",)}
    assert find(build_subject(**behind), "proxy-networks").advice == (
        "Name the proxies themselves in trusted_proxy_networks, not 10.0.0.0/8: who is there can forge.",
    )


@pytest.mark.parametrize(
    "rule_id, given", DEPLOYMENTS_IN_ORDER, ids=lambda value: value if isinstance(value, str) else ""
)
def test_judge_deployment_at_the_edge_is_ok(rule_id, given):
    assert find(build_subject(good(), **given), rule_id).verdict == "ok"


NATIVE: dict[str, Any] = {"token_endpoint_auth_method": "none"}
SECRET: dict[str, Any] = {"token_endpoint_auth_method": "client_secret_post"}
CLIENTS: list[tuple[str, str, ClientRecord]] = [
    ("pkce", "warning", good(security=LEGACY)),
    ("allowances", "warning", good(security=LEGACY)),
    ("bound-tokens", "warning", good(security=ClientSecurity())),
    ("client-keys", "warning", good(**SECRET, secrets=secrets(0))),
    ("secret-age", "warning", good(**SECRET, secrets=secrets(0, YEAR + 1))),
    ("secret-age", "warning", good(**SECRET, secrets=secrets(0, 1, 2))),
    ("redirect-uri-http", "fails", good(redirect_uris=("http://app.example/cb",))),
    ("redirect-uri-http", "warning", good(**NATIVE, redirect_uris=("http://localhost/cb",))),
    ("redirect-uri-http", "warning", good(redirect_uris=("http://127.0.0.1/cb",))),
    ("redirect-uri-scheme", "warning", good(**NATIVE, redirect_uris=("com.example.app:/cb",))),
    *(
        ("confidential-grants", "fails", good(**NATIVE, grant_types=("authorization_code", name)))
        for name in (CLIENT_CREDENTIALS, TOKEN_EXCHANGE, JWT_BEARER)
    ),
    ("unused-grants", "warning", good(scope=("contacts.read",))),
    ("unused-grants", "warning", good(grant_types=("authorization_code",))),
    ("unused-grants", "warning", good(grant_types=(JWT_BEARER,), redirect_uris=())),
    ("unused-grants", "warning", good(grant_types=(CLIENT_CREDENTIALS,))),
    (
        "unused-grants",
        "warning",
        good(grant_types=(TOKEN_EXCHANGE,), redirect_uris=(), acts_for_resource="https://api.example/"),
    ),
    ("client-scope", "warning", good(scope=("contacts.write", "offline_access"))),
    ("client-retry-window", "warning", good(retry_window=301)),
    ("fapi-confidential", "fails", secure(**NATIVE)),
    ("fapi-client-keys", "fails", secure(**SECRET)),
    ("fapi-redirect-uri", "fails", secure(redirect_uris=("https://app.example/cb", "com.example.app:/cb"))),
    (
        "fapi-client-algorithm",
        "fails",
        secure(security=ClientSecurity(profile="fapi2", token_endpoint_auth_signing_alg="RS256")),
    ),
]
IF_JUDGED_BY_FAPI = [
    ("fapi-profile", good()),
    ("fapi-pushed", good()),
    ("fapi-bound-tokens", good(security=ClientSecurity())),
    ("fapi-pkce", good(security=LEGACY)),
    ("fapi-rotation", good()),
]


@pytest.mark.parametrize("rule_id, verdict, client", CLIENTS, ids=lambda value: value if isinstance(value, str) else "")
def test_judge_client_with_one_flaw_is_named_and_told_what_to_do(rule_id, verdict, client):
    found = find(build_subject(good(client_id="oa2client_good"), client), rule_id)
    assert (found.verdict, found.clients) == (verdict, (MAILLOOP,)), "and no other client"
    assert len(found.advice) == 1


@pytest.mark.parametrize(
    "rule_id, client", IF_JUDGED_BY_FAPI, ids=lambda value: value if isinstance(value, str) else ""
)
def test_judge_client_as_if_it_kept_fapi_is_told_what_it_lacks(rule_id, client):
    found = find(build_subject(client, is_fapi=True), rule_id)
    assert (found.verdict, found.clients, len(found.advice)) == ("fails", (MAILLOOP,), 1)


@pytest.mark.parametrize(
    "rule_id, client, advice",
    [
        (
            "allowances",
            good(security=ClientSecurity(profile="legacy", allowances=("plain_pkce", "no_state"))),
            "It is let off: plain_pkce, no_state. Bring the app up to date.",
        ),
        (
            "confidential-grants",
            good(**NATIVE, grant_types=("authorization_code", JWT_BEARER, CLIENT_CREDENTIALS)),
            f"A public client is refused these grant types: {CLIENT_CREDENTIALS}, {JWT_BEARER}.",
        ),
        (
            "client-scope",
            good(scope=("contacts.write", "contacts.read", "contacts.delete", "offline_access")),
            "The settings define no such scope: contacts.delete, contacts.write.",
        ),
    ],
)
def test_judge_client_is_told_each_of_several_by_name(rule_id, client, advice):
    assert find(build_subject(client), rule_id).advice == (advice,)


PASSES_ON = {"grant_types": (TOKEN_EXCHANGE,), "redirect_uris": (), "scope": ("contacts.read",)}


@pytest.mark.parametrize(
    "rule_id, client",
    [
        ("pkce", good(security=LEGACY, grant_types=(CLIENT_CREDENTIALS,))),
        ("confidential-grants", good(grant_types=(CLIENT_CREDENTIALS, TOKEN_EXCHANGE, JWT_BEARER))),
        ("confidential-grants", good(**NATIVE)),
        ("unused-grants", good(**PASSES_ON)),
        ("unused-grants", good(**PASSES_ON, is_published=False, acts_for_resource="https://api.example/")),
        ("redirect-uri-http", good(**NATIVE, redirect_uris=("http://127.0.0.1/cb", "http://[::1]/cb"))),
        ("secret-age", good(**SECRET, secrets=secrets(0, YEAR, ended=3))),
        ("unused-grants", good(grant_types=(CLIENT_CREDENTIALS,), redirect_uris=(), scope=("contacts.read",))),
        ("client-retry-window", good(retry_window=300)),
        ("bound-tokens", good(security=FAPI)),
    ],
)
def test_judge_client_at_the_edge_is_ok(rule_id, client):
    assert find(build_subject(client), rule_id).verdict == "ok"


def test_judge_full_access_is_too_much_only_where_there_is_less():
    client = good(scope=("all.full_access", "offline_access"))
    full = {"all.full_access": ScopeDefinition(risk="high")}
    assert find(build_subject(client, scopes=full), "client-scope").verdict == "ok"
    narrower = {**full, "contacts.read": ScopeDefinition(title="Read contacts")}
    assert find(build_subject(client, scopes=narrower), "client-scope").clients == (MAILLOOP,)


def test_judge_worst_flaw_decides_and_advice_stands_once():
    clients = [
        good(client_id=f"oa2client_{number}", redirect_uris=(uri,))
        for number, uri in enumerate(["http://localhost/cb", "http://app.example/cb", "http://localhost/cb"])
    ]
    found = find(build_subject(*clients), "redirect-uri-http")
    assert (found.verdict, len(found.advice)) == ("fails", 2)
    assert found.clients == ("oa2client_0", "oa2client_1", "oa2client_2")


def test_every_rule_has_a_flaw_in_these_tables_or_holds_always():
    """A rule that can find nothing would always say ok."""
    shown = {row[0] for table in (DEPLOYMENTS, CLIENTS, IF_JUDGED_BY_FAPI) for row in table}
    assert shown | {rule.id for rule in built_in.RULES} == {rule.id for rule in RULES}
    assert len({rule.id for rule in RULES}) == len(RULES)


def test_rule_for_each_client_finds_what_is_wrong_with_each():
    subject = build_subject(good(client_id="a"), secure(client_id="b"))

    def check(client: ClientRecord, asked: Subject) -> tuple[Fault, str]:
        return "warning", f"{client.client_id} of {len(asked.clients)}"

    of_a, of_b = Flaw("warning", "a of 2", "a"), Flaw("warning", "b of 2", "b")
    assert list(for_each_client(check)(subject)) == [of_a, of_b]
    assert list(for_each_fapi_client(check)(subject)) == [of_b]
    assert list(for_each_client(lambda client, asked: None)(subject)) == []


def test_rule_that_holds_by_itself_finds_nothing():
    rule = built_in._hold("an-id", "RFC 9700", "Is it so?")
    assert (rule.id, rule.source, rule.asks) == ("an-id", "RFC 9700", "Is it so?")
    assert list(rule.find(build_subject())) == []
