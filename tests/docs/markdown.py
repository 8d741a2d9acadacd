"""Reads the documentation as its tests need it: headings, links, fenced blocks and tables of a Markdown page."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^(```+)(.*)$")
_LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`+[^`]*`+")


@dataclass(frozen=True)
class Block:
    """One fenced block: its info string, where its content begins, the content."""

    info: str
    line: int
    content: str


@dataclass(frozen=True)
class Page:
    """One page; `prose` is its text with the fenced blocks emptied, line for line."""

    path: Path
    prose: str
    blocks: tuple[Block, ...]

    @property
    def name(self) -> str:
        """Its path from the root of the repository."""
        return str(self.path.relative_to(ROOT))

    @property
    def links(self) -> list[str]:
        """The target of every link and picture."""
        return _LINK.findall(_CODE.sub("", self.prose))

    @property
    def anchors(self) -> set[str]:
        """What a link may name after `#`, as GitHub makes it from headings."""
        found: set[str] = set()
        for title in re.findall(r"^#{1,6} +(.+?) *$", self.prose, re.MULTILINE):
            anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            number, unique = 0, anchor
            while unique in found:
                number += 1
                unique = f"{anchor}-{number}"
            found.add(unique)
        return found

    def section(self, title: str) -> str:
        """The prose under a heading, up to the next one of the same level or above."""
        heading = re.search(rf"^(#+) {re.escape(title)}$", self.prose, re.MULTILINE)
        assert heading, f"{self.name} has no heading {title!r}"
        rest = self.prose[heading.end() :]
        following = re.search(rf"^#{{1,{len(heading[1])}}} ", rest, re.MULTILINE)
        return rest[: following.start()] if following else rest


def read_page(path: Path) -> Page:
    """The page at that path."""
    prose, blocks = [], []
    fence, info, start, content = "", "", 0, [""]
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = _FENCE.match(line)
        if fence:
            if match and match[1].startswith(fence) and not match[2].strip():
                blocks.append(Block(info, start, "\n".join(content) + "\n"))
                fence = ""
            else:
                content.append(line)
            prose.append("")
        elif match:
            fence, info, start, content = match[1], match[2].strip(), number + 1, []
            prose.append("")
        else:
            prose.append(line)
    assert not fence, f"{path}: a fenced block is not closed"
    return Page(path, "\n".join(prose) + "\n", tuple(blocks))


def read_pages() -> list[Page]:
    """The README, the other pages of the root, and everything under docs."""
    return [read_page(path) for path in sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])]


def read_tables(prose: str) -> Iterator[list[list[str]]]:
    """Every table: its rows, the head first, each cell without the spaces around it."""
    rows: list[list[str]] = []
    for line in [*prose.splitlines(), ""]:
        if line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            rows.append([cell.strip() for cell in cells])
        elif rows:
            assert set("".join(rows[1])) <= set("-: "), rows[0]
            yield [rows[0], *rows[2:]]
            rows = []


def find_table(prose: str, head: str) -> list[list[str]]:
    """The rows, without the head, of the one table whose first column is headed so."""
    [found] = [table[1:] for table in read_tables(prose) if table[0][0] == head]
    return found


def find_code(text: str) -> list[str]:
    """Every `…` in the text, without the marks."""
    return re.findall(r"`([^`]+)`", text)
