"""X and Z reports: each signed document of a branch in exactly one Z, to the cent, whatever happens around it."""

import itertools
import threading
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import Q, QuerySet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.audit.models import Event
from gateway.devices.models import Device
from gateway.lanes.models import Job, Lane
from gateway.lib.clock import NAIROBI
from gateway.reports.cash import CashReferenceReused, move_cash
from gateway.reports.closing import (
    BranchUnclear,
    BranchUnknown,
    DayAhead,
    DayBeforeOpening,
    NoDeviceThere,
    ZTaken,
    find_lane,
    list_z_reports,
    take_due_z_reports,
    take_z_report,
    x_report,
)
from gateway.reports.day_ends import day_ends, set_day_end
from gateway.reports.intervals import IntervalBackwards, IntervalTooLong
from gateway.reports.models import CashMovement, ZReport
from gateway.reports.plu import plu_report
from gateway.sales.models import Found, Invoice, Period
from tests.tenants.factories import make_active, make_company, make_stranger

pytestmark = pytest.mark.django_db
FRIDAY = date(2026, 11, 20)
NET = {"A": "0.00", "B": "0.00", "C": "0.00", "D": "0.00", "E": "0.00"}
RATES = {"A": "0", "B": "16", "C": "0", "D": "0", "E": "8"}
_references = itertools.count(1)


def nairobi(day: int, hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, second, tzinfo=NAIROBI)


@pytest.fixture
def lane() -> Lane:
    return opened(make_company().device)


def opened(device: Device) -> Lane:
    """The branch of a device that was activated on Monday."""
    make_active(device)
    Device.objects.filter(pk=device.pk).update(activated_at=nairobi(16, 9))
    return Lane.objects.select_related("company").get(pk=device.lane_id)


def line(letter: str, cents: int, *, item: str = "SUGAR", discount: int = 0, group: str = "50") -> dict[str, Any]:
    """A line of a total with tax in cents."""
    rate = Decimal(RATES[letter])
    total = Decimal(cents) / 100
    net = (total * 100 / (100 + rate)).quantize(Decimal("0.01"))
    return {
        "item_code": item,
        "item_class": f"{group}16150900",
        "name": item.title(),
        "tax_type": letter,
        "quantity": "1",
        "unit_price": str(total),
        "discount": str(Decimal(discount) / 100),
        "net": str(net),
        "tax": str(total - net),
        "total": str(total),
    }


def document(
    lane: Lane, at: datetime, *lines: dict[str, Any], status: str = "signed", pay: str = "cash", **changes: Any
) -> Invoice:
    """A document of these lines, 116.00 at 16 % when none are given, that came to this end at a moment."""
    lines = lines or (line("B", 11600),)
    net, tax = dict(NET), dict(NET)
    for one in lines:
        letter = one["tax_type"]
        net[letter] = str(Decimal(net[letter]) + Decimal(one["net"]))
        tax[letter] = str(Decimal(tax[letter]) + Decimal(one["tax"]))
    total = sum(Decimal(one["total"]) for one in lines)
    figures = {
        "currency": "KES",
        "rates": RATES,
        "lines": list(lines),
        "net": net,
        "tax": tax,
        "discount": str(sum(Decimal(one["discount"]) for one in lines)),
        "payments": [{"method": pay, "amount": str(total)}],
    }
    fields: dict[str, Any] = {
        "company": lane.company,
        "environment": lane.environment,
        "device": Device.objects.filter(lane=lane).first(),
        "lane": lane,
        "reference": f"POS-{next(_references)}",
        "content_hash": "v1:",
        "content": {},
        "figures": figures,
        "snapshot": {},
        "body": "",
        "tag": "",
        "issued_at": at,
        "total": total,
        "total_tax": sum(Decimal(one) for one in tax.values()),
        "status": status,
        "accepted_at": at,
    }
    if status == "signed":
        number = lane.next_number
        lane.next_number += 1
        fields |= {"number": number, "signature": "S" * 16, "signed_at": at, "settled_at": at}
    elif status in {"refused", "cancelled"}:
        fields |= {"settled_at": at}
    made = Invoice.objects.create(**{**fields, **changes})
    if status in {"queued", "sending", "unknown"}:
        Job.objects.create(lane=lane, kind="invoice", document_id=made.pk)
    return made


