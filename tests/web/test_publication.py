"""Private, public, listed: the developer asks, the operator looks at what changed, and later changes are told."""

import asyncio

import httpx
import pytest

from latchstring.authorization_server.apps import AppDetails
from latchstring.authorization_server.events import COMMAND_LINE
from latchstring.authorization_server.organization_policy import OrganizationPolicy
from latchstring.wiring import build_post
from tests.support.deployment import REDIRECT_URI, App
from tests.support.forms import find_form, read_forms, submit
from tests.support.journey import answer_of, decide, open_consent
from tests.web.answers import assert_page
from tests.web.conftest import World
from tests.web.state import dump

LISTED_ONLY = OrganizationPolicy(low="listed", medium="listed", high="listed")
REVIEWS = "/operator/reviews"


class Cast:
    """Ann, whose private app it is; Bob, a member of Birch alone; Olga, the operator."""

    def __init__(self, world: World, app: App) -> None:
        self.world = world
        self.app = app
        self.bob = world.deployment.http()
        self.olga = world.deployment.http()

    async def submit_review(self, **values: str) -> httpx.Response:
        path = f"/apps/{self.app.client_id}"
        page = await self.world.http.get(path)
        form = find_form(page, f"{path}/review")
        given = {"wants": "listed", "category": "sales", "note": "Hello", "decision": "ask", **values}
        return await submit(self.world.http, page, form, **given)

    async def open_reviews(self) -> httpx.Response:
        return await self.olga.get(REVIEWS)

    async def decide(self, decision: str = "approve", **values: str) -> str:
        page = await self.open_reviews()
        form = find_form(page, f"{REVIEWS}/{self.app.client_id}")
        answer = await submit(self.olga, page, form, decision=decision, **values)
        return str(answer.headers["location"].rpartition("?")[2])

    async def connect_as_bob(self) -> httpx.Response:
        return await open_consent(self.bob, self.app)

    async def change(self, **details: object) -> None:
        given = {"name": "Tally", "redirect_uris": (REDIRECT_URI,), **details}
        store, services = self.world.deployment.store, self.world.deployment.services
        client = await store.find_client(self.app.client_id)
        assert client is not None
        await services.apps.update(client, AppDetails(**given), origin=COMMAND_LINE)


@pytest.fixture
async def people(world: World) -> Cast:
    deployment = world.deployment
    cast = Cast(world, await deployment.app(world.acorn, name="Tally", is_published=False))
    bob, olga = await deployment.user("bob@example.com", "Bob"), await deployment.user("olga@example.com", "Olga")
    await deployment.member(bob, world.birch)
    await deployment.store.set_operator(olga, is_operator=True, now=deployment.clock.now, origin=COMMAND_LINE)
    await world.arrive(world.ann)
    await world.arrive(bob, cast.bob)
    await world.arrive(olga, cast.olga)
    return cast


async def test_app_goes_from_private_by_review_to_the_directory(people: Cast) -> None:
    assert_page(await people.connect_as_bob(), 403)
    assert (await people.submit_review()).headers["location"].endswith("?review_asked")
    page = await people.world.http.get(f"/apps/{people.app.client_id}")
    assert "In review" in page.text
    assert_page(await people.connect_as_bob(), 403)
    queue = await people.open_reviews()
    assert_page(queue, 200)
    for text in ("Tally", "Hello", "app.example", "Read and change everything"):
        assert text in queue.text, text
    assert await people.decide() == "review_approved"
    assert_page(await people.connect_as_bob(), 200)
    directory = await people.bob.get("/directory")
    assert_page(directory, 200)
    assert "Tally" in directory.text
    assert "Tally" not in (await people.bob.get("/directory?category=finance")).text
    assert "Tally" in (await people.bob.get("/directory?q=TALL&category=sales")).text
    assert "Tally" not in (await people.bob.get("/directory?q=%25")).text
    page = await people.world.http.get(f"/apps/{people.app.client_id}")
    assert "Listed" in page.text


@pytest.mark.parametrize("decision", ["approve", "decline"])
async def test_decision_is_mailed_to_whoever_asked(people: Cast, decision: str) -> None:
    """In the transaction of the decision, and only with it."""
    await people.submit_review()
    assert await people.world.deployment.store.claim_mail(now=people.world.deployment.clock.now, lease=60) is None
    await people.decide(decision)
    deployment = people.world.deployment
    record = await deployment.store.claim_mail(now=deployment.clock.now, lease=60)
    assert record is not None
    mail = build_post(deployment.codec).open(record)
    assert (mail.to, mail.template) == (
        "ann@example.com",
        "review_approved" if decision == "approve" else "review_declined",
    )
    assert mail.values == {"app": "Tally", "link": f"https://auth.example/apps/{people.app.client_id}"}
    assert await deployment.store.claim_mail(now=deployment.clock.now, lease=60) is None


async def test_public_app_is_not_in_the_directory(people: Cast) -> None:
    await people.submit_review(wants="public")
    await people.decide()
    assert_page(await people.connect_as_bob(), 200)
    assert "Tally" not in (await people.bob.get("/directory")).text


async def test_declined_app_stays_private_and_its_developer_reads_the_word(people: Cast) -> None:
    await people.submit_review()
    assert await people.decide("decline", word="Whose <b>hosts</b>?") == "review_declined"
    assert_page(await people.connect_as_bob(), 403)
    page = await people.world.http.get(f"/apps/{people.app.client_id}")
    assert "Whose &lt;b&gt;hosts&lt;/b&gt;?" in page.text
    await people.submit_review()
    assert await people.decide() == "review_approved"


