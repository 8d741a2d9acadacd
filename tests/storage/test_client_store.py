"""The contract of `ClientStore`, for every engine."""

import asyncio
import contextlib
from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import ClientApprovalRecord, ClientSecurity, SecretHash
from latchstring.protocol.errors import StoreUnavailable
from latchstring.storage.store import SqlStore
from tests.authorization_server.builders import (
    ACORN,
    ANN,
    MAILLOOP,
    NOW,
    build_client,
    build_organization,
    build_resource_server,
)
from tests.storage.conftest import OpenStore

SECRETS = (
    SecretHash(secret_hash=bytes(range(32)), key_id=1, hint="ls_cs_abcd", created_at=NOW),
    SecretHash(secret_hash=b"\xff" * 32, key_id=65535, hint="", created_at=0),
)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"secrets": SECRETS},
        {"token_endpoint_auth_method": "none", "is_published": False, "created_by": ANN},
        {"name": "Größe 郵便 🎈 \"'<&", "description": "Zwei\nZeilen\t%s :name ?"},
        {"redirect_uris": ("https://a.example/?x=1&y=%22", "com.example.app:/cb"), "scope": ("a", "b", "c")},
        {"redirect_uris": (), "grant_types": ("client_credentials",)},
        {"terms_uri": "https://a.example/t", "policy_uri": "https://a.example/p", "retry_window": 2592000},
        {"retry_window": 0, "access_revoked_until": 2**40, "created_at": 0},
        {"organization_id": None, "public_id": "oa2registered_" + "x" * 2000, "client_uri": "https://a.example/"},
        {"expires_at": NOW, "ended_at": NOW},
    ],
    ids=str,
)
async def test_create_client_keeps_every_field(peopled: SqlStore, given):
    client = build_client(client_id="oa2client_new", **given)
    await peopled.create_client(client)
    assert await peopled.find_client("oa2client_new") == client


@pytest.mark.parametrize(
    "client_id", ["", "nobody", MAILLOOP.lower(), MAILLOOP + " ", "%", "' OR 1=1 --", "a\0b", "é" * 500]
)
async def test_find_client_unknown_is_none(peopled: SqlStore, client_id):
    """Whatever was sent: never an error, and byte for byte."""
    assert await peopled.find_client(client_id) is None
    assert await peopled.find_resource_server(client_id) is None


async def test_find_client_that_nobody_can_have_does_not_fail_its_neighbours(peopled: SqlStore):
    found = await asyncio.gather(
        *(peopled.find_client(client_id) for client_id in (MAILLOOP, "a\0b", "nobody", MAILLOOP))
    )
    assert found == [build_client(), None, None, build_client()]


async def test_create_client_of_an_unknown_organization_is_refused(peopled: SqlStore):
    with pytest.raises(StoreUnavailable):
        await peopled.create_client(build_client(client_id="oa2client_new", organization_id="orga_unknown"))
    assert await peopled.find_client("oa2client_new") is None


async def test_create_client_with_a_taken_id_is_refused_and_the_first_is_kept(peopled: SqlStore):
    """CVE-2026-55670: an id is never reused."""
    with pytest.raises(StoreUnavailable):
        await peopled.create_client(build_client(name="Impostor"))
    assert await peopled.find_client(MAILLOOP) == build_client()


@pytest.mark.parametrize("part", ["details", "security"])
async def test_update_of_one_part_of_a_client_leaves_the_other_and_all_else_as_they_are(peopled: SqlStore, part: str):
    """Whoever saves the page that another person has open as well takes nothing back that was saved meanwhile."""
    client = build_client(client_id="oa2client_new", secrets=SECRETS, created_by=ANN, retry_window=5)
    await peopled.create_client(client)
    edited: dict[str, dict[str, Any]] = {
        "details": {
            "name": "New",
            "description": "New.",
            "redirect_uris": ("https://new.example/",),
            "terms_uri": "https://new.example/t",
            "policy_uri": None,
        },
        "security": {"security": ClientSecurity(requires_pushed_request=True)},
    }
    not_edited = {
        "secrets": (),
        "scope": ("z",),
        "grant_types": ("z",),
        "created_by": None,
        "retry_window": None,
        "is_published": False,
    }
    changed = msgspec.structs.replace(client, **edited["details"], **edited["security"], **not_edited)
    update = {"details": peopled.update_client_details, "security": peopled.update_client_security}[part]
    assert await update(changed, now=NOW) is Commit.APPLIED
    assert await peopled.find_client("oa2client_new") == msgspec.structs.replace(client, **edited[part])
    assert await peopled.find_client(MAILLOOP) == build_client()


async def test_update_client_unknown_is_lost(peopled: SqlStore):
    for update in (peopled.update_client_details, peopled.update_client_security):
        assert await update(build_client(client_id="nobody"), now=NOW) is Commit.LOST
    assert await peopled.find_client("nobody") is None