def sign(invoice: Invoice, lane: Lane, at: datetime) -> None:
    """The control unit signs a document that was on its way."""
    Job.objects.filter(kind="invoice", document_id=invoice.pk).update(state="closed")
    Invoice.objects.filter(pk=invoice.pk).update(
        status="signed", number=lane.next_number, signature="S" * 16, signed_at=at, settled_at=at
    )
    lane.next_number += 1


def close(lane: Lane, at: datetime, day: date | None = None) -> ZReport:
    return take_z_report(lane, by="key:owner:rvp", day=day, now=at)


def documents_of(report: ZReport) -> QuerySet[Invoice]:
    """The documents that a Z report covers."""
    in_run = Q(number__gte=report.first_number, number__lte=report.last_number)
    in_run &= ~Q(number__in=report.others_numbers)  # what was ours among them since, counts in a later one
    numbers = in_run | Q(number__in=report.figures["late_numbers"])
    return Invoice.objects.filter(numbers, lane_id=report.lane_id, status=Invoice.Status.SIGNED)


# The figures


def test_a_z_report_says_all_that_the_specification_asks_for(lane: Lane) -> None:
    document(lane, nairobi(20, 9), line("B", 11600, discount=400), line("A", 5000, item="SALT", group="12"))
    document(lane, nairobi(20, 10), line("E", 10800), pay="mobile_money")
    document(lane, nairobi(20, 11), line("B", 5800), kind="credit_note")
    document(lane, nairobi(20, 12), status="refused")
    document(lane, nairobi(20, 13), status="cancelled")
    document(lane, nairobi(20, 14), status="queued")
    move_cash(lane, kind="opening", amount=Decimal(2000), reference="C-1", by="k", now=nairobi(20, 8))
    move_cash(lane, kind="deposit", amount=Decimal(500), reference="C-2", by="k", now=nairobi(20, 9))
    move_cash(lane, kind="withdrawal", amount=Decimal("120.50"), reference="C-3", by="k", now=nairobi(20, 9))
    report = close(lane, nairobi(20, 18))
    figures = report.figures
    assert (report.number, report.day, report.first_number, report.last_number) == (1, FRIDAY, 1, 3)
    assert (report.opened_at, report.closed_at) == (nairobi(16, 9), nairobi(20, 18))
    assert figures["sales"] == {"count": 2, "amount": "274.00", "tax": "24.00"}
    assert figures["credit_notes"] == {"count": 1, "amount": "58.00", "tax": "8.00"}
    assert figures["net"] == {"amount": "216.00", "tax": "16.00"}
    nothing = {"net": "0.00", "tax": "0.00", "amount": "0.00"}
    assert figures["by_tax_type"] == [
        {
            "tax_type": "A",
            "rate": "0",
            "sales": {"net": "50.00", "tax": "0.00", "amount": "50.00"},
            "credit_notes": nothing,
        },
        {
            "tax_type": "B",
            "rate": "16",
            "sales": {"net": "100.00", "tax": "16.00", "amount": "116.00"},
            "credit_notes": {"net": "50.00", "tax": "8.00", "amount": "58.00"},
        },
        {"tax_type": "C", "rate": None, "sales": nothing, "credit_notes": nothing},
        {"tax_type": "D", "rate": None, "sales": nothing, "credit_notes": nothing},
        {
            "tax_type": "E",
            "rate": "8",
            "sales": {"net": "100.00", "tax": "8.00", "amount": "108.00"},
            "credit_notes": nothing,
        },
    ]
    assert [(group["group"], group["sales"]["amount"]) for group in figures["by_group"]] == [
        ("12", "50.00"),
        ("50", "224.00"),
    ]
    assert figures["payments"] == [
        {"method": "cash", "name": "CASH", "sales": "166.00", "credit_notes": "58.00"},
        {"method": "mobile_money", "name": "MOBILE MONEY", "sales": "108.00", "credit_notes": "0.00"},
    ]
    assert figures["discounts"] == {"sales": "4.00", "credit_notes": "0.00"}
    assert figures["items"] == {"sales": 3, "credit_notes": 1}
    one = {"count": 1, "amount": "116.00"}
    assert figures["incomplete"] == {"count": 3, "refused": one, "cancelled": one, "open": one}
    assert figures["cash"] == {
        "opening": "2000.00",
        "deposits": {"count": 1, "amount": "500.00"},
        "withdrawals": {"count": 1, "amount": "120.50"},
        "sales": "166.00",
        "credit_notes": "58.00",
        "in_drawer": "2487.50",
    }
    assert figures["seller"]["pin"] == lane.pin and figures["seller"]["branch_code"] == "00"
    assert figures["seller"]["devices"] == [{"serial": "AMANI-00", "control_unit": "SIMCU0100000001"}]
    assert figures["software"]["name"] == "Revpay Connect eTIMS Gateway"


