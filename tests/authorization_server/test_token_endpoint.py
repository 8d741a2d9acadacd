"""The token endpoint over a real store: what is answered, and what is left behind (C1–C14, R1–R9, I1–I4)."""

import asyncio
from typing import Any

import pytest

from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.tokens import AccessToken
from latchstring.protocol.errors import OAuthError, StoreUnavailable
from latchstring.protocol.pkce import code_challenge
from latchstring.protocol.token_request import TokenRequest
from tests.authorization_server.builders import ACORN, ANN, MAILLOOP, NOW
from tests.authorization_server.conftest import House

DAY = 24 * 3600
VERIFIER = "v" * 43


async def refuse(attempt: Any) -> OAuthError:
    with pytest.raises(OAuthError) as refused:
        await attempt
    return refused.value


# -- authorization code


async def test_redeem_activates_the_grant_and_answers_seven_fields(house: House):
    grant = await house.grant()
    house.now += 30
    answer = await house.redeem(grant)
    assert (answer.token_type, answer.expires_in, answer.scope) == (
        "Bearer",
        3600,
        "all.full_access offline_access",
    )
    assert (answer.organization_id, answer.user_id) == (ACORN, ANN)
    access = house.codec.parse_access_token(answer.access_token)
    assert isinstance(access, AccessToken)
    assert (access.grant_id, access.issued_at, access.expires_at, access.scope) == (
        grant.id,
        NOW + 30,
        NOW + 3630,
        None,
    )
    refresh = house.codec.parse_refresh_token(answer.refresh_token or "")
    assert refresh is not None
    assert (refresh.grant_id, refresh.generation) == (grant.id, 1)
    kept = await house.find(grant)
    assert (kept.status, kept.generation, kept.activated_at, kept.rotated_at) == ("active", 1, NOW + 30, None)
    assert (kept.expires_at, kept.absolute_expires_at) == (NOW + 30 + 180 * DAY, None)


async def test_redeem_without_offline_access_has_no_refresh_token_and_ends_with_its_access_token(house: House):
    grant = await house.grant(scope=("all.full_access",))
    answer = await house.redeem(grant)
    assert answer.refresh_token is None
    kept = await house.find(grant)
    assert (kept.generation, kept.expires_at, kept.absolute_expires_at) == (0, NOW + 3600, None)


async def test_c1_c2_redeem_twice_ends_the_grant_and_its_tokens(house: House):
    grant = await house.grant(code_challenge=code_challenge(VERIFIER))
    answer = await house.redeem(grant, code_verifier=VERIFIER)
    refused = await refuse(house.redeem(grant, code_verifier=VERIFIER))
    assert (refused.code, refused.description.split(":")[0]) == ("invalid_grant", "superseded")
    kept = await house.find(grant)
    assert (kept.status, kept.ended_reason, kept.ended_by) == ("ended", "authorization_code_replayed", MAILLOOP)
    assert await house.introspect(answer.access_token) == {"active": False}
    assert (await refuse(house.refresh(answer.refresh_token))).code == "invalid_grant"


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"code_verifier": "w" * 43}, id="wrong-verifier"),
        pytest.param({}, id="no-verifier"),
        pytest.param({"code_verifier": VERIFIER, "secret": "wrong"}, id="wrong-secret"),
        pytest.param({"code_verifier": VERIFIER, "secret": None}, id="no-secret"),
        pytest.param({"code_verifier": VERIFIER, "client_id": "oa2client_other"}, id="other-client"),
    ],
)
async def test_c3_c14_failed_attempt_consumes_nothing_before_or_after(house: House, given):
    await house.client("oa2client_other")
    grant = await house.grant(code_challenge=code_challenge(VERIFIER))
    assert (await refuse(house.redeem(grant, **given))).code in {"invalid_grant", "invalid_client"}
    assert await house.find(grant) == grant
    answer = await house.redeem(grant, code_verifier=VERIFIER)
    active = await house.find(grant)
    assert (await refuse(house.redeem(grant, **given))).code in {"invalid_grant", "invalid_client"}
    assert await house.find(grant) == active
    assert (await house.introspect(answer.access_token))["active"] is True


