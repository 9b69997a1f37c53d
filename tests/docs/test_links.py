"""Whatever a page refers to is there: files, headings, options."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flask_guard.config.settings import DOMAIN_KEYS_PREFIX, all_options

from .pages import DOCS, list_anchors, list_links, list_pages, name_of

PAGES = [pytest.param(page, id=name_of(page)) for page in list_pages()]
_OPTION = re.compile(r"(?<!\w)GUARD_[A-Z0-9_]*[A-Z0-9]")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_a_file_and_its_heading(page: Path) -> None:
    broken = []
    for link in list_links(page.read_text("utf-8")):
        path, _, anchor = link.partition("#")
        if path.startswith(("https://", "http://", "mailto:")):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.is_file() or (anchor and anchor not in list_anchors(target.read_text("utf-8"))):
            broken.append(link)

    assert broken == []


@pytest.mark.parametrize("page", PAGES)
def test_the_options_that_a_page_mentions_are_there(page: Path) -> None:
    options = all_options()
    known = {*options, *(f"{name}_FILE" for name, option in options.items() if option.secret)}

    named = set(_OPTION.findall(page.read_text("utf-8")))
    assert {name for name in named - known if not name.startswith(DOMAIN_KEYS_PREFIX)} <= MISSPELT


# Shown on purpose: what a start says to a typing error.
MISSPELT = {"GUARD_JWT_LEWAY"}


def test_every_page_is_reached_from_the_index() -> None:
    """The patterns of the table of contents cover every folder that has pages."""
    patterns = re.findall(r"^(\S+\*)$", (DOCS / "index.md").read_text("utf-8"), re.MULTILINE)

    pages = {page.relative_to(DOCS) for page in list_pages() if DOCS in page.parents} - {Path("index.md")}
    assert {page for page in pages if not any(page.match(f"{pattern}.md") for pattern in patterns)} == set()