def test_an_x_report_shows_the_same_and_keeps_nothing(lane: Lane) -> None:
    document(lane, nairobi(20, 9))
    first = x_report(lane, now=nairobi(20, 10))
    assert x_report(lane, now=nairobi(20, 10)) == first
    assert (first["next_z_number"], first["figures"]["sales"]["amount"], ZReport.objects.count()) == (1, "116.00", 0)
    report = close(lane, nairobi(20, 10))
    assert report.figures == first["figures"]
    after = x_report(lane, now=nairobi(20, 11))
    assert (after["next_z_number"], after["first_number"], after["figures"]["sales"]["count"]) == (2, None, 0)
    assert after["figures"]["cumulative"]["sales"] == {"count": 1, "amount": "116.00", "tax": "16.00"}


def test_a_rate_that_changes_in_the_middle_of_a_day_gives_two_rows(lane: Lane) -> None:
    document(lane, nairobi(20, 9))
    changed = document(lane, nairobi(20, 10), status="queued")
    Invoice.objects.filter(pk=changed.pk).update(figures={**changed.figures, "rates": {**RATES, "B": "14"}})
    sign(changed, lane, nairobi(20, 10))
    letters = close(lane, nairobi(20, 18)).figures["by_tax_type"]
    assert [(row["tax_type"], row["rate"]) for row in letters if row["tax_type"] == "B"] == [("B", "14"), ("B", "16")]


# Which day a document belongs to


def test_a_discount_that_no_float_can_hold_is_summed_to_the_cent(lane: Lane) -> None:
    document(lane, nairobi(20, 9), line("B", 11600, discount=6490))
    document(lane, nairobi(20, 10), line("B", 11600, discount=10))
    document(lane, nairobi(20, 11), line("B", 5800, discount=3245), kind="credit_note")
    discounts = {"sales": "65.00", "credit_notes": "32.45"}
    assert x_report(lane, now=nairobi(20, 12))["figures"]["discounts"] == discounts
    assert close(lane, nairobi(20, 12)).figures["discounts"] == discounts


def test_what_is_signed_after_a_z_counts_in_the_next_one(lane: Lane) -> None:
    document(lane, nairobi(20, 9))
    first = close(lane, nairobi(20, 18))
    document(lane, nairobi(20, 19))
    document(lane, nairobi(21, 9))
    second = close(lane, nairobi(21, 18))
    assert (first.figures["sales"]["count"], second.figures["sales"]["count"]) == (1, 2)
    assert (second.number, second.opened_at, second.first_number, second.last_number) == (2, first.closed_at, 2, 3)
    assert second.figures["cumulative"]["sales"]["count"] == 3


