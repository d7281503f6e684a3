"""What KRA's lists said when, who hears of a change, and how the four lists are kept fresh."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import IntegrityError, transaction

from gateway.audit.models import Event
from gateway.catalog import validity
from gateway.catalog.models import Code, Fetch, ItemClass, KraBranch, Notice
from gateway.catalog.queries import current_rates, known_codes
from gateway.catalog.queries import item_classes as found_classes
from gateway.catalog.reference import OVERLAP, activate_and_fetch, fetch_reference_data
from gateway.catalog.refresh import refresh_reference_data
from gateway.devices.models import Device
from gateway.kra import documents
from gateway.kra.errors import KraError
from gateway.lib.clock import from_stamp
from tests.servers import Simulator
from tests.tenants.factories import PIN, STRANGER_PIN, make_company, make_stranger

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


@pytest.fixture
def kra(simulator: Simulator, settings: LazySettings) -> Simulator:
    settings.KRA_SANDBOX_PROFILE = "simulator"
    settings.KRA_SANDBOX_BASE_URL = f"{simulator.url}/oscu/etims-api"
    simulator.approve(PIN, "00", "AMANI-00")
    simulator.approve(STRANGER_PIN, "00", "STRANGER-00")
    return simulator


def code(value: str = "16", *, number: str = "04", name: str = "B-16.00%", in_use: bool = True) -> documents.CodeClass:
    """A class with one code, as KRA serves it."""
    one = documents.Code(
        code="B", name=name, description="", sort_order=1, in_use=in_use, custom_values=(value, "", "")
    )
    return documents.CodeClass(
        number=number, name="Class", description="", in_use=True, custom_labels=("", "", ""), codes=[one]
    )


def item_class(letter: str = "B", name: str = "Sugar") -> documents.ItemClass:
    return documents.ItemClass(
        code="5016150900", name=name, level=5, tax_class=letter, is_major_target=False, in_use=True
    )


def store(value: str = "16", *, at: datetime = NOW, now: datetime | None = None, **more: Any) -> None:
    validity.store_codes("sandbox", [code(value, **more)], at=at, now=now or at)


def events(name: str) -> list[Event]:
    return list(Event.objects.filter(name=name).order_by("id"))


# Validity


def test_a_rate_that_changes_closes_the_old_row_and_opens_a_new_one() -> None:
    store("16")
    store("18", at=LATER)
    old, new = Code.objects.order_by("valid_from")
    assert (old.value, old.valid_from, old.valid_to) == ("16", NOW, LATER)
    assert (new.value, new.valid_from, new.valid_to) == ("18", LATER, None)
    assert current_rates("sandbox")["B"] == 18


@pytest.mark.parametrize("change", [{"name": "Standard"}, {"in_use": False}])
def test_a_name_or_a_withdrawal_is_a_change_too(change: dict[str, Any]) -> None:
    store()
    store(at=LATER, **change)
    assert Code.objects.filter(valid_to=None).count() == 1
    assert Code.objects.filter(valid_to=LATER).count() == 1


def test_the_same_list_again_changes_nothing() -> None:
    store()
    store(at=LATER)
    assert Code.objects.get().fetched_at == NOW


def test_an_answer_that_was_asked_for_earlier_does_not_undo_a_newer_one() -> None:
    store("16")
    store("18", at=LATER)
    store("16", at=NOW, now=NOW)
    assert current_rates("sandbox")["B"] == 18


def test_a_row_never_ends_before_it_began_though_kras_clock_was_put_back() -> None:
    store("16", at=LATER)
    store("18", at=NOW, now=LATER)
    old, new = Code.objects.order_by("pk")
    assert (old.valid_to, new.valid_from) == (LATER, LATER)


def test_the_database_keeps_a_code_from_being_valid_twice() -> None:
    store()
    with pytest.raises(IntegrityError), transaction.atomic():
        Code.objects.create(environment="sandbox", code_class="04", code="B", name="B", value="18")


def test_withdrawn_codes_are_not_offered() -> None:
    store(number="10", name="Pieces")
    assert known_codes("sandbox", "10") == {"B": "Pieces"}
    store(number="10", name="Barrel", at=LATER)
    assert known_codes("sandbox", "10") == {"B": "Barrel"}


def test_an_item_class_is_kept_with_its_past_too() -> None:
    make_company()
    validity.store_item_classes("sandbox", [item_class("B")], at=NOW, now=NOW)
    validity.store_item_classes("sandbox", [item_class("C")], at=LATER, now=LATER)
    assert found_classes("sandbox", ["5016150900"])["5016150900"].tax_type == "C"
    assert ItemClass.objects.get(valid_to=LATER).tax_type == "B"
    (event,) = events("item_class.changed")
    (change,) = event.data["changes"]
    assert (change["before"]["tax_type"], change["after"]["tax_type"]) == ("B", "C")


# Who hears of it


def test_a_rate_that_changes_is_told_to_every_company_with_a_device_in_that_environment() -> None:
    amani, stranger = make_company(), make_stranger()
    make_company(pin="P053333333Z", serial="PROD-1", environment="production", name="Production Only Ltd")
    store("16")
    assert not Event.objects.filter(name__contains="changed").exists()  # what is new is no change
    store("18", at=LATER)
    for name in ("code.changed", "rate.changed"):
        assert [event.company for event in events(name)] == [amani.company, stranger.company]
        assert {event.environment for event in events(name)} == {"sandbox"}
    told = events("rate.changed")[0]
    assert told.data == {"tax_type": "B", "valid_from": LATER.isoformat()}
    assert (told.before, told.after) == ("16", "18")
    assert events("code.changed")[0].data["changes"][0]["code"] == "B"


def test_a_new_name_is_told_as_a_changed_code_and_not_as_a_changed_rate() -> None:
    make_company()
    store()
    store(at=LATER, name="Standard")
    assert len(events("code.changed")) == 1
    assert not events("rate.changed")


def test_a_code_of_another_class_is_no_rate() -> None:
    make_company()
    store(number="10")
    store("other", number="10", at=LATER)
    assert len(events("code.changed")) == 1
    assert not events("rate.changed")


def test_an_event_names_a_hundred_changes_and_counts_them_all() -> None:
    make_company()
    classes = [f"{number:010}" for number in range(150)]

    def listed(letter: str) -> list[documents.ItemClass]:
        return [
            documents.ItemClass(code=code, name=code, level=5, tax_class=letter, is_major_target=False, in_use=True)
            for code in classes
        ]

    validity.store_item_classes("sandbox", listed("B"), at=NOW, now=NOW)
    validity.store_item_classes("sandbox", listed("A"), at=LATER, now=LATER)
    (event,) = events("item_class.changed")
    assert (event.data["count"], len(event.data["changes"])) == (150, 100)


# Over the wire


def active(made: Any) -> Device:
    return activate_and_fetch(device=made.device, now=NOW)


def test_a_rate_that_kra_changes_comes_with_the_next_delta(kra: Simulator) -> None:
    device = active(make_company())
    before = {row["code"]: row["value"] for row in Code.objects.filter(code_class="04").values("code", "value")}
    kra.call("POST", "/_sim/settings", {"rates": {"B": 18}})
    fetched = fetch_reference_data(device, now=LATER)
    assert 0 < fetched.codes < 10  # a delta
    assert current_rates("sandbox")["B"] == 18
    closed = Code.objects.get(code_class="04", code="B", valid_to__isnull=False)
    opened = Code.objects.get(code_class="04", code="B", valid_to=None)
    assert (closed.value, opened.value) == (before["B"], "18")
    assert closed.valid_to == opened.valid_from
    assert len(events("rate.changed")) == 1


@pytest.mark.usefixtures("kra")
def test_notices_and_branches_come_with_the_activation() -> None:
    device = active(make_company())
    assert Notice.objects.count() == 3
    assert Notice.objects.get(number=2).title == "Tax rates"
    branch = KraBranch.objects.get()
    assert (branch.company, branch.code, branch.status, branch.is_head_office) == (device.company, "00", "01", True)
    assert not {"manager_name", "manager_phone"} & {field.name for field in KraBranch._meta.get_fields()}


def test_a_new_branch_is_added_and_a_known_one_is_updated(kra: Simulator) -> None:
    device = active(make_company())
    kra.approve(PIN, "01", "AMANI-01", address="Kenyatta Avenue 3")
    KraBranch.objects.update(name="Old name")
    Fetch.objects.filter(operation="branch_list").delete()
    assert fetch_reference_data(device, now=LATER, only=["branch_list"]).branches == 2
    assert [branch.name for branch in KraBranch.objects.order_by("code")] == ["Headquarter", "Branch 01"]


@pytest.mark.usefixtures("kra")
def test_each_list_has_a_watermark_of_its_own_from_kras_clock() -> None:
    device = active(make_company())
    marks = {fetch.operation: fetch.changed_since for fetch in Fetch.objects.all()}
    assert set(marks) == {"code_list", "item_class_list", "branch_list", "notice_list"}
    assert min(marks.values()) > NOW  # the simulator's clock, not the one we were handed
    fetch_reference_data(device, now=LATER, only=["notice_list"])
    again = {fetch.operation: fetch.changed_since for fetch in Fetch.objects.all()}
    assert {name for name in marks if marks[name] != again[name]} <= {"notice_list"}


def test_the_next_fetch_asks_a_little_further_back_than_the_watermark(kra: Simulator) -> None:
    device = active(make_company())
    mark = Fetch.objects.get(operation="notice_list").changed_since
    fetch_reference_data(device, now=LATER, only=["notice_list"])
    sent = kra.requests(operation="notice_list")[-1]["body"]
    assert mark.replace(microsecond=0) - OVERLAP == from_stamp(sent.split('"lastReqDt":"')[1][:14])


def test_an_error_leaves_the_watermark_where_it_was(kra: Simulator) -> None:
    device = active(make_company())
    before = Fetch.objects.get(operation="notice_list").changed_since
    kra.fault("notice_list", "empty_answer", times=1)
    with pytest.raises(KraError):
        fetch_reference_data(device, now=LATER)
    assert Fetch.objects.get(operation="notice_list").changed_since == before


# Every night


def test_the_refresh_asks_shared_lists_once_and_branches_of_every_company(kra: Simulator) -> None:
    for made in (make_company(), make_stranger()):
        active(made)
    last = kra.requests()[-1]["id"]
    refresh_reference_data()
    asked = [(row["operation"], row["pin"]) for row in kra.requests() if row["id"] > last]
    assert sorted(asked) == [
        ("branch_list", PIN),
        ("branch_list", STRANGER_PIN),
        ("code_list", PIN),
        ("item_class_list", PIN),
        ("notice_list", PIN),
    ]


def test_the_refresh_passes_over_a_device_that_kra_does_not_answer(kra: Simulator) -> None:
    for made in (make_company(), make_stranger()):
        active(made)
    kra.fault("*", "http_status", status=503, pin=PIN)
    last = kra.requests()[-1]["id"]
    refresh_reference_data()
    asked = {row["operation"] for row in kra.requests(pin=STRANGER_PIN) if row["id"] > last}
    assert asked == {"code_list", "item_class_list", "notice_list", "branch_list"}
