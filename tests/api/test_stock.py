"""Stock over HTTP: what is answered, what is wrong by field, who may, and that a stranger sees nothing."""

from decimal import Decimal
from typing import Any

import pytest

from gateway.catalog.models import Item
from gateway.devices.onboarding import Onboarded
from gateway.devices.services import add_device
from gateway.lanes.models import Job
from gateway.stock.models import Balance, Component, Movement
from gateway.tenants.models import Role
from gateway.tenants.services import add_branch
from tests.api.caller import Caller
from tests.api.problems import fields, problem
from tests.statements import statements
from tests.tenants.factories import key_with, make_active, make_stranger

pytestmark = pytest.mark.django_db
OPENING: dict[str, Any] = {
    "reference": "OPEN-1",
    "branch": "00",
    "lines": [{"item_code": "SUGAR", "quantity": "12.5"}],
}
ADJUSTMENT: dict[str, Any] = {**OPENING, "reference": "ADJ-1", "reason": "discarded_out"}
TRANSFER: dict[str, Any] = {
    "reference": "MOVE-1",
    "from_branch": "00",
    "to_branch": "01",
    "lines": [{"item_code": "SUGAR", "quantity": 2}],
}
PRODUCTION: dict[str, Any] = {"reference": "BAKE-1", "branch": "00", "item_code": "BREAD", "quantity": 2}
RECIPE: dict[str, Any] = {"components": [{"item_code": "SUGAR", "quantity": "0.25"}]}
WRITES = [
    ("post", "/api/stock/opening/", OPENING),
    ("post", "/api/stock/adjustments/", ADJUSTMENT),
    ("post", "/api/stock/transfers/", TRANSFER),
    ("post", "/api/stock/production/", PRODUCTION),
    ("put", "/api/stock/recipes/BREAD/", RECIPE),
    ("put", "/api/stock/policy/", {"allow_negative_stock": False}),
    (
        "post",
        "/api/stock/drift/repair/",
        {"branch": "00", "item_code": "SUGAR", "difference": "1", "stands": "ours"},
    ),
]
READS = [
    "/api/stock/balances/",
    "/api/stock/movements/",
    "/api/stock/drift/",
    "/api/stock/recipes/BREAD/",
    "/api/stock/policy/",
]


@pytest.fixture(autouse=True)
def items(amani: Onboarded) -> None:
    """A second branch, and two kinds of goods that KRA knows."""
    make_active(amani.device)
    branch = add_branch(amani.company, code="01", name="Market")
    make_active(add_device(company=amani.company, branch=branch, environment="sandbox", serial="AMANI-01"))
    told = {"tax_type": "B", "item_class": "5016150900", "price": "100.00", "status": "registered"}
    for number, code in enumerate(["SUGAR", "BREAD"], 1):
        kra_code = f"KE2NTKG000000{number}"
        Item.objects.create(
            company=amani.company, environment="sandbox", code=code, name=code.title(), kra_code=kra_code, **told
        )


def write(caller: Caller, method: str, path: str, body: Any) -> Any:
    return caller.post(path, body) if method == "post" else caller.put(path, body)


def test_stock_is_opened_and_shown(owner: Caller) -> None:
    assert owner.get("/api/stock/balances/").json() == {"balances": [], "next": None}
    assert owner.get("/api/stock/movements/").json() == {"movements": [], "next": None}
    made = owner.post("/api/stock/opening/", OPENING)
    assert made.status_code == 201
    shown = made.json()
    assert (shown["reason"], shown["status"], shown["number"]) == ("adjustment_in", "queued", None)
    assert shown["is_opening"] and shown["lines"] == [
        {"item_code": "SUGAR", "quantity": "12.5", "unit_price": "100.00", "total": "1250.00"}
    ]
    again = owner.post("/api/stock/opening/", OPENING)
    assert (again.status_code, again.json()["id"]) == (200, shown["id"])
    [row] = owner.get("/api/stock/balances/", {"branch": "00", "item_code": "SUGAR"}).json()["balances"]
    assert row == {
        "branch": "00",
        "item_code": "SUGAR",
        "name": "Sugar",
        "opening": "12.5",
        "received": "0",
        "issued": "0",
        "quantity": "12.5",
        "at_kra": "0",
    }
    assert owner.get("/api/stock/balances/", {"branch": "01"}).json()["balances"] == []


def test_stock_that_kra_counts_already_is_opened_without_telling_it(owner: Caller) -> None:
    made = owner.post("/api/stock/opening/", {**OPENING, "known_at_kra": True})
    assert (made.status_code, made.json()["status"]) == (201, "local")
    assert not Job.objects.exists()
    [row] = owner.get("/api/stock/balances/").json()["balances"]
    assert (row["opening"], row["quantity"], row["at_kra"]) == ("12.5", "12.5", "12.5")
    assert owner.get("/api/stock/drift/").json() == {"items": []}
    assert owner.post("/api/stock/opening/", {**OPENING, "known_at_kra": True}).status_code == 200
    problem(owner.post("/api/stock/opening/", OPENING), 409, "reference_reused")
    wrong = owner.post("/api/stock/opening/", {**OPENING, "reference": "OPEN-2", "known_at_kra": "perhaps"})
    assert fields(wrong) == {"known_at_kra": "not_yes_no"}


