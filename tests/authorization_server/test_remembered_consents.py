"""When a remembered consent stands in for the member's answer (A23, RFC 6749 §10.2, ADR 0020)."""

from typing import Any

import pytest

from latchstring.authorization_server.records import Role
from latchstring.authorization_server.remembered_consents import (
    build_consent,
    find_agreed,
    find_organization,
    find_recalled,
    is_assured,
    render_publisher,
)
from latchstring.authorization_server.settings import ScopeDefinition, Settings
from tests.authorization_server.builders import (
    ACORN,
    ANN,
    GRANT_ID,
    NOW,
    REDIRECT_URI,
    build_client,
    build_grant,
    build_membership,
)
from tests.authorization_server.test_consent import build_prompt

SETTINGS = Settings(issuer="https://auth.example")
SCOPE = ("all.full_access", "offline_access")


def recalled(*, client: Any = None, consent: Any = None, memberships: Any = None, now: int = NOW, **prompt: Any) -> Any:
    client = client or build_client()
    grant = build_grant(scope=SCOPE, **(consent or {}))
    remembered = build_consent(grant, build_client(), declined=("contacts.read",), redirect_uri=REDIRECT_URI)
    own = [build_membership()] if memberships is None else memberships
    found = find_recalled(build_prompt(**{"scope": SCOPE, **prompt}), client, own, [remembered], SETTINGS, now)
    assert found in {None, remembered}
    return found


def test_build_consent_keeps_what_was_agreed_struck_out_and_told():
    grant = build_grant(scope=SCOPE, absolute_expires_at=NOW + 86400)
    consent = build_consent(grant, build_client(), declined=("contacts.read",), redirect_uri=REDIRECT_URI)
    assert (consent.scope, consent.declined_scope) == (SCOPE, ("contacts.read",))
    assert (consent.app_name, consent.publisher, consent.redirect_host) == ("Mailloop", ACORN, "app.example")
    assert (consent.grant_id, consent.given_at, consent.last_at) == (grant.id, grant.created_at, grant.created_at)
    assert consent.expires_at == NOW + 86400


def test_build_consent_tells_details_apart_and_keeps_none_of_them():
    digests = [
        build_consent(
            build_grant(authorization_details=details), build_client(), declined=(), redirect_uri=REDIRECT_URI
        ).details_digest
        for details in (None, '[{"type":"payment"}]', '[{"type":"payment","amount":1}]')
    ]
    assert [None if digest is None else len(digest) for digest in digests] == [None, 16, 16]
    assert len(set(digests)) == 3


@pytest.mark.parametrize(
    "given, publisher",
    [
        ({"organization_id": ACORN}, ACORN),
        ({"organization_id": None, "public_id": "https://tally.example/app.json"}, "tally.example"),
        ({"organization_id": None, "public_id": "oa2registered_x"}, ""),
        ({"organization_id": None}, ""),
    ],
    ids=str,
)
def test_publisher_is_the_owner_or_the_host_of_the_document_or_nobody(given, publisher):
    assert render_publisher(build_client(**given)) == publisher


def test_build_consent_of_a_device_has_no_host_to_return_to():
    assert build_consent(build_grant(), build_client(), declined=(), redirect_uri=None).redirect_host == ""


def test_find_recalled_asks_whoever_can_give_more_than_they_did_and_who_can_give_nothing_any_more():
    """A role that changed since: what it adds is new, and what it took away is not agreed to."""
    settings = Settings(issuer="https://auth.example", scopes={"for.admins": ScopeDefinition(roles=("admin",))})

    def recall(agreed: tuple[str, ...], asked: tuple[str, ...], role: Role) -> bool:
        consent = build_consent(build_grant(scope=agreed), build_client(), declined=(), redirect_uri=REDIRECT_URI)
        prompt, own = build_prompt(scope=asked), [build_membership(role=role)]
        return find_recalled(prompt, build_client(), own, [consent], settings, NOW) is not None

    assert recall(("contacts.read",), ("contacts.read", "for.admins"), "member")
    assert not recall(("contacts.read",), ("contacts.read", "for.admins"), "admin")
    assert recall(("for.admins",), ("for.admins",), "admin")
    assert not recall(("for.admins",), ("for.admins",), "member")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"organization_id": ACORN},
        {"scope": ("all.full_access",)},
        {"scope": (*SCOPE, "contacts.read")},
        {"prompts": ("none",)},
        {"prompts": ("login",)},
        {"organization_id": ACORN, "memberships": [build_membership(), build_membership(organization_id="orga_b")]},
        {"client": build_client(description="Other words.")},
        {"client": build_client(token_endpoint_auth_method="none")},
        {"consent": {"absolute_expires_at": NOW + 1}},
    ],
    ids=str,
)
def test_find_recalled_of_nothing_new_stands_in_for_the_answer(given):
    assert recalled(**given) is not None


@pytest.mark.parametrize(
    "given",
    [
        {"prompts": ("consent",)},
        {"prompts": ("login", "consent")},
        {"scope": (*SCOPE, "contacts.write")},
        {"scope": ("contacts.read",)},
        {"resource": ("https://api.example/",)},
        {"redirect_uri": "https://other.example/callback"},
        {"redirect_uri": "https://app.example:8443/callback"},
        {"organization_id": "orga_b", "memberships": [build_membership(), build_membership(organization_id="orga_b")]},
        {"organization_id": "orga_stranger"},
        {"memberships": [build_membership(), build_membership(organization_id="orga_b")]},
        {"memberships": []},
        {"client": build_client(name="Mailloop by Google")},
        {"client": build_client(organization_id="orga_b")},
        {"client": build_client(public_id="oa2registered_x", organization_id=None)},
        {"consent": {"absolute_expires_at": NOW}},
        {"authorization_details": '[{"type":"payment"}]'},
        {"organization_selection": "several"},
        {"reconnects": (GRANT_ID, ANN)},
    ],
    ids=str,
)
def test_find_recalled_of_anything_new_asks(given):
    assert recalled(**given) is None


@pytest.mark.parametrize(
    "redirect_uri, method, is_self_registered, assured",
    [
        ("https://app.example/cb", "client_secret_post", False, True),
        ("https://app.example/cb", "none", False, True),
        ("http://127.0.0.1:5000/cb", "private_key_jwt", False, True),
        ("http://127.0.0.1:5000/cb", "none", False, False),
        ("http://localhost/cb", "none", False, False),
        ("com.example.app:/cb", "none", False, False),
        ("https://app.example/cb", "none", True, False),
        ("https://app.example/cb", "client_secret_post", True, False),
    ],
)
def test_a23_is_assured_where_an_answer_is_of_use_to_the_client_alone(
    redirect_uri, method, is_self_registered, assured
):
    """RFC 8252 §8.6, CVE-2023-34246."""
    client = build_client(token_endpoint_auth_method=method, organization_id=None if is_self_registered else ACORN)
    assert is_assured(client, redirect_uri) is assured


def test_find_organization_never_chooses_among_several():
    several = [build_membership(), build_membership(organization_id="orga_b")]
    assert find_organization(build_prompt(), several) is None
    assert find_organization(build_prompt(organization_id="orga_b"), several) == "orga_b"
    assert find_organization(build_prompt(organization_id="orga_x"), several) is None
    assert find_organization(build_prompt(), several[:1]) == ACORN
    assert find_organization(build_prompt(), []) is None


def test_find_agreed_leaves_out_what_was_struck_out():
    consent = build_consent(build_grant(scope=SCOPE), build_client(), declined=("x",), redirect_uri=REDIRECT_URI)
    assert find_agreed(("x", "all.full_access"), consent) == ("all.full_access",)
