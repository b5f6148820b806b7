"""The documents lead somewhere: each relative link has its file, and each anchor its heading."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)")
FENCED = re.compile(r"^```.*?^```$", flags=re.DOTALL | re.MULTILINE)
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def anchors(document: Path) -> set[str]:
    """The headings of a document, as GitHub and MkDocs spell them in an address."""
    text = FENCED.sub("", document.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    text = FENCED.sub("", document.read_text(encoding="utf-8"))
    for name, anchor in LINK.findall(text):
        target = (document.parent / name).resolve() if name else document
        assert target.exists(), f"{document.name} links to {name}, which is not there"
        if anchor:
            assert anchor in anchors(target), f"{document.name} links to #{anchor} of {target.name}"


def test_a_link_in_the_documents_is_seen() -> None:
    assert LINK.findall("[a](b.md#c), [d](https://e.org), [f](#g)") == [("b.md", "c"), ("", "g")]
    assert len(DOCUMENTS) > 5


def test_the_site_shows_every_document() -> None:
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    shown = set(re.findall(r"[\w/.-]+\.md", site))
    assert shown == {str(path.relative_to(ROOT / "docs")) for path in ROOT.glob("docs/**/*.md")}
