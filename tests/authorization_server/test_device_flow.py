"""The device grant over a real store: from the device's request to its tokens, and what is left behind (D1–D6)."""

import asyncio
import os
from collections import Counter
from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.answers import Answer, AnswerRefusal
from latchstring.authorization_server.consent import Consent
from latchstring.authorization_server.device_authorization_endpoint import DeviceAuthorizationEndpoint
from latchstring.authorization_server.events import Action, EventFilter, Origin
from latchstring.authorization_server.login import hash_session
from latchstring.authorization_server.organization_policies import OrganizationPolicies
from latchstring.authorization_server.organization_policy import OrganizationPolicy
from latchstring.authorization_server.ports import Claim, Commit, ConsentCommit
from latchstring.authorization_server.receipts import read_receipt
from latchstring.authorization_server.records import DeviceAuthorizationRecord, GrantRecord
from latchstring.authorization_server.settings import ScopeDefinition
from latchstring.authorization_server.tokens import AccessToken
from latchstring.authorization_server.user_codes import MAX_WRONG_CODES, UserCodes
from latchstring.protocol.client_metadata import DEVICE_CODE
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.device_authorization import DeviceAuthorization, parse_user_code
from latchstring.protocol.errors import OAuthError, StoreUnavailable
from latchstring.protocol.parameters import Parameters, parse_parameters
from latchstring.protocol.token_request import ClientCredentials, TokenRequest
from latchstring.protocol.token_response import TokenResponse
from latchstring.wiring import build_flows
from tests.authorization_server.builders import ACORN, ANN, MAILLOOP, NOW, build_client, build_session
from tests.authorization_server.conftest import SECRET, House

TELEVISION = "oa2client_0000000000000000000000"
COOKIE = "a" * 64
WRONG = "BBBBBBB"


@pytest.fixture
async def house(house: House) -> House:
    """With a public client for devices."""
    await house.client(
        TELEVISION,
        token_endpoint_auth_method="none",
        secrets=(),
        redirect_uris=(),
        grant_types=(DEVICE_CODE, "refresh_token"),
    )
    await house.store.create_session(build_session(hash_session(COOKIE), expires_at=NOW + 86400))
    return house


def build_endpoint(house: House, entropy: Any = os.urandom) -> DeviceAuthorizationEndpoint:
    parts = house._parts("authenticator", "store", "codec", "settings", "clock")
    return DeviceAuthorizationEndpoint(**parts, entropy=entropy)


def build_user_codes(house: House) -> UserCodes:
    return UserCodes(store=house.store, settings=house.settings, clock=house.clock)


def build_consent(house: House) -> Consent:
    policies = OrganizationPolicies(**house._parts("store", "settings", "clock"))
    return Consent(**house._parts("store", "codec", "settings", "clock"), policies=policies, entropy=os.urandom)


async def ask(
    house: House,
    body: str = "",
    *,
    client_id: str = TELEVISION,
    secret: str | None = None,
    entropy: Any = os.urandom,
) -> DeviceAuthorization:
    method = "none" if secret is None else "client_secret_post"
    parameters: Parameters = parse_parameters(body.encode())
    return await build_endpoint(house, entropy).answer(parameters, ClientCredentials(client_id, secret, method))


async def claim(house: House, user_code: str, cookie: str = COOKIE) -> DeviceAuthorizationRecord:
    device = await build_user_codes(house).claim(user_code, ANN, cookie)
    assert isinstance(device, DeviceAuthorizationRecord)
    return device


async def allow(house: House, asked: DeviceAuthorization, cookie: str = COOKIE, **given: Any) -> ConsentCommit:
    values: dict[str, Any] = {"organization_id": ACORN, "authenticated_at": NOW - 9, "acr": "mfa", **given}
    organization_id = values.pop("organization_id")
    device = await claim(house, asked.user_code)
    allowed = build_consent(house).allow_device(
        device, build_client(), ANN, Answer(organization_id=organization_id), cookie=cookie, **values
    )
    commit = await allowed
    assert isinstance(commit, ConsentCommit)
    return commit


