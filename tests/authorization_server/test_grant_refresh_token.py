"""The refresh token grant's rule (RFC 6749 §6, RFC 9700 §4.14; R1, R2, R4, R8, R9)."""

from typing import Any

import pytest

from latchstring.authorization_server.grants.refresh_token import Refresh, decide
from latchstring.authorization_server.records import ClientSecurity, GrantRecord
from latchstring.authorization_server.rotation import RotationVerdict
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.token_request import TokenRequest
from tests.authorization_server.builders import (
    GRANT_ID,
    KEY_ONE,
    KEY_TWO,
    NOW,
    ROW_SECRET,
    build_active_grant,
    build_client,
    build_codec,
)

CODEC = build_codec(KEY_ONE)
KEY, OTHER_KEY = Confirmation(jkt="kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"), Confirmation(jkt="another")
FULL = ("a.read", "b.write", "offline_access")


def refresh(
    grant: GrantRecord | None,
    generation: int = 3,
    *,
    now: int = NOW,
    retry_window: int = 60,
    token: str | None = None,
    client: Any = None,
    scope: str | None = None,
    confirmation: Confirmation | None = None,
) -> Refresh:
    parsed = CODEC.parse_refresh_token(token or CODEC.render_refresh_token(GRANT_ID, generation, ROW_SECRET))
    assert parsed is not None
    return decide(
        TokenRequest(grant_type="refresh_token", scope=scope),
        client or build_client(),
        parsed,
        grant,
        CODEC,
        retry_window=retry_window,
        now=now,
        confirmation=confirmation,
    )


def refuse(*args: Any, **given: Any) -> OAuthError:
    with pytest.raises(OAuthError) as refused:
        refresh(*args, **given)
    return refused.value


def grant_at_three(**given: Any) -> GrantRecord:
    return build_active_grant(**{"generation": 3, "rotated_at": NOW, "scope": FULL, **given})


@pytest.mark.parametrize(
    "generation, verdict", [(3, RotationVerdict.ROTATE), (2, RotationVerdict.RETRY), (1, RotationVerdict.REUSE)]
)
def test_decide_token_of_a_generation_gets_the_tables_verdict(generation, verdict):
    assert refresh(grant_at_three(), generation) == Refresh(verdict, None)


def test_r4_decide_predecessor_after_the_window_is_reuse():
    assert refresh(grant_at_three(), 2, now=NOW + 60).verdict is RotationVerdict.REUSE
    assert refresh(grant_at_three(), 2, now=NOW + 60, retry_window=61).verdict is RotationVerdict.RETRY


@pytest.mark.parametrize("generation", [4, 5, 2**32 - 1], ids=str)
def test_decide_future_generation_is_unknown_and_no_reuse(generation):
    """It was never issued: only somebody with the keys and the row could have made it."""
    refused = refuse(grant_at_three(), generation)
    assert (refused.code, refused.description) == ("invalid_grant", refuse(None).description)


def test_decide_unknown_token_tells_the_log_and_nobody_else_why():
    """The developer's trace says which of three it was; the wire does not."""
    reasons = [
        refuse(None).reason,
        refuse(grant_at_three(), client=build_client(client_id="other")).reason,
        refuse(grant_at_three(), 4).reason,
    ]
    assert reasons == [
        "no such grant",
        "the refresh token belongs to another client",
        "the generation was never issued",
    ]


def test_decide_bound_grant_of_a_public_client_needs_its_key():
    """RFC 9449 §5."""
    grant, client = grant_at_three(confirmation=KEY), build_client(token_endpoint_auth_method="none")
    assert refresh(grant, client=client, confirmation=KEY).verdict is RotationVerdict.ROTATE
    assert refuse(grant, client=client).code == "invalid_request"
    assert refuse(grant, client=client, confirmation=OTHER_KEY).code == "invalid_grant"


def test_decide_confidential_client_may_change_its_key_and_not_in_a_retry():
    """DESIGN §5: the answer that was lost went to the first key."""
    grant = grant_at_three(confirmation=KEY)
    assert refresh(grant, confirmation=OTHER_KEY).verdict is RotationVerdict.ROTATE
    assert refresh(grant, 2, confirmation=KEY).verdict is RotationVerdict.RETRY
    assert refuse(grant, 2, confirmation=OTHER_KEY).reason == "retry by another key"
    assert refuse(grant, 2).code == "invalid_grant"


def test_decide_client_of_a_profile_without_rotation_keeps_its_token():
    """FAPI 2.0 Security Profile §5.3.2.1."""
    assert (
        refresh(grant_at_three(), client=build_client(security=ClientSecurity(profile="fapi2"))).verdict
        is RotationVerdict.KEEP
    )


def test_decide_generation_zero_is_unknown_even_as_a_predecessor():
    assert refuse(grant_at_three(generation=1), 0).code == "invalid_grant"
    assert refuse(grant_at_three(generation=0), 0).code == "invalid_grant"


