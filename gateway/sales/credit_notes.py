"""Take a credit note: a known one is answered as it is, a new one takes its part of the sale and is carried to KRA.

It goes through the lane of its sale, behind it. KRA wants the sale's number in the body, so the body of a note whose
sale is not signed yet stays empty until the note's turn (`Signing`): an empty body has never been sent.
"""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from django.db import transaction
from django.db.models.functions import Coalesce, Now

from gateway.devices.desk import Seat
from gateway.devices.models import Device
from gateway.kra.client import Client
from gateway.kra.codes import CreditNoteReason, PaymentMethod, TaxClass
from gateway.kra.documents import Credentials
from gateway.kra.tax import LineFigures
from gateway.lanes import local
from gateway.lanes.actions import lock_lane
from gateway.lanes.models import Lane
from gateway.lanes.stored import id_value
from gateway.lib.clock import utc_now
from gateway.sales import statements
from gateway.sales.actions import correct_invoice
from gateway.sales.credit_balance import Balance, CannotTake, Taken, Wish, mark_of, stored_amounts, summed
from gateway.sales.credit_documents import note_written
from gateway.sales.crediting import (
    NotCreditable,
    balance_of,
    lock_sale,
    must_be_creditable,
    must_be_in_time,
)
from gateway.sales.intake import (
    MOST_LINES,
    Wrong,
    check_issued_at,
    check_reference,
    check_text,
    fingerprint_of,
    method_of,
    not_money,
    paid_most,
    plain_content,
    read_document,
    tag_of,
)
from gateway.sales.models import Invoice
from gateway.sales.services import (
    ON_ITS_WAY,
    Caller,
    CompanyNotActive,
    DeviceNotReady,
    Invalid,
    Outcome,
    ReferenceReused,
    Till,
)
from gateway.stock.booking import run
from gateway.tenants.threads import in_thread

ROUNDING = " (rounding)"  # behind the name of the line that holds the cents which KRA rounds otherwise


class CreditLineIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    line: int
    quantity: Decimal | None = None
    amount: Decimal | None = None
    goods_returned: bool | None = None


class CreditNoteIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A credit note as a till posts it. Without `lines` it credits all that is left of the sale."""

    reference: str
    reason: str
    received_by: str
    original_reference: str | None = None
    lines: list[CreditLineIn] | None = None
    goods_returned: bool = False
    remark: str | None = None
    issued_at: datetime | None = None
    payment_method: str | None = None
    cashier: str | None = None
    device: str | None = None


class SaleNotFound(Exception):
    """The company has no such sale in this environment, or the key's device may not credit it."""


_decoder = msgspec.json.Decoder(CreditNoteIn)


def read_credit_note(body: bytes) -> CreditNoteIn:
    """The credit note in a request's body. Raises NotJson or WrongSale."""
    return read_document(body, _decoder, CreditNoteIn)


async def record_credit_note(
    till: Till,
    note: CreditNoteIn,
    *,
    caller: Caller,
    sale_id: uuid.UUID | None,
    wait_seconds: float,
) -> Outcome:
    """Keep a credit note, wait for its receipt that long, and say what it is now. Without `sale_id` the note names it.

    A known reference is answered from its row before anything else is judged. Raises SaleNotFound, Invalid,
    DeviceNotReady, CompanyNotActive, ReferenceReused.
    """
    sale = await _find_sale(till, note, caller, sale_id)
    fingerprint = _fingerprint(note, sale["public_id"])
    known = await till.known(caller, note.reference)
    if known is not None:
        return await _known(till, known, note, sale, fingerprint, caller, wait_seconds)
    public_id = await _keep(till, note, sale, fingerprint, caller, None)
    if public_id is None:  # somebody else has kept the same reference since
        known = await till.known(caller, note.reference)
        assert known is not None
        return await _known(till, known, note, sale, fingerprint, caller, wait_seconds)
    return await _waited(till, public_id, caller, wait_seconds, replayed=False)


async def _find_sale(till: Till, note: CreditNoteIn, caller: Caller, sale_id: uuid.UUID | None) -> dict[str, Any]:
    """The row of the sale. A key bound to a device may credit what its device, or the one before it, has sold."""
    anywhere = replace(caller, device=None)
    if sale_id is not None:
        sale = await till.by_public_id(anywhere, sale_id)
    elif note.original_reference is not None:
        sale = await till.known(anywhere, note.original_reference)
    else:
        raise Invalid([Wrong("original_reference", "missing", "Say the reference of the sale that is credited.")])
    if sale is None:
        raise SaleNotFound
    if caller.device is not None and id_value(sale["device_public_id"]) != caller.device:
        seat = await till.desk.seat(sale["device_id"])
        if seat.public_id != caller.device:
            raise SaleNotFound
    if sale_id is not None and note.original_reference not in {None, sale["reference"]}:
        message = f"The path names the sale {sale['reference']}. Leave this out, or say that."
        raise Invalid([Wrong("original_reference", "other_sale", message)])
    return sale


