"""Passkeys in a real Chromium with an authenticator of its own: added under "My account", they sign in alone, up to an
app's connection. And what the pages look like."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, CDPSession, expect

from tests.e2e.test_browser import Visitor
from tests.support.demo import Demo, running_demo
from tests.support.looking import find_contrast_violations, find_violations
from tests.support.process import find_credentials

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo under a name: browsers make no passkeys under an address."""
    with running_demo(tmp_path_factory.mktemp("passkeys") / "demo", "localhost") as demo:
        yield demo
        logs = demo.logs()
    assert "Traceback" not in logs
    assert not find_credentials(logs)


class Holder(Visitor):
    """A person whose browser has an authenticator, which does as it is told without a hand."""

    cdp: CDPSession
    authenticator: str

    def take_authenticator(self, *, answers: bool = True, **options: object) -> None:
        """One that lies in the machine; `answers` says whether its person is at hand."""
        self.cdp = self.context.new_cdp_session(self.page)
        self.cdp.send("WebAuthn.enable", {"enableUI": False})
        made = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": answers,
            **options,
        }
        added = self.cdp.send("WebAuthn.addVirtualAuthenticator", {"options": made})
        self.authenticator = added["authenticatorId"]

    def answer(self, answers: bool) -> None:
        """Whether the person is at hand from now on."""
        presence = {"authenticatorId": self.authenticator, "enabled": answers}
        self.cdp.send("WebAuthn.setAutomaticPresenceSimulation", presence)

    def add_passkey(self, name: str) -> None:
        """From the account's page."""
        self.open("/account")
        self.page.get_by_role("link", name=re.compile("passkey")).click()
        self.page.get_by_label("Name", exact=True).last.fill(name)
        self.press("Add a passkey")

    def remove_passkey(self) -> None:
        """The only one."""
        self.open("/account/passkeys")
        self.page.get_by_text("Remove …").click()
        self.press("Remove the passkey")
        expect(self.page.get_by_role("status").first).to_contain_text("The passkey is removed")

    def sign_out(self) -> None:
        self.press("Sign out")
        expect(self.page.get_by_role("heading", level=1)).to_contain_text("signed out")


@pytest.fixture
def holder(demo: Demo, chromium: Browser) -> Iterator[Holder]:
    context = chromium.new_context(locale="en-US")
    visitor = Holder(demo, context)
    yield visitor
    assert visitor.complaints == []
    context.close()


def test_passkey_is_added_and_signs_in_up_to_a_connection(holder: Holder) -> None:
    holder.take_authenticator()
    holder.add_passkey("My laptop")
    expect(holder.page.get_by_role("status").first).to_contain_text("The passkey is added")
    expect(holder.page.get_by_role("heading", name="My laptop")).to_be_visible()
    assert find_violations(holder.page) == []
    holder.page.emulate_media(color_scheme="dark")
    assert find_contrast_violations(holder.page) == []
    holder.take_pictures("passkeys")

    holder.press("Add a passkey")
    expect(holder.page.locator("[data-passkey-status]")).to_have_text(
        "This device has a passkey for your account already."
    )

    holder.answer(False)
    holder.sign_out()
    holder.page.goto(holder.demo.app)
    holder.press(re.compile("^Connect"))
    button = holder.button("Sign in with a passkey")
    expect(button).to_be_visible()
    assert find_violations(holder.page) == []
    holder.take_pictures("sign-in-passkey")
    holder.answer(True)
    button.click()
    heading = holder.page.get_by_role("heading", level=1)
    expect(heading).to_contain_text("Mailloop wants to connect to Northwind CRM")
    holder.page.get_by_role("radio", name="Acorn Partners").check()
    holder.press("Allow")
    holder.expect_outcome("Mailloop is connected to Acorn Partners.")

    holder.open("/account/passkeys")
    expect(holder.page.get_by_text("never")).to_have_count(0)
    holder.remove_passkey()
    holder.sign_out()
    holder.page.goto(holder.demo.server + "/sign-in")
    expect(holder.page.get_by_role("alert")).to_contain_text("This passkey does not sign in here")


def test_passkey_is_offered_in_the_field_for_the_address(holder: Holder) -> None:
    """The browser's own list: nobody presses a button."""
    holder.take_authenticator()
    holder.add_passkey("My laptop")
    expect(holder.page.get_by_role("status").first).to_contain_text("The passkey is added")
    holder.sign_out()
    holder.page.goto(holder.demo.server + "/sign-in")
    holder.page.wait_for_url("**/connections")
    holder.remove_passkey()  # the next ones begin without


def test_authenticator_that_does_not_know_its_person_adds_nothing(holder: Holder) -> None:
    holder.take_authenticator(isUserVerified=False)
    holder.add_passkey("Somebody's")
    expect(holder.page.locator("[data-passkey-status]")).to_have_text("No passkey was made. You can try again.")


def test_page_without_scripts_shows_the_password_alone(demo: Demo, chromium: Browser) -> None:
    context = chromium.new_context(locale="en-US", java_script_enabled=False)
    visitor = Visitor(demo, context)
    visitor.open("/account/passkeys")
    expect(visitor.page.get_by_text("with JavaScript on.")).to_be_visible()
    expect(visitor.button("Add a passkey")).to_have_count(0)
    visitor.press("Sign out")
    visitor.page.wait_for_url(lambda url: "/account" not in url)
    visitor.page.goto(demo.server + "/sign-in")
    expect(visitor.button("Sign in with a passkey")).to_have_count(0)
    assert visitor.complaints == []
    context.close()


def test_app_that_asks_for_a_passkey_gets_one_or_is_told(holder: Holder) -> None:
    """`acr_values=phr` (RFC 9470): who has none is told where to add one, a password does not do, the passkey does."""
    heading = holder.page.get_by_role("heading", level=1)
    holder.take_authenticator()
    holder.open("/account")  # by password
    holder.page.goto(holder.demo.app)
    holder.press(re.compile("^Connect"))
    expect(heading).to_contain_text("Mailloop wants to connect to Northwind CRM")
    asked = f"{holder.page.url}&acr_values=phr"

    holder.page.goto(asked)
    expect(heading).to_have_text("A stronger sign-in is needed")
    assert find_violations(holder.page) == []
    holder.page.emulate_media(color_scheme="dark")
    assert find_contrast_violations(holder.page) == []
    holder.take_pictures("stronger-sign-in")
    holder.page.get_by_role("link", name="Add a passkey").click()
    holder.page.get_by_label("Name", exact=True).last.fill("My laptop")
    holder.press("Add a passkey")
    expect(holder.page.get_by_role("status").first).to_contain_text("The passkey is added")

    holder.answer(False)
    holder.page.goto(asked)
    expect(holder.page.get_by_text("The app asks that you sign in with a passkey.")).to_be_visible()
    expect(holder.page.get_by_text("use a browser that knows passkeys")).to_have_count(0)
    expect(holder.page.get_by_label("Password", exact=True)).to_be_hidden()
    assert find_violations(holder.page) == []
    holder.take_pictures("sign-in-by-passkey-alone")
    holder.answer(True)
    holder.press("Sign in with a passkey")
    expect(heading).to_contain_text("Mailloop wants to connect to Northwind CRM")
    holder.page.get_by_role("radio", name="Acorn Partners").check()
    holder.press("Allow")
    holder.expect_outcome("Mailloop is connected to Acorn Partners.")
