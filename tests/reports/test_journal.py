"""The electronic journal: each printed document is found again, and taken out whole."""

import csv
import io
import uuid
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from gateway.audit.models import Event
from gateway.lanes.models import Chore, Lane
from gateway.lib.cursor import BadCursor
from gateway.reports import journal
from gateway.reports.closing import take_z_report, x_report
from gateway.reports.intervals import IntervalBackwards, IntervalTooLong
from gateway.reports.journal import (
    Filter,
    content_of,
    find_printed,
    forget_journal_exports,
    list_exports,
    list_printed,
    queue_export,
    shown,
    write_export,
)
from gateway.reports.models import JournalExport
from gateway.sales.models import Invoice, PrintedDocument
from gateway.sales.receipts.labels import Label
from gateway.sales.receipts.printed import printed_document
from tests.reports.test_closing import FRIDAY, document, nairobi, opened
from tests.tenants.factories import make_company, make_stranger

pytestmark = pytest.mark.django_db


@pytest.fixture
def lane() -> Lane:
    return opened(make_company().device)


def hand_out(lane: Lane, label: Label = Label.NORMAL_SALE, *, at: Any = None, **more: Any) -> PrintedDocument:
    """A document that was printed on Friday morning."""
    fields: dict[str, Any] = {"reference": "POS-1", "total": Decimal("116.00"), "text": "SUGAR\n  116.00\n", **more}
    row = printed_document(
        company_id=lane.company_id,
        environment=lane.environment,
        branch=lane.branch,
        label=label,
        content=b"%PDF",
        channel=PrintedDocument.Channel.API,
        format="pdf",
        paper="80mm",
        actor="key:cashier:rvp",
        **fields,
    )
    row.printed_at = at or nairobi(20, 9)
    row.save()
    return row


def found(lane: Lane, **wanted: Any) -> list[str]:
    rows, _ = list_printed(lane.company_id, "sandbox", Filter(**wanted), limit=50)
    return [row.reference for row in rows]


def test_the_journal_is_empty_at_first_and_has_pages(lane: Lane) -> None:
    assert list_printed(lane.company_id, "sandbox", Filter(), limit=2) == ([], None)
    for number in range(3):
        hand_out(lane, Label.COPY_SALE, reference=f"POS-{number}")
    first, following = list_printed(lane.company_id, "sandbox", Filter(), limit=2)
    hand_out(lane, Label.COPY_SALE, reference="POS-9")
    second, end = list_printed(lane.company_id, "sandbox", Filter(), limit=2, cursor=following)
    assert [row.reference for row in (*first, *second)] == ["POS-2", "POS-1", "POS-0"] and end is None
    with pytest.raises(BadCursor):
        list_printed(make_stranger().company.pk, "sandbox", Filter(), limit=2, cursor=following)


def test_a_document_is_found_by_number_buyer_amount_day_label_and_branch(lane: Lane) -> None:
    sale = document(lane, nairobi(20, 9), buyer_pin="A012345678Z", receipt_number=7, control_unit_id="SIM1")
    hand_out(lane, invoice_id=sale.pk, reference=sale.reference)
    hand_out(lane, Label.PROFORMA_SALE, reference="OFFER", total=Decimal("50.00"), at=nairobi(21, 0))
    mine = [sale.reference]
    assert found(lane, number=sale.number) == found(lane, buyer_pin="A012345678Z") == mine
    assert found(lane, amount=Decimal("116")) == found(lane, label="NS") == found(lane, last_day=FRIDAY) == mine
    assert found(lane, first_day=date(2026, 11, 21)) == found(lane, reference="OFFER") == ["OFFER"]
    assert found(lane, branch="01") == found(lane, number=99) == []
    (row,), _ = list_printed(lane.company_id, "sandbox", Filter(label="NS"), limit=1)
    told = shown(row)
    assert (told["number"], told["cu_invoice_number"], told["buyer_pin"]) == (sale.number, "SIM1/7", "A012345678Z")
    one = find_printed(lane.company_id, "sandbox", row.public_id)
    assert one is not None and one.text == "SUGAR\n  116.00\n"
    assert find_printed(lane.company_id, "sandbox", uuid.uuid4()) is None
    assert find_printed(make_stranger().company.pk, "sandbox", row.public_id) is None


def exported(lane: Lane, format: str = "csv", **more: Any) -> JournalExport:
    days = {"first_day": FRIDAY, "last_day": FRIDAY, **more}
    return queue_export(company=lane.company, environment="sandbox", format=format, by="key:owner", **days)


def text_of(export: JournalExport) -> str:
    return b"".join(content_of(export)).decode()


