"""Every cell of the life-cycle table (`lives.py`), on every engine: grants, tokens opaque and signed, codes, remembered
consents, pushed requests, devices, sessions; and the way back (R8, A25; CVE-2024-46999, -47000, -47060, CVE-2025-65430,
CVE-2026-43983)."""

import os
from pathlib import Path
from typing import Any

import pytest

from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.ports import Commit, ConsentCommit
from latchstring.authorization_server.records import ConsentRecord, DeviceAuthorizationRecord, GrantRecord
from latchstring.authorization_server.settings import ScopeDefinition
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.token_request import TokenRequest
from latchstring.storage.store import SqlStore
from tests.authorization_server.builders import (
    ACORN,
    ANN,
    MAILLOOP,
    NOW,
    build_device,
    build_grant,
    build_organization,
    build_resource_server,
    build_user,
)
from tests.authorization_server.conftest import GUARD_SECRET, House
from tests.storage.lives import LIVES, Life, render_table
from tests.storage.test_grant_store import pushed

LOOP, OTTO = "orga_loop", "user_otto"
SIGNED_API, SIGNED_GUARD = "https://signed.example/", "oa2resource_0000000000000000Signed"
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "life-cycle.md"
OPERATOR = Origin("operator", "user_operator")


def test_page_has_the_table_that_is_tested() -> None:
    assert render_table() in PAGE.read_text()


@pytest.fixture
async def house(store: SqlStore) -> House:
    """Ann, a member of Acorn, has connected Mailloop, an app of Loop Labs that Otto registered."""
    house = House(store)
    await store.create_organization(build_organization())
    await store.create_organization(build_organization(LOOP, "Loop Labs"))
    await store.create_user(build_user())
    await store.create_user(build_user(OTTO, "otto@example.com"))
    for user_id, organization_id in ((ANN, ACORN), (OTTO, LOOP)):
        await store.add_membership(user_id=user_id, organization_id=organization_id, role="admin", now=NOW)
    secrets = (house.codec.hash_client_secret(GUARD_SECRET, NOW),)
    await store.create_resource_server(build_resource_server(secrets=secrets))
    await store.create_resource_server(
        build_resource_server(client_id=SIGNED_GUARD, resource=SIGNED_API, access_token_format="jwt", secrets=secrets)
    )
    await house.client(organization_id=LOOP, created_by=OTTO)
    return house


async def happen(house: House, name: str) -> Any:
    store = house.store
    when: dict[str, Any] = {"now": house.now, "origin": OPERATOR}
    match name:
        case "membership_ended":
            return await store.end_membership(user_id=ANN, organization_id=ACORN, **when)
        case "membership_ended_at_once":
            await store.set_leaver_policy(ACORN, end_after=0, **when)
            return await store.end_membership(user_id=ANN, organization_id=ACORN, **when)
        case "membership_suspended":
            return await store.suspend_membership(user_id=ANN, organization_id=ACORN, **when)
        case "role_changed":
            return await store.change_role(user_id=ANN, organization_id=ACORN, role="member", **when)
        case "organization_closed":
            return await store.close_organization(ACORN, **when)
        case "user_disabled":
            return await store.disable_user(ANN, **when)
        case "user_deleted":
            return await store.delete_user(ANN, **when)
        case "app_suspended":
            return await store.suspend_client(MAILLOOP, reason="", **when)
        case "app_deleted":
            return await store.delete_client(MAILLOOP, kept_until=house.now + 9, **when)
        case "owner_closed":
            return await store.close_organization(LOOP, **when)
        case "creator_gone":
            return await store.delete_user(OTTO, **when)
        case "publication_withdrawn":
            return await store.publish_client(MAILLOOP, is_published=False, **when)
        case "left_owner":
            return await store.end_membership(user_id=ANN, organization_id=LOOP, **when)
    raise AssertionError(name)


async def undo(house: House, name: str) -> Any:
    store = house.store
    when: dict[str, Any] = {"now": house.now, "origin": OPERATOR}
    match name:
        case "membership_ended":
            return await store.add_membership(user_id=ANN, organization_id=ACORN, role="admin", **when)
        case "membership_suspended":
            return await store.resume_membership(user_id=ANN, organization_id=ACORN, **when)
        case "organization_closed":
            return await store.reopen_organization(ACORN, **when)
        case "user_disabled":
            return await store.enable_user(ANN, **when)
        case "app_suspended":
            return await store.reinstate_client(MAILLOOP, **when)
        case "owner_closed":
            return await store.reopen_organization(LOOP, **when)
        case "publication_withdrawn":
            return await store.publish_client(MAILLOOP, is_published=True, **when)
        case "left_owner":
            return await store.add_membership(user_id=ANN, organization_id=LOOP, role="member", **when)
    raise AssertionError(name)


async def make_code(house: House) -> GrantRecord:
    grant = build_grant(id=os.urandom(16), row_secret=os.urandom(16), expires_at=house.now + 60)
    consent = ConsentRecord(
        client_id=MAILLOOP,
        user_id=ANN,
        organization_id=ACORN,
        scope=grant.scope,
        declined_scope=(),
        resource=(),
        details_digest=None,
        app_name="Mailloop",
        publisher="Loop Labs",
        redirect_host="app.example",
        grant_id=grant.id,
        given_at=house.now,
        last_at=house.now,
        expires_at=None,
    )
    assert await house.store.commit_consent(grant, consent=consent) is ConsentCommit.CREATED
    return grant


