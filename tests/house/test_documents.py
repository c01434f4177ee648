"""Documents: there, short, numbered, and with the words of the house in them."""

from __future__ import annotations

import re

import pytest
from tests.house.source import PACKAGE, ROOT, files, name

PAGE_LINES = 60
NOTE = re.compile(r"\d{4}-[a-z0-9]+(-[a-z0-9]+)*\.md")
WORDS = re.findall(r"\w+", """
activate attempt blob book bundle call checkpoint client command connection controller deactivate edit evaluation executable
fact function heartbeat held instance job key leaf lease log module network offer origin partition peer place platform project
report rule scatter server session stale state transaction type value version worker
""")  # fmt: skip


def read(path: str) -> str:
    """Return a document of the checkout."""
    return (ROOT / path).read_text(encoding="utf-8")


def glossary_terms() -> list[str]:
    """Return the terms that docs/glossary.md defines, in its order."""
    return re.findall(r"^\*\*(.+?)\*\*", read("docs/glossary.md"), flags=re.MULTILINE)


def broken_links(document: str, text: str) -> list[str]:
    """Return the relative links of a document that lead nowhere."""
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    return [link for link in links if not ((ROOT / document).parent / link).exists()]


def notes() -> list[str]:
    """Return the file names of the decision notes."""
    return sorted(path.name for path in (ROOT / "docs" / "decisions").glob("*.md") if path.name != "template.md")


def test_decision_notes_are_numbered_without_gaps() -> None:
    assert [note for note in notes() if not NOTE.fullmatch(note)] == []
    assert [int(note[:4]) for note in notes()] == list(range(1, len(notes()) + 1))


@pytest.mark.parametrize("note", notes())
def test_a_decision_note_is_one_page_with_its_four_parts(note: str) -> None:
    text = read(f"docs/decisions/{note}")
    assert len(text.splitlines()) <= PAGE_LINES
    assert re.findall(r"^## (.+)$", text, flags=re.MULTILINE) == ["Context", "Decision", "Turned down", "Consequences"]


def test_the_glossary_has_the_words_once_and_in_order() -> None:
    terms = glossary_terms()
    assert sorted(set(WORDS) - set(terms)) == []
    assert terms == sorted(set(terms)), "terms twice, or not in alphabetical order"


def test_architecture_is_one_page_and_names_every_room() -> None:
    text = read("ARCHITECTURE.md")
    rooms = [
        path.name for parent in (PACKAGE, PACKAGE / "server") for path in parent.iterdir() if (path / "__init__.py").exists()
    ]
    assert sorted(room for room in rooms if not re.search(rf"\b{room}/", text)) == []
    assert len(text.splitlines()) <= 2 * PAGE_LINES


def test_the_changelog_has_a_place_for_what_comes_next() -> None:
    unreleased = re.search(r"^## \[Unreleased\]\n(.*?)(?=^## |\Z)", read("CHANGELOG.md"), flags=re.MULTILINE | re.DOTALL)
    assert unreleased is not None
    assert re.search(r"^- \S", unreleased.group(1), flags=re.MULTILINE) or "## [" in read("CHANGELOG.md")[unreleased.end() :]


def test_links_between_documents_lead_somewhere() -> None:
    documents = [name(path) for path in files("docs", pattern="*.md")] + [path.name for path in ROOT.glob("*.md")]
    assert {document: broken for document in documents if (broken := broken_links(document, read(document)))} == {}


def test_a_broken_link_is_noticed() -> None:
    assert broken_links("README.md", "[a](docs/nowhere.md) [b](pyproject.toml) [c](https://example.org/x)") == [
        "docs/nowhere.md"
    ]
