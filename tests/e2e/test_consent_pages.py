"""Every state of the consent pages in a real Chromium: axe finds nothing, nothing sticks out at 320 px in any of the
six languages, and the keyboard alone gets through; without JavaScript too. And two tabs cannot be confused."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from latchstring.web.rendering.renderer import PageRenderer
from scripts.preview_pages import states
from tests.e2e.test_browser import (  # the fixtures among them are used by name
    NARROW,
    Visitor,
    ann,  # noqa: F401
    demo,  # noqa: F401
    invite,  # noqa: F401
)
from tests.e2e.test_requests import client_id, make_app, start  # noqa: F401
from tests.support.callback import Callback
from tests.support.looking import find_contrast_violations, find_violations
from tests.support.process import QuickOperator

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.timeout(300)]

STATES = [
    (name, template, context)
    for name, template, context in states()
    if template in {"consent.html", "reconnect.html", "several.html", "receipt.html", "connections.html"}
]
EVERY_STATE = pytest.mark.parametrize("name", [name for name, _, _ in STATES])


@pytest.fixture(scope="module")
def renderer() -> PageRenderer:
    return PageRenderer("Northwind CRM")


class Stage:
    """A window that shows one page, as our server would send it."""

    def __init__(self, page: Page, renderer: PageRenderer) -> None:
        self.page, self.renderer = page, renderer
        self.html = ""
        page.route("**/*", self._answer)

    def _answer(self, route: Any) -> None:
        file = self.renderer.static_file(route.request.url.partition("/static/")[2].partition("?")[0])
        if file is not None:
            route.fulfill(body=file.content, content_type=file.content_type)
        else:
            route.fulfill(body=self.html, content_type="text/html; charset=utf-8")

    def show(self, name: str, locale: str = "en") -> None:
        template, context = next((template, context) for state, template, context in STATES if state == name)
        common = {"csrf_token": "x", "now": 1_790_000_000, "request_id": "req_0"}
        self.html = self.renderer.render_page(template, {**common, **context}, locale)
        self.page.goto("http://localhost/consent")


@pytest.fixture(scope="module")
def stage(chromium: Browser, renderer: PageRenderer) -> Iterator[Stage]:
    page = chromium.new_page(viewport={"width": NARROW[0], "height": NARROW[1]})
    yield Stage(page, renderer)
    page.close()


# -- every state


@EVERY_STATE
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_has_nothing_that_axe_objects_to(stage: Stage, name: str, scheme: Any):
    stage.page.emulate_media(color_scheme=scheme)
    stage.show(name)
    assert (find_violations if scheme == "light" else find_contrast_violations)(stage.page) == []


@EVERY_STATE
def test_page_fits_a_narrow_window_in_every_language(stage: Stage, name: str):
    for locale in stage.renderer.locales:
        stage.show(name, locale)
        assert stage.page.evaluate("document.documentElement.scrollWidth") <= NARROW[0], locale


@EVERY_STATE
def test_page_has_targets_that_a_finger_can_hit(stage: Stage, name: str):
    """44 px, but for links within sentences (WCAG 2.5.8 asks for 24)."""
    stage.show(name)
    sizes = "els => els.map(e => [e.textContent.trim().slice(0, 40), e.getBoundingClientRect().height])"
    for words, height in stage.page.locator("button:visible, select, .choice, summary, .receipt-link").evaluate_all(
        sizes
    ):
        assert height >= 40, words


def test_keyboard_alone_chooses_strikes_out_and_allows(stage: Stage):
    """Tab, arrows, space and Enter, in the order that the page is read."""
    stage.show("consent-asked-for")
    page, seen = stage.page, []
    for _ in range(20):
        page.keyboard.press("Tab")
        focused = page.evaluate("(e => e.name ? `${e.name}=${e.value}` : e.textContent.trim())(document.activeElement)")
        outline = page.evaluate("getComputedStyle(document.activeElement.closest('label') || document.activeElement)")
        assert outline is not None
        seen.append(focused)
        if focused == "decision=allow":
            break
    named = [focused.partition("=")[0] for focused in seen]
    assert named == ["organization_id", "keep.mail.send", "keep.contacts.delete", "until", "decision", "decision"]
    page.locator("input[name='keep.mail.send']").focus()
    page.keyboard.press("Space")
    assert not page.locator("input[name='keep.mail.send']").is_checked()
    page.locator("input[type=radio]").nth(1).focus()
    page.keyboard.press("ArrowUp")
    assert page.locator("input[type=radio]").nth(0).is_checked()


# -- in two tabs, in two sessions


def consent_form(visitor: Visitor) -> Any:
    return visitor.page.locator("form[action='/consent']")


def redeem(demo: Any, callback: Callback, client: dict[str, Any], code: str) -> str:  # noqa: F811
    import httpx

    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": callback.uri}
    form |= {"client_id": client["client_id"], "client_secret": client["client_secret"]}
    answer = httpx.post(f"{demo.server}/oauth2/token/", data=form).json()
    return str(answer["organization_id"])


@pytest.fixture
def client(demo, callback) -> dict[str, Any]:  # noqa: F811
    birch = demo.state.organizations[1].organization_id
    given = ("--organization", birch, "--name", "Postloop", "--redirect-uri", callback.uri, "--published")
    asked: dict[str, Any] = QuickOperator(demo.directory, demo.database).ask("client", "create", *given)
    return asked


def test_organization_on_the_form_is_the_one_in_the_code_whatever_another_tab_does(ann, demo, callback, client):  # noqa: F811
    """KeeperHub's bug: each tab's answer is its own page's."""
    acorn, birch = (organization.organization_id for organization in demo.state.organizations[:2])
    start(ann, client["client_id"])
    ann.sign_in("ann")
    other = ann.context.new_page()
    other.goto(ann.page.url)
    ann.page.get_by_role("radio", name="Acorn Partners").check()
    other.get_by_role("radio", name="Birch & Co").check()
    other.get_by_role("button", name="Allow").click()
    expect(other.get_by_text("Back in the app")).to_be_visible()
    expect(ann.page.get_by_role("radio", name="Acorn Partners")).to_be_checked()
    ann.press("Allow")
    expect(ann.page.get_by_text("Back in the app")).to_be_visible()
    first, second = [redeem(demo, callback, client, answer["code"]) for _, answer in callback.answers]
    assert (first, second) == (birch, acorn)


