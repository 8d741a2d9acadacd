"""The loop in a real Chromium, as the people of the demo walk it; and a picture of every page they meet.

The pictures are in .artifacts/screenshots/: `<page>-<width>-<scheme>.png`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, expect

from tests.e2e.conftest import PATIENCE
from tests.support.demo import Demo, running_demo
from tests.support.process import QuickOperator, find_credentials

# One group: the demo and the browser are started once.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.timeout(300)]

SCREENSHOTS = Path(__file__).parents[2] / ".artifacts" / "screenshots"
DESKTOP, PHONE, NARROW = (1280, 800), (390, 844), (320, 640)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One demo for all; every test connects and disconnects for itself."""
    with running_demo(tmp_path_factory.mktemp("browser") / "demo") as demo:
        yield demo
        logs = demo.logs()
    assert "Traceback" not in logs
    assert not find_credentials(logs)
    assert not [person.email for person in demo.state.people if person.password in logs]


class Visitor:
    """A person with a browser of their own; what the browser complains about is collected."""

    def __init__(self, demo: Demo, context: BrowserContext) -> None:
        self.demo = demo
        self.context = context
        self.complaints: list[str] = []
        self._refused_pages: set[str] = set()
        context.set_default_timeout(PATIENCE)
        self.page = context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(f"{self.page.url}: {error}"))
        self.page.on("response", self._note_refusal)
        self.page.on("console", self._note_console)

    def _note_refusal(self, response) -> None:
        if response.status >= 400 and response.request.is_navigation_request():
            self._refused_pages.add(response.url)

    def _note_console(self, message) -> None:
        # Chromium itself reports a page with status 4xx as an error: that page is what the visitor asked for.
        is_page_itself = message.text.startswith("Failed to load resource: the server responded with")
        if message.type in {"error", "warning"} and not (
            is_page_itself and message.location["url"] in self._refused_pages
        ):
            self.complaints.append(f"{self.page.url}: {message.text}")

    def button(self, name: str | re.Pattern[str], *, exact: bool = False) -> Locator:
        return self.page.get_by_role("button", name=name, exact=exact)

    def press(self, name: str | re.Pattern[str]) -> None:
        self.button(name).first.click()

    def sign_in(self, name: str) -> None:
        """Fill in the sign-in page that is open."""
        person = next(person for person in self.demo.state.people if person.email == f"{name}@example.com")
        expect(self.page.get_by_role("heading", name="Sign in")).to_be_visible()
        self.page.get_by_label("Email address").fill(person.email)
        self.page.get_by_label("Password", exact=True).fill(person.password)
        self.press(re.compile("^Sign in$"))
        # Where it leads depends on where one came from; to go on elsewhere before that would undo it.
        self.page.wait_for_url(lambda url: "/sign-in" not in url)

    def open(self, path: str, name: str = "ann") -> None:
        """One of the server's pages, signed in."""
        self.page.goto(self.demo.server + path)
        if "/sign-in" in self.page.url:
            self.sign_in(name)

    def start_connecting(self, name: str = "ann") -> None:
        """From the sample app to the consent page."""
        self.page.goto(self.demo.app)
        self.press(re.compile("^Connect"))
        self.page.wait_for_url(re.compile("/sign-in|/oauth2/authorize"))
        if "/sign-in" in self.page.url:
            self.sign_in(name)
        expect(self.page.get_by_role("heading", level=1)).to_contain_text("Mailloop wants to connect to Northwind CRM")

    def connect(self, organization: str, name: str = "ann") -> None:
        """The whole way to a connection."""
        self.start_connecting(name)
        self.page.get_by_role("radio", name=organization).check()
        self.press("Allow")
        self.expect_outcome(f"Mailloop is connected to {organization}.")

    def expect_outcome(self, words: str) -> None:
        """What the sample app says of the last button."""
        expect(self.page.locator("#latest .outcome")).to_contain_text(words)

    def connection(self, organization: str) -> Locator:
        """The sample app's card of a connection."""
        return self.page.get_by_role("article", name=organization)

    def is_overflowing(self) -> bool:
        """Whether the page is wider than its window."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))

    def take_pictures(self, name: str) -> None:
        """Both widths, both schemes; and nothing may stick out of a narrow window."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        for width, height in (DESKTOP, PHONE):
            self.page.set_viewport_size({"width": width, "height": height})
            assert not self.is_overflowing(), f"{name} at {width} px"
            for scheme in ("light", "dark"):
                self.page.emulate_media(color_scheme=scheme)
                self.page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png", full_page=True)
        self.page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
        assert not self.is_overflowing(), f"{name} at {NARROW[0]} px"
        self.page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
        self.page.emulate_media(color_scheme="light")


