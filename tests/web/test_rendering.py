"""The pages: sound HTML in every state and language, nothing that the policy forbids, names that stay names."""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError

from latchstring.web.rendering.accent import (
    DARK_GROUNDS,
    LIGHT_GROUNDS,
    TEXT_CONTRAST,
    contrast,
    parse_colour,
    readable_accent,
)
from latchstring.web.rendering.catalogs import format_ago, load_languages
from latchstring.web.rendering.messages import FIELD_ERRORS, MESSAGES, FieldErrorKey, MessageKey, message_page
from latchstring.web.rendering.renderer import (
    STATIC_DIRECTORY,
    PageRenderer,
    initial_for,
    isolate,
    nearest,
    split_at_difference,
    tint_for,
)
from scripts.preview_pages import CONSENT, NOW, ONE_APP, SIGN_IN, grouped, states

LOCALES = ["en", "de", "es", "fr", "ja", "zh_Hans"]
STATES = {name: (template, context) for name, template, context in states()}
COMMON = {"user": None, "csrf_token": "the-csrf-token", "now": NOW, "request_id": "req_1", "notice": None}
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
DRAWN = {"circle", "path", "rect"}


@pytest.fixture(scope="module")
def renderer() -> PageRenderer:
    return PageRenderer("Northwind CRM")


class Outline(HTMLParser):
    """What a page is made of, with its tags checked for balance."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, tuple[str, ...]]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs)), f"an attribute of <{tag}> is given twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in DRAWN
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((data, tuple(self._open)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def _page(renderer: PageRenderer, state: str, locale: str = "en") -> str:
    template, context = STATES[state]
    return renderer.render_page(template, {**COMMON, **context}, locale)


def _consent(renderer: PageRenderer, **changes: object) -> str:
    return renderer.render_page("consent.html", {**COMMON, **CONSENT, **changes}, "en")


# -- every page


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("state", STATES)
def test_page_in_every_state_and_language_is_sound(renderer: PageRenderer, state: str, locale: str):
    html = _page(renderer, state, locale)
    outline = Outline(html)
    assert html.startswith("<!doctype html>\n<html lang=")
    assert outline.all("html") == [{"lang": locale.replace("_", "-"), "dir": "ltr"}]
    assert [len(outline.all(tag)) for tag in ("h1", "main", "title")] == [1, 1, 1]

    ids = Counter(attributes["id"] for _, attributes in outline.elements if "id" in attributes)
    assert [name for name, count in ids.items() if count > 1] == []
    for _, attributes in outline.elements:
        for reference in ("for", "aria-describedby", "aria-labelledby", "data-copy", "data-reveal"):
            for name in (attributes.get(reference) or "").split():
                assert name in ids, f"{reference} leads to {name}, which is not there"


@pytest.mark.parametrize("state", STATES)
def test_page_obeys_the_strict_policy(renderer: PageRenderer, state: str):
    outline = Outline(_page(renderer, state))
    assert outline.all("style") == []
    for attributes in outline.all("script"):
        assert (attributes["src"] or "").startswith(("/static/latchstring.js?v=", "/static/passkeys.js?v="))
    for tag, attributes in outline.elements:
        assert "style" not in attributes
        assert [name for name in attributes if name.startswith("on")] == []
        if tag in {"img", "link", "script"}:
            assert (attributes.get("src") or attributes.get("href") or "").startswith("/static/")
    assert "javascript:" not in _page(renderer, state)


@pytest.mark.parametrize("state", STATES)
def test_every_form_posts_with_the_csrf_token_and_only_to_ourselves(renderer: PageRenderer, state: str):
    """An answer on its way to an app is the one form that leaves: it takes no token along."""
    html = _page(renderer, state)
    forms = re.findall(r"<form.*?</form>", html, re.DOTALL)
    for form in forms:
        outline = Outline(form)
        if outline.all("form")[0]["method"] == "get":
            # It finds something and changes nothing; the token must not stand in an address.
            assert not [field for field in outline.all("input") if field.get("name") == "csrf_token"]
            assert str(outline.all("form")[0]["action"]).startswith("/")
            continue
        assert outline.all("form")[0]["method"] == "post"
        tokens = [field["value"] for field in outline.all("input") if field.get("name") == "csrf_token"]
        is_ours = str(outline.all("form")[0]["action"]).startswith("/")
        assert tokens == (["the-csrf-token"] if is_ours else [])
        assert is_ours or state == "send-back"


@pytest.mark.parametrize("state", STATES)
def test_every_field_has_a_label(renderer: PageRenderer, state: str):
    outline = Outline(_page(renderer, state))
    labelled = {attributes.get("for") for attributes in outline.all("label")}
    for tag in ("input", "select", "textarea"):
        for field in outline.all(tag):
            if field.get("type") not in {"hidden", "radio", "checkbox"}:
                assert field["id"] in labelled


def test_page_with_a_name_missing_from_its_context_is_refused(renderer: PageRenderer):
    with pytest.raises(UndefinedError, match="email"):
        renderer.render_page("sign_in.html", {**COMMON, **{k: v for k, v in SIGN_IN.items() if k != "email"}}, "en")


# -- the list of pages


@pytest.mark.parametrize(
    "number, here, is_operator, expected",
    [
        (1, None, False, [True]),
        (3, None, False, [False, False, False]),
        (3, 1, False, [False, True, False]),
        (3, 1, True, [False, True, False, False]),
        (0, None, True, [True]),
    ],
)
def test_of_several_organizations_the_pages_of_one_are_unfolded(renderer, number, here, is_operator, expected):
    """A phone's window would be filled by the list alone."""
    template, context = STATES["apps" if here is None else "admin-organization"]
    administered = [{"id": f"orga_{one}", "name": f"Company {one}", "waiting": 2 * one} for one in range(number)]
    given = {"administered": administered, "is_operator": is_operator}
    if here is not None:
        shown = context["organization"]
        assert isinstance(shown, dict)
        given["organization"] = {**shown, **administered[here]}
    html = renderer.render_page(template, {**COMMON, **context, **given}, "en")
    found = re.findall(r'<details class="side-group"( open)?>\s*<summary>.*?</summary>', html)
    assert [bool(each) for each in found] == expected
    assert html.count('aria-current="page"') == 1


