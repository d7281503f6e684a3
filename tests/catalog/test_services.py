import threading
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from gateway.catalog.judging import ItemRow, RowsRefused
from gateway.catalog.models import Item, ItemClass
from gateway.catalog.services import (
    ItemInFlight,
    Outcome,
    SyncedItem,
    sync_items,
    wait_for_items,
)
from gateway.lanes.models import Job, Lane
from gateway.tenants.models import Company
from tests.tenants.factories import make_company, make_stranger

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@pytest.fixture
def company() -> Company:
    for code, name, letter in [
        ("5016150900", "Natural sugars", "B"),
        ("5022110100", "Maize flour", "C"),
        ("9012000000", "Open letter", ""),
    ]:
        ItemClass.objects.create(environment="sandbox", code=code, name=name, level=5, tax_type=letter)
    ItemClass.objects.create(environment="sandbox", code="1111111111", name="Gone", level=5, in_use=False)
    return make_company().company


def sugar(**changes: Any) -> ItemRow:
    told: dict[str, Any] = {"code": "SUGAR", "name": "Brown sugar 1kg", "item_class": "5016150900", "tax_type": "B"}
    return ItemRow(**{**told, "quantity_unit": "KG", "price": Decimal("160.00"), **changes})


def sync(company: Company, *rows: ItemRow) -> list[SyncedItem]:
    return sync_items(company=company, environment="sandbox", rows=rows, now=NOW)


def registered(company: Company, *rows: ItemRow) -> None:
    """As the engine leaves it."""
    sync(company, *rows)
    for position, item in enumerate(Item.objects.filter(company=company, status="waiting"), 1):
        Item.objects.filter(pk=item.pk).update(status="registered", kra_code=f"KE2NTKG000000{position}")
    Job.objects.update(state="closed")
    Lane.objects.filter(series="item").update(due_at=None)


def problems(company: Company, *rows: ItemRow) -> list[tuple[int, str, str]]:
    with pytest.raises(RowsRefused) as caught:
        sync(company, *rows)
    assert not Item.objects.exists()
    assert not Job.objects.exists()
    return [(row, field, code) for row, field, code, _ in caught.value.problems]


def test_new_items_are_queued_in_their_order_and_the_lane_is_due(company: Company) -> None:
    synced = sync(company, sugar(), sugar(code="FLOUR", item_class="5022110100", tax_type="C"))
    assert [outcome for _, outcome in synced] == [Outcome.WAITING, Outcome.WAITING]
    lane = Lane.objects.get(series="item")
    assert (lane.branch, lane.due_at is not None) == ("", True)
    queued = Job.objects.filter(lane=lane, kind="item").order_by("id").values_list("document_id", flat=True)
    assert list(queued) == [item.pk for item, _ in synced]


def test_words_become_kras_codes_and_the_class_gives_the_letter(company: Company) -> None:
    sync(company, sugar(tax_type="", product_type="service"))
    item = Item.objects.get()
    assert (item.tax_type, item.product_type, item.price) == ("B", "3", Decimal("160.00"))


def test_the_same_again_changes_nothing(company: Company) -> None:
    registered(company, sugar())
    assert [outcome for _, outcome in sync(company, sugar())] == [Outcome.UNCHANGED]
    assert Job.objects.get().state == "closed"
    assert Lane.objects.get(series="item").due_at is None


def test_the_same_again_while_it_waits_keeps_its_place(company: Company) -> None:
    sync(company, sugar())
    job = Job.objects.get()
    assert [outcome for _, outcome in sync(company, sugar())] == [Outcome.WAITING]
    assert Job.objects.get() == job


def test_a_new_name_is_an_update_under_the_same_kra_code(company: Company) -> None:
    registered(company, sugar())
    assert [outcome for _, outcome in sync(company, sugar(name="Brown sugar, 1 kg"))] == [Outcome.WAITING]
    item = Item.objects.get()
    assert (item.status, item.kra_code, item.name) == ("waiting", "KE2NTKG0000001", "Brown sugar, 1 kg")
    assert Job.objects.get().state == "queued"


@pytest.mark.parametrize(
    "change",
    [
        {"product_type": "service"},
        {"quantity_unit": "U"},
        {"packaging_unit": "BG"},
        {"origin_country": "UG"},
    ],
)
def test_what_stands_in_kras_code_makes_a_new_code(company: Company, change: dict[str, str]) -> None:
    registered(company, sugar())
    sync(company, sugar(**change))
    assert Item.objects.get().kra_code == ""