@pytest.fixture
def invite(demo: Demo, chromium: Browser):
    """Makes visitors; at the end, no browser may have complained about anything."""
    visitors = []

    def invite(**options) -> Visitor:
        context = chromium.new_context(locale="en-US", viewport={"width": 1280, "height": 800}, **options)
        visitors.append(Visitor(demo, context))
        return visitors[-1]

    yield invite
    for visitor in visitors:
        visitor.context.close()
    assert [complaint for visitor in visitors for complaint in visitor.complaints] == []


@pytest.fixture
def ann(invite) -> Visitor:
    """A member of both organizations, with a fresh browser."""
    return invite()


# -- first, while the sample app's panel is short: its pictures


def test_pictures_of_the_sample_app(ann, demo):
    ann.page.goto(demo.app)
    ann.take_pictures("sample-app-start")
    ann.connect("Birch & Co")
    birch = ann.connection("Birch & Co")
    birch.get_by_role("button", name="Call the API").click()
    birch.get_by_role("button", name="Refresh").first.click()
    ann.expect_outcome("Mailloop has a new pair of tokens")
    ann.take_pictures("sample-app-loop")
    birch.get_by_role("button", name="Disconnect").click()
    ann.expect_outcome("Mailloop is disconnected from Birch & Co")
    ann.take_pictures("sample-app-disconnected")
    birch.get_by_role("button", name="Remove from the list").click()


# -- the loop


@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without-scripts"])
def test_loop_second_organization_called_refreshed_disconnected_refused(invite, demo, scripts):
    ann = invite(java_script_enabled=scripts)
    ann.start_connecting()
    radios = ann.page.get_by_role("radio")
    expect(radios).to_have_count(2)
    for radio in radios.all():
        expect(radio).not_to_be_checked()
    expect(ann.page.get_by_text("Signed in as ann@example.com")).to_be_visible()
    radios.nth(1).check()
    ann.press("Allow")
    ann.expect_outcome("Mailloop is connected to Birch & Co.")
    expect(ann.page).to_have_url(f"{demo.app}/#latest")

    birch = ann.connection("Birch & Co")
    birch.get_by_role("button", name="Call the API").click()
    ann.expect_outcome("Birch & Co has ")
    birch.get_by_role("button", name="Refresh").first.click()
    ann.expect_outcome("Mailloop has a new pair of tokens")
    birch.get_by_role("button", name="Replay the old refresh token").click()
    ann.expect_outcome("Accepted as a retry")
    birch.get_by_role("button", name="Disconnect").click()
    ann.expect_outcome("Mailloop is disconnected from Birch & Co")
    birch.get_by_role("button", name="Call the API with the dead token").click()
    ann.expect_outcome("Refused with 401")
    birch.get_by_role("button", name="Remove from the list").click()
    ann.expect_outcome("Removed")
    expect(birch).to_have_count(0)
    # The panel shows the whole loop and no whole credential.
    panel = ann.page.content()
    assert "/oauth2/token/" in panel
    assert not find_credentials(panel)


def test_declined_goes_back_with_nothing_connected(ann, demo):
    ann.start_connecting()
    ann.press("Decline")
    ann.expect_outcome("You declined, so nothing was connected")
    expect(ann.page.get_by_role("article")).to_have_count(0)
    ann.open("/connections")
    expect(ann.page.get_by_role("main")).not_to_contain_text("Mailloop")


def test_disconnected_under_connections_is_refused_in_the_app(ann, demo):
    ann.connect("Acorn Partners")
    ann.open("/connections")
    expect(ann.page.get_by_role("main")).to_contain_text("Acorn Partners")
    ann.press("Disconnect Mailloop from Acorn Partners")
    expect(ann.page.get_by_role("status")).to_contain_text("Mailloop")
    expect(ann.page.get_by_role("button", name=re.compile("^Disconnect"))).to_have_count(0)
    ann.page.goto(demo.app)
    acorn = ann.connection("Acorn Partners")
    acorn.get_by_role("button", name="Call the API").first.click()
    ann.expect_outcome("This needs you: connect again.")
    acorn.get_by_role("button", name="Disconnect").click()
    acorn.get_by_role("button", name="Remove from the list").click()