def test_an_export_holds_every_document_of_its_days_once(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "BATCH", 2)
    hand_out(lane, reference="BEFORE", at=nairobi(19, 23, 59))
    for number in range(5):
        hand_out(lane, Label.COPY_SALE, reference=f"POS-{number}", at=nairobi(20, 23, 59))
    hand_out(opened(make_stranger().device), reference="STRANGER")
    export = exported(lane)
    assert Chore.objects.filter(kind="journal", document_id=export.pk).exists()
    write_export(export.pk, lambda: None)
    write_export(export.pk, lambda: None)
    export.refresh_from_db()
    rows = list(csv.DictReader(io.StringIO(text_of(export))))
    assert [row["reference"] for row in rows] == [f"POS-{number}" for number in range(5)]
    assert rows[0]["printed_at"] == "2026-11-20 23:59:00" and rows[0]["total"] == "116.00"
    assert (export.documents_total, export.finished_at is not None, export.parts.count()) == (5, True, 3)
    event = Event.objects.get(name="export.asked")
    assert (event.actor, event.severity, event.subject) == ("key:owner", "notice", export.public_id)


def test_an_export_that_was_left_behind_goes_on_after_its_last_part(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "BATCH", 2)
    for number in range(5):
        hand_out(lane, Label.COPY_SALE, reference=f"POS-{number}")
    export = exported(lane, "text")

    def die() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        write_export(export.pk, die)
    assert export.parts.count() == 1
    write_export(export.pk, lambda: None)
    lines = [line.split()[3:5] for line in text_of(export).splitlines() if line.startswith("===")]
    assert lines == [["CS", f"POS-{number}"] for number in range(5)]
    assert text_of(export).count("SUGAR\n  116.00\n") == 5


def test_an_empty_export_has_only_its_head(lane: Lane) -> None:
    export = exported(lane)
    write_export(export.pk, lambda: None)
    assert text_of(export) == ",".join(journal.COLUMNS) + "\r\n"
    with pytest.raises(IntervalBackwards):
        exported(lane, last_day=FRIDAY - timedelta(days=1))
    with pytest.raises(IntervalTooLong):
        exported(lane, last_day=FRIDAY + timedelta(days=366))


def test_a_cell_never_becomes_a_formula(lane: Lane) -> None:
    hand_out(lane, Label.COPY_SALE, reference="=HYPERLINK(1)")
    hand_out(lane, Label.COPY_CREDIT_NOTE, reference="CN", total=Decimal("-116.00"))
    export = exported(lane)
    write_export(export.pk, lambda: None)
    first, second = csv.DictReader(io.StringIO(text_of(export)))
    assert first["reference"] == "'=HYPERLINK(1)" and second["total"] == "-116.00"


def test_old_files_are_forgotten_and_the_list_has_pages(lane: Lane) -> None:
    assert list_exports(lane.company_id, "sandbox", limit=1) == ([], None)
    old, new = exported(lane), exported(lane)
    for export in (old, new):
        write_export(export.pk, lambda: None)
    first, following = list_exports(lane.company_id, "sandbox", limit=1)
    second, end = list_exports(lane.company_id, "sandbox", limit=1, cursor=following)
    assert [*first, *second] == [new, old] and end is None
    JournalExport.objects.filter(pk=old.pk).update(finished_at=nairobi(20, 0) - journal.KEPT - timedelta(days=1))
    assert forget_journal_exports(now=nairobi(20, 0)) == 1
    assert forget_journal_exports(now=nairobi(20, 0)) == 0
    assert JournalExport.objects.get() == new


def test_copies_training_and_proforma_are_counted_in_x_and_z(lane: Lane) -> None:
    sale = document(lane, nairobi(20, 9))
    hand_out(lane, invoice_id=sale.pk)
    for label in (Label.COPY_SALE, Label.COPY_SALE, Label.TRAINING_SALE, Label.PROFORMA_SALE):
        hand_out(lane, label, at=nairobi(20, 10))
    hand_out(lane, Label.COPY_CREDIT_NOTE, total=Decimal("-50.00"), at=nairobi(20, 10))
    hand_out(lane, Label.COPY_SALE, at=nairobi(21, 0, 1))
    friday = take_z_report(lane, by="k", day=FRIDAY, now=nairobi(21, 0, 5)).figures
    assert friday["copies"] == {
        "CS": {"count": 2, "amount": "232.00"},
        "CC": {"count": 1, "amount": "-50.00"},
    }
    assert friday["training"] == {"TS": {"count": 1, "amount": "116.00"}, "TC": {"count": 0, "amount": "0.00"}}
    assert friday["proforma"] == {"PS": {"count": 1, "amount": "116.00"}}
    assert x_report(lane, now=nairobi(21, 9))["figures"]["copies"]["CS"]["count"] == 1
    assert Invoice.objects.count() == 1
