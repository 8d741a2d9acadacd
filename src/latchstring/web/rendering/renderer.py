"""Renders the pages: one Jinja environment per language, escaping on, undefined names refused.

`PageRenderer` is built once at start; afterwards it only reads, so every thread and task may share it.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup

from latchstring.authorization_server import api_scopes
from latchstring.web.rendering.accent import AccentPair, readable_accent
from latchstring.web.rendering.catalogs import (
    SOURCE_LOCALE,
    Gettext,
    Language,
    Ngettext,
    format_ago,
    format_day,
    format_moment,
    load_languages,
    negotiate_locale,
)
from latchstring.web.rendering.messages import N_, Text

TEMPLATES_DIRECTORY: Final = Path(__file__).parent.parent / "templates"
STATIC_DIRECTORY: Final = Path(__file__).parent.parent / "static"

TINTS: Final = 12
"""How many background tints there are for initials: the CSS classes `tint-0` to `tint-11`."""

_CONTENT_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_DRAWN_ACCENT: Final = b"#145c6e"
"""Our own accent as the SVG files are drawn with it."""

_REORDERING: Final = frozenset(["R", "AL", "AN", "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"])
"""Unicode classes of characters that can change the order of what stands beside them."""

BUILT_IN_SCOPES: Final[Mapping[str, tuple[str, str]]] = {
    "all.full_access": (
        N_("Read and change everything you can in %(deployment)s"),
        N_("It sees what you see and can do what you can do, in this organization only."),
    ),
    "offline_access": (
        N_("Keep access while you are away"),
        N_("It stays connected until you disconnect it."),
    ),
    api_scopes.ORGANIZATION_READ: (
        N_("Read how the organization is looked after"),
        N_("It sees members, their connections, the app policy, requests, webhooks and the history."),
    ),
    api_scopes.ORGANIZATION_MANAGE: (
        N_("Look after the organization for you"),
        N_("It can change members and policy, decide requests, disconnect apps, and close the organization."),
    ),
    api_scopes.APPS_READ: (
        N_("Read the apps that the organization develops"),
        N_("It sees their settings, and no secret."),
    ),
    api_scopes.APPS_MANAGE: (
        N_("Change the apps that the organization develops"),
        N_("It can register, change and delete them, and make secrets for them."),
    ),
    api_scopes.OPERATOR_READ: (
        N_("Read everything that operators see"),
        N_("It sees people, organizations, apps, reviews and the history of the whole deployment."),
    ),
    api_scopes.OPERATOR_MANAGE: (
        N_("Look after the whole deployment for you"),
        N_("It can disable and delete people, close organizations, and decide about every app."),
    ),
}


_EVERY_PAGE: Final[Mapping[str, object]] = {"user": None, "notice": None, "administered": (), "is_operator": False}
"""What a template may count on where no handler says otherwise."""


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file under `/static/`: its bytes, its type, and the version in its address."""

    content: bytes
    content_type: str
    version: str


def tint_for(identifier: str) -> int:
    """The tint of an id's picture, 0 to 11; the same on every machine and in every version."""
    return hashlib.blake2b(identifier.encode(), digest_size=1).digest()[0] % TINTS


def initial_for(name: str) -> str:
    """The letter on a picture: the name's first letter or digit, or `?` where it has none."""
    for position, character in enumerate(name):
        if unicodedata.category(character)[0] in "LN":
            following = name[position + 1 : position + 3]
            marks = "".join(mark for mark in following if unicodedata.category(mark)[0] == "M")
            return (character.upper() if len(character.upper()) == 1 else character) + marks
    return "?"


