"""A member meets the wall, asks, an admin decides, and the app's authorization goes on where it stood; and everybody
who tries to have a say in it without being asked."""

import asyncio
import re

import httpx
import msgspec
import pytest

from latchstring.authorization_server.events import COMMAND_LINE, EventFilter
from latchstring.authorization_server.mail import Mail
from latchstring.authorization_server.organization_policy import OrganizationPolicy
from latchstring.authorization_server.settings import ScopeDefinition
from latchstring.wiring import build_post
from tests.support import device
from tests.support.deployment import REDIRECT_URI
from tests.support.forms import Form, find_form, read_forms, submit
from tests.support.journey import answer_of, decide, exchange, follow, open_consent
from tests.web.answers import assert_page, assert_sent_back
from tests.web.conftest import MakeWorld, World
from tests.web.state import CHALLENGE, VERIFIER, dump, find_grant, find_grants

STRICT = OrganizationPolicy(low="approval", medium="approval", high="approval")
SCOPES = {
    "contacts.read": ScopeDefinition(title="Read your contacts", risk="low"),
    "contacts.delete": ScopeDefinition(title="Delete contacts", risk="high"),
}
DAY = 86_400


class Cast:
    """Bob, a member of Birch, in his browser; Ada and Eve, two admins of Birch, in theirs. Ann is an admin of Acorn."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.bob = self.ada = self.eve = ""
        self.http: dict[str, httpx.AsyncClient] = {}

    async def gather(self) -> "Cast":
        deployment = self.world.deployment
        for name, role in (("bob", "member"), ("ada", "admin"), ("eve", "admin")):
            user_id = await deployment.user(f"{name}@example.com", name.capitalize())
            await deployment.member(user_id, self.world.birch, role)
            setattr(self, name, user_id)
            self.http[name] = deployment.http()
            await self.world.arrive(user_id, self.http[name])
        self.http["ann"] = self.world.http
        await self.world.arrive(self.world.ann)
        await hold(self.world)
        return self

    async def meet_the_wall(self, **parameters: str) -> httpx.Response:
        page = await open_consent(self.http["bob"], self.world.app, **parameters)
        return await decide(self.http["bob"], page, "allow", self.world.birch)

    async def ask(self, reason: str = "For the newsletter", **parameters: str) -> str:
        """The path of Bob's request."""
        wall = await self.meet_the_wall(**parameters)
        form = find_form(wall, "/consent")
        asked = await submit(self.http["bob"], wall, form, decision="request", reason=reason)
        assert asked.status_code == 303, asked.text
        return str(asked.headers["location"])

    @property
    def queue(self) -> str:
        return f"/organizations/{self.world.birch}/requests"

    async def open_queue(self, name: str = "ada") -> tuple[httpx.Response, list[Form]]:
        page = await self.http[name].get(self.queue)
        return page, [form for form in read_forms(page.text) if form.action.startswith(f"{self.queue}/")]

    async def decide(self, decision: str, name: str = "ada", **values: str) -> httpx.Response:
        page, forms = await self.open_queue(name)
        return await submit(self.http[name], page, forms[0], decision=decision, **values)

    async def go_on(self, path: str) -> httpx.Response:
        page = await self.http["bob"].get(path)
        link = re.search(r'href="(/access-requests/continue\?[^"]*)"', page.text)
        assert link, page.text
        return await follow(self.http["bob"], await self.http["bob"].get(link[1]))


@pytest.fixture
async def people(world: World) -> Cast:
    return await Cast(world).gather()


async def hold(world: World, policy: OrganizationPolicy = STRICT) -> None:
    policies = world.deployment.services.organization_policies
    await policies.change_policy(world.birch, policy, origin=COMMAND_LINE)


async def count_mail(world: World) -> int:
    return (await world.deployment.store.count_mail())[0]


async def find_actions(world: World) -> list[str]:
    records = await world.deployment.store.find_events(
        EventFilter(organization_id=world.birch), before=None, at_most=50
    )
    return [record.event.action.value for record in reversed(records) if record.event.subject_kind == "request"]


