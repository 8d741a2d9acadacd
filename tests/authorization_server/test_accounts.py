"""A person's own account: what the mails about it say, and that nobody gets in by another's way."""

import os

import pytest

from latchstring.authorization_server.accounts import RESET_LIFETIME, Accounts, hash_reset
from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.mail import Mail, Post
from tests.authorization_server.builders import ANN, NOW
from tests.authorization_server.conftest import House

BY_ANN = Origin("user", ANN, "192.0.2.1", "req_1")


async def keep(password: str) -> str:
    """A hash that is no slow one."""
    return f"hash of {password}"


@pytest.fixture
def post(house: House) -> Post:
    return Post(codec=house.codec, clock=house.clock, entropy=os.urandom)


@pytest.fixture
def accounts(house: House, post: Post) -> Accounts:
    return Accounts(
        store=house.store,
        post=post,
        hash_password=keep,
        settings=house.settings,
        clock=house.clock,
        entropy=os.urandom,
    )


async def read_mails(house: House, post: Post) -> list[Mail]:
    mails = []
    while (record := await house.store.claim_mail(now=house.now, lease=RESET_LIFETIME + 60)) is not None:
        mails.append(post.open(record))
    return mails


async def ask_for_a_way_back_in(house: House, accounts: Accounts, post: Post) -> str:
    """The token that Ann is mailed."""
    await accounts.send_reset("ann@example.com", locale="fr")
    (mail,) = await read_mails(house, post)
    return mail.values["link"].rpartition("/")[2]


async def test_mail_of_another_password_leads_to_the_way_back_in(house: House, accounts: Accounts, post: Post) -> None:
    """In the language that the person reads, to where they undo it if it was somebody else."""
    ann = await house.store.find_user(ANN)
    assert ann is not None
    await accounts.change_password(ann, "a new one", cookie="", locale="de", origin=BY_ANN)
    assert await read_mails(house, post) == [
        Mail(
            to="ann@example.com",
            template="password_changed",
            locale="de",
            values={"name": "Ann", "link": "https://auth.example/reset"},
        )
    ]


async def test_way_back_in_is_mailed_to_the_account_of_that_address(
    house: House, accounts: Accounts, post: Post
) -> None:
    await accounts.send_reset("Ann@Example.com", locale="fr")
    (mail,) = await read_mails(house, post)
    assert (mail.to, mail.template, mail.locale) == ("ann@example.com", "password_reset", "fr")
    assert mail.values["name"] == "Ann"
    token = mail.values["link"].removeprefix("https://auth.example/reset/")
    user = await accounts.find_reset(token)
    assert user is not None
    assert user.user_id == ANN
    for email in ("ann@example.com\0", "ann\0@example.com", "bob@example.com", ANN):
        await accounts.send_reset(email, locale="fr")
    assert await read_mails(house, post) == []


async def test_way_back_in_lasts_half_an_hour_and_is_then_forgotten(
    house: House, accounts: Accounts, post: Post
) -> None:
    token = await ask_for_a_way_back_in(house, accounts, post)
    house.now = NOW + RESET_LIFETIME - 1
    assert await accounts.find_reset(token) is not None
    house.now = NOW + RESET_LIFETIME
    assert await accounts.find_reset(token) is None
    later = await ask_for_a_way_back_in(house, accounts, post)
    assert await house.store.find_password_reset(hash_reset(token), now=NOW) is None, "no row of it is left"
    assert await accounts.find_reset(later) is not None


def test_way_back_in_that_was_mailed_before_an_upgrade_is_found_by_its_name() -> None:
    """Servers of two versions let in whom either has mailed."""
    name = "75418accbe3abd21bf960311340b06aba9e31bf1521dc5750feabcfbd71ac338"
    assert hash_reset("0f" * 32).hex() == name


async def test_password_is_reset_once(house: House, accounts: Accounts, post: Post) -> None:
    token = await ask_for_a_way_back_in(house, accounts, post)
    for is_done in (True, False):
        done = await accounts.reset(token, "a new one", ends_passkeys=False, locale="de", origin=BY_ANN)
        assert done is is_done
    ann = await house.store.find_user(ANN)
    assert ann is not None
    assert ann.password_hash == "hash of a new one"
    assert [mail.template for mail in await read_mails(house, post)] == ["password_changed"]