async def test_c6_redeem_expired_code_is_refused_and_never_revives(house: House):
    grant = await house.grant(expires_at=NOW + 60)
    house.now += 60
    assert (await refuse(house.redeem(grant))).description.startswith("expired:")
    assert (await house.find(grant)).status == "pending"


async def test_c13_redeem_after_the_membership_ended_is_refused(house: House):
    grant = await house.grant()
    await house.store.end_membership(user_id=ANN, organization_id=ACORN, now=NOW)
    await house.store.add_membership(user_id=ANN, organization_id=ACORN, role="member", now=NOW)
    refused = await refuse(house.redeem(grant))
    assert (refused.code, refused.description.split(":")[0]) == ("invalid_grant", "membership_ended")


@pytest.mark.parametrize("code", ["", "x", "ls_ac_", "ls_rt_x", "ls_ac_" + "0" * 60, "\0", "é", "a" * 100_000])
async def test_redeem_noise_is_invalid_grant(house: House, code):
    refused = await refuse(house.token(TokenRequest(grant_type="authorization_code", code=code)))
    assert (refused.code, refused.description) == ("invalid_grant", "The authorization code is unknown.")


async def test_c4_hundred_parallel_redemptions_have_one_winner(house: House):
    """CVE-2026-53518. The others replay a code that was redeemed: the grant ends (RFC 6749 §4.1.2)."""
    grant = await house.grant()
    outcomes = await asyncio.gather(*(house.redeem(grant) for _ in range(100)), return_exceptions=True)
    answers = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    refusals = [outcome for outcome in outcomes if isinstance(outcome, OAuthError)]
    assert (len(answers), len(refusals)) == (1, 99)
    assert {refusal.code for refusal in refusals} == {"invalid_grant"}
    assert (await house.find(grant)).status == "ended"
    assert await house.introspect(answers[0].access_token) == {"active": False}


# -- refresh


async def test_redemption_notes_from_where_the_grant_was_used(house: House):
    grant = await house.grant()
    await house.redeem(grant, source=Origin("system", address="203.0.113.9"))
    assert house.grant_uses == [(grant.id, "203.0.113.9", house.now)]


async def test_refresh_notes_from_where_the_grant_was_used(house: House):
    grant = await house.grant()
    first = await house.redeem(grant)
    house.grant_uses.clear()
    house.now += 5
    await house.refresh(first.refresh_token, source=Origin("system", address="203.0.113.9"))
    assert house.grant_uses == [(grant.id, "203.0.113.9", house.now)]


async def test_refresh_rotates_and_both_tokens_are_new(house: House):
    grant = await house.grant()
    first = await house.redeem(grant)
    house.now += 100
    second = await house.refresh(first.refresh_token)
    assert second.refresh_token not in {None, first.refresh_token}
    assert second.access_token != first.access_token
    assert (second.scope, second.organization_id, second.user_id) == (first.scope, ACORN, ANN)
    kept = await house.find(grant)
    assert (kept.generation, kept.rotated_at, kept.retry_count) == (2, NOW + 100, 0)
    assert kept.expires_at == NOW + 100 + 180 * DAY


async def test_refresh_retry_within_the_window_gets_the_same_successor_and_is_counted(house: House):
    """DESIGN §5: a lost answer strands nobody."""
    grant = await house.grant()
    first = await house.redeem(grant)
    second = await house.refresh(first.refresh_token)
    house.now += 59
    again = [await house.refresh(first.refresh_token) for _ in range(3)]
    assert {answer.refresh_token for answer in again} == {second.refresh_token}
    assert len({answer.access_token for answer in again}) == 3
    kept = await house.find(grant)
    assert (kept.generation, kept.retry_count, kept.status) == (2, 3, "active")
    third = await house.refresh(second.refresh_token)
    assert third.refresh_token not in {first.refresh_token, second.refresh_token}


