"""Fetching what suppliers and customs told KRA, and matching it to the company's own bills.

KRA gives what changed after a moment of its own clock; the moment moves only after what came is stored. A head office
does this for the whole company.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery

from gateway.catalog.models import Fetch
from gateway.devices.asking import ask_kra, keep_attempts
from gateway.devices.models import Device
from gateway.devices.queries import WrongProfile
from gateway.devices.services import DeviceNotReady
from gateway.kra import stock_documents as documents
from gateway.kra.calls import purchases as calls
from gateway.kra.client import Client
from gateway.kra.codes import ImportStatus
from gateway.kra.documents import Credentials, Exchange
from gateway.kra.errors import KraError, plain
from gateway.lib.crypto import SealBroken
from gateway.purchases.models import Bill, ImportedItem, SupplierInvoice
from gateway.tenants.models import HEAD_OFFICE, Company

OVERLAP = timedelta(minutes=2)  # rows become visible late: ask for a little more than what is new
PURCHASES, IMPORTS = "purchase_sales_list", "import_item_list"

log = logging.getLogger(__name__)
_Answer = tuple[Sequence[Any], datetime | None, Exchange]


class Fetched(NamedTuple):
    """How many rows KRA sent, and how many of them were new."""

    sent: int
    new: int


def head_office(company: Company, environment: str) -> Device:
    """The active device that speaks for the whole company. Raises DeviceNotReady."""
    device = (
        Device.objects.select_related("company", "branch", "lane")
        .filter(company=company, environment=environment, branch__code=HEAD_OFFICE, status=Device.Status.ACTIVE)
        .first()
    )
    if device is None:
        raise DeviceNotReady("purchases and imports are the head office's, and branch 00 has no active device")
    return device


def fetch_purchases(company: Company, environment: str) -> Fetched:
    """Bring the suppliers' invoices up to date and match them. Raises DeviceNotReady, KraError."""
    device = head_office(company, environment)
    rows, at = _ask(device, PURCHASES, calls.list_supplier_sales, kind="purchases")
    with transaction.atomic():
        new = sum([_keep_invoice(company, environment, row) for row in rows])
        _move_on(device, PURCHASES, at)
    match_bills(company, environment)
    return Fetched(len(rows), new)


def fetch_imports(company: Company, environment: str) -> Fetched:
    """Bring the customs declarations up to date. Raises DeviceNotReady, KraError."""
    device = head_office(company, environment)
    rows, at = _ask(device, IMPORTS, calls.list_imports, kind="imports")
    with transaction.atomic():
        new = sum([_keep_import(company, environment, row) for row in rows])
        _move_on(device, IMPORTS, at)
    return Fetched(len(rows), new)


def fetch_purchases_and_imports() -> int:
    """Fetch for every company with an active head office; how many were answered. A second run finds nothing new."""
    answered = 0
    offices = Device.objects.select_related("company").filter(
        status=Device.Status.ACTIVE, branch__code=HEAD_OFFICE, company__status=Company.Status.ACTIVE
    )
    for device in offices.order_by("pk"):
        try:
            fetch_purchases(device.company, device.environment)
            fetch_imports(device.company, device.environment)
            answered += 1
        except KraError as error:
            log.warning("KRA did not list purchases and imports for device %s: %s", device.public_id, plain(error))
        except (DeviceNotReady, WrongProfile, SealBroken) as error:
            log.warning("Purchases and imports cannot be fetched over device %s: %s", device.public_id, error)
    return answered


def match_bills(company: Company, environment: str) -> int:
    """Join bills and what suppliers transmitted that agree in supplier, number and amount; how many were joined."""
    bills = Bill.objects.filter(company=company, environment=environment)
    joined = 0
    while more := _join(company, environment, bills):  # twice only where two bills say the same
        joined += more
    return joined


def match_bill(bill: Bill) -> bool:
    """Join one bill; whether a supplier has transmitted it."""
    return bool(_join(bill.company, bill.environment, Bill.objects.filter(pk=bill.pk)))


def _join(company: Company, environment: str, bills: QuerySet[Bill]) -> int:
    """Give the oldest open one of the bills to the oldest open invoice that says the same; how many got one."""
    listed = SupplierInvoice.objects.filter(company=company, environment=environment, bill=None, reference="")
    same = {"supplier_pin": OuterRef("supplier_pin"), "invoice_number": OuterRef("invoice_number")}
    mine = bills.filter(**same, amount=OuterRef("total"), listed=None).order_by("pk").values("pk")
    older = listed.filter(**same, total=OuterRef("total"), pk__lt=OuterRef("pk"))
    return listed.filter(Exists(mine), ~Exists(older)).update(bill=Subquery(mine[:1]))


def _ask(
    device: Device,
    operation: str,
    list_them: Callable[[Client, Credentials, datetime | None], Awaitable[_Answer]],
    *,
    kind: str,
) -> tuple[Sequence[Any], datetime | None]:
    """What changed since the last time. A list with nothing in it leaves no attempt: there would be too many."""
    since = Fetch.objects.filter(lane_id=device.lane_id, operation=operation).values_list("changed_since", flat=True)
    moment = next((at - OVERLAP for at in since), None)
    rows, at, exchange = ask_kra(device, lambda client, credentials: list_them(client, credentials, moment), kind=kind)
    if rows:
        keep_attempts(device, [exchange], kind=kind, with_answer=False)
    return rows, at


def _move_on(device: Device, operation: str, at: datetime | None) -> None:
    if at is not None:
        Fetch.objects.update_or_create(lane=device.lane, operation=operation, defaults={"changed_since": at})


def _keep_invoice(company: Company, environment: str, row: documents.SupplierSale) -> bool:
    told: dict[str, Any] = {
        "supplier_name": row.supplier_name[:100],
        "sold_on": _day(row.sale_date),
        "total": row.total.quantize(row.total.__class__("0.01")),
        "document": msgspec.to_builtins(row),
    }
    _, is_new = SupplierInvoice.objects.get_or_create(
        company=company,
        environment=environment,
        supplier_pin=row.supplier_pin,
        supplier_branch=row.supplier_branch or HEAD_OFFICE,
        invoice_number=row.supplier_invoice_number,
        defaults=told,
    )
    return is_new


def _keep_import(company: Company, environment: str, row: documents.ImportedItem) -> bool:
    """A line that was decided elsewhere is closed here too; our own decision stands, for KRA's list lags behind."""
    is_open = row.status in (ImportStatus.UNSENT, ImportStatus.WAITING)
    kept, is_new = ImportedItem.objects.get_or_create(
        company=company,
        environment=environment,
        task_code=row.task_code,
        declaration_date=row.declaration_date,
        line_number=row.line_number,
        defaults={
            "name": row.name[:500],
            "document": msgspec.to_builtins(row),
            "status": ImportedItem.Status.OPEN if is_open else ImportedItem.Status.GONE,
        },
    )
    if not is_new and not is_open:
        ImportedItem.objects.filter(pk=kept.pk, status=ImportedItem.Status.OPEN).update(status=ImportedItem.Status.GONE)
    return is_new


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(f"{text[:4]}-{text[4:6]}-{text[6:8]}")
    except ValueError:
        return None


def missing_suppliers(company_id: int, environment: str, *, days: int, today: date) -> list[Bill]:
    """Bills so many days old that no supplier has told KRA of, oldest first; their tax cannot be deducted yet."""
    bills = Bill.objects.filter(company_id=company_id, environment=environment).filter(Q(listed=None))
    return list(bills.filter(dated_on__lte=today - timedelta(days=days)).order_by(F("dated_on"), "pk")[:1000])