async def poll(house: House, asked: DeviceAuthorization, client_id: str = TELEVISION, **given: Any) -> TokenResponse:
    secret = SECRET if client_id == MAILLOOP else None
    request = TokenRequest(grant_type=DEVICE_CODE, device_code=asked.device_code, **given)
    answer = await house.token(request, client_id, secret)
    assert isinstance(answer, TokenResponse)
    return answer


async def refuse(attempt: Any) -> str:
    with pytest.raises(OAuthError) as refused:
        await attempt
    return refused.value.code


async def find_device(house: House, asked: DeviceAuthorization) -> DeviceAuthorizationRecord | None:
    code = house.codec.parse_device_code(asked.device_code)
    assert code is not None
    return await house.store.find_device_authorization(code.device_id)


async def find_grant(house: House, asked: DeviceAuthorization) -> GrantRecord:
    code = house.codec.parse_device_code(asked.device_code)
    assert code is not None
    grant = await house.store.find_grant(code.device_id)
    assert grant is not None
    return grant


# -- the device asks


async def test_ask_keeps_exactly_what_was_asked_for(house: House):
    """D1, D5."""
    house.configure(device_code_lifetime=300)
    asked = await ask(house, "scope=offline_access+all.full_access&organization_id=orga_x")
    device = await find_device(house, asked)
    assert device is not None
    code = house.codec.parse_device_code(asked.device_code)
    assert code is not None
    assert house.codec.verify_device_code(code, device.row_secret)
    assert device.id[:4] == NOW.to_bytes(4, "big"), "ids of a time lie together"
    assert len(device.row_secret) == 16
    assert msgspec.structs.replace(device, id=b"", row_secret=b"") == DeviceAuthorizationRecord(
        id=b"",
        client_id=TELEVISION,
        user_code=asked.user_code.replace("-", ""),
        row_secret=b"",
        scope=("offline_access", "all.full_access"),
        resource=(),
        organization_id="orga_x",
        is_denied=False,
        session_hash=None,
        interval=5,
        polled_at=None,
        expires_at=NOW + 300,
    )
    assert parse_user_code(asked.user_code) == device.user_code
    assert asked.verification_uri == "https://auth.example/device"
    assert asked.verification_uri_complete == f"https://auth.example/device?user_code={asked.user_code}"
    assert (asked.expires_in, asked.interval) == (300, 5)


async def test_ask_names_its_resources_each_once(house: House):
    """RFC 8707 §2."""
    asked = await ask(house, "resource=https%3A%2F%2Fapi.example%2F&resource=https%3A%2F%2Fapi.example%2F")
    device = await find_device(house, asked)
    assert device is not None
    assert device.resource == ("https://api.example/",)
    assert await refuse(ask(house, "resource=https%3A%2F%2Fother.example%2F")) == "invalid_target"


@pytest.mark.parametrize(
    "body, client_id, secret, code",
    [
        ("", "oa2client_nobody", None, "invalid_client"),
        ("", MAILLOOP, SECRET, "unauthorized_client"),
        ("scope=unknown", TELEVISION, None, "invalid_scope"),
        ("scope=offline_access", TELEVISION, None, "invalid_scope"),
    ],
)
async def test_ask_is_refused_as_at_the_authorization_endpoint(house: House, body, client_id, secret, code):
    assert await refuse(ask(house, body, client_id=client_id, secret=secret)) == code