async def _known(
    till: Till,
    known: dict[str, Any],
    note: CreditNoteIn,
    sale: dict[str, Any],
    fingerprint: str,
    caller: Caller,
    wait_seconds: float,
) -> Outcome:
    """Answer a known reference as it is now; while it is refused, other content about the same sale corrects it."""
    public_id = id_value(known["public_id"])
    if known["content_hash"] == fingerprint:
        if known["status"] in ON_ITS_WAY and not known["hold_reason"]:
            return await _waited(till, public_id, caller, wait_seconds, replayed=True)
        return Outcome(known, replayed=True)
    if known["status"] != "refused" or known["original_id"] != sale["id"]:
        raise ReferenceReused
    corrected = await _keep(till, note, sale, fingerprint, caller, (known["id"], known["revision"]))
    if corrected is None:
        raise ReferenceReused
    return await _waited(till, public_id, caller, wait_seconds, replayed=False)


async def _waited(till: Till, public_id: uuid.UUID, caller: Caller, seconds: float, *, replayed: bool) -> Outcome:
    anywhere = replace(caller, device=None)
    await till.wait_for(public_id, anywhere, seconds)
    now = await till.by_public_id(anywhere, public_id)
    assert now is not None
    return Outcome(now, replayed=replayed)


async def _keep(
    till: Till,
    note: CreditNoteIn,
    sale: Mapping[str, Any],
    fingerprint: str,
    caller: Caller,
    refused: tuple[int, int] | None,
) -> uuid.UUID | None:
    """Keep a new note, or correct a refused one (row id and revision). None when somebody else was quicker."""
    if not caller.is_active:
        raise CompanyNotActive
    seat = await till.desk.seat(sale["device_id"])
    wrongs = _check(note, seat, now=utc_now())
    if wrongs:
        raise Invalid(wrongs)
    if seat.row["status"] not in (Device.Status.ACTIVE, Device.Status.TROUBLE):
        raise DeviceNotReady(f"The device {seat.row['serial']}, which sold it, is {seat.row['status']}.")
    writer = _Writer(note, fingerprint, seat, till.desk.client(seat), till.desk.identity(seat))
    return await in_thread(caller.company_id, _reserve, writer, sale["id"], sale["lane_id"], refused)


@transaction.atomic
def _reserve(writer: "_Writer", sale_id: int, lane_id: int, refused: tuple[int, int] | None) -> uuid.UUID | None:
    """Take the note's part of the sale and queue it, all or nothing: nobody else takes of this sale meanwhile."""
    lane = lock_lane(lane_id)
    sale = lock_sale(sale_id)
    now = utc_now()
    try:
        must_be_creditable(sale)
        warnings = must_be_in_time(sale, now=now)
    except NotCreditable as error:
        raise Invalid([Wrong("original", error.code, error.message)]) from None
    row = writer.row(sale, balance_of(sale), warnings, now=now)
    if refused is not None:
        corrected = correct_invoice(invoice_id=refused[0], revision=refused[1], row=row)
        return row["public_id"] if corrected else None
    if not run(statements.KEEP, {**row, "ord": 0}):
        return None
    Lane.objects.filter(pk=lane.pk).update(due_at=Coalesce("due_at", Now()))
    transaction.on_commit(lambda: local.wake(lane.pk))
    public_id: uuid.UUID = row["public_id"]
    return public_id


def _fingerprint(note: CreditNoteIn, sale_id: Any) -> str:
    """Of what the caller sent, and of the sale it is about, by whichever of its names it was named."""
    sent = {name: value for name, value in plain_content(note).items() if name != "original_reference"}
    return fingerprint_of({**sent, "original": id_value(sale_id).hex})