def test_answer_after_another_account_has_signed_in_elsewhere_counts_for_nobody(ann, demo, callback, client):  # noqa: F811
    """The other tab's session is this browser's: the page of before is refused."""
    start(ann, client["client_id"])
    ann.sign_in("ann")
    other = ann.context.new_page()
    other.goto(f"{demo.server}/connections")
    other.get_by_role("button", name="Sign out").first.click()
    other.wait_for_url(lambda url: "/connections" not in url)
    other.goto(f"{demo.server}/sign-in")
    bob = next(person for person in demo.state.people if not person.email.startswith("ann@"))
    other.get_by_label("Email address").fill(bob.email)
    other.get_by_label("Password", exact=True).fill(bob.password)
    other.get_by_role("button", name=re.compile("^Sign in$")).click()
    other.wait_for_url(lambda url: "/sign-in" not in url)
    ann.page.get_by_role("radio", name="Birch & Co").check()
    ann.press("Allow")
    expect(ann.page.get_by_role("heading", level=1)).not_to_contain_text("wants to connect")
    assert callback.answers == []


def test_page_cannot_be_framed_nor_its_click_be_stolen(invite, demo, callback, client):  # noqa: F811
    """A19, clickjacking: the browser shows nothing in the frame."""
    visitor = invite()
    start(visitor, client["client_id"])
    visitor.sign_in("ann")
    address = visitor.page.url
    attacker = visitor.context.new_page()
    attacker.route(
        "https://evil.example/",
        lambda route: route.fulfill(
            body=f'<!doctype html><title>x</title><iframe src="{address}" style="opacity:0.01"></iframe>',
            content_type="text/html",
        ),
    )
    attacker.goto("https://evil.example/")
    framed = attacker.frames[-1]
    framed.wait_for_load_state()
    assert "Postloop" not in framed.content()
    assert framed.get_by_role("button", name="Allow").count() == 0
    attacker.close()


def test_whole_way_without_javascript_in_a_narrow_window(invite, demo, callback, client):  # noqa: F811
    visitor = invite(java_script_enabled=False)
    visitor.page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
    start(visitor, client["client_id"])
    visitor.sign_in("ann")
    visitor.page.get_by_role("radio", name="Birch & Co").check()
    visitor.page.get_by_label("It may do this").select_option(label="for one day")
    visitor.press("Allow")
    expect(visitor.page.get_by_text("Back in the app")).to_be_visible()
    redeem(demo, callback, client, callback.answers[-1][1]["code"])
    visitor.open("/connections")
    expect(visitor.page.get_by_text(re.compile("Keeps access until|Its access ends"))).not_to_have_count(0)


def test_several_organizations_in_one_visit_end_in_as_many_connections(invite, demo):  # noqa: F811
    """With the sample app, which asks for them."""
    visitor = invite()
    visitor.page.goto(demo.app)
    visitor.press("Several organizations at once")
    visitor.page.wait_for_url(re.compile("/sign-in|/oauth2/authorize"))
    if "/sign-in" in visitor.page.url:
        visitor.sign_in("ann")
    visitor.page.get_by_role("radio", name="Birch & Co").check()
    visitor.press("Allow")
    visitor.press("Connect another organization")
    expect(visitor.page.get_by_text("Acorn Partners", exact=True).first).to_be_visible()
    visitor.press("Allow")
    visitor.page.wait_for_url(lambda url: "/consent" not in url)
    for organization in ("Birch & Co", "Acorn Partners"):
        expect(visitor.connection(organization).first).to_be_visible()
