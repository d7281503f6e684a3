"""The documents hang together: links lead somewhere, every page is in the menu, the version is one."""

import re
import tomllib

from tests.docs.pages import DOCS, ROOT, read
from tools.links import broken_links, documents


def test_every_link_leads_somewhere() -> None:
    assert [sentence for document in documents(ROOT) for sentence in broken_links(document)] == []


def test_every_page_is_in_the_menu() -> None:
    listed = re.findall(r"^\s+- (?:[^:\n]+: )?(\S+\.md)$", read("mkdocs.yml"), re.MULTILINE)
    assert sorted(listed) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))


def test_every_decision_is_listed() -> None:
    pages = sorted(page.name for page in (DOCS / "adr").glob("0*.md"))
    assert re.findall(r"\]\((0\d+[^)]*)\)", read("docs/adr/index.md")) == pages
    for page in pages:
        text = read(f"docs/adr/{page}")
        assert text.startswith(f"# {int(page[:4])}. ")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "What it costs"]


def test_the_newest_version_of_the_changelog_is_that_of_the_product() -> None:
    versions = re.findall(r"^## \[([^\]]+)\]", read("CHANGELOG.md"), re.MULTILINE)
    numbered = [version for version in versions if version != "Unreleased"]
    assert numbered[0] == tomllib.loads(read("pyproject.toml"))["project"]["version"]


def test_no_two_pages_sell_under_one_reference() -> None:
    sold: dict[str, set[str]] = {}
    for page in DOCS.rglob("*.md"):
        for reference in re.findall(r'"reference": "(TILL-\d-\d+)"', page.read_text(encoding="utf-8")):
            sold.setdefault(reference, set()).add(str(page.relative_to(DOCS)))
    assert {reference: pages for reference, pages in sold.items() if len(pages) > 1} == {}