# -- sign in


def test_sign_in_page_has_fields_that_password_managers_know(renderer: PageRenderer):
    fields = {field.get("name"): field for field in Outline(_page(renderer, "sign-in-for-app")).all("input")}
    assert fields["email"]["autocomplete"] == "username webauthn"
    assert fields["password"]["autocomplete"] == "current-password"
    assert fields["continue"]["value"] == "sealed"


def test_sign_in_page_after_wrong_credentials_says_so_and_keeps_the_email(renderer: PageRenderer):
    html = _page(renderer, "sign-in-wrong")
    fields = {field.get("name"): field for field in Outline(html).all("input")}
    assert fields["email"]["value"] == "ann@example.com"
    assert fields["password"]["aria-describedby"] == "sign-in-error"
    assert 'role="alert" id="sign-in-error"' in html


# -- consent


def test_consent_with_several_organizations_preselects_none(renderer: PageRenderer):
    radios = [field for field in Outline(_consent(renderer)).all("input") if field.get("type") == "radio"]
    assert len(radios) == 3
    assert all("required" in radio and "checked" not in radio for radio in radios)


def test_consent_with_a_chosen_organization_keeps_it(renderer: PageRenderer):
    outline = Outline(_consent(renderer, selected_organization_id="orga_Birch & Co"))
    assert [f["value"] for f in outline.all("input") if "checked" in f] == ["orga_Birch & Co"]


def test_consent_with_one_organization_names_it_and_carries_it(renderer: PageRenderer):
    html = _page(renderer, "consent-one")
    fields = Outline(html).all("input")
    assert [f["type"] for f in fields if f.get("name") == "organization_id"] == ["hidden"]
    assert "Mailloop</bdi> will reach <bdi>Acorn Partners</bdi> and no other organization." in html


