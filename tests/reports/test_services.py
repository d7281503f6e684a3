"""Reports of a day, a week, a month: made once, from the invoices as they stand, to the cent."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from gateway.audit.chain import seal_journal
from gateway.devices.models import Device
from gateway.lanes.models import Job
from gateway.lib.clock import NAIROBI
from gateway.reports.counting import count_days
from gateway.reports.models import ComplianceReport, DailyReport
from gateway.reports.services import figures_of, generate_compliance_reports, generate_daily_report
from gateway.sales.actions import tell_of
from gateway.sales.models import Invoice
from tests.tenants.factories import make_active, make_company, make_stranger

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)  # Saturday 21st, 01:00 in Nairobi
FRIDAY = date(2026, 11, 20)
FIGURES = {
    "currency": "KES",
    "lines": [],
    "net": {"A": "100.00", "B": "1000.00", "C": "0.00", "D": "0.00", "E": "0.00"},
    "tax": {"A": "0.00", "B": "160.00", "C": "0.00", "D": "0.00", "E": "0.00"},
}
_numbers = iter(range(1, 10_000))


@pytest.fixture
def device() -> Device:
    return activated(make_company().device)


def activated(device: Device) -> Device:
    make_active(device)
    Device.objects.filter(pk=device.pk).update(activated_at=datetime(2026, 11, 16, 6, 0, tzinfo=UTC))
    return Device.objects.select_related("company", "lane").get(pk=device.pk)


def sale(device: Device, at: datetime, status: str = "signed", **changes: Any) -> Invoice:
    """A sale of 1 160.00 at 16 % and 100.00 exempt, accepted at a moment."""
    number = next(_numbers)
    signed: dict[str, Any] = {"number": number, "signature": "S" * 16, "signed_at": at, "settled_at": at}
    fields: dict[str, Any] = {
        "company": device.company,
        "environment": device.environment,
        "device": device,
        "lane": device.lane,
        "reference": f"POS-{number}",
        "content_hash": "v1:",
        "content": {},
        "figures": FIGURES,
        "snapshot": {},
        "body": "",
        "tag": "",
        "issued_at": at,
        "total": Decimal("1260.00"),
        "total_tax": Decimal("160.00"),
        "status": status,
        "accepted_at": at,
        **(signed if status == "signed" else {}),
        **({"settled_at": at} if status in {"refused", "cancelled"} else {}),
        **changes,
    }
    invoice = Invoice.objects.create(**fields)
    if status in {"queued", "sending", "unknown"}:
        state = "queued" if status == "queued" else "started"
        Job.objects.create(lane=device.lane, kind="invoice", document_id=invoice.pk, state=state)
    tell_of(invoice, "invoice.accepted")
    if status in {"signed", "refused", "cancelled"}:
        tell_of(invoice, f"invoice.{status}")
    return invoice


def nairobi(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=NAIROBI)


def friday(device: Device) -> dict[str, Any]:
    seal_journal()
    count_days()
    return figures_of(device.company_id, device.environment, first_day=FRIDAY, last_day=FRIDAY)


def test_a_days_figures_are_those_of_the_documents_accepted_that_day_in_nairobi(device: Device) -> None:
    sale(device, nairobi(19, 23, 59))
    sale(device, nairobi(20, 0, 0))
    sale(device, nairobi(20, 23, 59))
    sale(device, nairobi(21, 0, 0))
    figures = friday(device)
    assert figures["accepted"] == 2
    assert figures["signed"]["KES"]["sale"] == {
        "count": 2,
        "amount": "2520.00",
        "tax": "320.00",
        "by_tax_type": {
            "A": {"net": "200.00", "tax": "0.00", "amount": "200.00"},
            "B": {"net": "2000.00", "tax": "320.00", "amount": "2320.00"},
        },
    }
    assert figures["signed"]["KES"]["credit_note"]["count"] == 0


def test_the_letters_add_up_to_the_amount_to_the_cent(device: Device) -> None:
    for _ in range(7):
        sale(device, nairobi(20, 9))
    signed = friday(device)["signed"]["KES"]["sale"]
    assert sum(Decimal(letter["amount"]) for letter in signed["by_tax_type"].values()) == Decimal(signed["amount"])
    assert sum(Decimal(letter["tax"]) for letter in signed["by_tax_type"].values()) == Decimal(signed["tax"])


def test_credit_notes_and_other_currencies_are_summed_apart(device: Device) -> None:
    sale(device, nairobi(20, 9))
    sale(device, nairobi(20, 10), kind="credit_note")
    sale(device, nairobi(20, 11), figures={**FIGURES, "currency": "USD"})
    signed = friday(device)["signed"]
    assert {
        currency: (kinds["sale"]["count"], kinds["credit_note"]["count"]) for currency, kinds in signed.items()
    } == {
        "KES": (1, 1),
        "USD": (1, 0),
    }


def test_what_kra_refused_is_named_with_its_reason_and_what_is_open_is_counted(device: Device) -> None:
    problem = {
        "code": "refused_by_kra",
        "detail": "KRA does not know this item.",
        "kra": {"code": "910", "message": "x"},
    }
    refused = sale(device, nairobi(20, 9), "refused", problem=problem)
    for status in ("queued", "sending", "unknown", "cancelled"):
        sale(device, nairobi(20, 9), status)
    figures = friday(device)
    assert figures["refused"] == [
        {
            "id": str(refused.public_id),
            "reference": refused.reference,
            "code": "910",
            "reason": "KRA does not know this item.",
        }
    ]
    assert figures["open"] == 3 and figures["signed"] == {}
    assert figures["by_status"] == {"queued": 1, "sending": 1, "unknown": 1, "signed": 0, "refused": 1, "cancelled": 1}


def test_nothing_of_a_stranger_or_of_the_other_environment_is_counted(device: Device) -> None:
    stranger = activated(make_stranger().device)
    sale(stranger, nairobi(20, 9))
    sale(device, nairobi(20, 9), environment="production")
    assert friday(device)["accepted"] == 0


def test_yesterdays_report_and_those_missing_of_the_week_are_made_and_a_second_run_makes_nothing(
    device: Device,
) -> None:
    sale(device, nairobi(20, 9))
    assert generate_daily_report(now=NOW) == 5  # the device works since Monday
    assert DailyReport.objects.get(day=FRIDAY).figures["accepted"] == 1
    assert DailyReport.objects.get(day=date(2026, 11, 17)).figures["accepted"] == 0
    before = list(DailyReport.objects.order_by("id").values())
    assert generate_daily_report(now=NOW) == 0
    assert generate_daily_report(now=NOW + timedelta(hours=20)) == 0
    assert list(DailyReport.objects.order_by("id").values()) == before
    assert generate_daily_report(now=NOW + timedelta(days=1)) == 1


def test_a_report_with_documents_on_their_way_is_made_anew_when_they_are_settled(device: Device) -> None:
    late = sale(device, nairobi(20, 23), "queued")
    generate_daily_report(now=NOW)
    assert generate_daily_report(now=NOW) == 0
    Invoice.objects.filter(pk=late.pk).update(status="signed", number=9000, signature="S" * 16)
    tell_of(late, "invoice.signed")
    assert generate_daily_report(now=NOW + timedelta(days=1)) == 2
    report = DailyReport.objects.get(day=FRIDAY)
    assert (report.figures["open"], report.figures["by_status"]["signed"]) == (0, 1)


def test_a_company_without_an_activated_device_has_no_reports() -> None:
    make_company()
    assert generate_daily_report(now=NOW) == generate_compliance_reports(now=NOW) == 0


def test_compliance_reports_are_those_of_yesterday_of_last_week_and_of_last_month(device: Device) -> None:
    Device.objects.filter(pk=device.pk).update(activated_at=datetime(2026, 10, 5, tzinfo=UTC))
    sale(device, datetime(2026, 10, 31, 23, 0, tzinfo=NAIROBI))
    sale(device, nairobi(9, 0))
    sale(device, nairobi(15, 23))
    sale(device, nairobi(16, 0))
    sale(device, nairobi(20, 9))
    assert generate_compliance_reports(now=NOW) == 3
    made = {
        report.kind: (report.first_day, report.last_day, report.figures["accepted"])
        for report in ComplianceReport.objects.all()
    }
    assert made == {
        "daily": (FRIDAY, FRIDAY, 1),
        "weekly": (date(2026, 11, 9), date(2026, 11, 15), 2),
        "monthly": (date(2026, 10, 1), date(2026, 10, 31), 1),
    }
    assert generate_compliance_reports(now=NOW) == 0


def test_on_the_first_of_a_month_and_on_a_monday_the_periods_have_just_ended(device: Device) -> None:
    Device.objects.filter(pk=device.pk).update(activated_at=datetime(2026, 1, 5, tzinfo=UTC))
    generate_compliance_reports(now=datetime(2026, 6, 1, 1, 0, tzinfo=NAIROBI))  # a Monday
    periods = {report.kind: (report.first_day, report.last_day) for report in ComplianceReport.objects.all()}
    assert periods["weekly"] == (date(2026, 5, 25), date(2026, 5, 31))
    assert periods["monthly"] == (date(2026, 5, 1), date(2026, 5, 31))


def test_two_processes_that_make_the_same_report_make_one(device: Device) -> None:
    key = {"company": device.company, "environment": device.environment, "day": FRIDAY}
    DailyReport.objects.create(**key, figures={"open": 0})
    assert generate_daily_report(now=NOW) == 4
    assert DailyReport.objects.filter(day=FRIDAY).count() == 1


def test_each_report_belongs_to_one_company(device: Device) -> None:
    activated(make_stranger().device)
    assert generate_daily_report(now=NOW) == 10
    assert DailyReport.objects.filter(company=device.company).count() == 5
