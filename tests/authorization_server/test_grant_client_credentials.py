"""The client credentials grant's rule (RFC 6749 §4.4; R11)."""

import pytest

from latchstring.authorization_server.grants.client_credentials import ClientAccess, decide
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.token_request import TokenRequest
from tests.authorization_server.builders import ACORN, build_client

SCOPE = ("a.read", "b.write", "offline_access")


@pytest.mark.parametrize(
    "scope, granted",
    [(None, ("a.read", "b.write")), ("a.read", ("a.read",)), ("b.write a.read", ("b.write", "a.read"))],
)
def test_decide_confidential_client_gets_its_scope_without_offline_access(scope, granted):
    assert decide(
        TokenRequest(grant_type="client_credentials", scope=scope), build_client(scope=SCOPE)
    ) == ClientAccess(ACORN, granted)


@pytest.mark.parametrize("scope", ["c.read", "a.read c.read", "offline_access", "a.read offline_access", 'a"'])
def test_decide_wider_scope_is_invalid_scope(scope):
    """CVE-2024-52287."""
    with pytest.raises(OAuthError) as refused:
        decide(TokenRequest(grant_type="client_credentials", scope=scope), build_client(scope=SCOPE))
    assert refused.value.code == "invalid_scope"


def test_decide_client_with_nothing_but_offline_access_gets_nothing():
    with pytest.raises(OAuthError) as refused:
        decide(TokenRequest(grant_type="client_credentials"), build_client(scope=("offline_access",)))
    assert refused.value.code == "invalid_scope"


def test_decide_client_without_an_owner_is_unauthorized():
    """It registered itself, so there is no organization that it could act for."""
    with pytest.raises(OAuthError) as refused:
        decide(TokenRequest(grant_type="client_credentials"), build_client(organization_id=None))
    assert refused.value.code == "unauthorized_client"


def test_decide_public_client_is_unauthorized():
    """RFC 6749 §4.4: confidential clients only."""
    with pytest.raises(OAuthError) as refused:
        decide(TokenRequest(grant_type="client_credentials"), build_client(token_endpoint_auth_method="none"))
    assert refused.value.code == "unauthorized_client"
