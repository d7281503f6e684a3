from datetime import UTC, datetime, timedelta

import pytest

from gateway.catalog.classification import (
    ClassUnknown,
    children_of,
    find_class,
    forget_trees,
    search_classes,
    suggest_classes,
)
from gateway.catalog.validity import store_item_classes
from gateway.kra import documents
from gateway.simulator.classes import item_classes

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def listed(*rows: tuple[str, str, int, str], in_use: bool = True) -> list[documents.ItemClass]:
    return [
        documents.ItemClass(code=code, name=name, level=level, tax_class=tax, is_major_target=False, in_use=in_use)
        for code, name, level, tax in rows
    ]


TREE = listed(
    ("50", "Food and drink", 1, ""),
    ("5016", "Chocolate and sugars", 2, ""),
    ("501615", "Sweeteners", 3, ""),
    ("50161503", "Brown sugar", 4, ""),
    ("5016150301", "Brown sugar, 1 kg", 5, "B"),
    ("5016150302", "Brown sugar, 2 kg", 5, "B"),
    ("50161509", "White sugar", 4, "C"),
    ("60", "Tools", 1, ""),
)


@pytest.fixture(autouse=True)
def tree() -> None:
    forget_trees()
    store_item_classes("sandbox", TREE, at=NOW, now=NOW)


def codes(question: str, **more: object) -> list[str]:
    return [match.entry.code for match in search_classes("sandbox", question, **more).matches]  # type: ignore[arg-type]


def test_words_find_classes_the_fitting_ones_first_and_the_deepest_before_those_above() -> None:
    assert codes("brown sugar 2 kg")[0] == "5016150302"
    assert set(codes("sugar")) == {"5016", "50161503", "5016150301", "5016150302", "50161509"}


def test_digits_are_the_beginning_of_a_code() -> None:
    assert set(codes("501615030")) == {"5016150301", "5016150302"}


def test_what_is_found_can_be_narrowed() -> None:
    assert codes("sugar", tax_type="C") == ["50161509"]
    assert set(codes("sugar", level=5)) == {"5016150301", "5016150302"}


def test_pages_follow_each_other() -> None:
    first = search_classes("sandbox", "sugar", limit=2)
    others = search_classes("sandbox", "sugar", limit=10, skip=2)
    assert (first.total, len(first.matches), len(others.matches)) == (5, 2, 3)
    assert not {match.entry for match in first.matches} & {match.entry for match in others.matches}


def test_a_match_tells_what_stands_above_it_and_why_it_was_found() -> None:
    match = search_classes("sandbox", "brwon sugar 1 kg").matches[0]
    assert match.path == ["Food and drink", "Chocolate and sugars", "Sweeteners", "Brown sugar"]
    assert match.words == ["1", "brwon", "kg", "sugar"]


def test_a_suggestion_is_a_class_that_an_item_may_have() -> None:
    suggested = [match.entry.code for match in suggest_classes("sandbox", "KABRAS BROWN SUGAR 1KG")]
    assert suggested[0] in {"5016150301", "5016150302"}
    assert "50161503" not in suggested and "5016" not in suggested
    assert suggest_classes("sandbox", "Zzzz") == []


def test_the_tree_is_walked_level_by_level() -> None:
    assert [match.entry.code for match in children_of("sandbox", "", limit=10).matches] == ["50", "60"]
    assert [match.entry.code for match in children_of("sandbox", "501615", limit=10).matches] == [
        "50161503",
        "50161509",
    ]
    assert children_of("sandbox", "60", limit=10).matches == []
    assert [match.entry.code for match in children_of("sandbox", "", limit=1, skip=1).matches] == ["60"]
    with pytest.raises(ClassUnknown):
        children_of("sandbox", "99", limit=10)


def test_each_environment_has_its_own_tree() -> None:
    assert search_classes("production", "sugar").total == 0
    with pytest.raises(ClassUnknown):
        find_class("production", "50161509")


def test_a_changed_list_is_seen() -> None:
    assert find_class("sandbox", "50161509").entry.name == "White sugar"
    later = NOW + timedelta(days=1)
    store_item_classes("sandbox", listed(("50161509", "Refined sugar", 4, "C")), at=later, now=later)
    store_item_classes("sandbox", listed(("60", "Tools", 1, ""), in_use=False), at=later, now=later)
    forget_trees()
    assert find_class("sandbox", "50161509").entry.name == "Refined sugar"
    with pytest.raises(ClassUnknown):
        find_class("sandbox", "60")


def test_the_whole_list_of_the_simulator_is_searched() -> None:
    rows = listed(*((node.code, node.name, node.level, node.tax or "") for node in item_classes().values()))
    assert len(rows) >= 5000
    later = NOW + timedelta(days=1)
    store_item_classes("sandbox", rows, at=later, now=later)
    forget_trees()
    assert search_classes("sandbox", "coking oil").matches[0].entry.name.startswith("Cooking oil")
    assert suggest_classes("sandbox", "Jogoo maize flour 2kg")[0].entry.name.lower().count("maize") == 1