class PageRenderer:
    """Turns a template and its context into HTML, in the languages that have a catalog."""

    def __init__(
        self, deployment_name: str, *, base_path: str = "", logo_url: str | None = None, accent: str | None = None
    ) -> None:
        """Reads templates, catalogs and static files; `base_path` goes before every address of ours. Refuses a logo
        that the pages' CSP would block."""
        self._base_path = base_path
        if logo_url is not None and not _is_own_path(logo_url):
            raise ValueError(f"logo URL {logo_url!r} must be a path on this server, such as /static/logo.svg")
        self._languages = load_languages()
        self._static = _read_static(None if accent is None else readable_accent(accent))
        deployment = {"name": deployment_name, "logo_url": logo_url}
        self._environments = {
            name: self._environment(language, deployment) for name, language in self._languages.items()
        }
        source = self._environments[SOURCE_LOCALE]
        for template in source.list_templates():
            source.get_template(template)  # compiled now, so that no request waits for it

    @property
    def locales(self) -> Sequence[str]:
        """The languages there are, as catalog names, the source language first."""
        return tuple(self._languages)

    def negotiate_locale(self, accept_language: str | None, lang_cookie: str | None = None) -> str:
        """The language for a request, from its `lang` cookie and `Accept-Language`; always one we have."""
        return negotiate_locale(accept_language, lang_cookie, self._languages)

    def render_page(self, template: str, context: Mapping[str, object], locale: str) -> str:
        """The page as HTML. Context: `csrf_token`, `now`, `request_id` and the template's own names."""
        return (
            self._environments[locale]
            .get_template(template)
            .render(
                {"user": None, "notice": None, "administered": (), "is_operator": False, **context, "locale": locale}
            )
        )

    def gettext(self, locale: str) -> Gettext:
        """The translator of one language, for words that a handler puts into a context. Plain text."""
        translations = self._languages[locale].translations

        def gettext(message: str, /, **placeholders: object) -> str:
            return translations.ugettext(message) % placeholders

        return gettext

    def ngettext(self, locale: str) -> Ngettext:
        """The translator of counted messages of one language. Plain text."""
        translations = self._languages[locale].translations

        def ngettext(singular: str, plural: str, num: int, /, **placeholders: object) -> str:
            return translations.ungettext(singular, plural, num) % {"num": num, **placeholders}

        return ngettext

    def static_url(self, name: str) -> str:
        """The address of a static file; it changes when the file does, so it may be cached forever."""
        return f"{self._base_path}/static/{name}?v={self._static[name].version}"

    def static_file(self, name: str) -> StaticFile | None:
        """The static file of that name, the deployment's accent already in the style sheet; or `None`."""
        return self._static.get(name)

    def _environment(self, language: Language, deployment: Mapping[str, str | None]) -> Environment:
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES_DIRECTORY),
            extensions=["jinja2.ext.i18n"],
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            bytecode_cache=_COMPILED,
        )
        translations = language.translations
        environment.policies["ext.i18n.trimmed"] = True
        environment.install_gettext_callables(  # type: ignore[attr-defined]  # added by the i18n extension
            translations.ugettext, translations.ungettext, newstyle=True
        )

        def say(text: Text | str) -> Markup | str:
            """A message, translated, every name in it isolated; text that is translated already stays."""
            if isinstance(text, str):
                return text
            placeholders = {"deployment": str(deployment["name"]), **text.placeholders}
            return Markup(translations.ugettext(text.message)) % {  # noqa: S704 -- our catalogs
                name: bdi(value) for name, value in placeholders.items()
            }

        def plain(text: Text | str) -> str:
            """The same for titles and attributes, where no element can isolate a name."""
            if isinstance(text, str):
                return text
            placeholders = {"deployment": str(deployment["name"]), **text.placeholders}
            return translations.ugettext(text.message) % {k: isolate(v) for k, v in placeholders.items()}

        def own_words(record: object, name: str) -> str:
            """The deployment's words in the reader's language, or else as they are."""
            translated = record.get(f"{name}s", {}) if isinstance(record, Mapping) else {}
            return str(translated.get(language.tag) or _read(record, name))

        def scope_title(scope: object) -> Markup | str:
            """A scope's title: the deployment's own words, ours for a built-in one, else its name."""
            name = scope if isinstance(scope, str) else _read(scope, "name")
            title = "" if isinstance(scope, str) else own_words(scope, "title")
            built_in = BUILT_IN_SCOPES.get(name)
            return say(Text(built_in[0])) if built_in is not None and not title else title or name

        def scope_description(scope: object) -> Markup | str:
            """What a scope allows, in a sentence; empty where nobody wrote one."""
            if isinstance(scope, str) or _read(scope, "title"):
                return "" if isinstance(scope, str) else own_words(scope, "description")
            built_in = BUILT_IN_SCOPES.get(_read(scope, "name"))
            return say(Text(built_in[1])) if built_in is not None else _read(scope, "description")

        def ago(moment: int, now: int) -> str:
            words = format_ago(moment, now, language)
            return words if words is not None else translations.ugettext(N_("just now"))

        environment.globals.update(
            base_path=self._base_path,
            deployment=deployment,
            language=language,
            static_url=self.static_url,
            own_words=own_words,
            scope_title=scope_title,
            scope_description=scope_description,
        )
        environment.filters.update(
            ago=ago,
            bdi=bdi,
            day=lambda moment: format_day(moment, language),
            isolate=isolate,
            moment=lambda moment: format_moment(moment, language),
            iso=_iso_moment,
            plain=plain,
            say=say,
            difference=split_at_difference,
            nearest=nearest,
        )
        environment.tests["web_link"] = _is_web_link
        return environment


