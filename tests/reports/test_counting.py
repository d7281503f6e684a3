"""The days' figures are kept by increments: each event counts once, and they are what the invoices say."""

import io
import os
import random
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from gateway.audit.chain import seal_journal
from gateway.audit.models import Event
from gateway.devices.models import Device
from gateway.devices.services import add_device
from gateway.lanes.models import Job
from gateway.reports.counting import count_days
from gateway.reports.models import Counted, DayFigures
from gateway.reports.recounting import recount
from gateway.reports.services import figures_of
from gateway.sales import statements
from gateway.sales.actions import CORRECTED, cancel_invoice, correct_invoice, retry_invoice, tell_of
from gateway.sales.models import Invoice
from gateway.stock.booking import run
from gateway.tenants.services import add_branch
from tests.api.rows import make_invoice
from tests.sales.waiting import REFUSAL
from tests.tenants.factories import make_active, make_company, make_stranger

MONDAY = datetime(2026, 11, 16, 21, 0, tzinfo=UTC)  # midnight in Nairobi: Tuesday begins
FIRST, LAST = MONDAY.date(), MONDAY.date() + timedelta(days=6)


@pytest.fixture
def shops(transactional_db: Any) -> list[Device]:
    """Two companies, the first with two branches."""
    amani = make_company()
    branch = add_branch(amani.company, code="01", name="Town", address="", city="Nairobi")
    town = add_device(company=amani.company, branch=branch, environment="sandbox", serial="AMANI-01")
    return [make_active(device) for device in (amani.device, town, make_stranger().device)]


class Street:
    """Sales that are posted, signed, refused, corrected, asked for again and withdrawn at random."""

    def __init__(self, shops: list[Device], seed: int) -> None:
        self.random, self.shops, self.posted = random.Random(seed), shops, 0

    def step(self) -> None:
        work = self.random.choice([self.post, self.post, self.sign, self.sign, self.refuse, self.again, self.cancel])
        work()

    def some(self, *statuses: str) -> Invoice | None:
        found = list(Invoice.objects.filter(status__in=statuses).order_by("pk"))
        return self.random.choice(found) if found else None

    def content(self) -> dict[str, Any]:
        net, tax = Decimal(self.random.randrange(1, 10**7)) / 100, Decimal(self.random.randrange(10**5)) / 100
        figures = {
            "currency": self.random.choice(["KES", "KES", "USD"]),
            "net": {"A": "0.00", self.random.choice("BCDE"): str(net)},
            "tax": {"A": "0.00", self.random.choice("BE"): str(tax)},
        }
        return {"figures": {**figures, "lines": []}, "total": net + tax, "total_tax": tax}

    @transaction.atomic
    def post(self) -> None:
        self.posted += 1
        invoice = make_invoice(
            self.random.choice(self.shops),
            f"POS-{self.posted}",
            status="queued",
            number=None,
            problem=None,
            kind=self.random.choice(["sale", "sale", "credit_note"]),
            accepted_at=MONDAY + self.posted * timedelta(minutes=75),  # ids follow it
            **self.content(),
        )
        tell_of(invoice, "invoice.accepted")

    @transaction.atomic
    def sign(self) -> None:
        # the statement also takes what a process brings that lost its lease: whatever is not signed
        invoice = self.some("queued", "refused", "cancelled")
        if invoice is None:
            return
        number = 1 + Invoice.objects.filter(lane=invoice.lane_id, number__isnull=False).count()
        now = datetime.now(UTC)
        given = {"receipt_number": number, "total_receipt_number": number, "internal_data": "I" * 26}
        unit = {"signature": "S" * 16, "control_unit_id": "SIMCU0100000001", "machine_code": "X", "tag": invoice.tag}
        moments = {"signed_at": now, "settled_at": now, "recovered": self.random.random() < 0.2}
        run(statements.SIGN, {"id": invoice.pk, "number": number, **given, **unit, **moments})
        Job.objects.filter(document_id=invoice.pk).update(state="closed")

    @transaction.atomic
    def refuse(self) -> None:
        if invoice := self.some("queued"):
            Invoice.objects.filter(pk=invoice.pk).update(status="sending")
            run(statements.REFUSE, {"id": invoice.pk, "problem": REFUSAL, "settled_at": datetime.now(UTC)})
            Job.objects.filter(document_id=invoice.pk).update(state="closed")

    def again(self) -> None:
        if invoice := self.some("refused"):
            if self.random.random() < 0.5:
                named: dict[str, Any] = {
                    "company_id": invoice.company_id,
                    "environment": invoice.environment,
                    "actor": "x",
                }
                retry_invoice(public_id=invoice.public_id, **named)
            else:
                row = {name: getattr(invoice, name) for name in CORRECTED} | self.content()
                assert correct_invoice(invoice_id=invoice.pk, revision=invoice.revision, row=row)

    def cancel(self) -> None:
        if invoice := self.some("queued"):
            named: dict[str, Any] = {"company_id": invoice.company_id, "environment": invoice.environment, "actor": "x"}
            cancel_invoice(public_id=invoice.public_id, **named)


