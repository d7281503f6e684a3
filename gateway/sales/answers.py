"""What callers are told about an invoice: the same document on every route, made from its stored row."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from gateway.kra.client import GAP
from gateway.lanes.stored import id_value, json_value
from gateway.sales.receipts.stored import (
    WAITING_REASONS,
    is_simulated,
    legal_number,
    link_to_kra,
    moment,
)
from gateway.sales.receipts.token import receipt_token

_STATUS_CODES = {
    "signed": 201,
    "queued": 202,
    "sending": 202,
    "unknown": 202,
    "refused": 422,
    "cancelled": 200,
}


def status_code(row: Mapping[str, Any], replayed: bool) -> int:
    """The HTTP status for what the row is now; `replayed` when its reference was known before this request."""
    status = row["status"]
    return 200 if replayed and status == "signed" else _STATUS_CODES[status]


def answer(row: Mapping[str, Any], *, system_url: str, secret: bytes) -> dict[str, Any]:
    """The answer document of a row of `sales_invoice`, ready for JSON: amounts and times are text, times in UTC.

    The row carries `device_public_id` beside the table's columns and, while it waits, may carry `position` (1: next)
    and why: `reason`, or its lane's `hold_reason` and `rest_reason`. JSON columns may be text, times aware or ISO
    text. `secret` makes the link of the receipt page. A document that is not signed has no receipt, whatever its other
    columns say; one that KRA has not answered is never shown as signed or refused.
    """
    status = row["status"]
    figures = json_value(row["figures"])
    signed = status == "signed"
    return {
        "id": str(id_value(row["public_id"])),
        "reference": row["reference"],
        "status": status,
        "kind": row["kind"],
        "device": str(id_value(row["device_public_id"])),
        "environment": row["environment"],
        "revision": row["revision"],
        "issued_at": _time(row["issued_at"]),
        "accepted_at": _time(row["accepted_at"]),
        "number": row["number"],
        "receipt": _receipt(row, system_url, secret) if signed else None,
        "totals": _totals(figures),
        **_credit(row, figures),
        "lines": figures["lines"] if signed else [_without_gap(line) for line in figures["lines"]],
        "buyer": {"pin": row["buyer_pin"] or None, "name": row["buyer_name"] or None},
        "payments": figures["payments"],
        "problem": _problem(row) if status == "refused" else None,
        "waiting": _waiting(row, status, figures) if status in WAITING_REASONS else None,
    }


def _without_gap(line: Mapping[str, Any]) -> Mapping[str, Any]:
    """A line without the mark that stands for the item code of an item that is still to be registered."""
    return {**line, "kra_code": None} if line["kra_code"].startswith(GAP) else line


def _credit(row: Mapping[str, Any], figures: Mapping[str, Any]) -> dict[str, Any]:
    """What a sale's credit notes take of it and what is left, or what a credit note says beyond a sale.

    A note takes its part from the moment it is kept; one that is refused or withdrawn takes nothing.
    """
    if row["kind"] == "credit_note":
        snapshot = json_value(row["snapshot"])
        note = {name: snapshot.get(name) for name in ("reason", "remark", "received_by")}
        note["warnings"] = snapshot.get("warnings") or []
        return {
            "original": _linked(json_value(row.get("original"))),
            "credit": note,
            "credit_notes": [],
            "credited": None,
            "left": None,
        }
    notes = json_value(row.get("credit_notes")) or []
    taken = [Decimal(note["amount"]) for note in notes if note["status"] not in {"refused", "cancelled"}]
    credited = sum(taken, Decimal("0.00"))
    left = Decimal("0.00") if row["status"] in {"refused", "cancelled"} else Decimal(figures["total"]) - credited
    return {
        "original": None,
        "credit": None,
        "credit_notes": [_linked(note) for note in notes],
        "credited": str(credited),
        "left": str(left),
    }


def _linked(document: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return {**document, "id": str(id_value(document["id"]))} if document else None


def _receipt(row: Mapping[str, Any], system_url: str, secret: bytes) -> dict[str, Any]:
    snapshot = json_value(row["snapshot"])
    token = receipt_token(id_value(row["public_id"]), secret)
    return {
        "number": row["receipt_number"],
        "total_number": row["total_receipt_number"],
        "signature": row["signature"],
        "internal_data": row["internal_data"],
        "signed_at": _time(row["signed_at"]),
        "control_unit": row["control_unit_id"],
        "machine_code": row["machine_code"],
        "cu_invoice_number": legal_number(row),
        "qr_url": link_to_kra(row, snapshot),
        "recovered": bool(row["recovered"]),
        "simulated": is_simulated(row, snapshot),
        "url": f"{system_url}/receipts/{token}/",
    }


def _totals(figures: Mapping[str, Any]) -> dict[str, Any]:
    net, tax = figures["net"], figures["tax"]
    return {
        "amount": figures["total"],
        "tax": figures["total_tax"],
        "net": figures["total_net"],
        "by_tax_type": {
            letter: {
                "net": net[letter],
                "tax": tax[letter],
                "amount": str(Decimal(net[letter]) + Decimal(tax[letter])),
            }
            for letter in sorted({line["tax_type"] for line in figures["lines"]})
        },
    }


def _problem(row: Mapping[str, Any]) -> dict[str, Any]:
    problem = json_value(row["problem"]) or {}
    return {
        "code": problem.get("code") or "refused",
        "detail": problem.get("detail") or "The document was refused.",
        "fields": problem.get("fields") or [],
        "kra": problem.get("kra"),
    }


def _waiting(row: Mapping[str, Any], status: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    reason = WAITING_REASONS[status]
    held = row.get("hold_reason")
    if status == "unknown":  # first of all that it is unknown: what holds the lane says nothing about what KRA did
        reason = f"{reason} {held}" if held else reason
    else:
        reason = row.get("reason") or held or _items_first(figures) or row.get("rest_reason") or reason
    return {"position": row.get("position"), "reason": reason}


def _items_first(figures: Mapping[str, Any]) -> str:
    codes = dict.fromkeys(line["item_code"] for line in figures["lines"] if line["kra_code"].startswith(GAP))
    return f"{', '.join(codes)} must be registered with KRA first; the sale follows by itself." if codes else ""


def _time(value: Any) -> str | None:
    """RFC 3339 in UTC."""
    return None if value is None else moment(value).isoformat().replace("+00:00", "Z")