def test_consent_answers_are_allow_and_deny_and_neither_is_the_default_button(renderer: PageRenderer):
    form = re.findall(r'<form method="post" action="/consent".*?</form>', _consent(renderer), re.DOTALL)[0]
    default, decline, allow = Outline(form).all("button")
    assert "name" not in default
    assert default["formmethod"] == "dialog"
    assert (decline["name"], decline["value"]) == ("decision", "deny")
    assert "formnovalidate" in decline
    assert (allow["name"], allow["value"]) == ("decision", "allow")
    assert "formnovalidate" not in allow


def test_consent_says_how_long_access_lasts(renderer: PageRenderer):
    assert "Keep access while you are away" in _consent(renderer)
    hour = _consent(renderer, is_offline=False)
    assert "Keep access while you are away" not in hour
    assert "Do this for about an hour" in hour


def test_consent_for_a_local_program_warns(renderer: PageRenderer):
    html = _page(renderer, "consent-local-hour")
    assert "You will return to a program on this computer (<bdi>127.0.0.1:49152</bdi>)." in html


def test_consent_full_access_speaks_for_the_deployment_unless_it_has_its_own_words(renderer: PageRenderer):
    assert "Read and change everything you can in <bdi>Northwind CRM</bdi>" in _consent(renderer)
    scope = {"name": "all.full_access", "title": "Use the CRM", "description": "All of it.", "risk": "high"}
    html = _consent(renderer, groups=[grouped(scope)])
    assert "Use the CRM" in html
    assert "everything you can" not in html


def test_consent_links_only_to_web_pages(renderer: PageRenderer):
    links = [link["href"] for link in Outline(_page(renderer, "consent-local-hour")).all("a")]
    assert links == []
    app = CONSENT["app"]
    assert isinstance(app, dict)
    html = _consent(renderer, app={**app, "terms_uri": "data:text/html,x", "policy_uri": "https://x.example/p"})
    assert [link["href"] for link in Outline(html).all("a")] == ["https://x.example/p"]


def test_names_are_escaped_and_isolated(renderer: PageRenderer):
    html = _page(renderer, "consent-long")
    assert "<bdi>\u202eمرحبا &lt;b&gt;x&lt;/b&gt;</bdi>" in html
    title = re.search(r"<title>(.*?)</title>", html)
    assert title is not None
    assert "\u2068\u202eمرحبا &lt;b&gt;x&lt;/b&gt;\u2069" in title[1]


@pytest.mark.parametrize("state", ["consent-several", "connections", "app", "message-private_app"])
def test_names_stand_in_an_isolating_element(renderer: PageRenderer, state: str):
    for text, path in Outline(_page(renderer, state)).texts:
        if re.search(r"Mailloop|Loop Labs|Acorn Partners", text):
            assert {"bdi", "title", "textarea"}.intersection(path), text


# -- messages


def test_every_message_key_has_its_message_and_every_field_error_its_sentence():
    assert set(MESSAGES) == set(get_args(MessageKey))
    assert set(FIELD_ERRORS) == set(get_args(FieldErrorKey))


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("key", MESSAGES)
def test_message_is_whole_in_every_language(renderer: PageRenderer, key: MessageKey, locale: str):
    context = message_page(key, app="Mailloop", organization="Loop Labs", parameter="scope", host="app.example")
    html = renderer.render_page("message.html", {**COMMON, **context}, locale)
    assert "%(" not in html
    if locale != "en":
        assert MESSAGES[key].paragraphs[0][:12] not in html


def test_private_app_message_says_whom_to_ask(renderer: PageRenderer):
    context = message_page("private_app", app="Mailloop", organization="Loop Labs")
    html = re.sub(r"</?bdi>", "", renderer.render_page("message.html", {**COMMON, **context}, "en"))
    assert "The app Mailloop is private to the members of Loop Labs, and you are not one of them." in html
    assert "ask an admin of Loop Labs to add you as a member" in html


