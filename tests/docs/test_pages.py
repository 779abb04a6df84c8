"""A reader who does what README and the pages say gets what they promise."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import pytest

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_block_of_a_page_works(followed, sandbox, docs):
    """Files are written, recipes checked, commands run and their output compared, programs run.

    The blocks of a page are followed in order, in one folder, as a reader does.
    """
    for block in docs.blocks(followed):
        sandbox.follow(block)


def test_what_cannot_run_is_still_there(docs):
    """Each exception is one that some page needs; the list does not outlive its reasons."""
    used = {
        start
        for page in docs.pages()
        for block in docs.blocks(page)
        if block.language in {"bash", "console"}
        for command, _ in block.commands()
        for start in docs.cannot_run
        if docs.in_a_test(command) is None and command.startswith(start)
    }

    assert used == docs.cannot_run.keys()


def test_every_block_says_what_it_is(page, docs):
    """A block without a language would be neither shown well nor tested."""
    known = {"bash", "console", "json", "jsonl", "mermaid", "python", "text", "toml", "yaml"}
    text = page.read_text(encoding="utf-8")

    assert text.count("\n```") == 2 * len(docs.blocks(page)), "a fence is not closed or has no name"
    assert {block.language for block in docs.blocks(page)} <= known


def test_links_lead_somewhere(page):
    """Each link to a file of the checkout, and to a heading of a page, has its target."""
    broken = []
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)

    assert not broken


def _anchors(page: Any) -> set[str]:
    """The anchors that GitHub gives the headings of *page*."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_every_page_is_reached_from_the_index(root, docs):
    """A page that nobody links to is not there."""
    index = root / "docs" / "index.md"
    links = LINK.findall(index.read_text(encoding="utf-8"))
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in links}

    missing = {p for p in docs.pages() if p != index} - linked

    assert not missing


def test_the_readme_begins_with_a_command(root):
    """At most 150 lines, and the first command within 60 words."""
    text = (root / "README.md").read_text(encoding="utf-8")
    before = text[: text.index("```")]

    assert len(text.splitlines()) <= 150
    assert len(re.findall(r"\w[\w'.-]*", before)) <= 60


def test_figures_stand_in_one_place(root):
    """Measured figures of README are between two comments, so that they are renewed together."""
    text = (root / "README.md").read_text(encoding="utf-8")
    (figures,) = re.findall(r"<!-- figures -->\n(.*?)\n<!-- /figures -->", text, re.DOTALL)
    prose = re.sub(r"```.*?```", "", text.replace(figures, ""), flags=re.DOTALL)

    assert re.findall(r"\d[\d.]* (?:minutes|seconds|MB|GB|GiB)", figures)
    assert not re.findall(r"\d[\d.]* (?:minutes|seconds|MB|GB|GiB)", prose)


def test_readme_and_tutorial_show_the_same_run(root, docs):
    """What a real quickstart printed is the same in both places."""
    tutorial = (root / "docs" / "tutorials" / "first-run.md").read_text(encoding="utf-8")
    (shown,) = [b.text for b in docs.blocks(root / "README.md") if b.language == "text"]

    assert shown in tutorial
