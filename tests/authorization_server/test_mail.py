"""Mail as it is kept until it is sent, and when it is tried again."""

import os
from base64 import b64decode

import msgspec
import pytest

from latchstring.authorization_server.mail import Mail, MailRecord, Post, find_next_attempt
from latchstring.authorization_server.tokens import KeyNotOpened
from tests.authorization_server.builders import KEY_ONE, KEY_TWO, NOW, build_codec

MAIL = Mail(to="ann@example.com", template="test", locale="de", values={"name": "Ann"})


def seal(now: int = NOW) -> MailRecord:
    return Post(codec=build_codec(), clock=lambda: now, entropy=os.urandom).seal(MAIL)


def test_mail_is_named_by_16_bytes_that_sort_by_time() -> None:
    moments = (NOW, NOW + 1, NOW + 256, NOW + 65536, 2**32)
    names = [seal(now).id for now in moments]
    assert names == sorted(names)
    assert {len(name) for name in names} == {16}


def test_mail_is_opened_by_its_keyring_under_its_name_alone() -> None:
    record = seal()
    assert b"ann@example.com" not in record.sealed
    post = Post(codec=build_codec(KEY_ONE, KEY_TWO), clock=lambda: NOW, entropy=os.urandom)
    assert post.open(record) == MAIL
    with pytest.raises(KeyNotOpened):
        post.open(msgspec.structs.replace(record, id=seal().id))


def test_mail_that_waits_from_before_an_upgrade_is_opened() -> None:
    """Servers of two versions send what either has queued."""
    sealed = b64decode(
        "AAEAAQIDBAUGBwgJCgsnLiaQH7dQCQzoVO+vwS06FqkR/xUrM1U4ok4ZbKXiELvDhQf8kCT1Vrlb3d6PxP/DNeAvqWk6+OKx1cnw/DGBYa7XZr6j"
        "+LLc6O5yimMg/Tfow/Cicv4BaTzthkJm9oA="
    )
    kept = MailRecord(
        id=bytes.fromhex("006b49d200000102030405060708090a"), template="test", sealed=sealed, created_at=NOW
    )
    assert Post(codec=build_codec(), clock=lambda: NOW, entropy=os.urandom).open(kept) == MAIL


@pytest.mark.parametrize("attempts, pause", [(1, 60), (2, 300), (3, 900), (4, 3600), (5, 10800), (9, 10800)])
def test_mail_is_tried_again_after_a_pause_that_lot_prolongs_by_a_quarter_at_most(attempts: int, pause: int) -> None:
    record = msgspec.structs.replace(seal(), attempts=attempts)
    assert find_next_attempt(record, NOW, 0.0) == NOW + pause
    assert find_next_attempt(record, NOW, 1.0) == NOW + pause + pause // 4


def test_mail_is_given_up_after_three_days() -> None:
    record = msgspec.structs.replace(seal(), attempts=30)
    assert find_next_attempt(record, NOW + 3 * 24 * 3600 - 1, 0.0) is not None
    assert find_next_attempt(record, NOW + 3 * 24 * 3600, 0.0) is None
