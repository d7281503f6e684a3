import pytest

from gateway.catalog.classification import forget_trees
from gateway.catalog.models import ItemClass
from gateway.devices.onboarding import Onboarded
from gateway.tenants.models import Role
from tests.api.caller import Caller
from tests.api.problems import fields, problem
from tests.tenants.factories import key_with

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def classes() -> None:
    forget_trees()
    rows = [("50", "Food", 1, ""), ("5016", "Sugars", 2, ""), ("501615", "Brown sugar", 3, "B")]
    rows += [(f"5016{number}", f"Sugar kind {number}", 3, "C") for number in range(20, 25)]
    ItemClass.objects.bulk_create(
        ItemClass(environment="sandbox", code=code, name=name, level=level, tax_type=tax)
        for code, name, level, tax in rows
    )


def test_classes_are_found_by_words(owner: Caller) -> None:
    answer = owner.get("/api/classifications/", {"q": "brown suger"}).json()
    assert answer["classifications"][0] == {
        "code": "501615",
        "name": "Brown sugar",
        "level": 3,
        "tax_type": "B",
        "path": ["Food", "Sugars"],
        "words": ["brown", "suger"],
    }


def test_nothing_found_is_an_empty_page(owner: Caller) -> None:
    assert owner.get("/api/classifications/", {"q": "zzzzz"}).json() == {
        "classifications": [],
        "total": 0,
        "next": None,
    }


def test_pages_neither_repeat_nor_skip(owner: Caller) -> None:
    seen: list[str] = []
    query = {"q": "sugar", "limit": 3}
    while True:
        page = owner.get("/api/classifications/", query).json()
        seen += [row["code"] for row in page["classifications"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    assert len(seen) == len(set(seen)) == page["total"] == 7


def test_the_tree_is_walked(owner: Caller) -> None:
    top = owner.get("/api/classifications/tree/").json()
    assert [row["code"] for row in top["classifications"]] == ["50"]
    below = owner.get("/api/classifications/tree/", {"parent": "5016", "limit": 2}).json()
    assert ([row["code"] for row in below["classifications"]], below["total"]) == (["501615", "501620"], 6)
    problem(owner.get("/api/classifications/tree/", {"parent": "99"}), 404, "not_found")


def test_one_class_is_read_by_its_code(owner: Caller) -> None:
    assert owner.get("/api/classifications/501615/").json()["name"] == "Brown sugar"
    problem(owner.get("/api/classifications/999/"), 404, "not_found")


def test_a_class_is_suggested_for_a_name(owner: Caller) -> None:
    found = owner.get("/api/classifications/suggest/", {"name": "KABRAS BROWN SUGAR 2KG"}).json()["suggestions"]
    assert (found[0]["code"], found[0]["words"]) == ("501615", ["brown", "sugar"])
    assert owner.get("/api/classifications/suggest/", {"name": "Zzz"}).json() == {"suggestions": []}


@pytest.mark.parametrize(
    ("path", "query", "wrong"),
    [
        ("", {}, {"q": "missing"}),
        ("", {"q": " "}, {"q": "blank"}),
        ("", {"q": "x" * 201}, {"q": "too_long"}),
        ("", {"q": "a\x00b"}, {"q": "not_printable"}),
        ("", {"q": "a", "tax_type": "Z"}, {"tax_type": "unknown_value"}),
        ("", {"q": "a", "level": 9}, {"level": "too_large"}),
        ("", {"q": "a", "limit": 0}, {"limit": "too_small"}),
        ("", {"q": "a", "limt": 5}, {"limt": "unknown_field"}),
        ("tree/", {"parent": ""}, {"parent": "blank"}),
        ("suggest/", {}, {"name": "missing"}),
    ],
)
def test_a_wrong_question_is_named(owner: Caller, path: str, query: dict[str, str], wrong: dict[str, str]) -> None:
    assert fields(owner.get(f"/api/classifications/{path}", query)) == wrong


def test_a_cursor_of_nobody_is_told(owner: Caller) -> None:
    problem(owner.get("/api/classifications/", {"q": "sugar", "cursor": "nope!"}), 422, "bad_cursor")


def test_every_role_may_read_and_nobody_without_a_key(amani: Onboarded) -> None:
    viewer = Caller(key_with(amani.company, Role.VIEWER)[1])
    assert viewer.get("/api/classifications/", {"q": "sugar"}).status_code == 200
    problem(Caller(None).get("/api/classifications/", {"q": "sugar"}), 401, "key_missing")