def test_a_reference_is_one_movement(owner: Caller) -> None:
    owner.post("/api/stock/opening/", OPENING)
    problem(owner.post("/api/stock/opening/", {**OPENING, "branch": "01"}), 409, "reference_reused")


def test_the_second_page_goes_on_where_the_first_ended(owner: Caller) -> None:
    for number in range(3):
        owner.post("/api/stock/adjustments/", {**ADJUSTMENT, "reference": f"A-{number}", "reason": "adjustment_in"})
    first = owner.get("/api/stock/movements/", {"limit": 2}).json()
    owner.post("/api/stock/adjustments/", {**ADJUSTMENT, "reference": "A-9"})
    second = owner.get("/api/stock/movements/", {"limit": 2, "cursor": first["next"]}).json()
    assert [row["reference"] for row in first["movements"] + second["movements"]] == ["A-2", "A-1", "A-0"]
    assert second["next"] is None
    found = owner.get("/api/stock/movements/", {"reason": "discarded_out", "item_code": "SUGAR"}).json()
    assert [row["reference"] for row in found["movements"]] == ["A-9"]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"reference": ""}, {"reference": "blank"}),
        ({"reference": "x" * 51}, {"reference": "too_long"}),
        ({"branch": "Nairobi"}, {"branch": "wrong_form"}),
        ({"branch": "09"}, {"branch": "unknown_branch"}),
        ({"reason": "lost"}, {"reason": "unknown_value"}),
        ({"occurred_on": "yesterday"}, {"occurred_on": "not_a_day"}),
        ({"lines": []}, {"lines": "too_few"}),
        ({"lines": [{"item_code": "SUGAR", "quantity": 0}]}, {"lines[0].quantity": "not_positive"}),
        ({"lines": [{"item_code": "SUGAR", "quantity": "1,5"}]}, {"lines[0].quantity": "not_a_number"}),
        ({"lines": [{"item_code": "SUGAR", "quantity": "1.0001"}]}, {"lines[0].quantity": "too_many_decimals"}),
        ({"lines": [{"item_code": "SUGAR", "quantity": 10**12}]}, {"lines[0].quantity": "too_large"}),
        ({"lines": [{"item_code": "SALT", "quantity": 1}]}, {"lines[0].item_code": "unknown_item"}),
        ({"lines": [{"item_code": "SUGAR", "quantity": 1, "unit_price": -1}]}, {"lines[0].unit_price": "negative"}),
        ({"counterparty_pin": "123"}, {"counterparty_pin": "bad_pin"}),
        ({"colour": "brown"}, {"colour": "unknown_field"}),
    ],
)
def test_each_wrong_field_is_named(owner: Caller, change: dict[str, Any], wrong: dict[str, str]) -> None:
    assert fields(owner.post("/api/stock/adjustments/", {**ADJUSTMENT, **change})) == wrong
    assert not Movement.objects.exists()


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ({"limit": 0}, {"limit": "too_small"}),
        ({"colour": "brown"}, {"colour": "unknown_field"}),
    ],
)
@pytest.mark.parametrize("path", ["/api/stock/balances/", "/api/stock/movements/"])
def test_a_wrong_filter_is_named(owner: Caller, path: str, query: dict[str, Any], wrong: dict[str, str]) -> None:
    assert fields(owner.get(path, query)) == wrong
    problem(owner.get(path, {"cursor": "nonsense"}), 422, "bad_cursor")


def test_goods_go_to_another_branch(owner: Caller) -> None:
    owner.post("/api/stock/opening/", OPENING)
    made = owner.post("/api/stock/transfers/", TRANSFER)
    assert made.status_code == 201
    shown = made.json()
    assert (shown["out"]["branch"], shown["into"]["branch"]) == ("00", "01")
    assert (shown["out"]["reason"], shown["into"]["reason"]) == ("transfer_out", "transfer_in")
    assert fields(owner.post("/api/stock/transfers/", {**TRANSFER, "to_branch": "00"})) == {"to_branch": "same_branch"}


def test_goods_are_made_by_their_recipe(owner: Caller) -> None:
    owner.post("/api/stock/opening/", OPENING)
    assert fields(owner.post("/api/stock/production/", PRODUCTION)) == {"item_code": "no_recipe"}
    recipe = owner.put("/api/stock/recipes/BREAD/", RECIPE)
    assert recipe.status_code == 200
    assert owner.get("/api/stock/recipes/BREAD/").json() == recipe.json()
    assert recipe.json()["components"][0]["quantity"] == "0.25"
    assert Job.objects.filter(kind="component").count() == 1
    owner.put("/api/stock/recipes/BREAD/", RECIPE)
    assert Component.objects.count() == Job.objects.filter(kind="component").count() == 1
    made = owner.post("/api/stock/production/", PRODUCTION)
    assert made.status_code == 201
    assert Balance.objects.get(item__code="SUGAR").quantity == Decimal(12)
    wrong = {"components": [{"item_code": "BREAD", "quantity": 1}, {"item_code": "SALT", "quantity": 1}]}
    assert fields(owner.put("/api/stock/recipes/BREAD/", wrong)) == {
        "components[0].item_code": "made_of_itself",
        "components[1].item_code": "unknown_item",
    }
    problem(owner.get("/api/stock/recipes/SALT/"), 404, "not_found")


