"""KeeperHub's bug (#1573) in a real Chromium: the organization on the page is the one in the code, whatever happens in
another tab, in another session, or to the membership between page and click."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from latchstring.authorization_server.events import COMMAND_LINE, SYSTEM
from latchstring.web.cookies import session_cookie_name
from tests.support.callback import Callback
from tests.support.deployment import App
from tests.support.inhabited import Inhabited
from tests.support.journey import exchange
from tests.support.live import Live

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.timeout(300)]

ACORN, BIRCH = "Acorn Partners", "Birch & Co"


class Session:
    """Somebody's browser, with as many tabs as they like."""

    def __init__(self, chromium: Browser, live: Live, user_id: str, app: App) -> None:
        self._live, self._app = live, app
        services = live.deployment.services
        cookie = live.do(services.login.begin(user_id))
        self.context = chromium.new_context(locale="en-US")
        self.context.add_cookies([{"name": session_cookie_name(services.settings), "value": cookie, "url": live.url}])

    def ask(self, **parameters: str) -> Page:
        """A new tab with the consent page."""
        query = {"client_id": self._app.client_id, "response_type": "code", **parameters}
        page = self.context.new_page()
        page.goto(f"{self._live.url}/oauth2/authorize/?{urlencode(query)}")
        return page


@pytest.fixture
def app(live: Live, world: Inhabited, callback: Callback) -> App:
    """An app of Birch's that Acorn's admins have approved."""
    app = live.do(live.deployment.app(world.ids["other_id"], name="Postloop", redirect_uris=(callback.uri,)))
    policies = live.deployment.services.organization_policies
    acorn = world.ids["organization_id"]
    live.do(policies.approve(acorn, app.client_id, scope=("all.full_access",), left_out=(), origin=COMMAND_LINE))
    return app


@pytest.fixture
def redeem(live: Live, app: App, callback: Callback) -> Callable[[], str]:
    """Which organization the code that has come stands for; it is gone then."""

    def redeem_it() -> str:
        [(_, answer)] = callback.answers
        callback.answers.clear()
        redeemed = live.do(exchange(live.http(), app, answer["code"]))
        assert redeemed.status_code == 200, redeemed.text
        return str(redeemed.json()["organization_id"])

    return redeem_it


@pytest.fixture
def sign_in(chromium: Browser, live: Live, world: Inhabited, app: App) -> Iterator[Callable[[str], Session]]:
    sessions: list[Session] = []

    def begin(person: str) -> Session:
        sessions.append(Session(chromium, live, world.people[person], app))
        return sessions[-1]

    yield begin
    for session in sessions:
        session.context.close()


def allow(page: Page) -> None:
    page.get_by_role("button", name="Allow").click()


def count_grants(live: Live, world: Inhabited) -> int:
    return len(live.do(live.deployment.store.find_grants(user_id=world.people["member"], organization_id=None)))


def test_tabs_with_different_hints_each_get_what_stands_on_them(sign_in, redeem, world: Inhabited):
    mia = sign_in("member")
    acorn, birch = world.ids["organization_id"], world.ids["other_id"]
    first, second = mia.ask(organization_id=acorn), mia.ask(organization_id=birch)
    expect(first.get_by_role("radio", name=ACORN)).to_be_checked()
    expect(second.get_by_role("radio", name=BIRCH)).to_be_checked()
    allow(second)
    expect(second.get_by_text("Back in the app")).to_be_visible()
    assert redeem() == birch
    allow(first)
    expect(first.get_by_text("Back in the app")).to_be_visible()
    assert redeem() == acorn


def test_choice_in_one_tab_is_not_carried_into_another(sign_in, redeem, world: Inhabited):
    mia = sign_in("member")
    first, second = mia.ask(), mia.ask()
    first.get_by_role("radio", name=BIRCH).check()
    expect(second.get_by_role("radio", name=BIRCH)).not_to_be_checked()
    expect(second.get_by_role("radio", name=ACORN)).not_to_be_checked()
    second.get_by_role("radio", name=ACORN).check()
    allow(first)
    expect(first.get_by_text("Back in the app")).to_be_visible()
    assert redeem() == world.ids["other_id"]
    second.reload()
    expect(second.get_by_role("button", name="Allow")).to_be_visible()


def test_sessions_side_by_side_each_get_their_own_organization(sign_in, redeem, world: Inhabited):
    of_mia = sign_in("member").ask(organization_id=world.ids["organization_id"])
    of_stranger = sign_in("stranger").ask()
    expect(of_stranger.get_by_role("main")).to_contain_text(f"Postloop will reach {BIRCH} and no other organization.")
    allow(of_stranger)
    expect(of_stranger.get_by_text("Back in the app")).to_be_visible()
    assert redeem() == world.ids["other_id"]
    allow(of_mia)
    expect(of_mia.get_by_text("Back in the app")).to_be_visible()
    assert redeem() == world.ids["organization_id"]


@pytest.mark.parametrize("what", ["ends", "is suspended", "is of an organization that closes"])
def test_membership_that_ends_between_page_and_click_gives_nothing_and_no_other(
    sign_in, live: Live, world: Inhabited, callback: Callback, what: str
):
    store, now = live.deployment.store, live.deployment.clock.now
    page = sign_in("member").ask()
    page.get_by_role("radio", name=ACORN).check()
    of_member: Any = {"user_id": world.people["member"], "organization_id": world.ids["organization_id"]}
    before = count_grants(live, world)
    if what == "ends":
        live.do(store.end_membership(**of_member, now=now, origin=SYSTEM))
    elif what == "is suspended":
        live.do(store.suspend_membership(**of_member, now=now, origin=SYSTEM))
    else:
        live.do(store.close_organization(world.ids["organization_id"], now=now, origin=SYSTEM))
    allow(page)
    expect(page.get_by_role("alert")).to_contain_text(ACORN)
    expect(page.get_by_role("main")).to_contain_text(BIRCH)
    assert page.get_by_role("radio", checked=True).count() == 0
    assert (callback.answers, count_grants(live, world)) == ([], before)


def test_form_that_is_made_to_name_another_organization_gives_nothing(
    sign_in, live: Live, world: Inhabited, callback: Callback
):
    page = sign_in("stranger").ask()
    before = count_grants(live, world)
    page.locator("[name=organization_id]").first.evaluate("(e, id) => { e.value = id; }", world.ids["organization_id"])
    allow(page)
    expect(page.get_by_role("alert")).to_be_visible()
    assert (callback.answers, count_grants(live, world)) == ([], before)