def bdi(name: object) -> Markup:
    """A name that somebody chose, escaped and isolated: its direction cannot reorder the words around it."""
    return Markup("<bdi>{}</bdi>").format(name)


def isolate(name: object) -> str:
    """The same for plain text: isolating characters, only around names that could reorder anything."""
    text = str(name)
    if any(unicodedata.bidirectional(c) in _REORDERING for c in text):
        return f"\u2068{text}\u2069"
    return text


def split_at_difference(value: str, other: str) -> tuple[str, str, str]:
    """`value` as what both share, the first character that differs (none at its end), and the rest."""
    shared = 0
    for mine, theirs in zip(value, other, strict=False):
        if mine != theirs:
            break
        shared += 1
    return value[:shared], value[shared : shared + 1], value[shared + 1 :]


def nearest(candidates: Sequence[str], value: str) -> str:
    """The candidate that agrees with `value` the longest; `value` itself where there is none."""
    return max(candidates, key=lambda candidate: len(split_at_difference(candidate, value)[0]), default=value)


def _read(record: object, name: str) -> str:
    value = record[name] if isinstance(record, Mapping) else getattr(record, name)
    return str(value)


def _iso_moment(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_web_link(value: object) -> bool:
    """Whether an address that a developer typed may become a link: http and https, nothing that runs."""
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _is_own_path(url: str) -> bool:
    return url.startswith("/") and not url.startswith(("//", "/\\"))


def _theme_css(pair: AccentPair) -> str:
    """The custom properties of the deployment's accent; they override those in latchstring.css."""
    light = f":root{{--accent:{pair.light.colour};--on-accent:{pair.light.text}}}"
    dark = f":root{{--accent:{pair.dark.colour};--on-accent:{pair.dark.text}}}"
    return f"\n{light}\n@media (prefers-color-scheme: dark){{{dark}}}\n"


def _read_static(pair: AccentPair | None) -> dict[str, StaticFile]:
    """Every file of `static/`, in the deployment's accent."""
    files: dict[str, StaticFile] = {}
    for path in sorted(STATIC_DIRECTORY.iterdir()):
        content_type = _CONTENT_TYPES.get(path.suffix)
        if content_type is None:
            continue
        content = path.read_bytes()
        if pair is not None and path.name == "latchstring.css":
            content += _theme_css(pair).encode()
        elif pair is not None and path.suffix == ".svg":
            content = content.replace(_DRAWN_ACCENT, pair.light.colour.encode())
        files[path.name] = StaticFile(content, content_type, hashlib.sha256(content).hexdigest()[:12])
    return files


class _SharedBytecode(BytecodeCache):
    """Templates compiled once in a process, not once per language and renderer."""

    def __init__(self) -> None:
        self._compiled: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if (compiled := self._compiled.get(bucket.key)) is not None:
            bucket.bytecode_from_string(compiled)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._compiled[bucket.key] = bucket.bytecode_to_string()


_COMPILED: Final = _SharedBytecode()
