"""The languages of the pages: which there are, which one a browser gets, and its words and dates.

Catalogs are `locales/<locale>.po`, read as they are at start (no build step). English is the source.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from babel import Locale
from babel.dates import format_date, format_datetime, format_timedelta
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

LOCALES_DIRECTORY: Final = Path(__file__).parent.parent / "locales"
SOURCE_LOCALE: Final = "en"

_LONGEST_HEADER: Final = 1_000
_RELATIVE_UNTIL: Final = 30 * 86_400
"""Seconds. Older moments are told by their date: "7 months ago" helps nobody to find an entry."""

_SIMPLIFIED: Final = frozenset({"hans", "cn", "sg", "my"})


class Gettext(Protocol):
    """Translates a message and fills its `%(name)s` placeholders. Plain text: not escaped, not markup."""

    def __call__(self, message: str, /, **placeholders: object) -> str: ...


class Ngettext(Protocol):
    """Translates a counted message; `%(num)s` is the count."""

    def __call__(self, singular: str, plural: str, num: int, /, **placeholders: object) -> str: ...


@dataclass(frozen=True, slots=True)
class Language:
    """One language: its name as a catalog (`zh_Hans`), as an HTML tag (`zh-Hans`), and its words."""

    name: str
    tag: str
    direction: str
    locale: Locale
    translations: NullTranslations


@cache
def load_languages() -> Mapping[str, Language]:
    """Every language with a catalog, the source language first; read once in a process."""
    languages = {SOURCE_LOCALE: _language(SOURCE_LOCALE, NullTranslations())}
    for path in sorted(LOCALES_DIRECTORY.glob("*.po")):
        languages[path.stem] = _language(path.stem, _read_catalog(path))
    return MappingProxyType(languages)


def negotiate_locale(accept_language: str | None, lang_cookie: str | None, available: Mapping[str, object]) -> str:
    """The catalog to use: the person's own choice first, then the browser's list (RFC 9110 §12.5.4)."""
    if lang_cookie and (chosen := _match(lang_cookie, available)):
        return chosen
    ranges: list[tuple[float, int, str]] = []
    for position, part in enumerate((accept_language or "")[:_LONGEST_HEADER].split(",")):
        tag, _, parameters = part.strip().partition(";")
        if tag and (weight := _weight(parameters)) > 0:
            ranges.append((-weight, position, tag))
    for _, _, tag in sorted(ranges):
        if tag.strip() == "*":
            break
        if chosen := _match(tag, available):
            return chosen
    return SOURCE_LOCALE


def format_moment(moment: int, language: Language) -> str:
    """A moment in full, in UTC: what a tooltip or a log line needs."""
    when = datetime.fromtimestamp(moment, UTC)
    return f"{format_datetime(when, 'long', tzinfo=UTC, locale=language.locale)}"


def format_day(moment: int, language: Language) -> str:
    """The day of a moment, in UTC: "26 July 2026"."""
    return format_date(datetime.fromtimestamp(moment, UTC), "long", locale=language.locale)


def format_ago(moment: int, now: int, language: Language) -> str | None:
    """How long ago, in words, up to 30 days; the day from then on. `None`: within this minute."""
    seconds = now - moment
    if seconds < 60:  # a moment in the future is a clock that differs, not a prophecy
        return None
    if seconds > _RELATIVE_UNTIL:
        return format_day(moment, language)
    return format_timedelta(
        timedelta(seconds=-seconds),
        granularity="minute",
        threshold=1.2,
        add_direction=True,
        locale=language.locale,
    )


def _language(name: str, translations: NullTranslations) -> Language:
    locale = Locale.parse(name)
    return Language(name, name.replace("_", "-"), locale.text_direction, locale, translations)


def _read_catalog(path: Path) -> Translations:
    catalog = read_po(io.BytesIO(path.read_bytes()), locale=path.stem, abort_invalid=True)
    compiled = io.BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    return Translations(compiled)


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if not name:
        return 1.0
    try:
        return float(value) if name.strip().lower() == "q" else 1.0
    except ValueError:
        return 0.0


def _match(tag: str, available: Mapping[str, object]) -> str | None:
    language, *subtags = tag.strip().lower().replace("_", "-").split("-")
    if language == "zh":
        # Traditional Chinese is not Simplified Chinese: its reader's next wish is asked instead.
        language = "zh_Hans" if not subtags or _SIMPLIFIED.intersection(subtags) else ""
    return language if language in available else None
