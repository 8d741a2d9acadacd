"""`latchstring user remove-second-factor`: what a lost phone could sign in with."""

import asyncio
import json
import os
from pathlib import Path

from latchstring.authorization_server.events import COMMAND_LINE
from latchstring.authorization_server.mail import MailRecord
from latchstring.authorization_server.passkey_ports import PasskeyRecord
from latchstring.authorization_server.sign_in_ports import SecondFactorRecord
from latchstring.storage.url import open_store
from tests.cli.test_operator import run

NOW = 1_800_000_000


def settle(database: str, user_id: str, *, passkeys: int, has_app: bool) -> None:
    """Give a user those."""

    async def work() -> None:
        store = open_store(database)
        for number in range(passkeys):
            passkey = PasskeyRecord(
                credential_id=bytes([number]),
                user_id=user_id,
                name=f"Passkey {number}",
                public_key=b"",
                sign_count=0,
                is_synced=True,
                created_at=NOW,
            )
            await store.save_passkey(
                passkey,
                challenge_digest=os.urandom(32),
                challenge_expires_at=NOW,
                at_most=20,
                origin=COMMAND_LINE,
                mail=MailRecord(id=os.urandom(16), template="passkey_added", sealed=b"", created_at=NOW),
            )
        if has_app:
            factor = SecondFactorRecord(user_id=user_id, sealed_secret=b"", created_at=NOW)
            await store.save_second_factor(factor, [], used_step=0, now=NOW, origin=COMMAND_LINE)
        await store.close()

    asyncio.run(work())


def test_remove_second_factor_takes_passkeys_too(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/latchstring.db"
    person = ("user", "create", "--email", "ann@example.com", "--name", "Ann", "--password-stdin")
    user = json.loads(run(database, *person, text="a long password\n").stdout)
    remove = ("user", "remove-second-factor", "ann@example.com")
    assert "no second factor and no passkeys" in str(run(database, *remove).exception)
    for passkeys, has_app in ((2, False), (2, True), (0, True)):
        settle(database, user["id"], passkeys=passkeys, has_app=has_app)
        removed = json.loads(run(database, *remove).stdout)
        expected = {"user_id": user["id"], "email": "ann@example.com", "second_factor": False}
        assert removed == {**expected, "removed_passkeys": passkeys}
        assert "no second factor and no passkeys" in str(run(database, *remove).exception)