async def read_mails(world: World) -> list[Mail]:
    """Every mail that waits, opened."""
    deployment, mails = world.deployment, []
    while (record := await deployment.store.claim_mail(now=deployment.clock.now, lease=60)) is not None:
        mails.append(build_post(deployment.codec).open(record))
    return mails


# -- the whole way


@pytest.mark.parametrize("decision", ["approve", "decline"])
async def test_mails_tell_the_admins_what_is_asked_and_the_member_what_was_decided(people: Cast, decision: str) -> None:
    path = await people.ask()
    asked = await read_mails(people.world)
    assert sorted(mail.to for mail in asked) == ["ada@example.com", "eve@example.com"]
    names = {"app": "Mailloop", "organization": "Birch & Co"}
    for mail in asked:
        link = f"https://auth.example{people.queue}"
        assert (mail.template, mail.values) == ("access_requested", {**names, "person": "Bob", "link": link})
    await people.decide(decision)
    (told,) = await read_mails(people.world)
    assert (told.to, told.template) == (
        "bob@example.com",
        "access_approved" if decision == "approve" else "access_declined",
    )
    assert told.values == {**names, "link": f"https://auth.example{path}"}


async def test_request_approved_goes_on_where_it_stood_with_state_iss_and_challenge(people: Cast) -> None:
    world = people.world
    wall = await people.meet_the_wall(
        state="kept", code_challenge=CHALLENGE, code_challenge_method="S256", redirect_uri=REDIRECT_URI
    )
    assert_page(wall, 403)
    assert "An admin of <bdi>Birch &amp; Co</bdi> has to approve it first" in wall.text
    asked = await submit(
        people.http["bob"], wall, find_form(wall, "/consent"), decision="request", reason="For the newsletter"
    )
    path = asked.headers["location"]
    waiting = await people.http["bob"].get(path)
    assert_page(waiting, 200)
    assert 'data-state="waiting"' in waiting.text
    assert await count_mail(world) == 2, "Ada and Eve"
    page, forms = await people.open_queue()
    assert_page(page, 200)
    assert len(forms) == 1
    for text in ("Bob", "bob@example.com", "For the newsletter", "Mailloop", "Read and change everything", "high risk"):
        assert text in page.text, text
    assert page.text.index("it will be able to") < page.text.index("Approve for everyone"), "before the buttons"
    assert (await people.decide("approve")).headers["location"].endswith("?request_approved")
    assert await count_mail(world) == 3, "and Bob"
    consent = await people.go_on(path)
    form = find_form(consent, "/consent")
    assert form.fields["organization_id"] == world.birch
    answer = answer_of(await submit(people.http["bob"], consent, form, decision="allow"))
    assert (answer["state"], answer["iss"]) == ("kept", "https://auth.example")
    grant = await find_grant(world, answer["code"])
    assert (grant.user_id, grant.organization_id, grant.code_challenge) == (people.bob, world.birch, CHALLENGE)
    tokens = await exchange(world.http, world.app, answer["code"], code_verifier=VERIFIER, redirect_uri=REDIRECT_URI)
    assert tokens.status_code == 200
    assert 'data-state="connected"' in (await people.http["bob"].get(path)).text
    assert await find_actions(world) == ["request.made", "request.approved"]


async def test_request_goes_on_once(people: Cast) -> None:
    """Two tabs, both on the consent page of the same parked request."""
    path = await people.ask(state="s")
    await people.decide("approve")
    pages = [await people.go_on(path) for _ in range(2)]
    first = await decide(people.http["bob"], pages[0], "allow")
    assert "code" in answer_of(first)
    again = await decide(people.http["bob"], pages[0], "allow")
    assert answer_of(again)["code"] == answer_of(first)["code"], "a double click"
    assert_page(await decide(people.http["bob"], pages[1], "allow"), 400)
    assert len(await find_grants(people.world)) == 1


