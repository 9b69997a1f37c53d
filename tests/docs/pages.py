"""Reads the pages of the documentation: their blocks, tables, headings and links.

Pure but for reading files. A block may be marked by comments in front of it:

    <!-- file: app.py -->       the block is this file
    <!-- more: app.py -->       the block is added to this file
    <!-- not run: reason -->    the block is shown and never run
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARKS = re.compile(r"(?:<!-- ([\w-]+(?: run)?)(?:: ([^>]*?))? -->\s*)+\Z")
_MARK = re.compile(r"<!-- ([\w-]+(?: run)?)(?:: ([^>]*?))? -->")
_HEADING = re.compile(r"^(#{1,6}) (.+)$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block. line: of the page, where the text begins. marks: of the comments in front of it."""

    language: str
    text: str
    line: int
    marks: dict[str, str]


def list_pages() -> list[Path]:
    """Return README and every page of the documentation."""
    built = DOCS / "_build"
    return [ROOT / "README.md", *sorted(page for page in DOCS.rglob("*.md") if built not in page.parents)]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def read_blocks(text: str) -> list[Block]:
    """Return the blocks of a page in their order."""
    return [
        Block(
            language=match[1],
            text=match[2],
            line=text.count("\n", 0, match.start()) + 2,
            marks=_read_marks(text[: match.start()]),
        )
        for match in _FENCE.finditer(text)
    ]


def _read_marks(before: str) -> dict[str, str]:
    marks = _MARKS.search(before)
    return {} if marks is None else {name: value for name, value in _MARK.findall(marks[0])}


def without_blocks(text: str) -> str:
    """Return a page's text without its fenced blocks."""
    return _FENCE.sub("", text)


def list_links(text: str) -> list[str]:
    """Return the targets of the links in a page."""
    return _LINK.findall(without_blocks(text))


def list_anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, spelled as GitHub and MyST spell them."""
    return {make_anchor(heading) for _, heading in _HEADING.findall(without_blocks(text))}


def make_anchor(heading: str) -> str:
    words = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return words.replace(" ", "-")


def read_tables(text: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield (heading above, rows with the header first) for each table of a page."""
    heading, rows = "", list[list[str]]()
    for line in [*without_blocks(text).splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip().replace("\\|", "|") for cell in _CELL.split(line)[1:-1]])
            continue
        if rows:
            yield heading, [rows[0], *rows[2:]]
            rows = []
        if match := _HEADING.match(line):
            heading = match[2]


def table_under(text: str, heading: str) -> list[list[str]]:
    """Return the rows, without the header, of the one table under a heading."""
    found = [rows for name, rows in read_tables(text) if name == heading]
    assert len(found) == 1, f"{len(found)} tables under {heading!r}"
    return found[0][1:]


def unquote(cell: str) -> str:
    """Return what stands in a cell as code, without its backticks."""
    return cell.strip("`")
