"""How people prove themselves, on every engine: each code counts once, whoever races for it."""

import asyncio

from latchstring.authorization_server.commit import Commit
from latchstring.authorization_server.events import COMMAND_LINE, EventFilter
from latchstring.authorization_server.mail import MailRecord
from latchstring.authorization_server.sign_in_ports import SecondFactorRecord
from latchstring.storage.store import SqlStore
from tests.authorization_server.builders import ANN, NOW, build_session

FACTOR = SecondFactorRecord(user_id=ANN, sealed_secret=b"sealed", created_at=NOW)
CODES = [bytes([number]) * 32 for number in range(3)]


def mail(number: int = 1) -> MailRecord:
    return MailRecord(id=bytes([number]) * 16, template="password_changed", sealed=b"sealed", created_at=NOW)


async def add(store: SqlStore) -> Commit:
    return await store.save_second_factor(FACTOR, CODES, used_step=100, now=NOW, origin=COMMAND_LINE)


async def actions(store: SqlStore) -> list[str]:
    found = await store.find_events(EventFilter(user_id=ANN), before=None, at_most=100)
    return [record.event.action.value for record in reversed(found) if record.event.action.value.startswith("user.")]


async def test_second_factor_is_kept_once_and_removed_whole(peopled: SqlStore):
    assert await peopled.find_second_factor(ANN) is None
    outcomes = await asyncio.gather(*(add(peopled) for _ in range(8)))
    assert sorted(each.value for each in outcomes) == ["applied"] + ["lost"] * 7
    found = await peopled.find_second_factor(ANN)
    assert found is not None
    assert (found.sealed_secret, found.recovery_codes) == (b"sealed", 3)
    assert await peopled.end_second_factor(ANN, now=NOW, origin=COMMAND_LINE) is Commit.APPLIED
    assert await peopled.end_second_factor(ANN, now=NOW, origin=COMMAND_LINE) is Commit.LOST
    assert await peopled.use_recovery_code(ANN, CODES[0], now=NOW, origin=COMMAND_LINE) is Commit.LOST
    assert await peopled.replace_recovery_codes(ANN, CODES, now=NOW, origin=COMMAND_LINE) is Commit.LOST
    assert [each for each in await actions(peopled) if "second" in each] == [
        "user.second_factor_added",
        "user.second_factor_removed",
    ]


async def test_step_counts_once_and_no_earlier_one_afterwards(peopled: SqlStore):
    await add(peopled)
    assert await peopled.use_second_factor(ANN, 100) is Commit.LOST
    outcomes = await asyncio.gather(*(peopled.use_second_factor(ANN, 102) for _ in range(20)))
    assert sum(each is Commit.APPLIED for each in outcomes) == 1
    assert await peopled.use_second_factor(ANN, 101) is Commit.LOST
    assert await peopled.use_second_factor(ANN, 103) is Commit.APPLIED
    assert await peopled.use_second_factor("user_nobody", 104) is Commit.LOST


async def test_recovery_code_counts_once(peopled: SqlStore):
    await add(peopled)
    uses = [peopled.use_recovery_code(ANN, CODES[0], now=NOW, origin=COMMAND_LINE) for _ in range(20)]
    assert sum(each is Commit.APPLIED for each in await asyncio.gather(*uses)) == 1
    found = await peopled.find_second_factor(ANN)
    assert found is not None
    assert found.recovery_codes == 2
    fresh = [b"\xaa" * 32]
    assert await peopled.replace_recovery_codes(ANN, fresh, now=NOW, origin=COMMAND_LINE) is Commit.APPLIED
    assert await peopled.use_recovery_code(ANN, CODES[1], now=NOW, origin=COMMAND_LINE) is Commit.LOST
    assert await peopled.use_recovery_code(ANN, fresh[0], now=NOW, origin=COMMAND_LINE) is Commit.APPLIED


async def test_attempts_are_counted_all_and_forgiven_by_a_right_code(peopled: SqlStore):
    async def attempt(now: int = NOW) -> int:
        return await peopled.count_second_factor_attempt(ANN, now=now, window=600)

    assert await attempt() == 0
    await add(peopled)
    assert sorted(await asyncio.gather(*(attempt() for _ in range(12)))) == list(range(1, 13))
    assert await attempt(NOW + 599) == 13
    assert await attempt(NOW + 600) == 1
    assert await attempt(NOW + 601) == 2
    await peopled.use_second_factor(ANN, 105)
    assert await attempt(NOW + 602) == 1


async def test_password_ends_every_other_session_and_every_way_back_in(peopled: SqlStore):
    kept, other = bytes([1]) * 32, bytes([2]) * 32
    for session_hash in (kept, other, bytes([3]) * 32):
        await peopled.create_session(build_session(session_hash))
    assert await peopled.count_sessions(ANN, now=NOW) == 3
    await peopled.create_password_reset(b"t" * 32, ANN, expires_at=NOW + 60, now=NOW, mail=mail(2))
    changed = await peopled.set_password(ANN, "new hash", kept_session=kept, now=NOW, origin=COMMAND_LINE, mail=mail())
    assert changed is Commit.APPLIED
    assert await peopled.find_session(kept, NOW) is not None
    assert await peopled.find_session(other, NOW) is None
    assert await peopled.find_password_reset(b"t" * 32, now=NOW) is None
    user = await peopled.find_user(ANN)
    assert user is not None
    assert user.password_hash == "new hash"
    lost = await peopled.set_password("user_nobody", "x", kept_session=None, now=NOW, origin=COMMAND_LINE, mail=mail(3))
    assert lost is Commit.LOST
    assert "user.password_changed" in await actions(peopled)


async def test_way_back_in_is_used_once_while_it_lasts(peopled: SqlStore):
    token = b"t" * 32
    await peopled.create_password_reset(token, ANN, expires_at=NOW + 60, now=NOW, mail=mail(9))
    assert await peopled.find_password_reset(token, now=NOW + 59) == ANN
    assert await peopled.find_password_reset(token, now=NOW + 60) is None

    async def use(number: int, now: int = NOW) -> Commit:
        return await peopled.use_password_reset(
            token, f"hash {number}", ends_passkeys=False, now=now, origin=COMMAND_LINE, mail=mail(number)
        )

    assert await use(20, NOW + 60) is Commit.LOST
    outcomes = await asyncio.gather(*(use(number) for number in range(1, 9)))
    assert sum(each is Commit.APPLIED for each in outcomes) == 1
    user = await peopled.find_user(ANN)
    assert user is not None
    assert user.password_hash == f"hash {1 + outcomes.index(Commit.APPLIED)}"


async def test_sign_out_everywhere_else_is_told_of_where_there_was_one(peopled: SqlStore):
    kept = bytes([1]) * 32
    for number in range(1, 5):
        await peopled.create_session(build_session(bytes([number]) * 32))
    for count in (3, 0):
        assert await peopled.end_sessions(ANN, kept_session=kept, now=NOW, origin=COMMAND_LINE) == count
    assert (await actions(peopled)).count("user.signed_out") == 1
