"""What a client is held to, by profile and allowance (A11, F1, F3, F5)."""

import pytest

from latchstring.authorization_server.policy import (
    ALLOWANCES,
    CODE_WITHOUT_PKCE,
    LEGACY,
    PROFILES,
    default_security,
    find_policy,
    find_used_allowances,
    must_push_requests,
    requires_binding,
    tighten,
    verify_allowances,
)
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


@pytest.mark.parametrize("method", ["client_secret_post", "client_secret_basic", "private_key_jwt", "none"])
def test_default_security_lets_clients_with_a_secret_alone_off_pkce(method):
    is_let_off = method.startswith("client_secret")
    assert default_security(method) == (LEGACY if is_let_off else STRICT)


@pytest.mark.parametrize(
    "security, is_public",
    [
        (ClientSecurity(profile="legacy", allowances=("anything_goes",)), False),
        (ClientSecurity(profile="legacy", allowances=(CODE_WITHOUT_PKCE,)), True),
        (ClientSecurity(profile="oauth2.1", allowances=(CODE_WITHOUT_PKCE,)), False),
        (ClientSecurity(profile="fapi2", allowances=(CODE_WITHOUT_PKCE,)), False),
    ],
)
def test_allowance_that_is_unknown_or_of_no_legacy_client_is_refused(security, is_public):
    with pytest.raises(ValueError, match="allowance"):
        verify_allowances(security, is_public=is_public)


def test_allowance_of_a_confidential_legacy_client_is_kept():
    verify_allowances(LEGACY, is_public=False)
    for profile in PROFILES:
        verify_allowances(ClientSecurity(profile=profile), is_public=True)
    assert set(ALLOWANCES) == {CODE_WITHOUT_PKCE}


@pytest.mark.parametrize("profile, becomes", [("legacy", "oauth2.1"), ("oauth2.1", "oauth2.1"), ("fapi2", "fapi2")])
def test_tightened_client_is_let_off_nothing_and_keeps_the_rest(profile, becomes):
    allowances = (CODE_WITHOUT_PKCE,) if profile == "legacy" else ()
    security = ClientSecurity(profile=profile, allowances=allowances, dpop_bound_access_tokens=True, jwks="{}")
    assert tighten(security) == ClientSecurity(profile=becomes, dpop_bound_access_tokens=True, jwks="{}")


def test_allowance_is_used_by_a_request_that_needed_it():
    let_off, strict = build_client(security=LEGACY), build_client(security=STRICT)
    assert find_used_allowances(let_off, has_code_challenge=False) == (CODE_WITHOUT_PKCE,)
    assert find_used_allowances(let_off, has_code_challenge=True) == ()
    assert find_used_allowances(strict, has_code_challenge=False) == ()


@pytest.mark.parametrize(
    "security, requires",
    [
        (STRICT, False),
        (LEGACY, False),
        (ClientSecurity(dpop_bound_access_tokens=True), True),
        (ClientSecurity(tls_client_certificate_bound_access_tokens=True), True),
        (ClientSecurity(profile="fapi2"), True),
    ],
)
def test_f2_binding_is_required_by_profile_or_registration(security, requires):
    assert requires_binding(build_client(security=security)) is requires


@pytest.mark.parametrize(
    "security, must_push",
    [
        (STRICT, False),
        (LEGACY, False),
        (ClientSecurity(requires_pushed_request=True), True),
        (ClientSecurity(profile="legacy", requires_pushed_request=True), True),
        (ClientSecurity(profile="fapi2"), True),
    ],
)
def test_f3_requests_are_pushed_where_the_client_or_its_profile_asks_for_it(security, must_push):
    assert must_push_requests(build_client(security=security)) is must_push