async def test_pushed_request_goes_on_too_long_after_it_has_expired(people: Cast) -> None:
    world = people.world
    pushed = await world.http.post(
        "/oauth2/par/", data=world.app.body(response_type="code", state="pushed", redirect_uri=REDIRECT_URI)
    )
    query = {"client_id": world.app.client_id, "request_uri": pushed.json()["request_uri"]}
    page = await follow(people.http["bob"], await people.http["bob"].get("/oauth2/authorize/", params=query))
    wall = await decide(people.http["bob"], page, "allow", world.birch)
    asked = await submit(people.http["bob"], wall, find_form(wall, "/consent"), decision="request")
    again = await people.http["bob"].get("/oauth2/authorize/", params=query)
    assert_page(again, 400)
    world.deployment.clock.advance(5 * DAY)
    for name, user_id in (("bob", people.bob), ("ada", people.ada)):
        await world.arrive(user_id, people.http[name])
    await people.decide("approve")
    answer = answer_of(await decide(people.http["bob"], await people.go_on(asked.headers["location"]), "allow"))
    assert answer["state"] == "pushed"


async def test_request_goes_on_in_another_browser_after_signing_in_there(people: Cast) -> None:
    path = await people.ask(state="s")
    await people.decide("approve")
    elsewhere = people.world.deployment.http()
    assert (await elsewhere.get(path)).headers["location"].startswith("/sign-in")
    await people.world.arrive(people.bob, elsewhere)
    page = await elsewhere.get(f"/access-requests/continue?request={path.rpartition('/')[2]}")
    assert answer_of(await decide(elsewhere, page, "allow"))["state"] == "s"


async def test_fewer_scopes_are_approved_named_and_granted(make_world: MakeWorld) -> None:
    people = await Cast(await make_world(scopes=SCOPES)).gather()
    path = await people.ask(state="s")
    _, [form] = await people.open_queue()
    assert set(form.checked) == {"item_0", "item_1"}
    fields = {**form.fields, "item_0": "true", "decision": "approve", "word": "Reading is enough."}
    await people.http["ada"].post(form.action, data=fields)
    shown = await people.http["bob"].get(path)
    assert "Of what it asked for, they approved: Read your contacts" in " ".join(shown.text.split())
    assert "Reading is enough." in shown.text
    consent = await people.go_on(path)
    assert "without, as its admins decided: Delete contacts" in " ".join(consent.text.split())
    code = answer_of(await decide(people.http["bob"], consent, "allow"))["code"]
    assert (await find_grant(people.world, code)).scope == ("contacts.read", "offline_access")
    fresh = await open_consent(people.http["bob"], people.world.app)
    assert "needs approval" not in fresh.text, "what was left out is settled"


async def test_request_declined_says_the_word_and_leads_back_with_access_denied(people: Cast) -> None:
    path = await people.ask(state="s")
    await people.decide("decline", word="Use the other app.")
    page = await people.http["bob"].get(path)
    assert 'data-state="declined"' in page.text
    assert "Use the other app." in page.text
    back = await submit(people.http["bob"], page, find_form(page, f"{path}/return"))
    answer = assert_sent_back(back, REDIRECT_URI, "access_denied")
    assert answer["state"] == "s"
    assert "declined" in answer["error_description"]
    assert (await people.meet_the_wall()).status_code == 403


async def test_member_goes_back_while_waiting_and_begins_at_the_app_afterwards(people: Cast) -> None:
    path = await people.ask(state="s")
    page = await people.http["bob"].get(path)
    form = find_form(page, f"{path}/return")
    answer = assert_sent_back(await submit(people.http["bob"], page, form), REDIRECT_URI, "access_denied")
    assert "pending" in answer["error_description"]
    assert_page(await submit(people.http["bob"], page, form), 400)
    await people.decide("approve")
    shown = await people.http["bob"].get(path)
    assert "begin again at <bdi>app.example</bdi>" in shown.text
    assert "/access-requests/continue" not in shown.text
    page = await open_consent(people.http["bob"], people.world.app)
    assert "code" in answer_of(await decide(people.http["bob"], page, "allow", people.world.birch))


