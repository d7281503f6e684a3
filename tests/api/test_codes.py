from datetime import UTC, datetime

import pytest

from gateway.catalog.models import Code, Fetch
from gateway.catalog.tables import TABLES
from gateway.devices.onboarding import Onboarded
from gateway.kra.codes import shipped_classes
from tests.api.caller import Caller
from tests.api.problems import fields, problem

pytestmark = pytest.mark.django_db


def test_every_shipped_class_of_kra_has_a_name() -> None:
    assert sorted(table.number for table in TABLES.values()) == shipped_classes()


def test_the_tables_are_listed_by_name(owner: Caller) -> None:
    answer = owner.get("/api/codes/").json()
    assert {"name": "tax_types", "title": TABLES["tax_types"].title, "kra_class": "04"} in answer["tables"]
    assert answer["checked_at"] is None


def test_before_anything_is_fetched_the_shipped_codes_are_shown(owner: Caller) -> None:
    for name in TABLES:
        assert owner.get(f"/api/codes/{name}/").json()["codes"], name
    rates = {row["code"]: row["rate"] for row in owner.get("/api/codes/tax_types/").json()["codes"]}
    assert rates["B"] == "16.00"
    words = {row["code"]: row["word"] for row in owner.get("/api/codes/payment_methods/").json()["codes"]}
    assert words["06"] == "mobile_money"


def test_what_kra_said_last_is_shown_and_since_when(owner: Caller, amani: Onboarded) -> None:
    then = datetime(2026, 1, 1, tzinfo=UTC)
    Code.objects.create(
        environment="sandbox", code_class="04", code="B", name="B-16", value="16", valid_from=then, valid_to=then
    )
    Code.objects.create(environment="sandbox", code_class="04", code="B", name="B-18", value="18", valid_from=then)
    Fetch.objects.create(lane=amani.device.lane, operation="code_list", changed_since=then)
    answer = owner.get("/api/codes/tax_types/").json()
    assert answer["codes"] == [
        {
            "code": "B",
            "name": "B-18",
            "word": "standard",
            "rate": "18.00",
            "in_use": True,
            "valid_from": "2026-01-01T00:00:00Z",
        }
    ]
    assert answer["checked_at"] == "2026-01-01T00:00:00Z"


def test_a_table_that_does_not_exist_is_told_with_the_one_meant(owner: Caller) -> None:
    assert "quantity_units" in problem(owner.get("/api/codes/quantity_unit/"), 404, "not_found")["detail"]
    assert fields(owner.get("/api/codes/", {"x": "1"})) == {"x": "unknown_field"}