def test_consent_by_keyboard_alone(ann):
    ann.page.goto(ann.demo.app)
    ann.button(re.compile("^Connect")).focus()
    ann.page.keyboard.press("Enter")
    expect(ann.page.get_by_label("Email address")).to_be_focused()
    ann.page.keyboard.type("ann@example.com")
    ann.page.keyboard.press("Enter")  # the browser asks for the password first
    ann.page.get_by_label("Password", exact=True).focus()
    ann.page.keyboard.type(ann.demo.state.people[0].password)
    ann.page.keyboard.press("Enter")
    expect(ann.page.get_by_role("heading", level=1)).to_contain_text("Mailloop wants to connect")
    consent = ann.page.url

    def focused() -> str:
        element = "document.activeElement"
        return str(ann.page.evaluate(f"{element}.value || {element}.textContent.trim()"))

    reached: list[str] = []
    while len(reached) < 20 and "radio" not in reached:
        ann.page.keyboard.press("Tab")
        reached.append(ann.page.evaluate("document.activeElement.type"))
    assert reached[-1] == "radio"
    # Enter on a choice decides nothing.
    ann.page.keyboard.press("Enter")
    ann.page.keyboard.press("ArrowDown")
    expect(ann.page.get_by_role("radio", name="Birch & Co")).to_be_checked()
    ann.page.keyboard.press("Enter")
    assert ann.page.url == consent
    ann.page.keyboard.press("Tab")
    assert focused().startswith("until I disconnect it")
    ann.page.keyboard.press("Tab")
    assert focused() == "deny"
    ann.page.keyboard.press("Tab")
    assert focused() == "allow"
    ann.page.keyboard.press("Enter")
    ann.expect_outcome("Mailloop is connected to Birch & Co.")
    ann.connection("Birch & Co").get_by_role("button", name="Disconnect").click()
    ann.connection("Birch & Co").get_by_role("button", name="Remove from the list").click()


def test_not_you_signs_out_and_asks_who_it_is(ann):
    ann.start_connecting()
    ann.press("Not you?")
    ann.sign_in("ben")
    expect(ann.page.get_by_text("Signed in as ben@example.com")).to_be_visible()
    # Ben has one organization: it is named, and nothing is to be chosen.
    expect(ann.page.get_by_role("radio")).to_have_count(0)
    expect(ann.page.get_by_role("main")).to_contain_text("Birch & Co")


def test_script_put_into_a_page_is_blocked_and_heard_of(ann):
    ann.open("/connections")
    ann.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = true'}))"
    )
    assert ann.page.evaluate("window.ran") is None
    [complaint] = ann.complaints
    assert "Content Security Policy" in complaint
    ann.complaints.clear()


# -- the console


def asks_token_endpoint(demo: Demo, client_id: str, secret: str) -> str:
    """The error that an invented refresh token gets: `invalid_client` if the secret is not good."""
    form = {"grant_type": "refresh_token", "refresh_token": "none", "client_id": client_id, "client_secret": secret}
    return str(httpx.post(f"{demo.server}/oauth2/token/", data=form, timeout=60).json()["error"])


@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without-scripts"])
def test_new_app_shows_its_secret_once(invite, demo, scripts):
    ann = invite(java_script_enabled=scripts)
    ann.open("/apps")
    ann.page.get_by_role("link", name="New app").click()
    ann.page.get_by_label("Organization").select_option("Acorn Partners")
    ann.page.get_by_label("Name").fill("Shelfware")
    ann.page.get_by_label("Redirect URIs").fill("https://shelfware.example/callback")
    ann.press("Register the app")
    expect(ann.page.get_by_role("heading", name="Copy the client secret now")).to_be_visible()
    client_id = ann.page.locator("#client-id").inner_text()
    secret = ann.page.locator("#client-secret").inner_text()
    assert asks_token_endpoint(demo, client_id, secret) == "invalid_grant"

    ann.open(f"/apps/{client_id}")
    expect(ann.page.locator("#client-secret")).to_have_count(0)
    assert secret not in ann.page.content()

    ann.page.get_by_text("Replace the secret …").click()
    ann.button("Replace the secret", exact=True).click()
    second = ann.page.locator("#client-secret").inner_text()
    assert second != secret
    assert asks_token_endpoint(demo, client_id, secret) == "invalid_client"
    assert asks_token_endpoint(demo, client_id, second) == "invalid_grant"


def test_private_app_as_stranger_says_exactly_that(invite, demo):
    ben = invite()
    query = f"client_id={demo.registration.private_app_client_id}&response_type=code&state=demo"
    ben.open(f"/oauth2/authorize/?{query}", "ben")
    main = ben.page.get_by_role("main")
    expect(main).to_contain_text("Acorn Internal Sync")
    expect(main).to_contain_text("Acorn Partners")
    expect(ben.button("Allow")).to_have_count(0)
    assert ben.page.url.startswith(demo.server)