def test_a_day_that_is_over_ends_at_its_midnight_by_the_control_units_clock(lane: Lane) -> None:
    document(lane, nairobi(20, 23, 59, 59))
    document(lane, nairobi(21, 0, 0, 0))
    move_cash(lane, kind="deposit", amount=Decimal(1), reference="C-1", by="k", now=nairobi(20, 23))
    move_cash(lane, kind="deposit", amount=Decimal(2), reference="C-2", by="k", now=nairobi(21, 0))
    friday = close(lane, nairobi(21, 0, 5), FRIDAY)
    saturday = close(lane, nairobi(21, 20))
    assert (friday.last_number, friday.closed_at) == (1, nairobi(21, 0))
    assert (saturday.first_number, saturday.last_number) == (2, 2)
    assert [one.figures["cash"]["deposits"]["amount"] for one in (friday, saturday)] == ["1.00", "2.00"]


def test_a_document_in_doubt_at_the_close_is_open_there_and_counts_in_the_z_after_it_is_signed(lane: Lane) -> None:
    doubtful = document(lane, nairobi(20, 17), status="unknown")
    waiting = document(lane, nairobi(20, 17), status="queued")
    friday = close(lane, nairobi(21, 0, 5), FRIDAY)
    assert friday.figures["sales"]["count"] == 0 and friday.figures["incomplete"]["open"]["count"] == 2
    sign(doubtful, lane, nairobi(20, 17))  # KRA had it all the time
    sign(waiting, lane, nairobi(21, 8))
    saturday = close(lane, nairobi(21, 20))
    assert saturday.figures["sales"]["count"] == 2 and saturday.figures["incomplete"]["open"]["count"] == 0


def test_what_is_signed_or_refused_between_midnight_and_the_report_was_open_at_midnight(lane: Lane) -> None:
    sign(document(lane, nairobi(20, 23), status="queued"), lane, nairobi(21, 0, 2))
    document(lane, nairobi(20, 23), status="refused", settled_at=nairobi(21, 0, 2))
    document(lane, nairobi(21, 0, 1), status="queued")  # came after
    assert close(lane, nairobi(21, 0, 5), FRIDAY).figures["incomplete"] == {
        "count": 2,
        "refused": {"count": 0, "amount": "0.00"},
        "cancelled": {"count": 0, "amount": "0.00"},
        "open": {"count": 2, "amount": "232.00"},
    }
    assert close(lane, nairobi(21, 9)).figures["incomplete"]["refused"]["count"] == 1


def test_a_document_that_another_system_seemed_to_have_counts_once_in_the_first_z_after_it_was_known(
    lane: Lane,
) -> None:
    Found.objects.create(lane=lane, number=1, document={})
    lane.next_number = 2
    document(lane, nairobi(20, 9))
    first = close(lane, nairobi(20, 18))
    assert (first.others_numbers, first.first_number, first.last_number) == ([1], 1, 2)
    ours = document(lane, nairobi(20, 8), number=1)
    lane.next_number = 3
    second = close(lane, nairobi(21, 18))
    assert (second.figures["late_numbers"], second.others_numbers) == ([1], [])
    assert second.figures["sales"]["count"] == 1 and second.first_number > second.last_number
    third = close(lane, nairobi(22, 18))
    assert third.figures["sales"]["count"] == 0 and third.figures["cumulative"]["sales"]["count"] == 2
    assert [list(documents_of(one)) for one in (second, third)] == [[ours], []]
    assert [one.number for one in documents_of(first)] == [2]


# Once a day, in order, for ever


def test_a_second_z_of_the_day_is_refused_and_so_is_one_of_a_day_before(lane: Lane) -> None:
    kept = close(lane, nairobi(20, 18))
    for day in (None, FRIDAY, date(2026, 11, 19)):
        with pytest.raises(ZTaken) as refused:
            close(lane, nairobi(20, 19), day)
        assert refused.value.report == kept
    assert ZReport.objects.count() == 1 and Period.objects.get(lane=lane).report_number == 2


def test_a_day_that_has_not_begun_cannot_be_closed(lane: Lane) -> None:
    with pytest.raises(DayAhead):
        close(lane, nairobi(20, 23), date(2026, 11, 21))