class Repeating:
    """Entropy whose first draws are all the same."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self, size: int) -> bytes:
        if size == 16 and self.left:
            self.left -= 1
            return bytes(16)
        return os.urandom(size)


async def test_ask_with_a_taken_user_code_draws_another(house: House):
    first = await ask(house, entropy=Repeating(1))
    assert first.user_code == "BBBB-BBBB"
    second = await ask(house, entropy=Repeating(4))
    assert second.user_code != first.user_code
    with pytest.raises(StoreUnavailable):
        await ask(house, entropy=Repeating(6))
    assert await find_device(house, first) is not None


# -- the person


async def test_claim_is_for_one_browser_and_found_by_it_alone(house: House):
    """D4."""
    asked = await ask(house)
    codes = build_user_codes(house)
    device = await claim(house, asked.user_code.lower())
    assert device.session_hash == hash_session(COOKIE)
    assert await codes.find_claimed(device.id, COOKIE) == device
    assert await codes.find_claimed(device.id, "b" * 64) is None
    assert await codes.find_claimed(os.urandom(16), COOKIE) is None
    assert await codes.claim(asked.user_code, ANN, "b" * 64) is Claim.UNKNOWN


async def test_claim_counts_what_could_be_a_code_and_forgets_after_its_lifetime(house: House):
    """D3."""
    asked = await ask(house)
    codes = build_user_codes(house)
    for _ in range(9):
        assert await codes.claim("no code", ANN, COOKIE) is Claim.UNKNOWN
    for letter in "BCDFG":
        assert await codes.claim(WRONG + letter, ANN, COOKIE) is Claim.UNKNOWN
    assert MAX_WRONG_CODES == 5
    assert await codes.claim(asked.user_code, ANN, COOKIE) is Claim.TOO_MANY
    house.now += 599
    assert await codes.claim(asked.user_code, ANN, COOKIE) is Claim.TOO_MANY
    house.now += 1
    assert await codes.claim((await ask(house)).user_code, ANN, COOKIE) != Claim.TOO_MANY


async def test_allow_makes_the_pending_grant_that_the_device_code_is_good_for(house: House):
    asked = await ask(house, "scope=all.full_access&resource=https%3A%2F%2Fapi.example%2F")
    device = await find_device(house, asked)
    assert device is not None
    house.now += 100
    assert await allow(house, asked) is ConsentCommit.CREATED
    assert await find_device(house, asked) is None
    assert await find_grant(house, asked) == GrantRecord(
        id=device.id,
        client_id=TELEVISION,
        user_id=ANN,
        organization_id=ACORN,
        scope=("all.full_access",),
        resource=("https://api.example/",),
        status="pending",
        redirect_uri=None,
        code_challenge=None,
        row_secret=device.row_secret,
        generation=0,
        created_at=NOW + 100,
        activated_at=None,
        rotated_at=None,
        retry_count=0,
        expires_at=NOW + 600,
        absolute_expires_at=None,
        access_revoked_until=0,
        ended_at=None,
        ended_by=None,
        ended_reason=None,
        authenticated_at=NOW - 9,
        acr="mfa",
    )


async def test_allow_at_the_last_moment_leaves_the_device_a_minute(house: House):
    asked = await ask(house)
    house.now += 599
    assert await allow(house, asked) is ConsentCommit.CREATED
    assert (await find_grant(house, asked)).expires_at == NOW + 599 + 60


async def test_allow_is_written_down_by_whom_and_with_a_receipt_that_leads_nowhere(house: House):
    asked, origin = await ask(house), Origin("user", ANN, "203.0.113.9", "req_1")
    assert await allow(house, asked, origin=origin) is ConsentCommit.CREATED
    wanted = EventFilter(action=Action.GRANT_CREATED)
    assert [each.event.origin for each in await house.store.find_events(wanted, before=None, at_most=9)] == [origin]
    receipt = await house.store.find_receipt((await find_grant(house, asked)).id)
    assert receipt is not None
    assert (read_receipt(receipt).redirect_host, read_receipt(receipt).is_remembered) == ("", False)


async def test_allow_is_held_to_the_deployment_s_policy(house: House):
    asked = await ask(house)
    house.configure(organization_policy=OrganizationPolicy(low="none", medium="none", high="none"))
    assert await allow(house, asked) is ConsentCommit.BLOCKED


async def test_allow_with_everything_struck_out_grants_nothing(house: House):
    house.configure(scopes={"all.full_access": ScopeDefinition(is_optional=True)})
    asked = await ask(house)
    device = await claim(house, asked.user_code)
    answer = Answer(organization_id=ACORN, kept=frozenset())
    allowed = build_consent(house).allow_device(
        device, build_client(), ANN, answer, cookie=COOKIE, authenticated_at=None
    )
    assert await allowed is AnswerRefusal.NOTHING_LEFT
    assert await find_device(house, asked) == device


async def test_allow_and_decline_by_another_browser_or_too_late_do_nothing(house: House):
    """D4."""
    asked = await ask(house)
    assert await allow(house, asked, cookie="b" * 64) is ConsentCommit.REQUEST_USED
    device = await claim(house, asked.user_code)
    consent = build_consent(house)
    assert await consent.decline_device(device, "b" * 64) is Commit.LOST
    house.now += 600
    assert await consent.decline_device(device, COOKIE) is Commit.LOST
    late = consent.allow_device(
        device, build_client(), ANN, Answer(organization_id=ACORN), cookie=COOKIE, authenticated_at=None
    )
    assert await late is ConsentCommit.REQUEST_USED
    assert await find_device(house, asked) == device


# -- the device polls


async def test_poll_before_the_answer_keeps_the_pace(house: House):
    """D2."""
    asked = await ask(house)
    for passed, code, interval in (
        (0, "authorization_pending", 5),
        (0, "slow_down", 10),
        (9, "slow_down", 15),
        (15, "authorization_pending", 15),
        (14, "slow_down", 20),
    ):
        house.now += passed
        assert await refuse(poll(house, asked)) == code
        device = await find_device(house, asked)
        assert device is not None
        assert (device.interval, device.polled_at) == (interval, house.now)


async def test_polls_in_a_frenzy_stop_at_a_minute_and_write_once_a_second(house: House):
    asked = await ask(house)
    for _ in range(20):
        await refuse(poll(house, asked))
    device = await find_device(house, asked)
    assert device is not None
    assert (device.interval, device.polled_at) == (60, NOW)
    house.now += 1
    assert await refuse(poll(house, asked)) == "slow_down"
    device = await find_device(house, asked)
    assert device is not None
    assert (device.interval, device.polled_at) == (60, NOW + 1)


async def test_polls_at_once_before_the_answer_have_one_pending(house: House):
    asked = await ask(house)
    codes = await asyncio.gather(*(refuse(poll(house, asked)) for _ in range(50)))
    assert Counter(codes) == {"authorization_pending": 1, "slow_down": 49}


async def test_poll_after_decline_is_access_denied(house: House):
    """D2."""
    asked = await ask(house)
    assert await build_consent(house).decline_device(await claim(house, asked.user_code), COOKIE) is Commit.APPLIED
    assert await refuse(poll(house, asked)) == "access_denied"


async def test_poll_after_allow_has_the_tokens_of_the_grant(house: House):
    asked = await ask(house)
    await allow(house, asked)
    house.now += 7
    answer = await poll(house, asked)
    assert (answer.token_type, answer.expires_in, answer.scope) == ("Bearer", 3600, "all.full_access offline_access")
    assert (answer.organization_id, answer.user_id) == (ACORN, ANN)
    access = house.codec.parse_access_token(answer.access_token)
    assert isinstance(access, AccessToken)
    assert (access.issued_at, access.expires_at, access.scope) == (NOW + 7, NOW + 3607, None)
    grant = await find_grant(house, asked)
    assert (grant.status, grant.generation, grant.activated_at) == ("active", 1, NOW + 7)
    assert grant.expires_at == NOW + 7 + 180 * 24 * 3600
    assert grant.absolute_expires_at is None
    assert answer.refresh_token == house.codec.render_refresh_token(grant.id, 1, grant.row_secret)
    assert (await house.refresh(answer.refresh_token, client_id=TELEVISION, secret=None)).organization_id == ACORN


async def test_poll_without_offline_access_has_no_refresh_token_and_ends_with_its_access_token(house: House):
    house.configure(refresh_token_absolute_lifetime=7200)
    short, kept = await ask(house, "scope=all.full_access"), await ask(house)
    await allow(house, short)
    await allow(house, kept)
    assert (await poll(house, short)).refresh_token is None
    grant = await find_grant(house, short)
    assert (grant.generation, grant.expires_at, grant.absolute_expires_at) == (0, NOW + 3600, None)
    assert (await poll(house, kept)).refresh_token is not None
    grant = await find_grant(house, kept)
    assert (grant.generation, grant.expires_at, grant.absolute_expires_at) == (1, NOW + 7200, NOW + 7200)


async def test_poll_with_a_resource_narrows_the_access_token_alone(house: House):
    """RFC 8707 §2.2."""
    asked = await ask(house)
    await allow(house, asked)
    assert await refuse(poll(house, asked, resource=("https://other.example/",))) == "invalid_target"
    assert (await find_grant(house, asked)).status == "pending"
    answer = await poll(house, asked, resource=("https://api.example/",))
    access = house.codec.parse_access_token(answer.access_token)
    assert isinstance(access, AccessToken)
    assert access.resource == ("https://api.example/",)
    assert (await find_grant(house, asked)).resource == ()


async def test_poll_binds_the_tokens_to_the_key_that_was_proved(house: House):
    asked = await ask(house)
    await allow(house, asked)
    answer = await poll_with(house, asked, KEY)
    access = house.codec.parse_access_token(answer.access_token)
    assert isinstance(access, AccessToken)
    assert answer.token_type == "DPoP"
    assert access.facts is not None
    assert access.facts.confirmation == KEY


KEY, OTHER_KEY = Confirmation(jkt="k" * 43), Confirmation(jkt="o" * 43)


async def poll_with(house: House, asked: DeviceAuthorization, confirmation: Confirmation | None) -> TokenResponse:
    flows = build_flows(
        house.settings, house.store, house.codec, house.signing_keys, house.key_sets, house.clock, os.urandom
    )
    client = await house.store.find_client(TELEVISION)
    assert client is not None
    request = TokenRequest(grant_type=DEVICE_CODE, device_code=asked.device_code)
    return await flows[DEVICE_CODE].answer(request, client, confirmation)


@pytest.mark.parametrize(
    "first, second, code",
    [
        (KEY, KEY, None),
        (KEY, OTHER_KEY, "invalid_grant"),
        (KEY, None, "invalid_request"),
        (None, KEY, "invalid_grant"),
        (None, None, None),
    ],
)
async def test_poll_again_with_another_key_gets_nothing_and_ends_nothing(house: House, first, second, code):
    """D5, R10: neither within the window nor after it."""
    asked = await ask(house)
    await allow(house, asked)
    answer = await poll_with(house, asked, first)
    assert (await find_grant(house, asked)).confirmation == first
    house.now += 5
    if code is None:
        assert (await poll_with(house, asked, second)).refresh_token == answer.refresh_token
    else:
        assert await refuse(poll_with(house, asked, second)) == code
    house.now += 100
    assert await refuse(poll_with(house, asked, second)) == ("invalid_grant" if code is None else code)
    grant = await find_grant(house, asked)
    # Whoever proves no more than the first answer asked for ends it.
    assert grant.status == ("active" if code is not None and first is not None else "ended")


async def test_polls_at_once_after_allow_have_one_token(house: House):
    """D5."""
    asked = await ask(house)
    await allow(house, asked)

    async def attempt() -> str:
        try:
            await poll(house, asked)
        except OAuthError as error:
            return error.code
        return "tokens"

    assert Counter(await asyncio.gather(*(attempt() for _ in range(100)))) == {"tokens": 1, "slow_down": 99}
    grant = await find_grant(house, asked)
    assert (grant.generation, grant.retry_count) == (1, 0)


@pytest.mark.parametrize(
    "setting, of_client, after, outcome",
    [
        (60, None, 60, "retry"),
        (60, None, 61, "ended"),
        (60, 10, 10, "retry"),
        (60, 10, 11, "ended"),
        (60, 0, 5, "ended"),
        (86400, None, 600, "retry"),
        (86400, None, 601, "ended"),
        (60, 86400, 600, "retry"),
        (60, 86400, 601, "ended"),
    ],
)
async def test_poll_again_is_a_retry_in_the_window_and_never_past_the_codes_lifetime(
    house: House, setting, of_client, after, outcome
):
    """D5, DESIGN §5."""
    house.configure(retry_window=setting)
    if of_client is not None:
        await house.client("oa2client_other", retry_window=of_client, grant_types=(DEVICE_CODE,))
    client_id = TELEVISION if of_client is None else "oa2client_other"
    secret = None if of_client is None else SECRET
    asked = await ask(house, client_id=client_id, secret=secret)
    await allow(house, asked)
    request = TokenRequest(grant_type=DEVICE_CODE, device_code=asked.device_code)
    first = await house.token(request, client_id, secret)
    house.now += after
    if outcome == "retry":
        again = await house.token(request, client_id, secret)
        assert again.refresh_token == first.refresh_token
        assert again.access_token != first.access_token
        grant = await find_grant(house, asked)
        assert (grant.status, grant.retry_count) == ("active", 1)
    else:
        assert await refuse(house.token(request, client_id, secret)) == "invalid_grant"
        grant = await find_grant(house, asked)
        assert (grant.status, grant.ended_reason, grant.ended_by) == ("ended", "device_code_replayed", client_id)
        assert grant.ended_at == house.now


async def test_poll_after_a_refresh_ends_the_grant(house: House):
    """D5."""
    asked = await ask(house)
    await allow(house, asked)
    answer = await poll(house, asked)
    await house.refresh(answer.refresh_token, client_id=TELEVISION, secret=None)
    house.now += 5
    assert await refuse(poll(house, asked)) == "invalid_grant"
    assert (await find_grant(house, asked)).ended_reason == "device_code_replayed"


@pytest.mark.parametrize("case", ["waiting", "allowed", "connected"])
async def test_poll_of_another_client_is_refused_and_changes_nothing(house: House, case):
    """D5."""
    await house.client("oa2client_other", token_endpoint_auth_method="none", secrets=(), grant_types=(DEVICE_CODE,))
    asked = await ask(house)
    if case != "waiting":
        await allow(house, asked)
    if case == "connected":
        await poll(house, asked)
        house.now += 5
    assert await refuse(poll(house, asked, client_id="oa2client_other")) == "invalid_grant"
    if case == "waiting":
        assert await refuse(poll(house, asked)) == "authorization_pending"
    else:
        assert (await poll(house, asked)).organization_id == ACORN


@pytest.mark.parametrize(
    "device_code, code", [(None, "invalid_request"), ("nonsense", "invalid_grant"), ("", "invalid_grant")]
)
async def test_poll_without_a_device_code_of_ours_is_refused(house: House, device_code, code):
    request = TokenRequest(grant_type=DEVICE_CODE, device_code=device_code)
    assert await refuse(house.token(request, TELEVISION, None)) == code


async def test_poll_with_a_code_of_no_row_is_refused(house: House):
    stray = house.codec.render_device_code(os.urandom(16), os.urandom(16))
    assert await refuse(house.token(TokenRequest(grant_type=DEVICE_CODE, device_code=stray), TELEVISION, None)) == (
        "invalid_grant"
    )


async def test_membership_ended_before_the_poll_is_invalid_grant(house: House):
    """A25."""
    asked = await ask(house)
    await allow(house, asked)
    await house.store.end_membership(user_id=ANN, organization_id=ACORN, now=house.now)
    assert await refuse(poll(house, asked)) == "invalid_grant"
    assert (await find_grant(house, asked)).ended_reason == "membership_ended"
