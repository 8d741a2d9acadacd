"""The pages on which organizations decide about apps, in a real Chromium: axe finds nothing, and nothing sticks out at
320 px in any of the six languages. And the way from the wall to the admin and back to the app, JavaScript or none."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from scripts.preview_pages import states
from tests.e2e.test_browser import (  # the fixtures among them are used by name
    NARROW,
    ann,  # noqa: F401
    demo,  # noqa: F401
    invite,  # noqa: F401
)
from tests.e2e.test_consent_pages import Stage, client, renderer  # noqa: F401
from tests.e2e.test_requests import start
from tests.support.looking import find_contrast_violations, find_violations
from tests.support.process import QuickOperator

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.timeout(300)]

TEMPLATES = {
    "access_wall.html",
    "access_request.html",
    "organization_requests.html",
    "organization_policy.html",
    "organization_app.html",
    "organization_publisher.html",
    "operator_reviews.html",
    "directory.html",
    "app.html",
}
STATES = {name: (template, context) for name, template, context in states() if template in TEMPLATES}
EVERY_STATE = pytest.mark.parametrize("name", list(STATES))


class PolicyStage(Stage):
    """The same window for these pages."""

    def show(self, name: str, locale: str = "en") -> None:
        template, context = STATES[name]
        common = {"csrf_token": "x", "now": 1_790_000_000, "request_id": "req_0"}
        self.html = self.renderer.render_page(template, {**common, **context}, locale)
        self.page.goto("http://localhost/page")


@pytest.fixture(scope="module")
def stage(chromium: Browser, renderer: Any) -> Iterator[PolicyStage]:  # noqa: F811
    page = chromium.new_page(viewport={"width": NARROW[0], "height": NARROW[1]})
    yield PolicyStage(page, renderer)
    page.close()


@EVERY_STATE
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_has_nothing_that_axe_objects_to(stage: PolicyStage, name: str, scheme: Any):
    stage.page.emulate_media(color_scheme=scheme)
    stage.show(name)
    assert (find_violations if scheme == "light" else find_contrast_violations)(stage.page) == []


@EVERY_STATE
def test_page_fits_a_narrow_window_in_every_language(stage: PolicyStage, name: str):
    for locale in stage.renderer.locales:
        stage.show(name, locale)
        assert stage.page.evaluate("document.documentElement.scrollWidth") <= NARROW[0], locale


def test_keyboard_alone_unticks_and_approves(stage: PolicyStage):
    stage.show("requests")
    page, seen = stage.page, []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("(e => e.name ? `${e.name}=${e.value}` : '')(document.activeElement)"))
        if seen[-1] == "decision=decline":
            break
    named = [name for name in seen if name]
    assert named[:2] == ["item_0=true", "item_1=true"]
    assert named[-3:] == ["decision=approve", "decision=approve_everyone", "decision=decline"]
    page.locator("input[name=item_1]").first.focus()
    page.keyboard.press("Space")
    assert not page.locator("input[name=item_1]").first.is_checked()


@pytest.mark.parametrize("has_javascript", [True, False])
def test_member_asks_admin_approves_and_the_app_gets_its_code(invite, demo, callback, client, has_javascript):  # noqa: F811
    """The whole way: wall, request, queue, the mail's address, and the app's own callback."""
    birch = demo.state.organizations[1].organization_id
    operator = QuickOperator(demo.directory, demo.database)
    people = {person.email.partition("@")[0]: person for person in demo.state.people}
    of_birch = ("--organization", birch)

    def give(name: str, role: str) -> None:
        operator.ask("membership", "add", *of_birch, "--user", people[name].user_id, "--role", role)

    give("ann", "admin")
    give("ben", "member")
    modes = ("--low", "--medium", "--high")
    operator.ask("organization", "policy", *of_birch, *(part for mode in modes for part in (mode, "approval")))
    try:
        member = invite(java_script_enabled=has_javascript)
        start(member, client["client_id"])
        member.sign_in("ben")
        for radio in member.page.locator(f"input[type=radio][value={birch}]").all():
            radio.check()
        member.page.locator("button[name=decision][value=allow]").click()
        member.page.get_by_label(re.compile("What do you need it for")).fill("For the newsletter")
        member.press("Request access")
        expect(member.page.get_by_role("heading", level=1)).to_contain_text("Your request is with the admins")
        place = member.page.url
        admin = invite(java_script_enabled=has_javascript)
        admin.open(f"/organizations/{birch}/requests", "ann")
        expect(admin.page.get_by_text("For the newsletter")).to_be_visible()
        admin.page.locator("button[value=approve]").first.click()
        expect(admin.page.get_by_role("status")).to_contain_text("Approved")
        member.page.goto(place)
        member.page.get_by_role("link", name="Go on").click()
        member.page.locator("button[name=decision][value=allow]").click()
        expect(member.page.get_by_text("Back in the app")).to_be_visible()
        assert "code" in callback.answers[-1][1]
    finally:
        give("ben", "admin")
        give("ann", "member")
        operator.ask("organization", "policy", *of_birch, *(part for mode in modes for part in (mode, "allow")))
