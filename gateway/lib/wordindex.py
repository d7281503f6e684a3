"""Finding texts by words: whole words, beginnings of words, and words that are spelt a little wrong.

All in memory, built once and never changed, so any number of threads may search it.
"""

import math
import re
import unicodedata
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

MOST_WORDS = 12  # of a question that count
MOST_BEGINNINGS = 2000  # words that a beginning may stand for
MOST_TRIED = 40  # words that are compared with a misspelt one letter by letter
MOST_GUESSES = 5  # words that a misspelt one may stand for
_WORD = re.compile(r"[a-z]+|[0-9]+")  # "1kg" is "1 kg"


class Hit(NamedTuple):
    """A text that was found: its position, how well it fits, and which words of the question it has."""

    row: int
    score: float
    words: frozenset[str]


def words_of(text: str) -> list[str]:
    """The words of a text without accents, capitals and plural endings, in order."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return [_singular(word) for word in _WORD.findall(plain)]


class WordIndex:
    """The words of many texts, and where each stands."""

    def __init__(self, texts: Iterable[str]) -> None:
        found: dict[str, array[int]] = {}
        self._lengths = array("H")
        for row, text in enumerate(texts):
            words = set(words_of(text))
            self._lengths.append(min(len(words), 1000))
            for word in words:
                found.setdefault(word, array("I")).append(row)
        self._words = sorted(found)
        self._rows = [found[word] for word in self._words]
        self._weights = array("f", (math.log(1 + len(self._lengths) / len(rows)) for rows in self._rows))
        self._grams: dict[str, array[int]] = {}
        for position, word in enumerate(self._words):
            for gram in _grams(word):
                self._grams.setdefault(gram, array("I")).append(position)

    def find(self, question: str) -> list[Hit]:
        """The texts that have any of the words, in no order. A word that nothing has does not count."""
        scores: dict[int, float] = {}
        matched: dict[int, set[str]] = {}
        for word in dict.fromkeys(words_of(question)[: MOST_WORDS * 2]):
            best: dict[int, float] = {}
            for position, quality in self._meant(word):
                value = quality * self._weights[position]
                for row in self._rows[position]:
                    if value > best.get(row, 0.0):
                        best[row] = value
            for row, value in best.items():
                scores[row] = scores.get(row, 0.0) + value
                matched.setdefault(row, set()).add(word)
        return [
            Hit(row, score / math.sqrt(self._lengths[row]), frozenset(matched[row])) for row, score in scores.items()
        ]

    def _meant(self, word: str) -> list[tuple[int, float]]:
        """The positions of the words that one of a question may stand for, each with how sure that is (0 to 1)."""
        start = bisect_left(self._words, word)
        end = min(bisect_right(self._words, word + "{"), start + MOST_BEGINNINGS)
        if start < end:
            return [
                (at, 1.0 if self._words[at] == word else 0.5 + 0.3 * len(word) / len(self._words[at]))
                for at in range(start, end)
            ]
        return self._guessed(word)

    def _guessed(self, word: str) -> list[tuple[int, float]]:
        if len(word) < 4 or any(letter.isdigit() for letter in word):
            return []
        shared: Counter[int] = Counter()
        for gram in _grams(word):
            shared.update(self._grams.get(gram, ()))
        allowed = 1 if len(word) < 6 else 2
        guesses: list[tuple[int, float]] = []
        for at, _ in shared.most_common(MOST_TRIED):
            other = self._words[at]
            # of a longer word the beginning may be meant
            is_longer = len(other) > len(word) + allowed
            wrong = distance(word, other[: len(word)]) + 0.5 if is_longer else float(distance(word, other))
            if wrong <= allowed:
                guesses.append((at, 0.6 * (1 - wrong / len(word))))
        return sorted(guesses, key=lambda guess: -guess[1])[:MOST_GUESSES]


def distance(one: str, other: str) -> int:
    """How many letters must be changed, added, left out or swapped to make one word of the other."""
    before: Sequence[int] = ()
    last: Sequence[int] = range(len(other) + 1)
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, theirs in enumerate(other, 1):
            cost = min(row[-1] + 1, last[j] + 1, last[j - 1] + (letter != theirs))
            if before and j > 1 and letter == other[j - 2] and one[i - 2] == theirs:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]


def _grams(word: str) -> set[str]:
    padded = f"^{word}$"
    return {padded[at : at + 2] for at in range(len(padded) - 1)}


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("oes", "ches", "shes", "xes", "sses")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word
