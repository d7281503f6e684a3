"""The documents as tests read them: their examples, their tables, their sections.

A block after `<!-- run -->` is shell to be executed; a block after `<!-- gives -->` is what the newest executed block
must have printed. `…` stands for anything.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
ANYTHING = "…"

_MARKED = re.compile(r"^<!-- (run|gives|document) -->\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SECTION = re.compile(r"^#{2,3} `?([^`\n]+?)`?$\n(.*?)(?=^#{1,3} |\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A marked block: what it is for, its language, its text."""

    purpose: str
    language: str
    text: str


@dataclass
class Example:
    """Shell from a page, and what the page says that it prints."""

    script: str
    gives: list[Block] = field(default_factory=list)


def read(page: str) -> str:
    """The text of a page; its path starts at the project's folder."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    return [Block(*found.groups()) for found in _MARKED.finditer(read(page))]


def examples(page: str) -> list[Example]:
    """The page's examples in their order; they share one shell."""
    made: list[Example] = []
    for block in blocks(page):
        if block.purpose == "run":
            made.append(Example(block.text))
        elif block.purpose == "gives":
            made[-1].gives.append(block)
    return made


def sections(page: str) -> dict[str, str]:
    """What stands under each heading of the second and third level, up to the next heading."""
    return dict(_SECTION.findall(read(page)))


def table_rows(text: str) -> list[list[str]]:
    """The cells of every table row in a text, without headers, rules and the backticks around a cell."""
    rows: list[list[str]] = []
    lines = text.splitlines()
    for index, line in enumerate(lines):
        following = lines[index + 1] if index + 1 < len(lines) else ""
        if line.startswith("|") and not line.startswith("|--") and not following.startswith("|--"):
            rows.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    return rows


def fits(block: Block, printed: str) -> bool:
    """Whether what was printed is what the page says."""
    if block.language == "json":
        return _fits(json.loads(block.text), json.loads(printed))
    lines = iter(line.strip() for line in printed.splitlines())
    wanted = [_pattern(line.strip()) for line in block.text.splitlines() if line.strip()]
    return all(any(pattern.fullmatch(line) for line in lines) for pattern in wanted)


def _fits(wanted: Any, given: Any) -> bool:
    """Objects may have more fields than the page shows; lists may not be longer."""
    if wanted == ANYTHING:
        return given is not None
    if isinstance(wanted, dict):
        return isinstance(given, dict) and all(name in given and _fits(wanted[name], given[name]) for name in wanted)
    if isinstance(wanted, list):
        return (
            isinstance(given, list)
            and len(wanted) == len(given)
            and all(_fits(one, other) for one, other in zip(wanted, given, strict=True))
        )
    if isinstance(wanted, str) and ANYTHING in wanted:
        return isinstance(given, str) and bool(_pattern(wanted).fullmatch(given))
    return bool(wanted == given)


def _pattern(text: str) -> "re.Pattern[str]":
    return re.compile(".*".join(re.escape(part) for part in text.split(ANYTHING)), re.DOTALL)