async def test_approval_for_everyone_settles_what_others_wait_for(people: Cast) -> None:
    world = people.world
    path = await people.ask()
    carl = await world.deployment.user("carl@example.com", "Carl")
    await world.deployment.member(carl, world.birch)
    http = world.deployment.http()
    await world.arrive(carl, http)
    page = await open_consent(http, world.app)
    wall = await decide(http, page, "allow", world.birch)
    carls = (await submit(http, wall, find_form(wall, "/consent"), decision="request")).headers["location"]
    await people.decide("approve_everyone")
    assert 'data-state="approved"' in (await people.http["bob"].get(path)).text
    assert 'data-state="approved"' in (await http.get(carls)).text
    assert (await people.open_queue())[1] == []


async def test_approval_for_one_member_is_worth_nothing_to_another(people: Cast) -> None:
    world = people.world
    await people.ask()
    await people.decide("approve")
    page = await open_consent(people.http["eve"], world.app)
    assert (await decide(people.http["eve"], page, "allow", world.birch)).status_code == 403


async def test_admin_approves_on_the_spot(people: Cast) -> None:
    world = people.world
    page = await open_consent(people.http["ada"], world.app, state="s")
    wall = await decide(people.http["ada"], page, "allow", world.birch)
    form = find_form(wall, "/consent")
    assert form.choices["for"] == ["me", "everyone"]
    answer = answer_of(await submit(people.http["ada"], wall, form, decision="approve", **{"for": "everyone"}))
    assert answer["state"] == "s"
    page = await open_consent(people.http["bob"], world.app)
    assert "code" in answer_of(await decide(people.http["bob"], page, "allow", world.birch))


async def test_device_asks_and_begins_again_once_approved(people: Cast) -> None:
    world, http = people.world, people.http["bob"]
    started = await device.ask(world.http, world.app)
    page = await device.enter(http, started["user_code"])
    form = find_form(page, "/device/answer")
    wall = await submit(http, page, form, decision="allow", organization_id=world.birch)
    asked = await submit(http, wall, find_form(wall, "/device/answer"), decision="request")
    await people.decide("approve")
    shown = await http.get(asked.headers["location"])
    assert "begin again at" in shown.text
    page = await device.enter(http, (await device.ask(world.http, world.app))["user_code"])
    form = find_form(page, "/device/answer")
    done = await submit(http, page, form, decision="allow", organization_id=world.birch)
    assert done.status_code == 303
    assert [grant.status for grant in await find_grants(world)] == ["pending"]


# -- again, too late, gone


async def test_same_request_again_is_one_request_and_one_mail_and_the_latest_goes_on(people: Cast) -> None:
    first, second = await people.ask("once", state="1"), await people.ask("twice", state="2")
    assert first == second
    assert await count_mail(people.world) == 2
    page, forms = await people.open_queue()
    assert len(forms) == 1
    assert "twice" in page.text
    await people.decide("approve")
    assert answer_of(await decide(people.http["bob"], await people.go_on(first), "allow"))["state"] == "2"


async def test_request_is_over_after_its_time(people: Cast) -> None:
    world = people.world
    path = await people.ask()
    world.deployment.clock.advance(14 * DAY)
    for name, user_id in (("bob", people.bob), ("ada", people.ada)):
        await world.arrive(user_id, people.http[name])
    assert (await people.open_queue())[1] == []
    assert 'data-state="lapsed"' in (await people.http["bob"].get(path)).text
    identifier = path.rpartition("/")[2]
    late = await people.http["ada"].get("/connections")
    csrf = find_form(late, "/sign-out").fields["csrf_token"]
    data = {"csrf_token": csrf, "decision": "approve", "item_0": "true"}
    answer = await people.http["ada"].post(f"{people.queue}/{identifier}", data=data)
    assert answer.headers["location"].endswith("?request_gone")
    gone = await people.http["bob"].get(f"/access-requests/continue?request={identifier}")
    assert gone.headers["location"] == path