def _check(note: CreditNoteIn, seat: Seat, *, now: datetime) -> list[Wrong]:
    """What is wrong with the note in itself."""
    wrongs = check_reference(note.reference)
    if not note.received_by.strip():
        wrongs.append(Wrong("received_by", "blank", "Say who received the note: KRA wants the name kept."))
    wrongs += check_text("received_by", note.received_by, 60, "A name")
    wrongs += check_text("remark", note.remark, 350, "A remark")
    wrongs += check_text("cashier", note.cashier, 60, "A cashier's name")
    if note.reason not in {reason.word for reason in CreditNoteReason}:
        words = ", ".join(reason.word for reason in CreditNoteReason)
        wrongs.append(Wrong("reason", "unknown_value", f"A reason is one of: {words}."))
    if note.issued_at is not None:
        wrongs += check_issued_at(note.issued_at, "A note", now=now)
    if note.payment_method is not None and method_of(note.payment_method) is None:
        words = ", ".join(method.word for method in PaymentMethod)
        wrongs.append(Wrong("payment_method", "unknown_value", f"A means of payment is one of: {words}."))
    if note.device is not None and note.device not in (str(seat.public_id), seat.row["serial"]):
        message = f"The sale is credited by the device that signs for its branch: {seat.row['serial']}."
        wrongs.append(Wrong("device", "other_device", message))
    return wrongs + _check_lines(note)


def _check_lines(note: CreditNoteIn) -> list[Wrong]:
    if note.lines is None:
        return []
    if not note.lines:
        return [Wrong("lines", "too_few", "Name a line, or leave the field out to credit all that is left.")]
    if len(note.lines) > MOST_LINES:
        return [Wrong("lines", "too_many", f"A credit note has at most {MOST_LINES} lines.")]
    wrongs: list[Wrong] = []
    named: set[int] = set()
    for index, line in enumerate(note.lines):
        field = f"lines[{index}]"
        if line.line in named:
            wrongs.append(Wrong(f"{field}.line", "duplicate", f"Line {line.line} stands here twice; say it once."))
        named.add(line.line)
        if line.quantity is not None and line.amount is not None:
            wrongs.append(Wrong(f"{field}.amount", "two_ways", "Say a quantity or an amount, not both."))
        if line.quantity is not None and not (line.quantity.is_finite() and 0 < line.quantity < Decimal(10) ** 11):
            wrongs.append(
                Wrong(f"{field}.quantity", "out_of_range", "A quantity is above zero, with at most 11 digits.")
            )
        if line.amount is not None:
            if (wrong := not_money(line.amount)) is not None:
                wrongs.append(Wrong(f"{field}.amount", *wrong))
            elif not line.amount:
                wrongs.append(Wrong(f"{field}.amount", "out_of_range", "An amount to credit is above zero."))
            if line.goods_returned:
                message = "An amount takes money off and brings no goods back. Say their quantity instead."
                wrongs.append(Wrong(f"{field}.goods_returned", "amount_returns_no_goods", message))
    return wrongs