def test_an_item_kra_refused_is_asked_again_unchanged(company: Company) -> None:
    registered(company, sugar())
    Item.objects.update(status="refused", problem={"code": "refused_by_kra", "detail": "No."})
    assert [outcome for _, outcome in sync(company, sugar())] == [Outcome.WAITING]
    assert Item.objects.get().problem is None


def test_an_item_that_is_with_kra_now_is_not_changed_under_its_feet(company: Company) -> None:
    sync(company, sugar())
    Job.objects.update(state="started")
    with pytest.raises(ItemInFlight) as caught:
        sync(company, sugar(name="Other"), sugar(code="NEW"))
    assert caught.value.codes == ["SUGAR"]
    assert list(Item.objects.values_list("code", "name")) == [("SUGAR", "Brown sugar 1kg")]
    assert [outcome for _, outcome in sync(company, sugar())] == [Outcome.WAITING]


def test_every_wrong_field_of_every_row_is_named(company: Company) -> None:
    assert problems(
        company,
        sugar(tax_type="A"),
        sugar(code="X", item_class="0000000000", quantity_unit="??"),
        sugar(code="Y", packaging_unit="??", origin_country="??"),
        sugar(code="Z", tax_type="Z"),
        sugar(code="V", item_class="1111111111"),
        sugar(code="W", item_class="9012000000", tax_type=""),
        sugar(code="U", product_type="thing"),
    ) == [
        (0, "tax_type", "contradicts_class"),
        (1, "item_class", "unknown_code"),
        (1, "quantity_unit", "unknown_code"),
        (2, "origin_country", "unknown_code"),
        (2, "packaging_unit", "unknown_code"),
        (3, "tax_type", "unknown_code"),
        (4, "item_class", "unknown_code"),
        (5, "tax_type", "missing"),
        (6, "product_type", "unknown_value"),
    ]


def test_a_contradicted_class_is_told_in_words(company: Company) -> None:
    with pytest.raises(RowsRefused) as caught:
        sync(company, sugar(tax_type="A"))
    message = caught.value.problems[0].message
    assert "5016150900 (Natural sugars) under tax letter B" in message
    assert "the item says A" in message


def test_a_code_twice_in_one_request_names_the_first(company: Company) -> None:
    with pytest.raises(RowsRefused) as caught:
        sync(company, sugar(), sugar(code="B"), sugar())
    assert caught.value.problems == [(2, "code", "duplicate", "Item SUGAR is in items[0] already.")]


def test_a_stranger_may_use_the_same_code(company: Company) -> None:
    stranger = make_stranger().company
    sync(company, sugar())
    sync(stranger, sugar(name="Other sugar"))
    assert Item.objects.get(company=company).name == "Brown sugar 1kg"
    assert Lane.objects.filter(series="item").count() == 2


def test_a_thousand_items_are_taken_in_few_statements(company: Company, django_assert_max_num_queries: Any) -> None:
    rows = [sugar(code=f"SKU-{number}") for number in range(1000)]
    with django_assert_max_num_queries(60):
        synced = sync(company, *rows)
    assert len(synced) == Job.objects.count() == 1000
    assert list(Job.objects.order_by("id").values_list("document_id", flat=True)) == [item.pk for item, _ in synced]


def test_waiting_ends_when_the_time_is_up(company: Company) -> None:
    synced = wait_for_items(sync(company, sugar()), seconds=0.06)
    assert [outcome for _, outcome in synced] == [Outcome.WAITING]


@pytest.mark.django_db(transaction=True)
def test_waiting_ends_when_every_item_is_settled(company: Company) -> None:
    synced = sync(company, sugar(), sugar(code="BAD"), sugar(code="SAME"))

    def settle() -> None:
        try:
            Item.objects.filter(code__in=["SUGAR", "SAME"]).update(status="registered", kra_code="KE2NTKG0000001")
            Item.objects.filter(code="BAD").update(
                status="refused", problem={"code": "refused_by_kra", "detail": "No."}
            )
        finally:
            connection.close()

    timer = threading.Timer(0.1, settle)
    timer.start()
    ended = wait_for_items(synced, seconds=10)
    timer.join()
    assert [outcome for _, outcome in ended] == [Outcome.REGISTERED, Outcome.REFUSED, Outcome.REGISTERED]
