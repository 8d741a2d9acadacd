"""Passkeys, on every engine: each challenge counts once, whoever races for it."""

import asyncio

from latchstring.authorization_server.commit import Commit
from latchstring.authorization_server.events import COMMAND_LINE, EventFilter
from latchstring.authorization_server.mail import MailRecord
from latchstring.authorization_server.passkey_ports import PasskeyRecord, PasskeyUse
from latchstring.storage.store import SqlStore
from tests.authorization_server.builders import ANN, NOW

AT_MOST = 3


def make(number: int, user_id: str = ANN, **changed) -> PasskeyRecord:
    return PasskeyRecord(
        **{
            "credential_id": bytes([number]) * 1023,
            "user_id": user_id,
            "name": f"Passkey {number}",
            "public_key": b"\xa5key",
            "sign_count": 0,
            "is_synced": True,
            "transports": ("internal", "hybrid"),
            "created_at": NOW + number,
            **changed,
        }
    )


async def save(store: SqlStore, passkey: PasskeyRecord, challenge: int, mail: int | None = None) -> Commit:
    return await store.save_passkey(
        passkey,
        challenge_digest=bytes([challenge]) * 32,
        challenge_expires_at=NOW + 600,
        at_most=AT_MOST,
        origin=COMMAND_LINE,
        mail=make_mail(mail or challenge),
    )


async def use(store: SqlStore, passkey: PasskeyRecord, challenge: int, sign_count: int = 0) -> PasskeyUse:
    return await store.use_passkey(
        passkey.credential_hash,
        sign_count,
        challenge_digest=bytes([challenge]) * 32,
        challenge_expires_at=NOW + 600,
        now=NOW + 50,
        origin=COMMAND_LINE,
    )


def make_mail(number: int) -> MailRecord:
    return MailRecord(id=bytes([number]) * 16, template="passkey_added", sealed=b"sealed", created_at=NOW)


async def actions(store: SqlStore) -> list[str]:
    found = await store.find_events(EventFilter(user_id=ANN), before=None, at_most=100)
    return [each.event.action.value for each in reversed(found) if each.event.action.value.startswith("passkey.")]


async def test_passkey_is_kept_as_it_was_made(peopled: SqlStore):
    first, second = make(1), make(2, is_synced=False, transports=(), sign_count=2**32 - 1)
    for number, passkey in enumerate((second, first), 1):
        assert await save(peopled, passkey, number) is Commit.APPLIED
    assert await peopled.find_passkeys(ANN) == [first, second]
    assert await peopled.find_passkey(second.credential_hash) == second
    assert await peopled.find_passkey(bytes(32)) is None
    assert await actions(peopled) == ["passkey.added"] * 2


async def test_same_credential_and_same_challenge_are_kept_once(peopled: SqlStore):
    outcomes = await asyncio.gather(*(save(peopled, make(1), number, number) for number in range(1, 9)))
    assert sorted(each.value for each in outcomes) == ["applied"] + ["lost"] * 7
    outcomes = await asyncio.gather(*(save(peopled, make(number), 50, number + 50) for number in range(2, 10)))
    assert sorted(each.value for each in outcomes) == ["applied"] + ["lost"] * 7
    assert len(await peopled.find_passkeys(ANN)) == 2
    assert await actions(peopled) == ["passkey.added"] * 2


async def test_no_race_leads_beyond_the_limit(peopled: SqlStore):
    outcomes = await asyncio.gather(*(save(peopled, make(number), number) for number in range(1, 13)))
    assert sum(each is Commit.APPLIED for each in outcomes) == AT_MOST
    assert len(await peopled.find_passkeys(ANN)) == AT_MOST


async def test_account_that_is_disabled_or_unknown_gets_none(peopled: SqlStore):
    assert await save(peopled, make(1, "user_nobody"), 1) is Commit.LOST
    await peopled.disable_user(ANN, now=NOW, origin=COMMAND_LINE)
    assert await save(peopled, make(1), 2) is Commit.LOST
    await peopled.enable_user(ANN, now=NOW, origin=COMMAND_LINE)
    assert await save(peopled, make(1), 2) is Commit.APPLIED, "a refusal uses no challenge up"


async def test_challenge_is_used_once(peopled: SqlStore):
    passkey = make(1)
    await save(peopled, passkey, 1)
    outcomes = await asyncio.gather(*(use(peopled, passkey, 9) for _ in range(20)))
    assert sorted(each.value for each in outcomes) == ["counted"] + ["lost"] * 19
    found = await peopled.find_passkey(passkey.credential_hash)
    assert found is not None
    assert found.last_used_at == NOW + 50
    assert await use(peopled, make(2), 10) is PasskeyUse.LOST


async def test_count_only_grows(peopled: SqlStore):
    passkey = make(1, sign_count=7)
    await save(peopled, passkey, 1)
    assert await use(peopled, passkey, 2, 7) is PasskeyUse.SUSPECTED
    outcomes = await asyncio.gather(*(use(peopled, passkey, challenge, 8) for challenge in range(3, 11)))
    assert sorted(each.value for each in outcomes) == ["counted"] + ["suspected"] * 7
    found = await peopled.find_passkey(passkey.credential_hash)
    assert found is not None
    assert found.sign_count == 8
    assert (await actions(peopled)).count("passkey.suspected") == 8


async def test_rename_and_removal_are_its_user_s_alone(peopled: SqlStore):
    passkey = make(1)
    await save(peopled, passkey, 1)
    credential = passkey.credential_hash
    assert await peopled.rename_passkey("user_other", credential, "X") is Commit.LOST
    assert await peopled.rename_passkey(ANN, credential, "Key ring") is Commit.APPLIED
    (found,) = await peopled.find_passkeys(ANN)
    assert found.name == "Key ring"

    async def end(user_id: str, number: int) -> Commit:
        return await peopled.end_passkey(user_id, credential, now=NOW, origin=COMMAND_LINE, mail=make_mail(number))

    assert await end("user_other", 90) is Commit.LOST
    outcomes = await asyncio.gather(*(end(ANN, number) for number in range(91, 99)))
    assert sorted(each.value for each in outcomes) == ["applied"] + ["lost"] * 7
    assert sorted(await actions(peopled)) == ["passkey.added", "passkey.removed"]


async def test_all_go_together_and_with_their_account(peopled: SqlStore):
    for number in (1, 2):
        await save(peopled, make(number), number)
    assert await peopled.end_passkeys(ANN, now=NOW, origin=COMMAND_LINE) == 2
    assert await peopled.end_passkeys(ANN, now=NOW, origin=COMMAND_LINE) == 0
    assert (await actions(peopled)).count("passkey.removed") == 2
    await save(peopled, make(3), 3)
    await peopled.delete_user(ANN, now=NOW, origin=COMMAND_LINE)
    assert await peopled.find_passkeys(ANN) == []
    assert await peopled.find_second_factor(ANN) is None


async def test_reset_ends_passkeys_where_it_was_asked_for(peopled: SqlStore):
    await save(peopled, make(1), 1)
    for number, ends, left in ((11, False, 1), (12, True, 0)):
        token = bytes([number]) * 32
        await peopled.create_password_reset(token, ANN, expires_at=NOW + 60, now=NOW, mail=make_mail(number))
        await peopled.use_password_reset(
            token, "hash", ends_passkeys=ends, now=NOW, origin=COMMAND_LINE, mail=make_mail(number + 50)
        )
        assert len(await peopled.find_passkeys(ANN)) == left