class _Writer:
    """Makes the row of `sales_invoice` of a note, as the sale and what is left of it are under their lock."""

    def __init__(
        self, note: CreditNoteIn, fingerprint: str, seat: Seat, client: Client, credentials: Credentials
    ) -> None:
        self.note = note
        self._fingerprint = fingerprint
        self._seat = seat
        self._client = client
        self._credentials = credentials

    def row(self, sale: Invoice, balance: Balance, warnings: list[dict[str, str]], *, now: datetime) -> dict[str, Any]:
        """The row; its body is empty while the sale has no number. Raises Invalid."""
        note, device = self.note, self._seat.row
        issued_at = note.issued_at or max(now, sale.issued_at)
        if issued_at < sale.issued_at:
            raise Invalid([Wrong("issued_at", "before_the_sale", "A credit note cannot be older than its sale.")])
        taken = self._take(balance)
        figures = self._figures(sale, taken)
        content = {**plain_content(note), "original": str(sale.public_id)}
        row: dict[str, Any] = {
            "public_id": uuid.uuid4(),
            "company_id": sale.company_id,
            "environment": sale.environment,
            "device_id": device["id"],
            "lane_id": sale.lane_id,
            "kind": str(Invoice.Kind.CREDIT_NOTE),
            "reference": note.reference,
            "content_hash": self._fingerprint,
            "content": content,
            "figures": figures,
            "snapshot": {
                "company": device["company_name"],
                "pin": device["pin"],
                "branch_code": device["branch_code"],
                "branch_name": device["branch_name"],
                "address": device["address"],
                "city": device["city"],
                "top_message": device["top_message"],
                "bottom_message": device["bottom_message"],
                "device_serial": device["serial"],
                "environment": device["environment"],
                "simulated": self._seat.profile.environment == "simulator",
                "receipt_url": self._seat.profile.receipt_url,
                "buyer_pin": sale.buyer_pin or None,
                "buyer_name": sale.buyer_name or None,
                "cashier": note.cashier,
                "remark": note.remark,
                "reason": note.reason,
                "received_by": note.received_by,
                "original_reference": sale.reference,
                "warnings": warnings,
            },
            "body": "",
            "tag": tag_of(
                environment=device["environment"],
                pin=device["pin"],
                branch=device["branch_code"],
                reference=note.reference,
                content=self._fingerprint,
            ),
            "original_id": sale.pk,
            "issued_at": issued_at,
            "buyer_pin": sale.buyer_pin,
            "buyer_name": sale.buyer_name,
            "total": Decimal(figures["total"]),
            "total_tax": Decimal(figures["total_tax"]),
            "accepted_at": now,
            "waits_for": None,
            "phone": None,
            "email": None,
        }
        if sale.status == Invoice.Status.SIGNED:
            signed = {name: getattr(sale, name) for name in ("number", "control_unit_id", "receipt_number")}
            signed["sale_figures"] = sale.figures
            row |= note_written(row, signed, client=self._client, credentials=self._credentials)
        return row

    def _take(self, balance: Balance) -> list[tuple[Taken, bool]]:
        """What each line of the note takes, and whether its goods came back. Raises Invalid that says what is left."""
        note = self.note
        if not balance.total:
            raise Invalid([Wrong("lines", "nothing_left", "The sale is credited in full: 0.00 is left.")])
        wanted = [
            (Wish(one.line, one.quantity, one.amount), one.goods_returned, index)
            for index, one in enumerate(note.lines or ())
        ] or [(wish, None, -1) for wish in balance.rest()]
        taken: list[tuple[Taken, bool]] = []
        wrongs: list[Wrong] = []
        for wish, returned, index in wanted:
            try:
                part = balance.take(wish, quantity_decimals=self._seat.profile.quantity_decimals)
            except CannotTake as error:
                field = f"lines[{index}].{error.field}" if index >= 0 else "lines"
                wrongs.append(Wrong(field, error.code, error.message))
                continue
            is_back = note.goods_returned if returned is None else returned
            taken.append((part, is_back and wish.amount is None))
        if wrongs:
            raise Invalid(wrongs)
        if not sum(part.total for part, _ in taken):
            message = f"These lines come to 0.00. Of the sale {balance.total} is left to credit."
            raise Invalid([Wrong("lines", "nothing_left", message)])
        if sum(len(part.lines) for part, _ in taken) > MOST_LINES:
            raise Invalid([Wrong("lines", "too_many", f"Credit this sale in two notes of at most {MOST_LINES} lines.")])
        return taken

    def _figures(self, sale: Invoice, taken: list[tuple[Taken, bool]]) -> dict[str, Any]:
        sold = sale.figures
        by_line = {row["line"]: row for row in sold["lines"]}
        rows: list[dict[str, Any]] = []
        returned: list[dict[str, Any]] = []
        for part, is_back in taken:
            origin = by_line[part.line]
            for place, (quantity, amounts) in enumerate(part.lines):
                is_rounding = place > 0
                row = {
                    **origin,
                    **{name: str(getattr(amounts, name)) for name in LineFigures.__struct_fields__},
                    "line": len(rows) + 1,
                    "original_line": part.line,
                    "name": origin["name"][: 200 - len(ROUNDING)] + ROUNDING if is_rounding else origin["name"],
                    "quantity": format(quantity.normalize(), "f"),
                }
                rows.append(row)
                if is_back and not is_rounding:
                    returned.append({**row, "quantity": format(part.quantity.normalize(), "f")})
        sums = summed([(TaxClass(row["tax_type"]), stored_amounts(row)) for row in rows])
        paid_by = paid_most(sold["payments"])
        return {
            **{name: sold[name] for name in ("profile", "prices_include_tax", "currency", "exchange_rate", "rates")},
            "lines": rows,
            "net": {str(letter): str(amount) for letter, amount in sums.net.items()},
            "taxable": {str(letter): str(amount) for letter, amount in sums.taxable.items()},
            "tax": {str(letter): str(amount) for letter, amount in sums.tax.items()},
            "total": str(sums.total),
            "total_tax": str(sums.total_tax),
            "total_net": str(sums.total - sums.total_tax),
            "discount": str(sum((line.discount for line in sums.lines), Decimal("0.00"))),
            "payments": [{"method": self.note.payment_method or paid_by, "amount": str(sums.total)}],
            "original": mark_of(sale.revision, sold),
            "credited": [
                {
                    "line": part.line,
                    "quantity": format(part.quantity.normalize(), "f"),
                    "total": str(part.total),
                    "tax": str(part.tax),
                }
                for part, _ in taken
            ],
            "returned": returned,
        }