async def test_replace_client_secrets_replaces_them_all(peopled: SqlStore):
    assert await peopled.replace_client_secrets(MAILLOOP, SECRETS, now=NOW) is Commit.APPLIED
    assert await peopled.find_client(MAILLOOP) == build_client(secrets=SECRETS)
    assert await peopled.replace_client_secrets(MAILLOOP, SECRETS[:1], now=NOW) is Commit.APPLIED
    assert await peopled.find_client(MAILLOOP) == build_client(secrets=SECRETS[:1])
    assert await peopled.replace_client_secrets("nobody", SECRETS, now=NOW) is Commit.LOST


async def test_replace_client_secrets_that_are_no_longer_the_known_ones_is_lost(peopled: SqlStore):
    ending = msgspec.structs.replace(SECRETS[0], name='Größe "1"', expires_at=NOW + 60)
    assert await peopled.replace_client_secrets(MAILLOOP, SECRETS, known=SECRETS, now=NOW) is Commit.LOST
    assert await peopled.replace_client_secrets(MAILLOOP, SECRETS, known=(), now=NOW) is Commit.APPLIED
    assert await peopled.replace_client_secrets(MAILLOOP, (ending,), known=SECRETS, now=NOW) is Commit.APPLIED
    assert await peopled.replace_client_secrets(MAILLOOP, SECRETS, known=SECRETS, now=NOW) is Commit.LOST
    assert await peopled.replace_client_secrets("nobody", SECRETS, known=(), now=NOW) is Commit.LOST
    assert await peopled.find_client(MAILLOOP) == build_client(secrets=(ending,))
    assert (
        await peopled.replace_client_secrets(MAILLOOP, (ending, *SECRETS), known=(ending,), now=NOW) is Commit.APPLIED
    )


async def test_find_clients_for_user_are_those_of_her_organizations_newest_first(peopled: SqlStore):
    await peopled.create_organization(build_organization("orga_other"))
    for client_id, organization_id, created_at in (
        ("oa2client_b", ACORN, NOW + 1),
        ("oa2client_a", ACORN, NOW + 1),
        ("oa2client_new", ACORN, NOW + 2),
        ("oa2client_other", "orga_other", NOW + 3),
    ):
        await peopled.create_client(
            build_client(client_id=client_id, organization_id=organization_id, created_at=created_at)
        )
    ids = [client.client_id for client in await peopled.find_clients_for_user(ANN)]
    assert ids == ["oa2client_new", "oa2client_a", "oa2client_b", MAILLOOP]
    assert await peopled.find_clients_for_user("user_nobody") == []
    await peopled.end_membership(user_id=ANN, organization_id=ACORN, now=NOW)
    assert await peopled.find_clients_for_user(ANN) == []


async def test_resource_server_is_kept_with_every_field(store: SqlStore):
    api = build_resource_server(secrets=SECRETS, name='Größe "API"')
    await store.create_resource_server(api)
    assert await store.find_resource_server(api.client_id) == api
    assert await store.find_client(api.client_id) is None
    assert await store.has_resource("https://api.example/") is True
    for resource in ("https://api.example", "https://API.example/", "", "%", "a\0b"):
        assert await store.has_resource(resource) is False


async def test_create_resource_server_with_a_taken_id_is_refused(store: SqlStore):
    await store.create_resource_server(build_resource_server())
    with pytest.raises(StoreUnavailable):
        await store.create_resource_server(build_resource_server(name="Impostor"))
    assert await store.find_resource_server(build_resource_server().client_id) == build_resource_server()


# -- nothing remembered is older than what was acknowledged


async def test_change_by_another_server_is_seen_by_the_next_read(peopled: SqlStore, open_another: OpenStore):
    """V8: a replaced secret and a withdrawn app are dead at once, on every node."""
    other = open_another()
    for number in range(1, 20):
        writer, reader = (peopled, other) if number % 2 else (other, peopled)
        assert await reader.find_client(MAILLOOP) is not None
        secrets = (SecretHash(secret_hash=bytes([number]) * 32, key_id=1, hint="", created_at=NOW),)
        await writer.replace_client_secrets(MAILLOOP, secrets, now=NOW)
        for store in (reader, writer):
            found = await store.find_client(MAILLOOP)
            assert found is not None
            assert found.secrets == secrets


async def test_change_of_ones_own_is_seen_by_the_next_read(peopled: SqlStore):
    for number in range(20):
        assert await peopled.find_client(MAILLOOP) is not None
        await peopled.update_client_details(build_client(name=f"Name {number}"), now=NOW)
        found = await peopled.find_client(MAILLOOP)
        assert found is not None
        assert found.name == f"Name {number}"
        await peopled.revoke_client_access_token(
            MAILLOOP, bytes([number]) * 12, organization_id=ACORN, expires_at=NOW + number, now=NOW
        )
        found = await peopled.find_client(MAILLOOP)
        assert found is not None
        assert found.access_revoked_until == NOW + number