async def test_review_taken_back_is_no_longer_in_the_queue(people: Cast) -> None:
    await people.submit_review()
    page = await people.world.http.get(f"/apps/{people.app.client_id}")
    form = find_form(page, f"/apps/{people.app.client_id}/review")
    assert form.buttons == [("decision", "withdraw")]
    await submit(people.world.http, page, form, decision="withdraw")
    assert "Tally" not in (await people.open_reviews()).text


async def test_change_that_matters_leaves_the_directory_tells_members_and_is_reviewed_again(people: Cast) -> None:
    world = people.world
    await people.submit_review()
    await people.decide()
    policies = world.deployment.services.organization_policies
    await policies.change_policy(world.birch, LISTED_ONLY, origin=COMMAND_LINE)
    page = await people.connect_as_bob()
    assert "needs approval" not in page.text
    await people.change(redirect_uris=(REDIRECT_URI, "https://evil.example/cb"))
    assert "Tally" not in (await people.bob.get("/directory")).text
    changed = await open_consent(people.bob, people.app, redirect_uri=REDIRECT_URI)
    assert "has changed since the people who run" in changed.text
    assert "needs approval" in changed.text, "it counts as listed no longer"
    assert_page(await decide(people.bob, changed, "allow"), 403)
    queue = await people.open_reviews()
    assert "<ins><bdi>evil.example</bdi></ins>" in queue.text
    await people.decide("decline")
    await people.change()
    assert "Tally" in (await people.bob.get("/directory")).text, "changed back, it is as it was reviewed"
    answer = answer_of(await decide(people.bob, await people.connect_as_bob(), "allow"))
    assert "code" in answer


async def test_change_of_words_is_no_matter_for_a_review(people: Cast) -> None:
    await people.submit_review()
    await people.decide()
    await people.change(description="Counts things.", redirect_uris=("https://app.example/another",))
    assert "Tally" in (await people.bob.get("/directory")).text
    assert "has changed since" not in (await people.connect_as_bob()).text


async def test_operator_decides_about_exactly_what_they_saw(people: Cast) -> None:
    await people.submit_review()
    page = await people.open_reviews()
    form = find_form(page, f"{REVIEWS}/{people.app.client_id}")
    await people.change(name="Tally Pro")
    answer = await submit(people.olga, page, form, decision="approve")
    assert answer.headers["location"].endswith("?review_gone")
    assert_page(await people.connect_as_bob(), 403)
    assert "Tally Pro" in (await people.open_reviews()).text
    assert await people.decide() == "review_approved"


async def test_two_operators_at_once_decide_once(people: Cast) -> None:
    await people.submit_review()
    outcomes = await asyncio.gather(people.decide("approve"), people.decide("decline"))
    assert sorted(outcome == "review_gone" for outcome in outcomes) == [False, True]


async def test_unpublished_app_is_private_again(people: Cast) -> None:
    await people.submit_review()
    await people.decide()
    assert await people.decide("unpublish") == "unpublished"
    assert_page(await people.connect_as_bob(), 403)
    assert "Tally" not in (await people.bob.get("/directory")).text


async def test_suspended_app_is_not_in_the_directory(people: Cast) -> None:
    world = people.world
    await people.submit_review()
    await people.decide()
    await world.deployment.store.suspend_client(
        people.app.client_id, reason="spam", now=world.deployment.clock.now, origin=COMMAND_LINE
    )
    assert "Tally" not in (await people.bob.get("/directory")).text


async def test_reviews_are_the_operators_alone_and_the_apps_its_own_peoples(people: Cast) -> None:
    await people.submit_review()
    before = [row for row in dump(people.world) if row[0] in {"app_review", "app_publication", "client"}]
    for http in (people.world.http, people.bob):
        csrf = find_form(await http.get("/connections"), "/sign-out").fields["csrf_token"]
        assert (await http.get(REVIEWS)).status_code == 404
        for decision in ("approve", "decline", "unpublish"):
            data = {"csrf_token": csrf, "decision": decision}
            assert (await http.post(f"{REVIEWS}/{people.app.client_id}", data=data)).status_code == 404
    csrf = find_form(await people.bob.get("/connections"), "/sign-out").fields["csrf_token"]
    data = {"csrf_token": csrf, "decision": "withdraw"}
    assert (await people.bob.post(f"/apps/{people.app.client_id}/review", data=data)).status_code == 404
    forged = {"csrf_token": "forged", "decision": "approve"}
    assert (await people.olga.post(f"{REVIEWS}/{people.app.client_id}", data=forged)).status_code == 403
    assert [row for row in dump(people.world) if row[0] in {"app_review", "app_publication", "client"}] == before


async def test_directory_pages_by_name(people: Cast) -> None:
    world = people.world
    publication = world.deployment.services.publication
    for number in range(53):
        app = await world.deployment.app(world.acorn, name=f"App {number:02d}", is_published=False)
        await publication.ask(app.record, wants_listing=True, category="other", note="", origin=COMMAND_LINE)
        review, _ = await publication.find(app.client_id)
        assert review is not None
        await publication.decide(app.client_id, seen=review.facts, is_approved=True, word="", origin=COMMAND_LINE)
    found = await publication.find_listed(words="", category="", after=("", ""))
    assert len(found) == 51, "a page, and one more that tells of another"
    first = await people.bob.get("/directory")
    assert "App 49" in first.text
    assert "App 50" not in first.text
    assert [form.action for form in read_forms(first.text)].count("/directory") == 1
    second = await people.bob.get("/directory?name=App+49&after=" + "z" * 40)
    assert "App 50" in second.text
    assert "App 49" not in second.text
