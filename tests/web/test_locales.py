"""The catalogs: complete in every language, with the same placeholders, and nothing said outside them."""

import re
from html.parser import HTMLParser

import pytest
from babel.messages.catalog import Catalog
from jinja2 import Environment

from latchstring.web.rendering.catalogs import LOCALES_DIRECTORY, load_languages
from latchstring.web.rendering.renderer import TEMPLATES_DIRECTORY
from scripts.update_catalogs import read_catalog, source_catalog

TRANSLATED = ["de", "es", "fr", "ja", "zh_Hans"]
PLACEHOLDER = re.compile(r"%\((\w+)\)s")
TEMPLATES = sorted(TEMPLATES_DIRECTORY.glob("*.html"))


@pytest.fixture(scope="module")
def source() -> Catalog:
    return source_catalog()


def _catalog(locale: str) -> Catalog:
    return read_catalog(LOCALES_DIRECTORY / f"{locale}.po")


def _forms(text: object) -> list[str]:
    return [str(form) for form in text] if isinstance(text, list | tuple) else [str(text or "")]


def test_languages_are_exactly_the_promised_ones():
    assert sorted(load_languages()) == sorted(["en", *TRANSLATED])


@pytest.mark.parametrize("locale", TRANSLATED)
def test_catalog_holds_every_message_and_no_other(locale: str, source: Catalog):
    catalog = _catalog(locale)
    assert {m.id for m in catalog if m.id} == {m.id for m in source if m.id}, "run scripts/update_catalogs.py"
    assert not catalog.obsolete


@pytest.mark.parametrize("locale", TRANSLATED)
def test_every_message_is_translated(locale: str):
    catalog = _catalog(locale)
    untranslated = [m.id for m in catalog if m.id and (m.fuzzy or not all(_forms(m.string)))]
    assert untranslated == []
    assert [m.id for m in catalog if m.pluralizable and len(_forms(m.string)) != catalog.num_plurals] == []


@pytest.mark.parametrize("locale", TRANSLATED)
def test_placeholders_are_those_of_the_source(locale: str):
    for message in _catalog(locale):
        if not message.id:
            continue
        wanted = {name for form in _forms(message.id) for name in PLACEHOLDER.findall(form)}
        for form in _forms(message.string):
            found = set(PLACEHOLDER.findall(form))
            assert found <= wanted, message.id
            # "One app" may leave its number out; nothing else may be left out.
            assert found == wanted or (message.pluralizable and wanted - found == {"count"}), message.id
            assert form % dict.fromkeys(wanted, "x"), message.id


@pytest.mark.parametrize("locale", TRANSLATED)
def test_translations_are_text_and_not_markup(locale: str):
    for message in _catalog(locale):
        for form in (*_forms(message.id), *_forms(message.string)) if message.id else ():
            assert not re.search(r"[<>&]", form), form
            assert form == form.strip(), form


@pytest.mark.parametrize("locale", TRANSLATED)
def test_plural_forms_are_chosen_by_the_language(locale: str):
    translations = load_languages()[locale].translations
    one, many = "one redirect URI", "%(count)s redirect URIs"
    assert translations.ungettext(one, many, 2) != many
    assert "%(count)s" in translations.ungettext(one, many, 2)
    assert (translations.ungettext(one, many, 1) == translations.ungettext(one, many, 2)) == (
        locale in {"ja", "zh_Hans"}
    )


class _SaidOutright(HTMLParser):
    """Collects the words of a template that do not come from a catalog or from its context."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._in_code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_code += tag == "code"
        for name, value in attrs:
            if name in {"alt", "aria-label", "aria-description", "placeholder", "title"}:
                self._take(value or "")

    def handle_endtag(self, tag: str) -> None:
        self._in_code -= tag == "code"

    def handle_data(self, data: str) -> None:
        if not self._in_code:
            self._take(re.sub(r'aria-(describedby|invalid)="[^"]*"', "", data))  # a macro made of attributes only

    def _take(self, text: str) -> None:
        if re.search(r"[^\W\d_]", text):
            self.words.append(text.strip())


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_template_says_nothing_outside_the_catalogs(path):
    environment = Environment(extensions=["jinja2.ext.i18n"], autoescape=True)
    outright: list[str] = []
    is_block_start = is_in_translation = False
    for _, kind, value in environment.lex(path.read_text("utf-8")):
        if kind == "block_begin":
            is_block_start = True
        elif is_block_start and kind == "name":
            is_in_translation = value == "trans" or (is_in_translation and value != "endtrans")
            is_block_start = False
        elif kind == "data" and not is_in_translation:
            outright.append(value)
    said = _SaidOutright()
    said.feed("".join(outright))
    said.close()
    assert said.words == []