def test_a_day_before_the_branch_opened_cannot_be_closed(lane: Lane) -> None:
    with pytest.raises(DayBeforeOpening) as raised:
        close(lane, nairobi(20, 18), day=date(2026, 11, 15))
    assert (raised.value.day, raised.value.opened_on) == (date(2026, 11, 15), date(2026, 11, 16))
    assert not ZReport.objects.exists()
    first = close(lane, nairobi(20, 18), day=date(2026, 11, 16))
    assert (first.number, first.opened_at) == (1, nairobi(16, 9))


def test_a_document_older_than_the_device_opened_the_branch(lane: Lane) -> None:
    document(lane, nairobi(13, 9))
    report = close(lane, nairobi(20, 18), day=date(2026, 11, 13))
    assert (report.number, report.opened_at, report.figures["sales"]["count"]) == (1, nairobi(13, 9), 1)


def test_a_branch_that_has_not_opened_closes_no_day_that_is_over() -> None:
    device = make_company().device
    lane = Lane.objects.select_related("company").get(pk=device.lane_id)
    with pytest.raises(DayBeforeOpening, match="None"):
        close(lane, nairobi(20, 18), day=date(2026, 11, 19))
    assert not ZReport.objects.exists()


def test_a_missed_day_is_covered_by_the_next_z(lane: Lane) -> None:
    close(lane, nairobi(16, 18))
    for day in (17, 18, 19):
        document(lane, nairobi(day, 12))
    report = close(lane, nairobi(20, 18))
    assert (report.number, report.opened_at, report.figures["sales"]["count"]) == (2, nairobi(16, 18), 3)


