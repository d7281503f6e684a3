"""Whoever waits for background work that is given up sees that it failed, whatever the work was."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.core import mail

from gateway.audit.models import Event
from gateway.catalog.models import Item, ItemClass, Upload
from gateway.catalog.uploads import keep_upload
from gateway.devices.models import Device
from gateway.lanes.chores import MOST_FAILURES, carry_chore
from gateway.lanes.models import Chore, Lane
from gateway.reports.journal import queue_export, write_export
from gateway.reports.models import JournalExport
from gateway.sales.models import ReceiptBatch, ReceiptDelivery
from gateway.sales.receipts.batches import begin_batch, make_batch
from gateway.sales.receipts.delivery import Channel, give_up_delivery, send_receipt
from gateway.sales.receipts.labels import Label
from gateway.sales.receipts.languages import Language
from gateway.wiring import CHORES, GIVEN_UP
from tests.api.rows import make_invoice
from tests.reports.test_journal import hand_out
from tests.tenants.factories import make_active, make_company

pytestmark = pytest.mark.django_db
DAY = date(2026, 11, 21)  # of the rows' signed_at, in Nairobi


@pytest.fixture
def device() -> Device:
    return make_active(make_company().device)


def given_up(kind: str) -> None:
    """The only chore of a kind fails once more, for the last time, in the middle of its work."""

    def breaks(document_id: int, beat: Any) -> None:
        def die() -> None:
            raise RuntimeError("out of paper")

        CHORES[kind](document_id, die)

    Chore.objects.filter(kind=kind).update(failures=MOST_FAILURES - 1)
    assert not carry_chore(Chore.objects.get(kind=kind).pk, {kind: breaks}, GIVEN_UP)


def is_plain(problem: str) -> bool:
    return problem.startswith("Something failed on our side") and "out of paper" not in problem


def test_each_kind_of_background_work_says_when_it_is_given_up() -> None:
    assert set(GIVEN_UP) == set(CHORES)


def test_a_batch_of_receipts_that_is_given_up_has_failed(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.sales.receipts.batches.STEP", 1)
    make_invoice(device, "POS-1")
    batch = begin_batch(
        company=device.company,
        environment="sandbox",
        branch="00",
        day=DAY,
        paper="80mm",
        language=Language.ENGLISH,
        actor="k",
    )
    given_up("receipt_batch")
    batch.refresh_from_db()
    assert (batch.status, is_plain(batch.problem), batch.finished_at is not None) == ("failed", True, True)
    make_batch(batch.pk, lambda: None)  # by whoever still has it
    assert ReceiptBatch.objects.get().status == "failed"


def test_an_export_of_the_journal_that_is_given_up_has_failed_and_keeps_no_part(device: Device) -> None:
    export = queue_export(
        company=device.company, environment="sandbox", first_day=DAY, last_day=DAY, format="csv", by="k"
    )
    hand_out(Lane.objects.get(pk=device.lane_id), Label.COPY_SALE, at=datetime(2026, 11, 21, 9, tzinfo=UTC))
    given_up("journal")
    export.refresh_from_db()
    assert (is_plain(export.problem), export.finished_at is not None, export.parts.count()) == (True, True, 0)
    write_export(export.pk, lambda: None)
    assert JournalExport.objects.get().parts.count() == 0


def test_a_file_of_items_that_is_given_up_has_failed_and_what_was_taken_stays(device: Device) -> None:
    content = b"code,name,item_class\r\nTEA,Tea,5016150900\r\n"
    upload = keep_upload(
        company=device.company, environment="sandbox", file_name="items.csv", content=content, actor="k"
    )
    Upload.objects.filter(pk=upload.pk).update(rows_total=1, status="reading")
    ItemClass.objects.create(environment="sandbox", code="5016150900", name="Tea", level=5, tax_type="B")
    given_up("upload")
    upload.refresh_from_db()
    assert (upload.status, is_plain(upload.problem), upload.rows_taken) == ("failed", True, 1)
    assert Item.objects.get().code == "TEA"
    assert Event.objects.get(name="items.uploaded").data["status"] == "failed"


def test_a_mail_that_is_given_up_before_it_was_tried_has_failed(device: Device) -> None:
    invoice = make_invoice(device, "POS-1")
    delivery = send_receipt(
        invoice_id=invoice.pk, channel=Channel.MAIL, to="b@x.ke", language=Language.ENGLISH, paper="a4", actor="k"
    )
    given_up("receipt_delivery")
    delivery.refresh_from_db()
    assert (delivery.status, is_plain(delivery.problem), mail.outbox) == ("failed", True, [])
    ReceiptDelivery.objects.update(problem="SMTPException: no such box")
    give_up_delivery(delivery.pk)
    assert ReceiptDelivery.objects.get().problem == "SMTPException: no such box"


@pytest.mark.parametrize("kind", sorted(GIVEN_UP))
def test_what_ended_well_or_is_gone_is_left_alone(kind: str) -> None:
    GIVEN_UP[kind](99)


def test_a_batch_that_was_made_stays_made(device: Device) -> None:
    batch = begin_batch(
        company=device.company,
        environment="sandbox",
        branch="00",
        day=DAY,
        paper="80mm",
        language=Language.ENGLISH,
        actor="k",
    )
    make_batch(batch.pk, lambda: None)
    GIVEN_UP["receipt_batch"](batch.pk)
    assert (ReceiptBatch.objects.get().status, ReceiptBatch.objects.get().problem) == ("done", "")
