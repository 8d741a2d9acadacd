"""What a client is held to, by profile and allowance (A11, F1, F3, F5)."""

import pytest

from latchstring.authorization_server.policy import CODE_WITHOUT_PKCE, LEGACY, find_policy
from latchstring.authorization_server.records import ClientSecurity
from tests.authorization_server.builders import build_client

STRICT = ClientSecurity()
ALLOWED_BUT_STRICT = ClientSecurity(profile="oauth2.1", allowances=(CODE_WITHOUT_PKCE,))
FAPI_WITH_ALLOWANCE = ClientSecurity(profile="fapi2", allowances=(CODE_WITHOUT_PKCE,))


@pytest.mark.parametrize(
    "security, method, requires",
    [
        (LEGACY, "client_secret_post", False),
        (LEGACY, "none", True),
        (STRICT, "client_secret_post", True),
        (STRICT, "none", True),
        (ALLOWED_BUT_STRICT, "client_secret_post", True),
        (FAPI_WITH_ALLOWANCE, "client_secret_post", True),
        (ClientSecurity(profile="legacy"), "client_secret_post", True),
    ],
)
def test_pkce_is_left_out_by_the_named_allowance_of_a_confidential_legacy_client_alone(security, method, requires):
    policy = find_policy(build_client(security=security, token_endpoint_auth_method=method))
    assert policy.requires_pkce is requires


def test_fapi2_asks_for_pushed_requests_and_bound_tokens_and_rotates_nothing():
    policy = find_policy(build_client(security=ClientSecurity(profile="fapi2")))
    assert policy.requires_pushed_request
    assert policy.requires_bound_tokens
    assert not policy.rotates_refresh_tokens
    assert "RS256" not in policy.signing_algorithms
    assert not policy.authentication_methods & {"client_secret_post", "client_secret_basic", "none"}