@pytest.mark.parametrize(
    "wait, uses_successor",
    [pytest.param(60, False, id="after-the-window"), pytest.param(0, True, id="successor-already-used")],
)
async def test_r4_refresh_reuse_ends_the_grant_and_all_its_tokens(house: House, wait, uses_successor):
    grant = await house.grant()
    first = await house.redeem(grant)
    second = await house.refresh(first.refresh_token)
    last = await house.refresh(second.refresh_token) if uses_successor else second
    house.now += wait
    refused = await refuse(house.refresh(first.refresh_token))
    assert (refused.code, refused.description.split(":")[0]) == ("invalid_grant", "superseded")
    kept = await house.find(grant)
    assert (kept.status, kept.ended_reason, kept.ended_by) == ("ended", "refresh_token_reuse", MAILLOOP)
    for answer in (first, second, last):
        assert await house.introspect(answer.access_token) == {"active": False}
        assert (await refuse(house.refresh(answer.refresh_token))).code == "invalid_grant"


async def test_r7_refresh_without_a_window_refuses_the_predecessor_in_the_same_second(house: House):
    house.configure(retry_window=0)
    first = await house.redeem(await house.grant())
    await house.refresh(first.refresh_token)
    assert (await refuse(house.refresh(first.refresh_token))).description.startswith("superseded")


@pytest.mark.parametrize("own, elapsed, is_retry", [(0, 0, False), (30 * DAY, 30 * DAY - 1, True), (None, 59, True)])
async def test_refresh_window_of_the_client_overrides_the_settings(house: House, own, elapsed, is_retry):
    await house.client("oa2client_patient", retry_window=own)
    first = await house.redeem(await house.grant(client_id="oa2client_patient"), client_id="oa2client_patient")
    second = await house.refresh(first.refresh_token, client_id="oa2client_patient")
    house.now += elapsed
    attempt = house.refresh(first.refresh_token, client_id="oa2client_patient")
    if is_retry:
        assert (await attempt).refresh_token == second.refresh_token
    else:
        assert (await refuse(attempt)).code == "invalid_grant"


async def test_r5_hundred_parallel_refreshes_rotate_once_and_share_the_successor(house: House):
    """CVE-2026-53517, CVE-2026-1035: never a fork."""
    grant = await house.grant()
    first = await house.redeem(grant)
    answers = await asyncio.gather(*(house.refresh(first.refresh_token) for _ in range(100)))
    assert len({answer.refresh_token for answer in answers}) == 1
    assert len({answer.access_token for answer in answers}) == 100
    kept = await house.find(grant)
    assert (kept.generation, kept.retry_count, kept.status) == (2, 99, "active")
    for answer in answers[:3]:
        assert (await house.introspect(answer.access_token))["active"] is True


async def test_r2_refresh_with_narrower_scope_narrows_only_the_access_token(house: House):
    grant = await house.grant()
    first = await house.redeem(grant)
    narrow = await house.refresh(first.refresh_token, scope="all.full_access")
    assert narrow.scope == "all.full_access"
    assert (await house.introspect(narrow.access_token))["scope"] == "all.full_access"
    assert (await house.find(grant)).scope == ("all.full_access", "offline_access")
    assert (await house.refresh(narrow.refresh_token)).scope == "all.full_access offline_access"


@pytest.mark.parametrize(
    "given, code",
    [
        pytest.param({"scope": "all.full_access x"}, "invalid_scope", id="R2-wider-scope"),
        pytest.param({"secret": "wrong"}, "invalid_client", id="wrong-secret"),
        pytest.param({"secret": None}, "invalid_client", id="R1-no-secret CVE-2026-53512"),
        pytest.param({"client_id": "oa2client_other"}, "invalid_grant", id="R1-other-client CVE-2026-55672"),
    ],
)
async def test_refresh_failed_attempt_consumes_nothing(house: House, given, code):
    await house.client("oa2client_other")
    grant = await house.grant()
    first = await house.redeem(grant)
    before = await house.find(grant)
    assert (await refuse(house.refresh(first.refresh_token, **given))).code == code
    assert await house.find(grant) == before
    assert (await house.refresh(first.refresh_token)).refresh_token is not None