def test_mismatch_marks_the_first_differing_character(renderer: PageRenderer):
    html = _page(renderer, "message-mismatch-owner")
    assert "/callback<mark>/</mark></code>" in html
    assert '/callback<mark><span class="ends">ends here</span></mark></code>' in html
    assert "mailloop.example<mark>:</mark>8443/callback</code>" in html


@pytest.mark.parametrize(
    "value, other, parts",
    [
        ("abc", "abd", ("ab", "c", "")),
        ("abcx", "abdx", ("ab", "c", "x")),
        ("ab", "abc", ("ab", "", "")),
        ("abc", "abc", ("abc", "", "")),
        ("", "a", ("", "", "")),
    ],
)
def test_split_at_difference(value: str, other: str, parts: tuple[str, str, str]):
    assert split_at_difference(value, other) == parts


def test_nearest_is_the_candidate_with_the_longest_common_start():
    assert nearest(["https://b/", "https://a/c", "https://a/d"], "https://a/dx") == "https://a/d"
    assert nearest([], "https://a/") == "https://a/"


# -- workspace


def test_disconnect_button_says_what_it_disconnects(renderer: PageRenderer):
    html = re.sub(r"</?bdi>", "", _page(renderer, "connections"))
    assert 'action="/connections/grant_1/disconnect"' in html
    assert '<span class="visually-hidden">Disconnect Mailloop from Acorn Partners</span>' in html


@pytest.mark.parametrize("state, words", [("connections", "2 apps can"), ("connections-notice", "One app can")])
def test_connections_are_counted_in_words(renderer: PageRenderer, state: str, words: str):
    assert words in _page(renderer, state)


def test_secret_is_shown_only_when_there_is_one(renderer: PageRenderer):
    assert "Copy the client secret now" in _page(renderer, "app-secret")
    assert "Copy the client secret now" not in _page(renderer, "app")


def test_app_of_another_member_cannot_be_edited_or_given_a_new_secret(renderer: PageRenderer):
    html = renderer.render_page("app.html", {**COMMON, **ONE_APP, "can_edit": False}, "en")
    assert [form["action"] for form in Outline(html).all("form")] == ["/sign-out"]


def test_errors_are_summed_up_and_tied_to_their_fields(renderer: PageRenderer):
    html = _page(renderer, "app-new-errors")
    outline = Outline(html)
    assert '<a href="#redirect_uris">' in html
    fields = {f.get("name"): f for tag in ("input", "select", "textarea") for f in outline.all(tag)}
    for name in ("organization_id", "name", "redirect_uris", "terms_uri"):
        assert fields[name]["aria-invalid"] == "true"
        assert f"{name}-error" in (fields[name]["aria-describedby"] or "")
    assert "aria-invalid" not in fields["policy_uri"]
    assert "> \nhttp" not in html
    assert ">\nhttp://app.mailloop.example/callback</textarea>" in html


# -- languages and time


@pytest.mark.parametrize(
    "accept_language, cookie, locale",
    [
        (None, None, "en"),
        ("", None, "en"),
        ("de", None, "de"),
        ("de-CH,en;q=0.5", None, "de"),
        ("en;q=0.5, fr;q=0.9", None, "fr"),
        ("pl, es;q=0.3", None, "es"),
        ("de;q=0, ja", None, "ja"),
        ("zh-CN", None, "zh_Hans"),
        ("zh-Hans-SG", None, "zh_Hans"),
        ("zh-TW", None, "en"),
        ("zh-TW,zh;q=0.9,en;q=0.8", None, "zh_Hans"),
        ("*", None, "en"),
        ("de;q=nonsense", None, "en"),
        (";;;,,q=1," * 500, None, "en"),
        ("de", "ja", "ja"),
        ("de", "zh-Hans", "zh_Hans"),
        ("de", "../../etc", "de"),
    ],
)
def test_locale_is_the_cookies_then_the_browsers_wish(renderer, accept_language, cookie, locale):
    assert renderer.negotiate_locale(accept_language, cookie) == locale


