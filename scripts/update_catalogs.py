"""Brings the catalogs of the pages up to date with the words in templates and code.

    python scripts/update_catalogs.py

New messages arrive untranslated, vanished ones go; tests/web/test_locales.py fails until every one is translated.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po

WEB = Path(__file__).parent.parent / "src" / "latchstring" / "web"
LOCALES = WEB / "locales"
KEYWORDS = {"N_": None, "gettext": None, "ngettext": (1, 2)}
HEADER = """\
# The words of Latchstring's pages.
# `python scripts/update_catalogs.py` brings this file up to date with the templates."""

NOISE = tuple(f'"{name}:' for name in ("Report-Msgid-Bugs-To", "Last-Translator", "Language-Team", "Generated-By"))


def find_messages() -> Iterator[tuple[str, str | tuple[str, ...]]]:
    """Every message with the file that says it, in reading order."""
    for path in sorted((WEB / "templates").glob("*.html")):
        yield from _read(path, "jinja2.ext:babel_extract", {"trimmed": "true", "silent": "false"})
    for path in sorted(WEB.rglob("*.py")):
        yield from _read(path, "python", {})


def _read(path: Path, method: str, options: dict[str, str]) -> Iterator[tuple[str, str | tuple[str, ...]]]:
    with path.open("rb") as file:
        for _, message, _, _ in extract(method, file, keywords=KEYWORDS, options=options):
            yield path.relative_to(WEB).as_posix(), message


def source_catalog() -> Catalog:
    """All messages, untranslated."""
    catalog = _empty_catalog(None)
    for file, message in find_messages():
        catalog.add(message, locations=[(file, 0)])
    return catalog


def read_catalog(path: Path) -> Catalog:
    """One language's catalog as it is on disk."""
    return read_po(io.BytesIO(path.read_bytes()), locale=path.stem, abort_invalid=True)


def main() -> int:
    """Rewrites every catalog; tells how many messages are new in each."""
    source = source_catalog()
    for path in sorted(LOCALES.glob("*.po")):
        known = read_catalog(path)
        updated = _empty_catalog(path.stem)
        missing = 0
        for message in source:
            if not message.id:
                continue
            translated = known.get(message.id)
            missing += translated is None or not translated.string
            updated.add(message.id, translated.string if translated else None, locations=message.locations)
        updated.revision_date = known.revision_date
        updated.creation_date = known.creation_date
        _write(path, updated)
        print(f"{path.stem}: {len(updated)} messages, {missing} to translate")
    return 0


def _empty_catalog(locale: str | None) -> Catalog:
    return Catalog(
        locale=locale,
        project="Latchstring",
        version="1",
        header_comment=HEADER,
        charset="utf-8",
        fuzzy=False,
    )


def _write(path: Path, catalog: Catalog) -> None:
    written = io.BytesIO()
    write_po(written, catalog, width=110, include_lineno=False)
    lines = written.getvalue().decode().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith(NOISE)), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