async def test_r8_refresh_is_refused_while_the_membership_is_ended_and_resumes_with_it(house: House):
    first = await house.redeem(await house.grant())
    await house.store.end_membership(user_id=ANN, organization_id=ACORN, now=NOW)
    refused = await refuse(house.refresh(first.refresh_token))
    assert (refused.code, refused.description.split(":")[0]) == ("invalid_grant", "membership_ended")
    assert await house.introspect(first.access_token) == {"active": False}
    await house.store.add_membership(user_id=ANN, organization_id=ACORN, role="member", now=NOW)
    assert (await house.introspect(first.access_token))["active"] is True
    assert (await house.refresh(first.refresh_token)).refresh_token is not None


@pytest.mark.parametrize(
    "idle, absolute, uses, dies_at",
    [
        pytest.param(10 * DAY, None, [], 10 * DAY, id="R9-idle"),
        pytest.param(10 * DAY, None, [9 * DAY, 18 * DAY], 28 * DAY, id="R9-idle-from-the-last-use"),
        pytest.param(10 * DAY, 25 * DAY, [9 * DAY, 18 * DAY], 25 * DAY, id="R9-absolute-is-not-moved"),
        pytest.param(None, 25 * DAY, [20 * DAY], 25 * DAY, id="R9-absolute-alone"),
        pytest.param(10 * DAY, 5 * DAY, [], 5 * DAY, id="R9-absolute-before-idle"),
        pytest.param(None, None, [5000 * DAY], None, id="forever"),
    ],
)
async def test_r9_refresh_token_dies_when_idle_or_too_old(house: House, idle, absolute, uses, dies_at):
    house.configure(refresh_token_idle_lifetime=idle, refresh_token_absolute_lifetime=absolute)
    token = (await house.redeem(await house.grant())).refresh_token
    for use in uses:
        house.now = NOW + use
        token = (await house.refresh(token)).refresh_token
    if dies_at is None:
        house.now = NOW + 25_000 * DAY
        assert (await house.refresh(token)).refresh_token is not None
        return
    house.now = NOW + dies_at
    assert (await refuse(house.refresh(token))).description.startswith("expired:")
    house.now -= 1
    assert (await house.refresh(token)).refresh_token is not None


async def test_refresh_thousand_times_leaves_one_grant_row(house: House):
    """DESIGN §4: tokens are not rows."""
    token = (await house.redeem(await house.grant())).refresh_token
    for _ in range(1000):
        token = (await house.refresh(token)).refresh_token
    grants = await house.store.find_grants(user_id=None, organization_id=None)
    assert [grant.generation for grant in grants] == [1001]


# -- client and grant type


@pytest.mark.parametrize("grant_type", ["password", "implicit", "", "AUTHORIZATION_CODE", "urn:x"])
async def test_t9_t12_unknown_grant_type_is_unsupported(house: House, grant_type):
    assert (await refuse(house.token(TokenRequest(grant_type=grant_type)))).code == "unsupported_grant_type"


async def test_t9_grant_type_not_of_the_client_is_unauthorized_client(house: House):
    for grant_type in ("authorization_code", "refresh_token", "client_credentials"):
        client_id = f"oa2client_without_{grant_type}"
        others = tuple({"authorization_code", "refresh_token", "client_credentials"} - {grant_type})
        await house.client(client_id, grant_types=others)
        refused = await refuse(house.token(TokenRequest(grant_type=grant_type), client_id))
        assert refused.code == "unauthorized_client"


async def test_client_authentication_comes_before_everything_else(house: House):
    refused = await refuse(house.token(TokenRequest(grant_type="password"), MAILLOOP, "wrong"))
    assert refused.code == "invalid_client"


@pytest.mark.parametrize("grant_type, name", [("authorization_code", "code"), ("refresh_token", "refresh_token")])
async def test_missing_code_or_token_is_invalid_request(house: House, grant_type, name):
    refused = await refuse(house.token(TokenRequest(grant_type=grant_type)))
    assert (refused.code, refused.description) == ("invalid_request", f"{name} is missing.")