async def claim_device(house: House, session: bytes) -> DeviceAuthorizationRecord:
    device = build_device(expires_at=house.now + 600)
    assert await house.store.create_device_authorization(device, now=house.now) is Commit.APPLIED
    claimed = await house.store.claim_device_authorization(
        device.user_code, user_id=ANN, session_hash=session, now=house.now, window=600, max_wrong=5
    )
    assert isinstance(claimed, DeviceAuthorizationRecord)
    return claimed


async def is_live(house: House, token: str) -> bool:
    """What introspection says of an opaque token, or of a signed one to the API that it is for."""
    caller = None if token.startswith("ls_at_") else SIGNED_GUARD
    answer: bool = (await house.introspect(token, caller))["active"]
    return answer


async def ask_refusal(house: House, refresh_token: str | None) -> str | None:
    """The first word of the refusal, or its code where that is not `invalid_grant`; None for tokens."""
    try:
        await house.refresh(refresh_token)
    except OAuthError as error:
        return error.code if error.code != "invalid_grant" else error.description.split(" ")[0]
    return None


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
async def test_every_cell_of_the_life_cycle_table_holds(house: House, life: Life) -> None:
    store = house.store
    if life.name == "left_owner":
        await store.add_membership(user_id=ANN, organization_id=LOOP, role="member", now=NOW)
        await store.publish_client(MAILLOOP, is_published=False, now=NOW, origin=OPERATOR)
    cookie = await house.login.begin(ANN)
    grant = await make_code(house)
    tokens = await house.redeem(grant)
    request = TokenRequest(grant_type="refresh_token", refresh_token=tokens.refresh_token, resource=(SIGNED_API,))
    signed = await house.token(request)
    access = (tokens.access_token, signed.access_token)
    assert [await is_live(house, token) for token in access] == [True, True]
    code = await make_code(house)
    await store.create_pushed_request(pushed(), now=NOW)
    device = await claim_device(house, b"\x09" * 32)

    house.now += 5
    await happen(house, life.name)

    found = await house.find(grant)
    assert found.status == {"stays": "active"}.get(life.grant, life.grant)
    lives = life.grant == "stays"
    assert [await is_live(house, token) for token in access] == [lives, lives]
    assert await ask_refusal(house, signed.refresh_token) == life.word
    assert (await house.find(code)).status == ("pending" if life.code == "stays" else "ended")
    remembered = await store.find_remembered_consents(MAILLOOP, ANN)
    assert bool(remembered) is (life.consent == "kept")
    waiting = build_grant(id=os.urandom(16), row_secret=os.urandom(16), expires_at=house.now + 60)
    answered = await store.commit_consent(waiting, pushed_request_id=pushed().id)
    assert (answered is ConsentCommit.CREATED) is (life.asked == "allowed")
    of_device = build_grant(id=device.id, row_secret=device.row_secret, expires_at=house.now + 60)
    answered = await store.commit_device_consent(of_device, session_hash=b"\x09" * 32, now=house.now)
    assert (answered is ConsentCommit.CREATED) is (life.asked == "allowed")
    assert (await house.login.find(cookie) is not None) is (life.session == "stays")

    if life.undone_by is not None:
        await undo(house, life.name)
        assert (await house.find(grant)).status == "active"
        assert [await is_live(house, token) for token in access] == [True, True]
        assert await ask_refusal(house, signed.refresh_token) is None
        assert (await house.find(code)).status == "ended"
    elif life.grant == "ended":
        await store.add_membership(user_id=ANN, organization_id=ACORN, role="admin", now=house.now)
        assert (await house.find(grant)).status == "ended"


async def test_role_that_no_longer_gives_a_scope_away_narrows_the_next_token_and_gives_it_back(house: House) -> None:
    """The grant keeps what was agreed to; a token has what the role allows when it is made."""
    scopes = {"all.full_access": ScopeDefinition(risk="high", roles=("admin",)), "contacts.read": ScopeDefinition()}
    house.configure(scopes=scopes)
    asked = ("all.full_access", "contacts.read", "offline_access")
    grant = build_grant(id=os.urandom(16), row_secret=os.urandom(16), scope=asked, expires_at=house.now + 60)
    assert await house.store.commit_consent(grant) is ConsentCommit.CREATED
    tokens = await house.redeem(grant)
    assert tokens.scope == "all.full_access contacts.read offline_access"
    when: dict[str, Any] = {"user_id": ANN, "organization_id": ACORN, "now": house.now, "origin": OPERATOR}
    await house.store.change_role(**when, role="member")
    narrowed = await house.refresh(tokens.refresh_token)
    assert narrowed.scope == "contacts.read offline_access"
    assert (await house.introspect(narrowed.access_token))["scope"] == "contacts.read offline_access"
    await house.store.change_role(**when, role="admin")
    again = await house.refresh(narrowed.refresh_token)
    assert again.scope == tokens.scope
