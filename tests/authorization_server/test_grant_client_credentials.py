"""The client credentials grant's rule (RFC 6749 §4.4; R11)."""

from typing import Any

import pytest

from latchstring.authorization_server.grants.client_credentials import ClientAccess, decide
from latchstring.authorization_server.records import ClientApprovalRecord
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.token_request import TokenRequest
from tests.authorization_server.builders import ACORN, NOW, build_client

SCOPE = ("a.read", "b.write", "offline_access")
BIRCH = "orga_00000000000000000Birch"


def build_approval(**given: Any) -> ClientApprovalRecord:
    values: dict[str, Any] = {
        "client_id": "oa2client_1",
        "organization_id": BIRCH,
        "scope": ("a.read", "c.read"),
        "generation": 7,
        "approved_by": "operator",
        "approved_at": NOW,
        "ended_by": None,
        "ended_at": None,
    }
    return ClientApprovalRecord(**{**values, **given})


@pytest.mark.parametrize(
    "scope, granted",
    [(None, ("a.read", "b.write")), ("a.read", ("a.read",)), ("b.write a.read", ("b.write", "a.read"))],
)
def test_decide_confidential_client_gets_its_scope_without_offline_access(scope, granted):
    assert decide(
        TokenRequest(grant_type="client_credentials", scope=scope), build_client(scope=SCOPE), None
    ) == ClientAccess(ACORN, granted)


@pytest.mark.parametrize("scope", ["c.read", "a.read c.read", "offline_access", "a.read offline_access", 'a"'])
def test_decide_wider_scope_is_invalid_scope(scope):
    """CVE-2024-52287."""
    with pytest.raises(OAuthError) as refused:
        decide(TokenRequest(grant_type="client_credentials", scope=scope), build_client(scope=SCOPE), None)
    assert refused.value.code == "invalid_scope"


def test_decide_client_with_nothing_but_offline_access_gets_nothing():
    with pytest.raises(OAuthError) as refused:
        decide(TokenRequest(grant_type="client_credentials"), build_client(scope=("offline_access",)), None)
    assert refused.value.code == "invalid_scope"


def test_decide_client_without_an_owner_is_unauthorized():
    """It registered itself, so there is no organization that it could act for."""
    with pytest.raises(OAuthError) as refused:
        decide(TokenRequest(grant_type="client_credentials"), build_client(organization_id=None), None)
    assert refused.value.code == "unauthorized_client"


def test_decide_public_client_is_unauthorized():
    """RFC 6749 §4.4: confidential clients only."""
    with pytest.raises(OAuthError) as refused:
        decide(TokenRequest(grant_type="client_credentials"), build_client(token_endpoint_auth_method="none"), None)
    assert refused.value.code == "unauthorized_client"


@pytest.mark.parametrize("owner", [ACORN, None])
def test_decide_approved_client_acts_for_the_organization_within_what_both_allow(owner):
    request = TokenRequest(grant_type="client_credentials", organization_id=BIRCH)
    client = build_client(scope=SCOPE, organization_id=owner)
    assert decide(request, client, build_approval()) == ClientAccess(BIRCH, ("a.read",), 7)


def test_decide_owner_named_needs_no_approval():
    request = TokenRequest(grant_type="client_credentials", organization_id=ACORN)
    assert decide(request, build_client(scope=SCOPE), None) == ClientAccess(ACORN, ("a.read", "b.write"))


@pytest.mark.parametrize("approval", [None, build_approval(ended_at=NOW, ended_by="operator")])
def test_decide_unapproved_client_is_unauthorized(approval):
    """CVE-2026-33132: the organization is checked in every grant type."""
    request = TokenRequest(grant_type="client_credentials", organization_id=BIRCH)
    with pytest.raises(OAuthError) as refused:
        decide(request, build_client(scope=SCOPE), approval)
    assert refused.value.code == "unauthorized_client"


@pytest.mark.parametrize("scope", ["b.write", "c.read", "a.read b.write", "offline_access"])
def test_decide_wider_than_client_or_approval_is_invalid_scope(scope):
    request = TokenRequest(grant_type="client_credentials", organization_id=BIRCH, scope=scope)
    with pytest.raises(OAuthError) as refused:
        decide(request, build_client(scope=SCOPE), build_approval())
    assert refused.value.code == "invalid_scope"