async def test_r11_client_credentials_mint_for_the_owner_without_refresh_token_or_row(house: House):
    client_id = "oa2client_000000000000000Machine"
    await house.client(client_id, grant_types=("client_credentials",))
    answer = await house.token(TokenRequest(grant_type="client_credentials"), client_id)
    assert (answer.refresh_token, answer.user_id, answer.organization_id) == (None, None, ACORN)
    assert answer.scope == "all.full_access"
    told = await house.introspect(answer.access_token)
    assert (told["client_id"], told["sub"], told["organization_id"]) == (client_id, client_id, ACORN)
    assert "user_id" not in told
    assert await house.store.find_grants(user_id=None, organization_id=None) == []


# -- the store


class Failing:
    """A store that fails in one method, before or after doing its work."""

    def __init__(self, store: Any, method: str, *, is_done_first: bool = False) -> None:
        self._store = store
        self._method = method
        self._is_done_first = is_done_first

    def __getattr__(self, name: str) -> Any:
        if name != self._method:
            return getattr(self._store, name)

        async def fail(*args: Any, **given: Any) -> Any:
            if self._is_done_first:
                await getattr(self._store, name)(*args, **given)
            raise StoreUnavailable("down")

        return fail


@pytest.mark.parametrize("method", ["find_client", "find_grant", "commit_redemption"])
async def test_c14_redeem_while_the_store_fails_consumes_nothing(house: House, method):
    """I4, I6: 503, never `invalid_client` or `invalid_grant` (Hydra #1246)."""
    grant, store = await house.grant(), house.store
    house.store = Failing(store, method)  # type: ignore[assignment]
    with pytest.raises(StoreUnavailable):
        await house.redeem(grant)
    house.store = store
    assert await house.find(grant) == grant
    assert (await house.redeem(grant)).refresh_token is not None


@pytest.mark.parametrize("method", ["find_client", "find_grant", "commit_rotation"])
@pytest.mark.parametrize("is_done_first", [False, True], ids=["not-committed", "committed-but-not-told"])
async def test_refresh_while_the_store_fails_strands_nobody(house: House, method, is_done_first):
    """A commit whose answer was lost: the same token asks again and gets the one successor."""
    grant, store = await house.grant(), house.store
    first = await house.redeem(grant)
    house.store = Failing(store, method, is_done_first=is_done_first)  # type: ignore[assignment]
    with pytest.raises(StoreUnavailable):
        await house.refresh(first.refresh_token)
    house.store = store
    second = await house.refresh(first.refresh_token)
    assert second.refresh_token == house.codec.render_refresh_token(grant.id, 2, grant.row_secret)
    assert (await house.find(grant)).generation == 2


async def test_reuse_while_the_store_fails_is_no_answer_about_the_credential(house: House):
    """V9's rule for reuse: it is said to have ended only once it has."""
    first = await house.redeem(await house.grant())
    await house.refresh(first.refresh_token)
    house.now += 60
    house.store = Failing(house.store, "end_grant")  # type: ignore[assignment]
    with pytest.raises(StoreUnavailable):
        await house.refresh(first.refresh_token)


class AlwaysLosing:
    """A store whose conditional writes always lose although the grant never changes."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        if name not in {"commit_redemption", "commit_rotation"}:
            return getattr(self._store, name)

        async def lose(*args: Any, **given: Any) -> Commit:
            return Commit.LOST

        return lose


async def test_endless_losing_is_unavailable_and_not_a_loop(house: House):
    grant, store = await house.grant(), house.store
    house.store = AlwaysLosing(store)  # type: ignore[assignment]
    with pytest.raises(StoreUnavailable):
        await house.redeem(grant)
    house.store = store
    token = (await house.redeem(grant)).refresh_token
    house.store = AlwaysLosing(store)  # type: ignore[assignment]
    with pytest.raises(StoreUnavailable):
        await house.refresh(token)
