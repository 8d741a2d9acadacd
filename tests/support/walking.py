"""Somebody at a keyboard, in a phone's narrow window, without JavaScript: the least that a journey may ask for."""

from typing import Final

from playwright.sync_api import Browser, Locator, ViewportSize, expect

from latchstring.web.cookies import session_cookie_name
from tests.support.live import Live

NARROW: Final[ViewportSize] = {"width": 320, "height": 640}
_FARTHEST = 120


class Walker:
    """Tab, arrows, space, Enter and typing: there is no mouse."""

    def __init__(self, chromium: Browser, live: Live, user_id: str = "") -> None:
        self.live = live
        self.context = chromium.new_context(java_script_enabled=False, viewport=NARROW, locale="en-US")
        self.page = self.context.new_page()
        if user_id:
            services = live.deployment.services
            cookie = live.do(services.login.begin(user_id))
            self.context.add_cookies(
                [{"name": session_cookie_name(services.settings), "value": cookie, "url": live.url}]
            )

    def open(self, path: str) -> None:
        """One of the server's pages."""
        self.page.goto(path if path.startswith("http") else self.live.url + path)

    def reach(self, there: Locator) -> None:
        """Tab on until it has the focus."""
        expect(there).to_be_visible()
        for _ in range(_FARTHEST):
            if there.evaluate("e => e === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not reach {there}")

    def press(self, name: str, *, exact: bool = False) -> None:
        """The first button of that name."""
        self._enter(self.page.get_by_role("button", name=name, exact=exact).first)

    def follow(self, name: str) -> None:
        """The first link of that name."""
        self._enter(self.page.get_by_role("link", name=name).first)

    def unfold(self, name: str) -> None:
        """What is folded behind these words."""
        self._enter(self.page.locator("summary").filter(has_text=name).first)

    def _enter(self, there: Locator) -> None:
        self.reach(there)
        self.page.keyboard.press("Enter")

    def tick(self, name: str) -> None:
        """The first box of that name."""
        self.reach(self.page.get_by_role("checkbox", name=name).first)
        self.page.keyboard.press("Space")

    def choose(self, name: str) -> None:
        """The radio button of that name, from wherever Tab comes into its group."""
        radio = self.page.get_by_role("radio", name=name).first
        group = self.page.locator(f"input[type=radio][name={radio.get_attribute('name')}]")
        for _ in range(_FARTHEST):
            if group.evaluate_all("all => all.includes(document.activeElement)"):
                break
            self.page.keyboard.press("Tab")
        if group.evaluate_all("all => !all.some(e => e.checked)"):
            self.page.keyboard.press("Space")
        while not radio.is_checked():
            self.page.keyboard.press("ArrowDown")

    def pick(self, label: str, option: str) -> None:
        """An option of a list, by typing its beginning."""
        self.reach(self.page.get_by_label(label, exact=True).first)
        self.page.keyboard.type(option)

    def fill(self, label: str, text: str) -> None:
        """What is in the field is written over."""
        self.reach(self.page.get_by_label(label).first)
        self.page.keyboard.press("ControlOrMeta+A")
        self.page.keyboard.type(text)

    def expect_said(self, words: str) -> None:
        """What the page says came of the last key."""
        expect(self.page.get_by_role("status")).to_contain_text(words)

    def expect_heading(self, words: str) -> None:
        """Where this is."""
        expect(self.page.get_by_role("heading", level=1)).to_contain_text(words)

    def close(self) -> None:
        """Go away."""
        self.context.close()
