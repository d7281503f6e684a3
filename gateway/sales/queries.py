"""Reading a company's invoices, newest first."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Count, F, OuterRef, QuerySet, Subquery
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce

from gateway.lanes.models import Job, Lane
from gateway.lib.cursor import write_cursor
from gateway.sales.crediting import FREED, balance_of
from gateway.sales.models import Invoice
from gateway.tenants.pages import latest_first, newest_first

_JOB_KIND = "invoice"
_WAITING = {Invoice.Status.QUEUED, Invoice.Status.SENDING, Invoice.Status.UNKNOWN}
_COLUMNS = (
    "id",
    "public_id",
    "reference",
    "status",
    "kind",
    "environment",
    "revision",
    "lane_id",
    "issued_at",
    "accepted_at",
    "number",
    "figures",
    "snapshot",
    "buyer_pin",
    "buyer_name",
    "problem",
    "receipt_number",
    "total_receipt_number",
    "internal_data",
    "signature",
    "signed_at",
    "control_unit_id",
    "machine_code",
    "recovered",
)

_ORIGINAL = {f"original_{name}": F(f"original__{name}") for name in ("public_id", "reference", "number")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which invoices; None does not filter. `issued_from` is included, `issued_before` is not."""

    status: str | None = None
    kind: str | None = None
    device_id: int | None = None
    reference: str | None = None
    original_id: int | None = None
    issued_from: datetime | None = None
    issued_before: datetime | None = None


class Page(NamedTuple):
    """Rows as `sales.answers.answer` reads them, and the cursor of the next page, None at the end."""

    rows: list[dict[str, Any]]
    next: str | None


def list_invoices(company_id: int, environment: str, wanted: Filter, *, limit: int, cursor: str | None = None) -> Page:
    """A page of a company's invoices, newest first. Pages neither repeat nor skip a row while new ones arrive.

    Where a time of issue is asked for, the latest issued come first: a day long ago is found by its index, while the
    newest first would be read until that day comes. Raises BadCursor for a cursor that another company's list, or
    nobody, has given.
    """
    invoices = Invoice.objects.filter(company_id=company_id, environment=environment)
    if wanted.issued_from is None and wanted.issued_before is None:
        invoices = newest_first(invoices, cursor)
    else:
        invoices = latest_first(invoices, "issued_at", cursor)
    rows: list[dict[str, Any]] = list(
        _filtered(invoices, wanted).values(*_COLUMNS, device_public_id=F("device__public_id"), **_ORIGINAL)[: limit + 1]
    )
    following = write_cursor(rows[limit - 1]["public_id"]) if len(rows) > limit else None
    return Page(_with_credit_notes(_with_positions(rows[:limit])), following)


def credits_of(
    *,
    company_id: int,
    environment: str,
    device: uuid.UUID | None,
    sale_id: uuid.UUID,
    limit: int,
    cursor: str | None,
) -> dict[str, Any] | None:
    """A page of a sale's credit notes, newest first, and what all of them leave; None when there is no such sale.

    `device` is the only one whose documents the caller may see. Raises BadCursor.
    """
    sales = Invoice.objects.filter(company_id=company_id, environment=environment, public_id=sale_id)
    sale = (sales if device is None else sales.filter(device__public_id=device)).first()
    if sale is None:
        return None
    page = list_invoices(company_id, environment, Filter(original_id=sale.pk), limit=limit, cursor=cursor)
    if sale.kind != Invoice.Kind.SALE:
        return {"credit_notes": [], "next": None, "credited": None, "left": None}
    balance = balance_of(sale)
    items = {row["line"]: row for row in sale.figures["lines"]}
    is_dead = sale.status in FREED
    return {
        "credit_notes": page.rows,
        "next": page.next,
        "credited": {"amount": str(sale.total - balance.total), "tax": str(sale.total_tax - balance.tax)},
        "left": {
            "amount": "0.00" if is_dead else str(balance.total),
            "tax": "0.00" if is_dead else str(balance.tax),
            "by_tax_type": {
                letter: {"amount": str(left.total), "tax": str(left.tax)}
                for letter, left in balance.by_letter().items()
                if not is_dead
            },
            "lines": [
                {
                    "line": number,
                    "item_code": items[number]["item_code"],
                    "name": items[number]["name"],
                    "quantity": format(left.quantity.normalize(), "f"),
                    "amount": str(left.total),
                    "tax": str(left.tax),
                }
                for number, left in balance.left.items()
                if not (is_dead or left.is_nothing)
            ],
        },
    }


def _filtered(invoices: QuerySet[Invoice], wanted: Filter) -> QuerySet[Invoice]:
    conditions = {
        "status": wanted.status,
        "kind": wanted.kind,
        "device_id": wanted.device_id,
        "reference": wanted.reference,
        "original_id": wanted.original_id,
        "issued_at__gte": wanted.issued_from,
        "issued_at__lt": wanted.issued_before,
    }
    return invoices.filter(**{name: value for name, value in conditions.items() if value is not None})


def _with_credit_notes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sales get their credit notes, oldest first, and notes their sale, as `sales.answers.answer` reads them."""
    notes: dict[int, list[dict[str, Any]]] = {row["id"]: [] for row in rows if row["kind"] == Invoice.Kind.SALE}
    linked = Invoice.objects.filter(original_id__in=notes).annotate(amount=KT("figures__total")).order_by("id")
    for one in linked.values("original_id", "public_id", "reference", "status", "number", "amount"):
        told = {name: one[name] for name in ("reference", "status", "number", "amount")}
        notes[one["original_id"]].append({"id": one["public_id"], **told})
    for row in rows:
        row["credit_notes"] = notes.get(row["id"], [])
        found = {name: row.pop(f"original_{name}") for name in ("public_id", "reference", "number")}
        row["original"] = found["public_id"] and {"id": found.pop("public_id"), **found}
    return rows


def _with_positions(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Waiting rows get their place in the lane (1: next) and, where the lane stands still, the reason."""
    waiting = {row["id"]: row for row in rows if row["status"] in _WAITING}
    if waiting:
        open_jobs = Job.objects.exclude(state=Job.State.CLOSED)
        ahead = open_jobs.filter(lane_id=OuterRef("lane_id"), id__lte=OuterRef("id")).order_by()
        positions = open_jobs.filter(kind=_JOB_KIND, document_id__in=waiting).annotate(
            position=Coalesce(Subquery(ahead.values("lane_id").annotate(jobs=Count("id")).values("jobs")), 1)
        )
        for document_id, position in positions.values_list("document_id", "position"):
            waiting[document_id]["position"] = position
        lanes = Lane.objects.filter(pk__in={row["lane_id"] for row in waiting.values()})
        reasons = {lane.pk: lane.hold_reason or lane.rest_reason for lane in lanes}
        for row in waiting.values():
            row["reason"] = reasons[row["lane_id"]] or None
    return list(rows)