async def test_request_lapses_with_the_membership(people: Cast) -> None:
    world = people.world
    path = await people.ask()
    await world.deployment.store.end_membership(
        user_id=people.bob, organization_id=world.birch, now=world.deployment.clock.now
    )
    assert 'data-state="lapsed"' in (await people.http["bob"].get(path)).text
    assert (await people.open_queue())[1] == []
    assert (await find_actions(world))[-1] == "request.lapsed"
    await world.deployment.member(people.bob, world.birch)
    assert 'data-state="lapsed"' in (await people.http["bob"].get(path)).text


async def test_policy_that_has_opened_meanwhile_lets_the_member_go_on_at_once(people: Cast) -> None:
    wall = await people.meet_the_wall()
    await hold(people.world, OrganizationPolicy())
    page = await submit(people.http["bob"], wall, find_form(wall, "/consent"), decision="request")
    assert_page(page, 200)
    assert "code" in answer_of(await decide(people.http["bob"], page, "allow"))


async def test_redirect_uri_taken_away_meanwhile_is_never_gone_to(people: Cast) -> None:
    world = people.world
    path = await people.ask(redirect_uri=REDIRECT_URI)
    await people.decide("approve")
    changed = msgspec.structs.replace(world.app.record, redirect_uris=("https://other.example/cb",))
    await world.deployment.store.update_client_details(changed, now=world.deployment.clock.now)
    shown = await people.http["bob"].get(path)
    assert "/access-requests/continue" not in shown.text
    page = await people.http["bob"].get(f"/access-requests/continue?request={path.rpartition('/')[2]}")
    assert_page(page, 400)
    assert REDIRECT_URI not in page.headers.get("location", "")


# -- attacks


async def test_names_and_reasons_stay_text(people: Cast) -> None:
    """G8: HTML and direction overrides in what members and developers write."""
    await people.ask("<img src=x onerror=alert(1)>\u202eevil\u2066")
    page, _ = await people.open_queue()
    assert "<img src=x" not in page.text
    assert "\u202e" not in page.text
    assert "&lt;img src=x onerror=alert(1)&gt; evil" in page.text
    await people.decide("decline", word="</p><script>alert(1)</script>\u202e")
    records = await people.world.deployment.store.find_decided_requests(people.world.birch, at_most=5)
    assert "\u202e" not in records[0].request.word


async def test_queue_is_its_admins_alone(people: Cast) -> None:
    """IDOR: a member, another organization's admin and a stranger find nothing, whatever they send."""
    world = people.world
    path = await people.ask()
    identifier = path.rpartition("/")[2]
    before = [row for row in dump(world) if row[0] in {"access_request", "organization_app_rule"}]
    for name in ("bob", "ann"):
        http = people.http[name]
        csrf = find_form(await http.get("/connections"), "/sign-out").fields["csrf_token"]
        assert (await http.get(people.queue)).status_code == 404
        for organization_id in (world.birch, world.acorn):
            for decision in ("approve", "approve_everyone", "decline"):
                data = {"csrf_token": csrf, "decision": decision, "item_0": "true"}
                address = f"/organizations/{organization_id}/requests/{identifier}"
                assert (await http.post(address, data=data)).status_code == 404, (name, organization_id)
    forged = {"csrf_token": "forged", "decision": "approve", "item_0": "true"}
    assert (await people.http["ada"].post(f"{people.queue}/{identifier}", data=forged)).status_code == 403
    assert (await people.http["ada"].post(f"{people.queue}/accreq_{'0' * 22}", data=forged)).status_code == 403
    assert [row for row in dump(world) if row[0] in {"access_request", "organization_app_rule"}] == before


async def test_members_forged_approval_is_none(people: Cast) -> None:
    wall = await people.meet_the_wall()
    form = find_form(wall, "/consent")
    answer = await submit(people.http["bob"], wall, form, decision="approve", **{"for": "everyone"})
    assert_page(answer, 403)
    assert [row for row in dump(people.world) if row[0] == "organization_app_rule"] == []
    assert await find_grants(people.world) == []