def test_decide_grant_without_offline_access_refreshes_nothing():
    for generation in (0, 1, 2):
        assert refuse(build_active_grant(generation=0, scope=("a.read",)), generation).code == "invalid_grant"


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(CODEC.render_refresh_token(GRANT_ID, 3, bytes(16)), id="other-row-secret"),
        pytest.param(build_codec(KEY_TWO).render_refresh_token(GRANT_ID, 3, ROW_SECRET), id="other-key"),
    ],
)
def test_decide_token_with_a_wrong_mac_is_invalid_grant_whatever_its_generation(token):
    assert refuse(grant_at_three(), token=token).code == "invalid_grant"
    assert refuse(grant_at_three(generation=9), token=token).code == "invalid_grant"


@pytest.mark.parametrize("generation", [3, 2, 1])
def test_r1_decide_token_of_another_client_is_unknown_and_never_reuse(generation):
    """CVE-2026-55672: another client's stolen token neither works nor ends the owner's grant."""
    stolen = refuse(grant_at_three(), generation, client=build_client(client_id="other"))
    assert (stolen.code, stolen.description) == ("invalid_grant", refuse(None).description)


@pytest.mark.parametrize(
    "status, reason, word",
    [
        ("ended", "refresh_token_reuse", "superseded"),
        ("ended", "authorization_code_replayed", "superseded"),
        ("ended", "revoked_by_client", "revoked"),
        ("ended", "disconnected", "revoked"),
        ("ended", "ended_by_operator", "revoked"),
        ("ended", "membership_ended", "membership_ended"),
        ("suspended", None, "membership_ended"),
    ],
)
@pytest.mark.parametrize("generation", [3, 2, 1])
def test_r8_decide_ended_or_suspended_grant_is_refused_in_words(status, reason, word, generation):
    """R6: the window is no way back into a grant that was ended on purpose."""
    refused = refuse(grant_at_three(status=status, ended_reason=reason), generation)
    assert refused.code == "invalid_grant"
    assert refused.description.startswith(word + ":")
    assert refused.reason == f"grant {status}: {'membership_ended' if status == 'suspended' else reason}"


def test_decide_pending_grant_refreshes_nothing():
    assert refuse(grant_at_three(status="pending")).code == "invalid_grant"


@pytest.mark.parametrize("generation", [3, 2], ids=["current", "predecessor"])
def test_r9_decide_token_not_used_in_time_is_expired(generation):
    grant = grant_at_three(expires_at=NOW + 50)
    assert refresh(grant, generation, now=NOW + 49).verdict is not RotationVerdict.REUSE
    refused = refuse(grant, generation, now=NOW + 50)
    assert (refused.code, refused.description.split(":")[0]) == ("invalid_grant", "expired")


def test_r9_decide_reuse_is_reuse_even_when_expired():
    assert refresh(grant_at_three(expires_at=NOW), 1, now=NOW + 10**6).verdict is RotationVerdict.REUSE


def test_decide_grant_without_expiry_refreshes_forever():
    assert refresh(grant_at_three(expires_at=None), now=NOW + 10**9).verdict is RotationVerdict.ROTATE


@pytest.mark.parametrize(
    "scope, narrowed",
    [
        (None, None),
        ("a.read b.write offline_access", None),
        ("offline_access b.write a.read", None),
        ("a.read a.read b.write offline_access", None),
        ("a.read", ("a.read",)),
        ("b.write a.read", ("b.write", "a.read")),
        ("offline_access", ("offline_access",)),
    ],
)
@pytest.mark.parametrize("generation", [3, 2], ids=["rotate", "retry"])
def test_r2_decide_narrower_scope_narrows_the_access_token(scope, narrowed, generation):
    assert refresh(grant_at_three(), generation, scope=scope).narrowed_scope == narrowed


@pytest.mark.parametrize("scope", ["c.read", "a.read c.read", "A.READ", "a", "a.read  b.write", 'a"', " a.read"])
@pytest.mark.parametrize("generation", [3, 2], ids=["rotate", "retry"])
def test_r2_decide_wider_or_malformed_scope_is_invalid_scope(scope, generation):
    assert refuse(grant_at_three(), generation, scope=scope).code == "invalid_scope"


@pytest.mark.parametrize("scope", ["c.read", 'a"'])
def test_r4_decide_reuse_is_reuse_whatever_scope_is_asked(scope):
    """The table has no exception for a request that is wrong in another way as well."""
    assert refresh(grant_at_three(), 1, scope=scope).verdict is RotationVerdict.REUSE


def test_decide_expired_comes_before_scope_and_possession_before_all():
    assert refuse(grant_at_three(expires_at=NOW), scope="c.read").description.startswith("expired")
    stolen = CODEC.render_refresh_token(GRANT_ID, 3, bytes(16))
    assert refuse(grant_at_three(status="ended", expires_at=NOW), token=stolen).description.startswith("The refresh")