@settings(deadline=None)
@given(st.text(max_size=200), st.text(max_size=50))
def test_locale_is_always_one_we_have(accept_language: str, cookie: str):
    assert _shared().negotiate_locale(accept_language, cookie) in LOCALES


def _shared(renderers: list[PageRenderer] = []) -> PageRenderer:  # noqa: B006 -- one for all examples
    if not renderers:
        renderers.append(PageRenderer("Northwind CRM"))
    return renderers[0]


def test_gettext_translates_and_fills_in(renderer: PageRenderer):
    assert renderer.gettext("de")("%(app)s is private", app="Mailloop") == "Mailloop ist privat"
    apps = ("One app can reach your data.", "%(count)s apps can reach your data.")
    assert renderer.ngettext("fr")(*apps, 2, count=2) == "2 applications ont accès à vos données."


@pytest.mark.parametrize(
    "seconds, words",
    [
        (-5, None),
        (59, None),
        (60, "1 minute ago"),
        (3 * 3600, "3 hours ago"),
        (12 * 86_400, "2 weeks ago"),
        (31 * 86_400, "August 21, 2026"),
    ],
)
def test_moments_are_told_in_words_up_to_a_month(seconds: int, words: str | None):
    assert format_ago(NOW - seconds, NOW, load_languages()["en"]) == words


# -- pictures


@settings(deadline=None)
@given(st.text())
def test_tint_and_initial_exist_for_every_text(text: str):
    assert 0 <= tint_for(text) < 12
    assert initial_for(text)


@pytest.mark.parametrize(
    "name, initial",
    [("Mailloop", "M"), ("  «élan»", "É"), ("3M", "3"), ("株式会社", "株"), ("ßtraße", "ß"), ("…", "?"), ("", "?")],
)
def test_initial_is_the_first_letter_or_digit(name: str, initial: str):
    assert initial_for(name) == initial


def test_tint_stays_the_same():
    assert [tint_for(name) for name in ("oa2client_a", "oa2client_b", "orga_a")] == [11, 11, 8]


def test_isolate_leaves_harmless_names_alone():
    assert isolate("Acorn & Co") == "Acorn & Co"
    assert isolate("\u202eevil") == "\u2068\u202eevil\u2069"


# -- static files and colours


def test_static_address_changes_with_the_accent():
    plain, green = PageRenderer("N"), PageRenderer("N", accent="#2a7")
    assert plain.static_url("latchstring.css") != green.static_url("latchstring.css")
    assert plain.static_url("latchstring.js") == green.static_url("latchstring.js")
    assert plain.static_url("favicon.svg") != green.static_url("favicon.svg")
    style = green.static_file("latchstring.css")
    assert style is not None
    assert style.content_type == "text/css; charset=utf-8"
    assert green.static_url("latchstring.css") == f"/static/latchstring.css?v={style.version}"
    assert re.search(rb":root\{--accent:#[0-9a-f]{6};--on-accent:#ffffff\}", style.content)


@pytest.mark.parametrize("name", ["", "..", "../pages/rendering.py", "latchstring.css/", "/etc/passwd", "absent.css"])
def test_static_file_of_any_other_name_is_not_there(renderer: PageRenderer, name: str):
    assert renderer.static_file(name) is None


@pytest.mark.parametrize("colour", ["red", "#12", "#1234567", "#12345g", "#fff;}body{", "rgb(0,0,0)", ""])
def test_accent_that_is_not_a_colour_is_refused(colour: str):
    with pytest.raises(ValueError, match="accent colour"):
        PageRenderer("N", accent=colour)


@pytest.mark.parametrize("url", ["https://cdn.example/logo.svg", "//cdn.example/logo.svg", "logo.svg", "/\\evil"])
def test_logo_from_elsewhere_is_refused(url: str):
    with pytest.raises(ValueError, match="logo URL"):
        PageRenderer("N", logo_url=url)