@pytest.mark.parametrize("suffix", ["", "/return", "?continue"])
async def test_request_of_somebody_else_is_nobodys(people: Cast, suffix: str) -> None:
    path = await people.ask()
    await people.decide("approve")
    http = people.http["eve"]
    if suffix == "/return":
        csrf = find_form(await http.get("/connections"), "/sign-out").fields["csrf_token"]
        answer = await http.post(f"{path}/return", data={"csrf_token": csrf})
    elif suffix:
        answer = await http.get(f"/access-requests/continue?request={path.rpartition('/')[2]}")
    else:
        answer = await http.get(path)
    assert_page(answer, 404)
    assert "Mailloop" not in answer.text


async def test_two_admins_at_once_decide_once(people: Cast) -> None:
    path = await people.ask()
    outcomes = await asyncio.gather(people.decide("approve", "ada"), people.decide("decline", "eve"))
    told = [outcome.headers["location"].rpartition("?")[2] for outcome in outcomes]
    assert told.count("request_gone") == 1
    actions = await find_actions(people.world)
    assert len(actions) == 2
    state = re.search(r'data-state="(\w+)"', (await people.http["bob"].get(path)).text)
    assert state
    assert actions[1] == f"request.{state[1]}"


async def test_flood_of_requests_is_limited_by_member(people: Cast) -> None:
    world = people.world
    statuses = []
    for number in range(12):
        app = await world.deployment.app(world.acorn, name=f"App {number}")
        page = await open_consent(people.http["bob"], app)
        wall = await decide(people.http["bob"], page, "allow", world.birch)
        asked = await submit(people.http["bob"], wall, find_form(wall, "/consent"), decision="request")
        statuses.append(asked.status_code)
    assert statuses == [303] * 10 + [429] * 2
    assert len((await people.open_queue())[1]) == 10


async def test_queue_shows_the_rest_on_another_page_and_the_count_in_the_navigation(people: Cast) -> None:
    world = people.world
    for number in range(27):
        user = await world.deployment.user(f"m{number}@example.com", f"Member {number}")
        await world.deployment.member(user, world.birch)
        found = await world.deployment.store.find_user(user)
        assert found is not None
        await world.deployment.services.access_requests.ask(
            world.app.record,
            found,
            world.birch,
            "Birch & Co",
            asked=("all.full_access",),
            reason="",
            parked=None,
            pushed_request_id=None,
            origin=COMMAND_LINE,
        )
    page, forms = await people.open_queue()
    assert len(forms) == 25
    assert re.search(r'class="count">27<', page.text)
    link = re.search(r'href="([^"]*\?after=[^"]*)"', page.text)
    assert link
    rest = await people.http["ada"].get(link[1])
    assert len([form for form in read_forms(rest.text) if form.action.startswith(f"{people.queue}/")]) == 2


async def test_app_that_registered_itself_can_be_asked_for_before_any_consent(
    make_world: MakeWorld,
) -> None:
    people = await Cast(await make_world(registration="open")).gather()
    registered = await people.world.http.post(
        "/oauth2/register",
        json={"redirect_uris": [REDIRECT_URI], "client_name": "Tool", "token_endpoint_auth_method": "none"},
    )
    query = {"client_id": registered.json()["client_id"], "response_type": "code", "state": "s"}
    query |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    http = people.http["bob"]
    page = await follow(http, await http.get("/oauth2/authorize/", params=query))
    wall = await decide(http, page, "allow", people.world.birch)
    asked = await submit(http, wall, find_form(wall, "/consent"), decision="request")
    assert asked.status_code == 303, asked.text
    queue, forms = await people.open_queue()
    assert "Tool" in queue.text
    assert len(forms) == 1
    await people.decide("approve")
    assert "code" in answer_of(await decide(http, await people.go_on(asked.headers["location"]), "allow"))
