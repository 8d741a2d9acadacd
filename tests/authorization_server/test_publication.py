"""What a review is about, what has changed since the last one, and how far an app has come by it."""

import os
from dataclasses import dataclass

import msgspec
import pytest

from latchstring.authorization_server.events import COMMAND_LINE, Origin
from latchstring.authorization_server.mail import Mail, Post
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.publication import (
    Publication,
    find_facts,
    list_changes,
    read_facts,
    render_facts,
)
from latchstring.authorization_server.records import ClientRecord
from tests.authorization_server.builders import ANN, NOW, build_client
from tests.authorization_server.conftest import House

TALLY = "oa2client_0000000000000000Tally"


def test_facts_are_read_as_they_were_rendered_whatever_their_order():
    client = build_client(redirect_uris=("https://b.example/", "https://a.example/x"), scope=("b", "a"))
    facts = read_facts(render_facts(client))
    assert facts == find_facts(client)
    assert (facts.hosts, facts.scope) == (("a.example", "b.example"), ("a", "b"))
    assert render_facts(msgspec.structs.replace(client, scope=("a", "b"))) == render_facts(client)


def test_changes_are_what_went_and_what_came():
    before = find_facts(build_client(name="Mailloop", scope=("a", "b"), redirect_uris=("https://a.example/",)))
    now = msgspec.structs.replace(before, name="Mailloop Pro", scope=("b", "c"), hosts=("a.example", "b.example"))
    assert list_changes(before, now) == {
        "name": (("Mailloop",), ("Mailloop Pro",)),
        "scope": (("a",), ("c",)),
        "hosts": ((), ("b.example",)),
    }
    assert list_changes(now, now) == {}


def test_owner_is_a_fact_and_nobody_is_none():
    assert find_facts(build_client(organization_id="orga_x")).owner == "orga_x"
    assert find_facts(build_client(organization_id=None)).owner == ""


@dataclass
class Office:
    """The people who review, and Ann, whose private app Tally is."""

    house: House
    publication: Publication
    post: Post

    async def tally(self) -> ClientRecord:
        client = await self.house.store.find_client(TALLY)
        assert client is not None
        return client

    async def state(self) -> str:
        return await self.publication.find_state(await self.tally())

    async def ask(self, *, wants_listing: bool = True) -> None:
        by_ann = Origin("user", ANN)
        commit = await self.publication.ask(
            await self.tally(), wants_listing=wants_listing, category="sales", note="", origin=by_ann
        )
        assert commit is Commit.APPLIED

    async def decide(self, *, is_approved: bool = True) -> None:
        seen = render_facts(await self.tally())
        commit = await self.publication.decide(TALLY, seen=seen, is_approved=is_approved, word="", origin=COMMAND_LINE)
        assert commit is Commit.APPLIED

    async def change(self, **given: object) -> None:
        await self.house.store.update_client_details(msgspec.structs.replace(await self.tally(), **given), now=NOW)


def build_office(house: House, issuer: str | None) -> Office:
    post = Post(codec=house.codec, clock=house.clock, entropy=os.urandom)
    return Office(house, Publication(store=house.store, post=post, issuer=issuer, clock=house.clock), post)


@pytest.fixture
async def office(house: House) -> Office:
    await house.client(TALLY, name="Tally", is_published=False, description="Counts what is in stock")
    return build_office(house, house.settings.issuer)


async def test_state_of_an_app_goes_from_private_by_review_to_listed(office: Office) -> None:
    assert await office.state() == "private"
    await office.ask()
    assert await office.state() == "in_review"
    await office.publication.withdraw(TALLY, origin=COMMAND_LINE)
    assert await office.state() == "private"
    await office.ask()
    await office.decide(is_approved=False)
    assert await office.state() == "private"
    await office.ask()
    await office.decide()
    assert await office.state() == "listed"
    await office.publication.unpublish(TALLY, origin=COMMAND_LINE)
    assert await office.state() == "private"


async def test_state_of_an_app_that_is_in_no_directory_is_published(office: Office) -> None:
    mailloop = await office.house.store.find_client(build_client().client_id)
    assert mailloop is not None
    assert await office.publication.find_state(mailloop) == "published", "by the command line, without a review"
    await office.ask(wants_listing=False)
    await office.decide()
    assert await office.state() == "published"


async def test_state_of_an_app_that_changed_since_its_review_is_not_listed(office: Office) -> None:
    """It is not in the directory either, until it is reviewed again or changed back."""
    await office.ask()
    await office.decide()
    await office.change(name="Tally Pro")
    assert await office.state() == "published"
    assert await office.publication.find_listed(words="", category="", after=("", "")) == []
    await office.change(name="Tally")
    assert await office.state() == "listed"


@pytest.mark.parametrize("issuer", ["https://auth.example", None])
async def test_mail_of_a_decision_leads_to_the_app_where_the_address_is_known(house: House, issuer: str | None) -> None:
    await house.client(TALLY, name="Tally", is_published=False)
    office = build_office(house, issuer)
    await office.ask()
    await office.decide()
    queued = await house.store.claim_mail(now=NOW, lease=60)
    assert queued is not None
    link = {} if issuer is None else {"link": f"{issuer}/apps/{TALLY}"}
    assert office.post.open(queued) == Mail(
        to="ann@example.com", template="review_approved", values={"app": "Tally", **link}
    )


@pytest.mark.parametrize(
    "words, is_found",
    [("", True), (" tally ", True), (" is   in\tstock", True), ("counts what", True), ("stock in", False)],
)
async def test_directory_is_searched_for_words_in_a_row(office: Office, words: str, is_found: bool) -> None:
    await office.ask()
    await office.decide()
    found = await office.publication.find_listed(words=words, category="", after=("", ""))
    assert [app.client_id for app in found] == ([TALLY] if is_found else [])