# -- pictures


def test_pictures_of_the_flow_pages(ann, invite, demo):
    sample_app = demo.registration.sample_app.client_id
    authorize = f"{demo.server}/oauth2/authorize/?response_type=code&client_id={sample_app}"

    ann.page.goto(demo.app)
    ann.press(re.compile("^Connect"))
    expect(ann.page.get_by_role("heading", name="Sign in")).to_be_visible()
    ann.take_pictures("sign-in")
    ann.page.get_by_label("Email address").fill("ann@example.com")
    ann.page.get_by_label("Password", exact=True).fill("not her password")
    ann.press(re.compile("^Sign in$"))
    expect(ann.page.get_by_role("alert")).to_be_visible()
    ann.take_pictures("sign-in-wrong")
    ann.sign_in("ann")
    ann.take_pictures("consent-several")

    ann.page.goto(f"{authorize}&redirect_uri={demo.app}/callback/")
    ann.take_pictures("error-redirect-mismatch")
    ann.page.goto(f"{demo.server}/oauth2/authorize/?response_type=code&client_id=oa2client_unknown")
    ann.take_pictures("error-unknown-client")
    ann.page.goto(f"{demo.server}/no-such-page")
    ann.take_pictures("error-not-found")

    ben = invite()
    ben.open(f"/oauth2/authorize/?response_type=code&client_id={sample_app}", "ben")
    ben.take_pictures("consent-one")
    ben.page.goto(f"{authorize}&redirect_uri={demo.app}/callbacks")
    ben.take_pictures("error-redirect-mismatch-owner")
    private = demo.registration.private_app_client_id
    ben.page.goto(f"{demo.server}/oauth2/authorize/?response_type=code&client_id={private}")
    ben.take_pictures("error-private-app")

    cleo = invite()
    cleo.open(f"/oauth2/authorize/?response_type=code&client_id={sample_app}", "cleo")
    cleo.take_pictures("no-organization")


def test_pictures_of_the_workspace_pages(ann, invite, demo):
    ann.open("/connections")
    ann.take_pictures("connections-empty")
    for organization in ("Acorn Partners", "Birch & Co"):
        ann.connect(organization)
    ann.connection("Birch & Co").get_by_role("button", name="Refresh").first.click()
    ann.expect_outcome("Mailloop has a new pair of tokens")
    ann.open("/connections")
    expect(ann.button(re.compile("^Disconnect.* from "))).to_have_count(2)
    ann.take_pictures("connections")
    ann.press("Disconnect Mailloop from Acorn Partners")
    expect(ann.button(re.compile("^Disconnect.* from "))).to_have_count(1)
    ann.take_pictures("connections-disconnected")

    # Someone with no apps yet, in an organization of their own.
    operator = QuickOperator(demo.directory, demo.database)
    organization = operator.ask("organization", "create", "--name", "Cedar Ltd")["id"]
    owner = ("--organization", organization, "--role", "admin")
    operator.ask("membership", "add", "--user", "cleo@example.com", *owner)
    cleo = invite()
    cleo.open("/apps", "cleo")
    cleo.take_pictures("apps-empty")
    cleo.page.get_by_role("link", name="New app").first.click()
    expect(cleo.button("Register the app")).to_be_visible()
    cleo.take_pictures("app-new")
    cleo.page.get_by_label("Redirect URIs").fill("http://shelfware.example/callback")
    cleo.page.get_by_label("Privacy policy").fill("shelfware")
    cleo.press("Register the app")
    expect(cleo.page.locator("#error-summary")).to_be_visible()
    cleo.take_pictures("app-new-errors")
    cleo.page.get_by_label("Name").fill("Shelfware")
    cleo.page.get_by_label("Redirect URIs").fill("https://shelfware.example/callback\nhttp://127.0.0.1/callback")
    cleo.page.get_by_label("Privacy policy").fill("https://shelfware.example/privacy")
    cleo.press("Register the app")
    expect(cleo.page.locator("#client-secret")).to_be_visible()
    cleo.take_pictures("app-secret")
    cleo.open("/apps")
    cleo.take_pictures("apps")
    cleo.press("Sign out")
    cleo.page.wait_for_url(lambda url: "/apps" not in url)
    cleo.take_pictures("signed-out")
    ann.page.goto(demo.app)
    for name in ("Acorn Partners", "Birch & Co"):
        ann.connection(name).get_by_role("button", name="Disconnect").click()
        ann.connection(name).get_by_role("button", name="Remove from the list").click()