def test_logo_takes_the_place_of_the_mark():
    html = PageRenderer("N", logo_url="/static/logo.svg").render_page("sign_in.html", {**COMMON, **SIGN_IN}, "en")
    assert '<img class="brand-logo" src="/static/logo.svg" alt=""' in html
    assert 'class="mark"' not in html


@settings(deadline=None)
@given(st.integers(0, 0xFFFFFF))
def test_any_accent_is_made_readable_in_both_schemes(value: int):
    pair = readable_accent(f"#{value:06x}")
    for accent, grounds in ((pair.light, LIGHT_GROUNDS), (pair.dark, DARK_GROUNDS)):
        for other in (*grounds, accent.text):
            assert contrast(accent.colour, other) >= TEXT_CONTRAST


def test_readable_accent_is_left_as_it_is():
    assert readable_accent("#145C6E").light.colour == "#145c6e"
    assert parse_colour(" #ABC ") == "#aabbcc"


def test_contrast_is_the_one_of_the_guidelines():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def _tokens(css: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", css))


def _palettes() -> list[dict[str, str]]:
    css = (STATIC_DIRECTORY / "latchstring.css").read_text("utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)[:2]
    return [_tokens(light), {**_tokens(light), **_tokens(dark)}]


def test_palette_of_the_style_sheet_has_enough_contrast_in_both_schemes():
    for palette, grounds in zip(_palettes(), (LIGHT_GROUNDS, DARK_GROUNDS), strict=True):
        assert (palette["surface"], palette["ground"]) == grounds
        for name in ("ink", "muted", "accent", "positive", "warning", "danger"):
            assert all(contrast(palette[name], ground) >= 4.5 for ground in grounds), name
        for name in ("positive", "warning", "danger"):
            assert contrast(palette[name], palette[f"{name}-ground"]) >= 4.5, name
            assert contrast(palette["ink"], palette[f"{name}-ground"]) >= 4.5, name
        assert contrast(palette["ink"], palette["info-ground"]) >= 4.5
        assert contrast(palette["on-accent"], palette["accent"]) >= 4.5
        assert contrast(palette["surface"], palette["danger"]) >= 4.5
        assert all(contrast(palette["control"], ground) >= 3 for ground in grounds)


def test_every_tint_is_readable():
    css = (STATIC_DIRECTORY / "latchstring.css").read_text("utf-8")
    tints = re.findall(r"\.tint-(\d+) \{ --tile: (#\w{6}); --tile-ink: (#\w{6}); \}", css)
    assert Counter(int(number) for number, _, _ in tints) == dict.fromkeys(range(12), 2)
    assert all(contrast(ground, ink) >= 4.5 for _, ground, ink in tints)


# -- in a browser


@pytest.mark.browser
def test_enter_on_a_radio_button_neither_allows_nor_declines(renderer: PageRenderer):
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = Path("/usr/bin/chromium")
    if not chromium.exists():
        pytest.skip("no Chromium on this machine")
    posts: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 320, "height": 640})

        def answer(route) -> None:
            if route.request.method == "POST":
                posts.append(route.request.post_data)
            file = renderer.static_file(route.request.url.partition("/static/")[2].partition("?")[0])
            if file is not None:
                route.fulfill(body=file.content, content_type=file.content_type)
            else:
                route.fulfill(body=_consent(renderer), content_type="text/html; charset=utf-8")

        page.route("**/*", answer)
        page.goto("http://localhost/oauth2/authorize/")
        assert page.evaluate("document.documentElement.scrollWidth") == 320
        page.get_by_role("radio", name="Birch & Co").focus()
        page.keyboard.press("Enter")  # asks for a choice
        page.get_by_role("radio", name="Birch & Co").check()
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Allow").focus()
        assert posts == []
        page.keyboard.press("Enter")
        page.wait_for_load_state()
        page.get_by_role("button", name="Decline").click()
        page.wait_for_load_state()
        browser.close()
    assert [post.rpartition("request=sealed")[2] for post in posts] == [
        "&organization_id=orga_Birch+%26+Co&until=&decision=allow",
        "&until=&decision=deny",
    ]