async def test_change_whose_caller_went_away_is_seen_by_the_next_read(peopled: SqlStore):
    """A request that is cancelled while its write is under way: what was written counts all the same."""
    assert await peopled.find_client(MAILLOOP) == build_client()
    caller = asyncio.create_task(peopled.replace_client_secrets(MAILLOOP, SECRETS, now=NOW))
    await asyncio.sleep(0)
    caller.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await caller
    await peopled.find_client(MAILLOOP)
    await peopled.create_organization(build_organization("orga_later"))  # whatever was under way is done by now
    fresh = await peopled.find_clients_for_user(ANN)
    assert [await peopled.find_client(MAILLOOP)] == list(fresh)


async def test_approve_client_again_is_the_next_generation_and_lasts(peopled: SqlStore):
    await peopled.create_organization(build_organization("orga_birch", "Birch & Co"))
    outcomes = []
    for scope, by, now in ((("a", "b"), "operator", NOW), (("a",), "user_1", NOW + 1)):
        outcomes.append(await peopled.approve_client(MAILLOOP, "orga_birch", scope=scope, by=by, now=now))
        outcomes.append(await peopled.end_client_approval(MAILLOOP, "orga_birch", by="user_2", now=now))
    assert outcomes == [Commit.APPLIED] * 4
    assert await peopled.approve_client(MAILLOOP, "orga_birch", scope=("a", "c"), by=ANN, now=NOW + 9) is Commit.APPLIED
    assert await peopled.find_client_approval(MAILLOOP, "orga_birch") == ClientApprovalRecord(
        client_id=MAILLOOP,
        organization_id="orga_birch",
        scope=("a", "c"),
        generation=3,
        approved_by=ANN,
        approved_at=NOW + 9,
        ended_by=None,
        ended_at=None,
    )


async def test_approve_client_of_an_unknown_organization_is_lost(peopled: SqlStore):
    commit = await peopled.approve_client(MAILLOOP, "orga_nobody", scope=("a",), by="operator", now=NOW)
    assert commit is Commit.LOST
    assert await peopled.find_client_approval(MAILLOOP, "orga_nobody") is None


async def test_end_client_approval_by_a_hundred_at_once_has_one_winner(peopled: SqlStore):
    await peopled.approve_client(MAILLOOP, ACORN, scope=("a",), by="operator", now=NOW)
    ends = (peopled.end_client_approval(MAILLOOP, ACORN, by=f"user_{n}", now=NOW) for n in range(100))
    outcomes = await asyncio.gather(*ends)
    assert (outcomes.count(Commit.APPLIED), outcomes.count(Commit.LOST)) == (1, 99)


async def test_approve_client_by_fifty_at_once_counts_every_one(peopled: SqlStore):
    """No generation is given twice."""
    approvals = (peopled.approve_client(MAILLOOP, ACORN, scope=("a",), by="operator", now=NOW) for _ in range(50))
    assert set(await asyncio.gather(*approvals)) == {Commit.APPLIED}
    kept = await peopled.find_client_approval(MAILLOOP, ACORN)
    assert kept is not None
    assert kept.generation == 50


async def test_find_clients_pages_by_id_and_leaves_out_deleted_ones(peopled: SqlStore):
    for number in (3, 1, 2):
        await peopled.create_client(build_client(client_id=f"oa2client_{number}"))
    await peopled.create_client(build_client(client_id="oa2client_4", ended_at=NOW))
    ids = [client.client_id for client in await peopled.find_clients(after="")]
    assert ids == sorted([MAILLOOP, "oa2client_1", "oa2client_2", "oa2client_3"])
    assert [client.client_id for client in await peopled.find_clients(after="oa2client_2")] == ["oa2client_3"]
    assert list(await peopled.find_clients(after="oa2client_9")) == []


async def test_find_client_approvals_by_client_or_organization(peopled: SqlStore):
    await peopled.create_organization(build_organization("orga_birch", "Birch & Co"))
    for client_id, organization_id in (("b", "orga_birch"), ("a", "orga_birch"), ("a", ACORN)):
        await peopled.approve_client(client_id, organization_id, scope=("x",), by="operator", now=NOW)

    async def list_all(client_id: str | None, organization_id: str | None) -> list[tuple[str, str]]:
        found = await peopled.find_client_approvals(client_id=client_id, organization_id=organization_id)
        return [(approval.client_id, approval.organization_id) for approval in found]

    assert await list_all(None, None) == sorted([("a", ACORN), ("a", "orga_birch"), ("b", "orga_birch")])
    assert await list_all("a", None) == sorted([("a", ACORN), ("a", "orga_birch")])
    assert await list_all(None, "orga_birch") == [("a", "orga_birch"), ("b", "orga_birch")]
    assert await list_all("b", ACORN) == []