def agree(shops: list[Device]) -> None:
    for device in shops:
        whose: dict[str, Any] = {"company_id": device.company_id, "environment": device.environment}
        assert figures_of(**whose, first_day=FIRST, last_day=LAST) == recount(**whose, first_day=FIRST, last_day=LAST)


@pytest.mark.parametrize("seed", range(3))
def test_the_figures_are_those_of_the_invoices_after_whatever_happened(shops: list[Device], seed: int) -> None:
    street = Street(shops, seed)
    for number in range(120):
        street.step()
        if number % 17 == 0:
            seal_journal()
            count_days()
    seal_journal()
    count_days()
    assert Invoice.objects.filter(status="signed").count() > 10 and Invoice.objects.filter(recovered=True).exists()
    agree(shops)
    recovered = sum(DayFigures.objects.values_list("recovered", flat=True))
    assert recovered == Invoice.objects.filter(recovered=True).count()
    call_command("check_figures", day=FIRST, days=7)


def test_what_is_not_sealed_yet_is_counted_when_it_is(shops: list[Device]) -> None:
    street = Street(shops, 1)
    street.post()
    assert count_days() == 0 and not DayFigures.objects.exists()
    seal_journal()
    assert count_days() == Event.objects.count() and DayFigures.objects.get().accepted == 1
    assert count_days() == 0 and DayFigures.objects.get().accepted == 1


def test_small_batches_count_the_same(shops: list[Device]) -> None:
    street = Street(shops, 7)
    for _ in range(60):
        street.step()
    seal_journal()
    assert count_days(batch=3) == Event.objects.count() == Counted.objects.get().position
    agree(shops)


@pytest.mark.only_on("postgres")
def test_two_that_count_at_once_count_everything_once(shops: list[Device]) -> None:
    street = Street(shops, 11)
    for _ in range(80):
        street.step()
    seal_journal()
    counted: list[int] = []

    def work() -> None:
        try:
            counted.append(count_days(batch=5))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counted) == Event.objects.count()
    agree(shops)


@pytest.mark.parametrize("step", ["figures added", "position moved"])
def test_one_that_is_killed_in_between_has_counted_nothing(shops: list[Device], step: str) -> None:
    street = Street(shops, 13)
    for _ in range(40):
        street.step()
    seal_journal()
    told = connection.settings_dict
    url = os.environ["DATABASE_URL"]
    url = f"sqlite:///{told['NAME']}" if connection.vendor == "sqlite" else f"{url.rpartition('/')[0]}/{told['NAME']}"
    code = "import django; django.setup(); from gateway.reports.counting import count_days; count_days()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DATABASE_URL": url, "GATEWAY_KILL_AT": step},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -9, done.stderr
    assert not DayFigures.objects.exists() and not Counted.objects.filter(position__gt=0).exists()
    count_days()
    agree(shops)


def test_a_figure_that_is_not_that_of_the_invoices_is_shown(shops: list[Device]) -> None:
    street = Street(shops, 3)
    for _ in range(30):
        street.step()
    seal_journal()
    count_days()
    figures = DayFigures.objects.filter(signed__gt=0).first()
    assert figures is not None
    DayFigures.objects.filter(pk=figures.pk).update(accepted=figures.accepted + 1)
    said = io.StringIO()
    with pytest.raises(CommandError, match="differ from the invoices"):
        call_command("check_figures", day=figures.day, stderr=said)
    assert str(figures.day) in said.getvalue() and "accepted" in said.getvalue()
