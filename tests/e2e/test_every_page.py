"""Every page there is, in a real Chromium, opened by whom it is for in a deployment where something has happened: in a
phone's narrow window, in each of the six languages, without JavaScript, in both schemes, from right to left, and by
the keyboard. Names as long as they may be, too."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from latchstring.web.cookies import LANGUAGE_COOKIE, session_cookie_name
from latchstring.web.rendering.catalogs import load_languages
from tests.support.inhabited import LONG, Inhabited, Names
from tests.support.live import Live
from tests.support.looking import find_contrast_violations, find_focus_faults, find_overflow, find_violations, unfold
from tests.support.pages import VISITS, Visit
from tests.support.walking import NARROW

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.timeout(300)]

EVERY_VISIT = pytest.mark.parametrize("visit", VISITS, ids=str)
LANGUAGES = load_languages()


@pytest.fixture(scope="module")
def inhabited(live: Live) -> Inhabited:
    return live.do(Inhabited(live.deployment, Names()).settle())


@pytest.fixture(scope="module")
def crowded(live: Live, inhabited: Inhabited) -> Inhabited:
    return live.do(Inhabited(live.deployment, LONG).settle())


class Window:
    """A narrow window in which somebody can be signed in; one for all pages."""

    def __init__(self, chromium: Browser, live: Live, *, has_scripts: bool) -> None:
        self.context: BrowserContext = chromium.new_context(java_script_enabled=has_scripts, viewport=NARROW)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self._live = live
        self._sessions: dict[str, str] = {}

    def open(self, visit: Visit, world: Inhabited, *, locale: str = "en") -> None:
        """The page in that language, as whom it is for."""
        cookies = {LANGUAGE_COOKIE: locale}
        if visit.person:
            cookies[session_cookie_name(world.deployment.settings)] = self._begin(world.people[visit.person])
        self.context.clear_cookies()
        self.context.add_cookies([{"name": name, "value": cookies[name], "url": self._live.url} for name in cookies])
        response = self.page.goto(self._live.url + visit.address(world.ids))
        assert response is not None
        assert response.status == visit.status, self.page.locator("body").inner_text()

    def _begin(self, user_id: str) -> str:
        """The session of that person in this window."""
        if user_id not in self._sessions:
            self._sessions[user_id] = self._live.do(self._live.deployment.services.login.begin(user_id))
        return self._sessions[user_id]


@pytest.fixture(scope="module")
def open_window(chromium: Browser, live: Live) -> Iterator[Callable[[bool], Window]]:
    windows: dict[bool, Window] = {}

    def open_one(has_scripts: bool) -> Window:
        if has_scripts not in windows:
            windows[has_scripts] = Window(chromium, live, has_scripts=has_scripts)
        return windows[has_scripts]

    yield open_one
    assert [complaint for window in windows.values() for complaint in window.complaints] == []
    for window in windows.values():
        window.context.close()


@EVERY_VISIT
def test_page_without_scripts_fits_a_narrow_window_in_every_language(open_window, crowded: Inhabited, visit: Visit):
    """With names as long as they may be."""
    window = open_window(False)
    for locale, language in LANGUAGES.items():
        window.open(visit, crowded, locale=locale)
        assert window.page.locator("html").get_attribute("lang") == language.tag
        assert window.page.locator("h1:visible").count() == 1
        assert window.page.locator("button[type=button]:visible").count() == 0, "what does nothing without scripts"
        assert find_overflow(window.page) == [], locale


@EVERY_VISIT
def test_page_is_walked_through_by_tab_and_has_nothing_that_axe_objects_to(open_window, inhabited, visit: Visit):
    """Axe in both schemes, with everything unfolded; then from right to left."""
    window = open_window(True)
    page = window.page
    page.emulate_media(color_scheme="light")
    window.open(visit, inhabited)
    assert find_focus_faults(page) == []
    unfold(page)
    assert find_violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert find_contrast_violations(page) == []
    assert find_overflow(page) == []
    page.evaluate("document.documentElement.dir = 'rtl'")
    assert find_overflow(page) == []
