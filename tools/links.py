"""Relative links in Markdown files that lead nowhere: `python tools/links.py`."""

import re
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")


def documents(root: Path) -> Iterator[Path]:
    """The Markdown files of the project."""
    yield from sorted(root.glob("*.md"))
    for room in ("docs", "examples"):
        yield from sorted((root / room).rglob("*.md"))


def anchors(text: str) -> set[str]:
    """The names that headings get as link targets: lower case, no punctuation, hyphens for spaces."""
    headings = re.findall(r"^#{1,6}\s+(.+?)\s*#*$", FENCE.sub("", text), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain}


def broken_links(document: Path) -> Iterator[str]:
    """Each link of a document whose file or heading does not exist, as a sentence."""
    text = document.read_text(encoding="utf-8")
    prose = CODE.sub("", FENCE.sub("", text))
    for match in LINK.finditer(prose):
        target = match.group(1) or match.group(2)
        if urllib.parse.urlsplit(target).scheme:
            continue
        name, _, anchor = urllib.parse.unquote(target).partition("#")
        file = (document.parent / name).resolve() if name else document
        if not file.exists():
            yield f"{document}: {target} does not exist"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text(encoding="utf-8")):
            yield f"{document}: {target} has no such heading"


def main() -> None:
    broken = [sentence for document in documents(ROOT) for sentence in broken_links(document)]
    print("\n".join(broken), end="\n" if broken else "")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