def test_a_difference_with_kra_is_reported_and_put_right_by_whoever_confirms_it(owner: Caller) -> None:
    owner.post("/api/stock/opening/", OPENING)
    assert owner.get("/api/stock/drift/").json() == {"items": []}  # it is still on its way
    Movement.objects.update(status="done")
    Balance.objects.update(kra_quantity=Decimal("10"))
    [row] = owner.get("/api/stock/drift/", {"branch": "00"}).json()["items"]
    assert (row["ours"], row["at_kra"], row["difference"]) == ("12.5", "10", "2.5")
    confirmed = {"branch": "00", "item_code": "SUGAR", "difference": "2.5", "stands": "ours"}
    problem(owner.post("/api/stock/drift/repair/", {**confirmed, "difference": "-2.5"}), 409, "drift_moved")
    repaired = owner.post("/api/stock/drift/repair/", confirmed)
    assert repaired.status_code == 201 and repaired.json()["only_at_kra"]
    assert owner.get("/api/stock/drift/").json() == {"items": []}
    assert Balance.objects.get().quantity == Decimal("12.5")
    problem(owner.post("/api/stock/drift/repair/", confirmed), 409, "drift_moved")


def test_kras_figure_can_stand_too(owner: Caller) -> None:
    owner.post("/api/stock/opening/", OPENING)
    Movement.objects.update(status="done")
    Balance.objects.update(kra_quantity=Decimal("13"))
    body = {"branch": "00", "item_code": "SUGAR", "difference": "-0.5", "stands": "kra"}
    assert owner.post("/api/stock/drift/repair/", body).json()["status"] == "local"
    kept = Balance.objects.get()
    assert kept.quantity == kept.kra_quantity == Decimal(13)
    assert owner.get("/api/stock/drift/").json() == {"items": []}


def test_a_refused_movement_is_sent_again(owner: Caller) -> None:
    made = owner.post("/api/stock/opening/", OPENING).json()
    path = f"/api/stock/movements/{made['id']}/retry/"
    problem(owner.post(path, None), 409, "not_refused")
    Movement.objects.update(status="refused", problem={"code": "refused_by_kra"})
    Job.objects.update(state="closed")
    [row] = owner.get("/api/stock/drift/").json()["items"]
    assert [one["id"] for one in row["refused"]] == [made["id"]]
    assert owner.post(path, None).json()["status"] == "queued"


def test_the_drift_report_asks_as_little_however_much_was_refused(owner: Caller) -> None:
    def refuse(reference: str) -> None:
        owner.post("/api/stock/adjustments/", {**ADJUSTMENT, "reference": reference})
        Movement.objects.update(status="refused", problem={"code": "refused_by_kra"})

    def report() -> tuple[int, int]:
        with statements() as sent:
            [row] = owner.get("/api/stock/drift/").json()["items"]
        return len(row["refused"]), len(sent)

    refuse("A-1")
    report()  # whatever is remembered is remembered now
    refused, asked = report()
    for number in range(2, 6):
        refuse(f"A-{number}")
    assert (refused, report()) == (1, (5, asked))


def test_negative_stock_is_a_switch(owner: Caller) -> None:
    assert owner.get("/api/stock/policy/").json() == {"allow_negative_stock": True}
    assert owner.put("/api/stock/policy/", {"allow_negative_stock": False}).status_code == 200
    assert fields(owner.post("/api/stock/adjustments/", ADJUSTMENT)) == {"lines[0].quantity": "insufficient_stock"}


@pytest.mark.parametrize("role", [Role.CASHIER, Role.ACCOUNTANT, Role.VIEWER])
@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_only_owners_and_managers_move_stock(amani: Onboarded, role: Role, method: str, path: str, body: Any) -> None:
    problem(write(Caller(key_with(amani.company, role)[1]), method, path, body), 403, "role_not_allowed")


def test_a_stranger_sees_and_moves_nothing_of_ours(owner: Caller) -> None:
    made = owner.post("/api/stock/opening/", OPENING).json()
    stranger = Caller(make_stranger().key_text)
    assert stranger.get("/api/stock/balances/").json()["balances"] == []
    assert stranger.get("/api/stock/movements/").json()["movements"] == []
    problem(stranger.get("/api/stock/recipes/BREAD/"), 404, "not_found")
    problem(stranger.put("/api/stock/recipes/BREAD/", RECIPE), 404, "not_found")
    problem(stranger.post(f"/api/stock/movements/{made['id']}/retry/", None), 404, "not_found")
    problem(stranger.post("/api/stock/opening/", OPENING), 422, "invalid")


@pytest.mark.parametrize("path", READS)
def test_a_key_is_needed(path: str) -> None:
    problem(Caller(None).get(path), 401, "key_missing")
