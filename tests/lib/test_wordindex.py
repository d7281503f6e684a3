import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.lib.wordindex import WordIndex, distance, words_of

TEXTS = ["Brown sugar", "Brown sugar, 1 kg", "Cooking oil", "Tomatoes", "Smartphone", "Café latte", "Super glue"]


def found(question: str) -> list[str]:
    hits = sorted(WordIndex(TEXTS).find(question), key=lambda hit: (-len(hit.words), -hit.score))
    return [TEXTS[hit.row] for hit in hits]


@pytest.mark.parametrize(
    ("question", "best"),
    [
        ("brown sugar", "Brown sugar"),
        ("SUGAR brown 1 kg", "Brown sugar, 1 kg"),
        ("sug", "Brown sugar"),
        ("brwon suger", "Brown sugar"),
        ("tomato", "Tomatoes"),
        ("smartfone", "Smartphone"),
        ("cafe", "Café latte"),
        ("cookin oyl", "Cooking oil"),
    ],
)
def test_words_beginnings_and_misspellings_find_the_text(question: str, best: str) -> None:
    assert found(question)[0] == best


@pytest.mark.parametrize("question", ["", "   ", "!!!", "zzzzzzz", "1234567", "xy"])
def test_what_nothing_has_finds_nothing(question: str) -> None:
    assert found(question) == []


def test_a_text_with_more_of_the_words_says_so() -> None:
    hits = {TEXTS[hit.row]: hit.words for hit in WordIndex(TEXTS).find("super sugar")}
    assert hits["Brown sugar"] == {"sugar"}
    assert hits["Super glue"] >= {"super"}


def test_an_empty_index_finds_nothing() -> None:
    assert WordIndex([]).find("sugar") == []


@pytest.mark.parametrize(
    ("one", "other", "changes"), [("sugar", "sugar", 0), ("suger", "sugar", 1), ("sguar", "sugar", 1), ("", "abc", 3)]
)
def test_swapped_and_wrong_letters_are_counted(one: str, other: str, changes: int) -> None:
    assert distance(one, other) == distance(other, one) == changes


@given(st.text(max_size=60))
def test_any_text_is_found_by_itself(text: str) -> None:
    index = WordIndex(["something else", text])
    rows = {hit.row for hit in index.find(text)}
    assert (1 in rows) == bool(words_of(text))