def test_a_kept_report_and_a_noted_movement_of_cash_never_change(lane: Lane) -> None:
    move_cash(lane, kind="deposit", amount=Decimal(1), reference="C-1", by="k", now=nairobi(20, 9))
    report = close(lane, nairobi(20, 18))
    rows = [
        ZReport.objects.filter(pk=report.pk),
        CashMovement.objects.all(),
    ]
    for change in (
        lambda: rows[0].update(figures={}),
        lambda: rows[0].delete(),
        lambda: rows[1].update(amount=2),
        lambda: rows[1].update(z_report=None),
        lambda: CashMovement.objects.all()._raw_delete("default"),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()


def test_a_z_is_told_in_the_journal_with_who_took_it(lane: Lane) -> None:
    report = close(lane, nairobi(20, 18))
    event = Event.objects.get(name="z_report.taken")
    assert (event.subject, event.actor, event.data["number"]) == (report.public_id, "key:owner:rvp", 1)


def test_each_branch_has_reports_of_its_own_and_a_stranger_none(lane: Lane) -> None:
    other = opened(make_stranger().device)
    document(lane, nairobi(20, 9))
    document(other, nairobi(20, 9), line("B", 5000))
    assert [close(one, nairobi(20, 18)).figures["sales"]["amount"] for one in (lane, other)] == ["116.00", "50.00"]
    reports, following = list_z_reports(lane.company_id, "sandbox", limit=10)
    assert [report.lane_id for report in reports] == [lane.pk] and following is None


def test_the_list_has_a_second_page_and_can_be_narrowed(lane: Lane) -> None:
    assert list_z_reports(lane.company_id, "sandbox", limit=2) == ([], None)
    for day in (17, 18, 19):
        close(lane, nairobi(day, 18))
    first, following = list_z_reports(lane.company_id, "sandbox", limit=2)
    close(lane, nairobi(20, 18))
    second, end = list_z_reports(lane.company_id, "sandbox", limit=2, cursor=following)
    assert [report.number for report in (*first, *second)] == [3, 2, 1] and end is None
    some, _ = list_z_reports(lane.company_id, "sandbox", since=date(2026, 11, 18), until=date(2026, 11, 19), limit=9)
    assert [report.number for report in some] == [3, 2]
    assert list_z_reports(lane.company_id, "sandbox", branch="07", limit=9) == ([], None)


def test_which_branch_is_meant(lane: Lane) -> None:
    device = Device.objects.get(lane=lane)
    assert find_lane(lane.company_id, "sandbox", None) == lane
    assert find_lane(lane.company_id, "sandbox", "00", device=device.public_id) == lane
    with pytest.raises(BranchUnknown, match="07"):
        find_lane(lane.company_id, "sandbox", "07")
    with pytest.raises(NoDeviceThere, match="00"):
        find_lane(lane.company_id, "production", "00")
    with pytest.raises(NoDeviceThere, match=r"^$"):
        find_lane(lane.company_id, "production", None)


# By itself


def test_days_close_by_themselves_once_and_a_hand_made_z_is_left_alone(lane: Lane) -> None:
    document(lane, nairobi(20, 12))
    assert take_due_z_reports(now=nairobi(21, 0, 10)) == 1  # covers the days since Monday too
    report = ZReport.objects.get()
    assert (report.day, report.made_by, report.figures["sales"]["count"]) == (FRIDAY, "schedule", 1)
    assert take_due_z_reports(now=nairobi(21, 23, 50)) == 0
    close(lane, nairobi(21, 23, 55))
    assert take_due_z_reports(now=nairobi(22, 0, 10)) == 0
    assert take_due_z_reports(now=nairobi(23, 0, 10)) == 1
    assert [one.number for one in ZReport.objects.order_by("day")] == [1, 2, 3]


def test_a_branch_that_closes_at_an_hour_closes_the_same_day(lane: Lane) -> None:
    set_day_end(company=lane.company, branch="00", is_automatic=True, hour=21, by="k")
    assert take_due_z_reports(now=nairobi(20, 20, 59)) == 1  # the day before was missed
    assert ZReport.objects.get().day == date(2026, 11, 19)
    document(lane, nairobi(20, 20, 59))
    assert take_due_z_reports(now=nairobi(20, 21, 0)) == 1
    document(lane, nairobi(20, 22))
    assert take_due_z_reports(now=nairobi(21, 0, 10)) == 0
    assert ZReport.objects.get(day=FRIDAY).figures["sales"]["count"] == 1


def test_a_company_that_closes_by_hand_is_left_alone_but_for_branches_that_say_otherwise(lane: Lane) -> None:
    set_day_end(company=lane.company, branch=None, is_automatic=False, hour=0, by="k")
    assert take_due_z_reports(now=nairobi(21, 0, 10)) == 0
    set_day_end(company=lane.company, branch="00", is_automatic=True, hour=0, by="k")
    assert [(code, end.is_automatic) for code, end in day_ends(lane.company_id)] == [("00", True)]
    assert take_due_z_reports(now=nairobi(21, 0, 10)) == 1
    set_day_end(company=lane.company, branch=None, is_automatic=False, hour=0, by="k")
    assert [(code, end.is_automatic) for code, end in day_ends(lane.company_id)] == [("00", False)]


def test_a_branch_that_signs_nothing_yet_and_one_that_was_given_up_are_not_closed_for_ever() -> None:
    waiting = make_company().device
    assert take_due_z_reports(now=nairobi(21, 1)) == 0
    lane = opened(waiting)
    Device.objects.filter(pk=waiting.pk).update(status="retired", retired_at=nairobi(19, 12))
    document(lane, nairobi(19, 11))
    assert take_due_z_reports(now=nairobi(21, 1)) == 1
    assert ZReport.objects.get().day == date(2026, 11, 19)
    assert take_due_z_reports(now=nairobi(25, 1)) == 0


# Cash


def test_the_same_reference_is_the_same_movement_of_cash(lane: Lane) -> None:
    first = move_cash(lane, kind="deposit", amount=Decimal(5), reference="C-1", by="k")
    again = move_cash(lane, kind="deposit", amount=Decimal("5.00"), reference="C-1", by="k")
    assert (first.replayed, again.replayed, again.movement.pk) == (False, True, first.movement.pk)
    with pytest.raises(CashReferenceReused):
        move_cash(lane, kind="deposit", amount=Decimal(6), reference="C-1", by="k")
    assert Event.objects.filter(name="cash.moved").count() == 1


# PLU


def test_a_plu_report_sums_each_item_of_the_interval(lane: Lane) -> None:
    document(lane, nairobi(18, 23, 59), line("B", 9900))
    document(lane, nairobi(19, 0), line("B", 11600), line("A", 5000, item="SALT"))
    document(lane, nairobi(20, 23, 59), line("B", 12000))
    document(lane, nairobi(20, 12), line("B", 11600), kind="credit_note")
    document(lane, nairobi(21, 0), line("B", 100))
    document(lane, nairobi(20, 12), line("B", 100), status="refused")
    salt, sugar = plu_report([lane], first_day=date(2026, 11, 19), last_day=FRIDAY)
    assert (salt.code, salt.tax_type, salt.sold, salt.sold_amount) == ("SALT", "A", Decimal(1), Decimal("50.00"))
    assert (sugar.sold, sugar.sold_amount, sugar.unit_price) == (Decimal(2), Decimal("236.00"), Decimal("120.00"))
    assert (sugar.credited, sugar.credited_amount, sugar.rate) == (Decimal(1), Decimal("116.00"), "16")
    assert sugar.remaining is None
    assert plu_report([lane], first_day=date(2026, 12, 1), last_day=date(2026, 12, 1)) == []


def test_an_interval_is_in_order_and_at_most_a_month(lane: Lane) -> None:
    for last_day, wrong in ((date(2026, 11, 19), IntervalBackwards), (date(2026, 12, 21), IntervalTooLong)):
        with pytest.raises(wrong):
            plu_report([lane], first_day=FRIDAY, last_day=last_day)
    plu_report([lane], first_day=FRIDAY, last_day=date(2026, 12, 20))


# Under all circumstances

steps = st.lists(
    st.one_of(
        st.tuples(st.just("sell"), st.sampled_from("ABCDE"), st.integers(1, 10**6), st.booleans()),
        st.tuples(st.just("note"), st.sampled_from("ABE"), st.integers(1, 10**4), st.booleans()),
        st.tuples(st.just("wait"), st.just("B"), st.integers(1, 10**6), st.booleans()),
        st.tuples(st.sampled_from(["sign", "refuse", "z", "yesterday"]), st.just(""), st.just(0), st.booleans()),
        st.tuples(st.just("pass"), st.just(""), st.integers(1, 40 * 60), st.booleans()),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_whatever_a_branch_does_its_z_reports_sum_to_its_signed_documents(steps: Any) -> None:
    with rolled_back():
        lane = opened(make_company().device)
        now = nairobi(16, 9)
        waiting: list[Invoice] = []
        for verb, letter, amount, in_cash in steps:
            pay = "cash" if in_cash else "card"
            if verb in {"sell", "note"} and not waiting:  # one at a time: nothing overtakes what waits
                kind = "sale" if verb == "sell" else "credit_note"
                document(lane, now, line(letter, amount), line("B", amount + 1), kind=kind, pay=pay)
            elif verb in {"sell", "note", "wait"}:
                waiting.append(document(lane, now, line("B", amount), status="queued", pay=pay))
            elif verb == "sign" and waiting:
                sign(waiting.pop(0), lane, now)
            elif verb == "refuse" and waiting:
                refused = waiting.pop(0)
                Job.objects.filter(document_id=refused.pk).update(state="closed")
                Invoice.objects.filter(pk=refused.pk).update(status="refused", settled_at=now)
            elif verb in {"z", "yesterday"}:
                day = now.astimezone(NAIROBI).date() - timedelta(days=verb == "yesterday")
                try:
                    take_z_report(lane, by="k", day=day, now=now)
                except ZTaken:
                    assert ZReport.objects.filter(lane=lane, day__gte=day).exists()
                except DayBeforeOpening:
                    assert day == date(2026, 11, 15)
            elif verb == "pass":
                now += timedelta(minutes=amount)
        last = take_z_report(lane, by="k", day=(now + timedelta(days=3)).date(), now=now + timedelta(days=3))
        reports = list(ZReport.objects.filter(lane=lane).order_by("number"))
        assert [report.number for report in reports] == list(range(1, len(reports) + 1))
        counted = [pk for report in reports for pk in documents_of(report).values_list("pk", flat=True)]
        signed = list(Invoice.objects.filter(lane=lane, status="signed"))
        assert sorted(counted) == sorted(invoice.pk for invoice in signed)
        for report in reports:
            assert_is_the_sum_of(report, list(documents_of(report)))
        for kind, side in (("sale", "sales"), ("credit_note", "credit_notes")):
            of_kind = [invoice for invoice in signed if invoice.kind == kind]
            assert last.figures["cumulative"][side] == {
                "count": len(of_kind),
                "amount": f"{sum(one.total for one in of_kind):.2f}",
                "tax": f"{sum(one.total_tax for one in of_kind):.2f}",
            }


class rolled_back:
    """What is done in the block is undone, so that examples do not meet each other."""

    def __enter__(self) -> None:
        self._atomic = transaction.atomic()
        self._atomic.__enter__()

    def __exit__(self, *raised: Any) -> None:
        transaction.set_rollback(True)
        self._atomic.__exit__(*raised)


def assert_is_the_sum_of(report: ZReport, documents: list[Invoice]) -> None:
    """To the cent, counted in another way than the report was: document by document, from the columns."""
    figures = report.figures
    for kind, side in (("sale", "sales"), ("credit_note", "credit_notes")):
        own = [one for one in documents if one.kind == kind]
        total, tax = sum((one.total for one in own), Decimal(0)), sum((one.total_tax for one in own), Decimal(0))
        assert figures[side] == {"count": len(own), "amount": f"{total:.2f}", "tax": f"{tax:.2f}"}
        assert sum(Decimal(row[side]["amount"]) for row in figures["by_tax_type"]) == total
        assert sum(Decimal(row[side]["tax"]) for row in figures["by_tax_type"]) == tax
        assert sum(Decimal(row[side]["amount"]) for row in figures["by_group"]) == total
        assert sum(Decimal(row[side]) for row in figures["payments"]) == total
        for letter in "ABCDE":
            ours = sum((Decimal(one.figures["net"][letter]) for one in own), Decimal(0))
            rows = [row for row in figures["by_tax_type"] if row["tax_type"] == letter]
            assert sum(Decimal(row[side]["net"]) for row in rows) == ours
    net = Decimal(figures["sales"]["amount"]) - Decimal(figures["credit_notes"]["amount"])
    assert Decimal(figures["net"]["amount"]) == net


@pytest.mark.django_db(transaction=True)
def test_of_two_that_close_the_same_day_at_once_one_wins() -> None:
    lane = opened(make_company().device)
    for _ in range(20):
        document(lane, nairobi(20, 9))
    ends: list[str] = []
    gate = threading.Barrier(4)

    def run() -> None:
        gate.wait()
        try:
            ends.append(f"Z {close(lane, nairobi(20, 18)).number}")
        except ZTaken as taken:
            ends.append(f"taken by {taken.report.number}")
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ends) == ["Z 1", "taken by 1", "taken by 1", "taken by 1"]
    assert ZReport.objects.count() == 1 and ZReport.objects.get().figures["sales"]["count"] == 20


def test_a_branch_must_be_named_where_there_are_several(lane: Lane) -> None:
    device = Device.objects.get(lane=lane)
    second = Lane.objects.create(
        company=lane.company, environment="sandbox", pin=lane.pin, branch="01", series=Lane.Series.INVOICE
    )
    Device.objects.create(
        company=lane.company, branch=device.branch, environment="sandbox", serial="AMANI-01", profile="x", lane=second
    )
    with pytest.raises(BranchUnclear, match="00, 01"):
        find_lane(lane.company_id, "sandbox", None)
    assert find_lane(lane.company_id, "sandbox", None, device=device.public_id) == lane
