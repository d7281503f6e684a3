"""KRA's item classification: found by words, suggested for an item's name, or walked as the tree it is.

The search is an index in this process's memory, made from the rows of one environment at the first question and made
anew when they have changed; so it is the same on both databases, and asks the database for next to nothing.
"""

import threading
import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.db.models import Count, Max

from gateway.catalog.models import ItemClass
from gateway.lib.wordindex import Hit, WordIndex

CHECK_SECONDS = 5.0  # how long a change of the list may stay unseen
MOST_SUGGESTIONS = 5
LEVELS = (2, 4, 6, 8, 10)  # digits of a code on each level


class Entry(NamedTuple):
    """One class as KRA lists it now. `tax_type` is empty where KRA leaves the letter to the item."""

    code: str
    name: str
    level: int
    tax_type: str


class Match(NamedTuple):
    """A class that was found, the names above it from the top, and which words of the question it has."""

    entry: Entry
    path: list[str]
    words: list[str]


class Page(NamedTuple):
    """Some of what was found, and how many there are in all."""

    matches: list[Match]
    total: int


class ClassUnknown(Exception):
    """KRA's classification has no such class in use."""


@dataclass(frozen=True, slots=True)
class _Tree:
    stamp: tuple[int, int]
    entries: list[Entry]  # in code order
    codes: list[str]
    by_code: dict[str, int]
    words: WordIndex

    def below(self, digits: str) -> range:
        """The rows whose code begins so."""
        return range(bisect_left(self.codes, digits), bisect_left(self.codes, digits + ":"))

    def is_leaf(self, row: int) -> bool:
        """Whether an item may belong to it: nothing stands below, or KRA says its tax letter."""
        following = self.codes[row + 1] if row + 1 < len(self.codes) else ""
        return bool(self.entries[row].tax_type) or not following.startswith(self.codes[row])

    def match(self, row: int, words: Iterable[str] = ()) -> Match:
        entry = self.entries[row]
        above = [self.by_code.get(entry.code[:digits]) for digits in LEVELS if digits < len(entry.code)]
        return Match(entry, [self.entries[at].name for at in above if at is not None], sorted(words))


_trees: dict[str, tuple[float, _Tree]] = {}
_building = threading.Lock()


def search_classes(
    environment: str, question: str, *, tax_type: str = "", level: int | None = None, limit: int = 20, skip: int = 0
) -> Page:
    """The classes that fit the words best, those with most of them first; digits are the beginning of a code.

    The last level comes before those above it, where both fit equally well. Nothing fetched yet: nothing found.
    """
    tree = _tree(environment)
    if question.strip().isdigit():
        hits = [Hit(row, 0.0, frozenset()) for row in tree.below(question.strip())]
    else:
        hits = tree.words.find(question)
    fitting = [
        hit
        for hit in hits
        if (not tax_type or tree.entries[hit.row].tax_type == tax_type)
        and (level is None or tree.entries[hit.row].level == level)
    ]
    fitting.sort(key=lambda hit: _rank(tree, hit))
    return Page([tree.match(hit.row, hit.words) for hit in fitting[skip : skip + limit]], len(fitting))


def suggest_classes(environment: str, name: str) -> list[Match]:
    """The classes that an item of this name most probably belongs to, of those that items may have; best first.

    The rarest words of the name decide. Empty when no word of it stands in KRA's list.
    """
    tree = _tree(environment)
    hits = [hit for hit in tree.words.find(name) if tree.is_leaf(hit.row)]
    hits.sort(key=lambda hit: (-hit.score, *_rank(tree, hit)))
    return [tree.match(hit.row, hit.words) for hit in hits[:MOST_SUGGESTIONS]]


def children_of(environment: str, parent: str, *, limit: int, skip: int = 0) -> Page:
    """The classes right below one, in code order; those on top for an empty parent. Raises ClassUnknown."""
    tree = _tree(environment)
    if not parent:
        rows: Sequence[int] = [row for row, entry in enumerate(tree.entries) if entry.level == 1]
    else:
        if parent not in tree.by_code:
            raise ClassUnknown(parent)
        level = tree.entries[tree.by_code[parent]].level
        rows = [row for row in tree.below(parent) if tree.entries[row].level == level + 1]
    return Page([tree.match(row) for row in rows[skip : skip + limit]], len(rows))


def find_class(environment: str, code: str) -> Match:
    """One class in use. Raises ClassUnknown."""
    tree = _tree(environment)
    if code not in tree.by_code:
        raise ClassUnknown(code)
    return tree.match(tree.by_code[code])


def _rank(tree: _Tree, hit: Hit) -> tuple[int, float, int, int, str]:
    entry = tree.entries[hit.row]
    return (-len(hit.words), -hit.score, -entry.level, len(entry.name), entry.code)


def _tree(environment: str) -> _Tree:
    known = _trees.get(environment)
    if known is not None and known[0] > time.monotonic():
        return known[1]
    with _building:  # one thread builds, the others wait for what it made
        known = _trees.get(environment)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        stamp = _stamp(environment)
        tree = known[1] if known is not None and known[1].stamp == stamp else _built(environment, stamp)
        _trees[environment] = (time.monotonic() + CHECK_SECONDS, tree)
        return tree


def forget_trees() -> None:
    """Look at the rows again at the next question, whatever was seen."""
    _trees.clear()


def _stamp(environment: str) -> tuple[int, int]:
    """Differs when the rows do: each change closes a row and opens another."""
    valid = ItemClass.objects.filter(environment=environment, valid_to=None)
    found = valid.aggregate(newest=Max("id"), rows=Count("id"))
    return found["newest"] or 0, found["rows"]


def _built(environment: str, stamp: tuple[int, int]) -> _Tree:
    valid = ItemClass.objects.filter(environment=environment, valid_to=None, in_use=True)
    rows = valid.values_list("code", "name", "level", "tax_type").iterator(2000)
    entries = sorted(Entry(*row) for row in rows)  # by code, digit by digit, whatever the database's collation
    codes = [entry.code for entry in entries]
    by_code = {code: row for row, code in enumerate(codes)}
    return _Tree(stamp, entries, codes, by_code, WordIndex(entry.name for entry in entries))
