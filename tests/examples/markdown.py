"""Finds the blocks of code in the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .support import EXAMPLES, ROOT

# An opening fence, with the HTML comment before it if there is one.
_BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[\w-]+) -->\n)?^(?P<fence>```+)(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=fence)$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block. page: relative to the checkout. line: where its text begins. mark: see `_BLOCK`."""

    page: str
    line: int
    language: str
    mark: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def commands(self) -> list[str]:
        """Return the commands of a console block without prompts and comments, joined where they continue."""
        text = self.text.replace("\\\n", " ")
        lines = [line.strip() for line in text.splitlines()]
        typed = [line[2:] for line in lines if line.startswith("$ ")] or lines
        return [command for line in typed if (command := re.sub(r"(^|\s+)# .*", "", line).strip())]


def find_pages() -> list[Path]:
    """Return the two READMEs and every page of the documentation."""
    return [ROOT / "README.md", EXAMPLES / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def find_blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page in their order."""
    text = page.read_text("utf-8")
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("text")) + 1
        name = str(page.relative_to(ROOT))
        yield Block(name, line, match["language"], match["mark"] or "", match["text"])
