"""The JWT bearer grant's rule (RFC 7523 §2.1; J6)."""

from typing import Any

import pytest

from latchstring.authorization_server.grants.jwt_bearer import Claimed, decide
from latchstring.authorization_server.trusted_issuers import Asserted, TrustedIssuer
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.token_request import TokenRequest
from tests.authorization_server.builders import ACORN, ANN, MAILLOOP, NOW, build_client

BIRCH = "orga_00000000000000000Birch"
TRUSTED = TrustedIssuer(organizations=(ACORN,), jwks_uri="https://idp.example/keys")
BY_EMAIL = TrustedIssuer(organizations=("*",), jwks_uri="https://idp.example/keys", user_claim="mail", user_is="email")
ALLOWED = ("a.read", "b.write")


def claim(trusted: TrustedIssuer = TRUSTED, *, request: dict[str, Any] | None = None, **claims: Any) -> Claimed:
    given = {"sub": ANN, "organization_id": ACORN, **claims}
    content = {name: value for name, value in given.items() if value is not None}
    client = build_client(scope=(*ALLOWED, "offline_access"))
    asserted = Asserted("https://idp.example", trusted, content, "jti", NOW + 60)
    return decide(TokenRequest(grant_type="x", **(request or {})), client, asserted)


def refuse(*arguments: Any, **given: Any) -> str:
    with pytest.raises(OAuthError) as refused:
        claim(*arguments, **given)
    return refused.value.code


def test_decide_member_and_organization_are_the_issuer_s_word():
    assert claim() == Claimed(ANN, ACORN, ALLOWED, ALLOWED)


def test_decide_claims_are_those_that_the_settings_name():
    trusted = TrustedIssuer(organizations=(BIRCH,), jwks_uri="https://i.example/", organization_claim="tenant")
    assert claim(trusted, tenant=BIRCH).organization_id == BIRCH
    assert claim(BY_EMAIL, mail="ann@example.com").user == "ann@example.com"


@pytest.mark.parametrize("organizations", [(ACORN,), ("*",), (BIRCH, ACORN)])
def test_decide_issuer_speaks_for_its_organizations(organizations):
    trusted = TrustedIssuer(organizations=organizations, jwks_uri="https://i.example/")
    assert claim(trusted).organization_id == ACORN


def test_decide_issuer_that_speaks_for_another_organization_is_invalid_grant():
    assert refuse(TrustedIssuer(organizations=(BIRCH,), jwks_uri="https://i.example/")) == "invalid_grant"


def test_decide_issuer_s_organizations_bound_the_client_s_choice_too():
    assert claim(organization_id=None, request={"organization_id": ACORN}).organization_id == ACORN
    assert refuse(organization_id=None, request={"organization_id": BIRCH}) == "invalid_grant"
    assert refuse(organization_id=None) == "invalid_request"


@pytest.mark.parametrize("named", ["", 7, True, [ACORN], {}, "a\0b"])
def test_decide_organization_that_is_no_name_is_invalid_grant(named):
    """Never the client's choice instead, and not as the name of one that nobody knows either."""
    assert refuse(BY_EMAIL, mail="a@b", organization_id=named, request={"organization_id": ACORN}) == "invalid_grant"
    assert refuse(BY_EMAIL, mail="a@b", organization_id=named) == "invalid_grant"


def test_decide_organization_of_assertion_and_request_are_one():
    assert claim(request={"organization_id": ACORN}).organization_id == ACORN
    assert refuse(BY_EMAIL, mail="a@b", request={"organization_id": BIRCH}) == "invalid_grant"


@pytest.mark.parametrize("named", [None, "", 7, True, [ANN], {}, "a\0b"])
def test_decide_user_that_is_no_name_is_invalid_grant(named):
    assert refuse(sub=named) == "invalid_grant"


@pytest.mark.parametrize("verified", [False, "true", "false", 1, 0, []])
def test_decide_email_that_is_not_verified_is_invalid_grant(verified):
    """CVE-2026-55076."""
    assert refuse(BY_EMAIL, mail="ann@example.com", email_verified=verified) == "invalid_grant"
    assert claim(email_verified=verified).user == ANN


def test_decide_assertion_for_this_client_is_good():
    assert claim(client_id=MAILLOOP).user == ANN


@pytest.mark.parametrize("client_id", ["oa2client_other", "", 7, [MAILLOOP]])
def test_decide_assertion_for_another_client_is_invalid_grant(client_id):
    assert refuse(client_id=client_id) == "invalid_grant"


def test_decide_scope_is_narrowed_and_never_wider_than_the_client_s():
    assert claim(request={"scope": "b.write"}) == Claimed(ANN, ACORN, ALLOWED, ("b.write",))
    for scope in ("c.read", "a.read offline_access", 'a"'):
        assert refuse(request={"scope": scope}) == "invalid_scope"
