"""What a page must be to anybody: the checks of the browser tests, one by one."""

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT  # type: ignore[import-untyped]
from playwright.sync_api import Page

# What sticks out to the right, for the message; what scrolls within its own box does not.
_STICKING_OUT = """() => [...document.body.querySelectorAll("*")]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < -1)
    .filter(e => !e.closest(".visually-hidden, .skip-link"))
    .map(e => e.outerHTML.slice(0, 160)).slice(0, 3)"""

# What a keyboard has to reach, in the order of the page: of a group of radio buttons one does.
_OPERABLE = """() => {
    const seen = new Set();
    return [...document.querySelectorAll("a[href], button, input, select, textarea, summary")].filter(e => {
        if (e.disabled || e.type === "hidden" || !e.checkVisibility({ visibilityProperty: true })) return false;
        if (e.type !== "radio") return true;
        const group = document.querySelector(`input[name="${CSS.escape(e.name)}"]:checked`);
        if (group ? group !== e : seen.has(e.name)) return false;
        seen.add(e.name);
        return true;
    });
}"""
# Numbers them, and notes which is focused when, and whether anybody could see that.
_WATCH = f"""() => {{
    const operable = ({_OPERABLE})(), shows = e => {{
        const style = getComputedStyle(e), width = parseFloat(style.outlineWidth);
        return (style.outlineStyle !== "none" && width >= 2) || style.boxShadow !== "none";
    }};
    window.reached = [];
    document.addEventListener("focusin", () => {{
        let e = document.activeElement, number = operable.indexOf(e);
        while (e && e !== document.body && !shows(e)) e = e.parentElement;
        if (number >= 0 && !reached.some(([other]) => other === number)) reached.push([number, e !== document.body]);
    }});
    document.body.tabIndex = -1;
    document.body.focus();
    document.body.removeAttribute("tabindex");
    return operable.map(e => e.outerHTML.slice(0, 160));
}}"""
# The fields within one for a day: the keyboard goes through each.
_PARTS_OF_A_DAY = 4


def find_violations(page: Page, **options: Any) -> list[str]:
    """What axe-core objects to, by rule and place (WCAG 2.2 AA and its best practices)."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    run = "options => axe.run({ resultTypes: ['violations'], ...options }).then(results => results.violations)"
    return [f"{each['id']}: {node['html'][:200]}" for each in page.evaluate(run, options) for node in each["nodes"]]


def find_contrast_violations(page: Page) -> list[str]:
    """What has too little contrast: all that another scheme can change."""
    return find_violations(page, runOnly=["color-contrast"])


def unfold(page: Page) -> None:
    """Open what is folded; of a long list, its beginning."""
    page.locator("details").evaluate_all("all => all.slice(0, 12).forEach(e => e.open = true)")


def find_overflow(page: Page) -> list[str]:
    """What makes the page wider than its window; nothing, if it is not."""
    is_wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    if not page.evaluate(is_wide):
        return []
    found: list[str] = page.evaluate(_STICKING_OUT)
    return found or ["something"]


def find_focus_faults(page: Page) -> list[str]:
    """What Tab does not reach, what it reaches in another order than the page's, and where nobody sees the focus."""
    faults = [f"tabindex: {each}" for each in page.locator("[tabindex]:not([tabindex='-1'])").all()]
    operable: list[str] = page.evaluate(_WATCH)
    for _ in range(len(operable) + _PARTS_OF_A_DAY * page.locator("input[type=date]").count()):
        page.keyboard.press("Tab")
    reached: dict[int, bool] = dict(page.evaluate("reached"))
    faults += [f"not reached: {each}" for number, each in enumerate(operable) if number not in reached]
    faults += [f"nobody sees the focus: {operable[number]}" for number, is_seen in reached.items() if not is_seen]
    if list(reached) != sorted(reached):
        faults.append(f"out of order: {list(reached)}")
    return faults
