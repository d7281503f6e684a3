"""Deciding about what suppliers and customs told KRA: accepted by line, each mapped to an own item, or rejected."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec
from django.db import transaction

from gateway.audit.services import record
from gateway.catalog.models import Item
from gateway.catalog.queries import current_rates
from gateway.devices.models import Device
from gateway.devices.queries import profile_for
from gateway.kra import stock_documents as documents
from gateway.kra.calls import purchases as calls
from gateway.kra.codes import PaymentMethod, ProductType, Registration, StockReason, TaxClass
from gateway.kra.documents import Credentials
from gateway.kra.profiles import Profile
from gateway.kra.tax import Figures, LineIn, TaxInputError, figures
from gateway.lanes.actions import lock_lane
from gateway.lanes.models import Lane
from gateway.lanes.services import lane_for, queue_job
from gateway.lib.clock import NAIROBI
from gateway.purchases.fetching import head_office, match_bill
from gateway.purchases.models import Bill, Decided, ImportedItem, SupplierInvoice
from gateway.stock.booking import booking_row
from gateway.stock.services import Goods, StockRefused, Wrong, goods_lines
from gateway.tenants.models import HEAD_OFFICE, Company

PURCHASE_JOB, IMPORT_JOB = "purchase", "import"
CENT = Decimal("0.01")
_SERVICE = ProductType.SERVICE.value
_DECIDABLE = (Decided.Status.OPEN, Decided.Status.REJECTED, Decided.Status.REFUSED)


class AlreadyDecided(Exception):
    """It was decided already; `status` says how."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class BillReused(Exception):
    """The reference names another bill."""


class PurchaseReused(Exception):
    """The reference names another purchase."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """A supplier's line (its number) is this item of ours; `factor` is how many of ours are in one of theirs."""

    line: int
    item_code: str
    factor: Decimal = Decimal(1)


def post_bill(
    *,
    company: Company,
    environment: str,
    reference: str,
    supplier_pin: str,
    supplier_name: str,
    invoice_number: int,
    amount: Decimal,
    dated_on: date,
) -> tuple[Bill, bool]:
    """Keep a bill and match it; whether it was known. Raises BillReused."""
    told: dict[str, Any] = {"supplier_pin": supplier_pin, "supplier_name": supplier_name}
    told |= {"invoice_number": invoice_number, "amount": amount, "dated_on": dated_on}
    with transaction.atomic():
        bill, made = Bill.objects.get_or_create(
            company=company, environment=environment, reference=reference, defaults=told
        )
        if not made and any(getattr(bill, name) != value for name, value in told.items()):
            raise BillReused(reference)
        if made:
            match_bill(bill)
    kept = Bill.objects.select_related("listed").get(pk=bill.pk)
    return kept, not made


@transaction.atomic
def accept_purchase(
    *, invoice: SupplierInvoice, branch: str, mappings: Sequence[Mapping], now: datetime, by: str
) -> SupplierInvoice:
    """Accept the mapped lines of a supplier's invoice; the others are left out. KRA is told, then the stock comes in.

    Raises AlreadyDecided, StockRefused (names `lines[0].item_code`), DeviceNotReady.
    """
    company, environment = invoice.company, invoice.environment
    invoice = SupplierInvoice.objects.select_for_update(no_key=True).get(pk=invoice.pk)
    _must_be_open(invoice)
    office = head_office(company, environment)
    sale = msgspec.convert(invoice.document, documents.SupplierSale, strict=False)
    chosen = _chosen(company, environment, sale, mappings)
    profile = profile_for(office)
    rates = {TaxClass(letter): rate for letter, rate in current_rates(environment).items()}
    worked_out, lines = _purchase_lines(chosen, profile, rates)
    document = documents.PurchaseDocument(
        purchased_on=invoice.sold_on or now.astimezone(NAIROBI).date(),
        confirmed_at=now,
        lines=lines,
        figures=worked_out,
        rates=rates,
        payment_method=_payment(sale.payment_method),
        supplier_pin=sale.supplier_pin,
        supplier_name=sale.supplier_name or None,
        supplier_branch=sale.supplier_branch or None,
        supplier_invoice_number=sale.supplier_invoice_number,
        supplier_control_unit_id=sale.supplier_control_unit_id or None,
        warehoused_at=now,
    )
    goods = [
        (
            index,
            Goods(item.code, line.quantity * mapping.factor, _unit_price(line.total, line.quantity * mapping.factor)),
        )
        for index, (mapping, line, item) in enumerate(chosen)
        if item.product_type != _SERVICE
    ]
    invoice.booking = _booking(
        company,
        environment,
        branch,
        goods,
        cause=f"purchase:{invoice.pk}",
        reason=StockReason.PURCHASE_IN,
        on=now,
        by=by,
        remark=f"Invoice {sale.supplier_invoice_number} of {sale.supplier_name}"[:300],
        counterparty_pin=sale.supplier_pin,
        counterparty_name=sale.supplier_name[:60],
    )
    invoice.body = calls.purchase_body(profile, document, _speaker(office)).decode()
    invoice.decision = {
        "branch": branch,
        "lines": [
            {"line": mapping.line, "item_code": item.code, "factor": str(mapping.factor)} for mapping, _, item in chosen
        ],
    }
    _decide(invoice, PURCHASE_JOB, "purchase.accepted", by)
    return invoice


@dataclass(frozen=True, slots=True)
class Bought:
    """So much of an item of ours, at a price with tax (KES)."""

    item_code: str
    quantity: Decimal
    unit_price: Decimal


@transaction.atomic
def declare_purchase(
    *,
    company: Company,
    environment: str,
    reference: str,
    supplier_pin: str,
    supplier_name: str,
    invoice_number: int | None,
    purchased_on: date,
    payment_method: PaymentMethod,
    branch: str,
    bought: Sequence[Bought],
    now: datetime,
    by: str,
) -> tuple[SupplierInvoice, bool]:
    """Tell KRA of a purchase that its supplier did not transmit; whether the reference was known.

    The same reference is the same purchase for ever; while KRA has refused it, it may be corrected. Raises
    PurchaseReused, StockRefused, DeviceNotReady.
    """
    asked: list[Any] = [supplier_pin, supplier_name, invoice_number, str(purchased_on), payment_method.word, branch]
    asked += [[one.item_code, str(one.quantity.normalize()), str(one.unit_price.normalize())] for one in bought]
    fingerprint = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
    office = head_office(company, environment)
    lane = lane_for(company, environment=environment, branch=HEAD_OFFICE, series=Lane.Series.PURCHASE)
    lock_lane(lane.pk)  # of two who post the same reference at once, the second sees the first
    own = SupplierInvoice.objects.select_for_update(no_key=True).filter(company=company, environment=environment)
    invoice = own.filter(reference=reference).first()
    if invoice is not None and invoice.fingerprint == fingerprint:
        return invoice, True
    if invoice is not None and invoice.status != Decided.Status.REFUSED:
        raise PurchaseReused(reference)
    if (
        supplier_pin
        and own.filter(supplier_pin=supplier_pin, invoice_number=invoice_number)
        .exclude(reference=reference)
        .exclude(invoice_number=None)
        .exists()
    ):
        words = f"KRA lists invoice {invoice_number} of {supplier_pin}, or you typed it already: accept that one."
        raise StockRefused([Wrong("invoice_number", "known_already", words)])
    invoice = invoice or SupplierInvoice(company=company, environment=environment, reference=reference)
    profile = profile_for(office)
    rates = {TaxClass(letter): rate for letter, rate in current_rates(environment).items()}
    items = _items_of(company, environment, bought)
    ins = [
        LineIn(one.quantity, one.unit_price, TaxClass(item.tax_type)) for one, item in zip(bought, items, strict=True)
    ]
    try:
        worked_out = _figures(ins, profile, rates)
    except TaxInputError as error:
        words = f"{error.message[:1].upper()}{error.message[1:]}."
        raise StockRefused([Wrong(f"lines[{error.line or 0}].{error.field}", error.code, words)]) from None
    lines = [
        documents.PurchaseLine(
            item_code=item.kra_code,
            item_class=item.item_class,
            name=item.name,
            packaging_unit=item.packaging_unit,
            quantity_unit=item.quantity_unit,
            quantity=one.quantity,
            packages=Decimal(1),
            tax_class=TaxClass(item.tax_type),
            figures=amounts,
            barcode=item.barcode or None,
        )
        for one, item, amounts in zip(bought, items, worked_out.lines, strict=True)
    ]
    document = documents.PurchaseDocument(
        purchased_on=purchased_on,
        confirmed_at=now,
        lines=lines,
        figures=worked_out,
        rates=rates,
        registration=Registration.MANUAL,
        payment_method=payment_method,
        supplier_pin=supplier_pin or None,
        supplier_name=supplier_name,
        supplier_invoice_number=invoice_number,
        warehoused_at=now,
    )
    goods = [
        (index, Goods(one.item_code, one.quantity, one.unit_price))
        for index, (one, item) in enumerate(zip(bought, items, strict=True))
        if item.product_type != _SERVICE
    ]
    invoice.fingerprint = fingerprint
    invoice.supplier_pin, invoice.supplier_name, invoice.supplier_branch = supplier_pin, supplier_name, HEAD_OFFICE
    invoice.invoice_number, invoice.sold_on, invoice.total = invoice_number, purchased_on, worked_out.total
    invoice.document = {"lines": [_typed_line(number, line) for number, line in enumerate(lines, 1)]}
    invoice.body = calls.purchase_body(profile, document, _speaker(office)).decode()
    invoice.decision = {
        "branch": branch,
        "lines": [{"line": number, "item_code": one.item_code, "factor": "1"} for number, one in enumerate(bought, 1)],
    }
    invoice.save()
    invoice.booking = _booking(
        company,
        environment,
        branch,
        goods,
        cause=f"purchase:{invoice.pk}",
        reason=StockReason.PURCHASE_IN,
        on=now,
        by=by,
        remark=f"Purchase {reference} of {supplier_name}"[:300],
        counterparty_pin=supplier_pin,
        counterparty_name=supplier_name[:60],
    )
    _decide(invoice, PURCHASE_JOB, "purchase.declared", by)
    return invoice, False


def _items_of(company: Company, environment: str, bought: Sequence[Bought]) -> list[Item]:
    codes = {one.item_code for one in bought}
    items = {item.code: item for item in Item.objects.filter(company=company, environment=environment, code__in=codes)}
    wrongs = [
        wrong
        for place, one in enumerate(bought)
        if (wrong := _unusable(f"lines[{place}].item_code", one.item_code, items.get(one.item_code)))
    ]
    if wrongs:
        raise StockRefused(wrongs)
    return [items[one.item_code] for one in bought]


def _unusable(field: str, code: str, item: Item | None) -> Wrong | None:
    if item is None:
        return Wrong(field, "unknown_item", f"{code} is not registered.")
    if not item.kra_code:
        return Wrong(field, "item_not_registered", f"KRA has not registered {item.code} yet.")
    return None


def _typed_line(number: int, line: documents.PurchaseLine) -> dict[str, Any]:
    """A typed line in the form of one that KRA lists."""
    return {
        "number": number,
        "item_code": "",
        "item_class": line.item_class,
        "name": line.name,
        "quantity": str(line.quantity),
        "quantity_unit": line.quantity_unit,
        "unit_price": str(line.figures.unit_price),
        "tax_class": line.tax_class,
        "tax": str(line.figures.tax),
        "total": str(line.figures.total),
    }


@transaction.atomic
def reject(decided: SupplierInvoice, *, remark: str, by: str) -> SupplierInvoice:
    """Say that a supplier's invoice is not the company's; nothing is sent. Raises AlreadyDecided."""
    invoice = SupplierInvoice.objects.select_for_update(no_key=True).get(pk=decided.pk)
    _must_be_open(invoice)
    invoice.status, invoice.decision = Decided.Status.REJECTED, {"remark": remark}
    invoice.save(update_fields=["status", "decision"])
    record(
        invoice.company,
        "purchase.rejected",
        subject=invoice.public_id,
        environment=invoice.environment,
        actor=by,
        remark=remark,
    )
    return invoice


@transaction.atomic
def decide_import(
    *,
    imported: ImportedItem,
    approved: bool,
    item_code: str,
    branch: str,
    factor: Decimal,
    unit_price: Decimal | None,
    remark: str,
    now: datetime,
    by: str,
) -> ImportedItem:
    """Approve an imported line as an own item, or cancel it; KRA is told, then the stock of an approved one comes in.

    `factor` is how many of ours are in one of the declaration's. Without `unit_price` it is the declared value (KES).
    Raises AlreadyDecided, StockRefused, DeviceNotReady.
    """
    company, environment = imported.company, imported.environment
    imported = ImportedItem.objects.select_for_update(no_key=True).get(pk=imported.pk)
    _must_be_open(imported)
    head_office(company, environment)
    item = Item.objects.filter(company=company, environment=environment, code=item_code).first()
    if item is None:
        raise StockRefused([Wrong("item_code", "unknown_item", f"{item_code} is not registered.")])
    if not item.kra_code:
        raise StockRefused([Wrong("item_code", "item_not_registered", f"KRA has not registered {item.code} yet.")])
    listed = msgspec.convert(imported.document, documents.ImportedItem, strict=False)
    imported.item = item
    imported.decision = {
        "approved": approved,
        "item_code": item.code,
        "kra_code": item.kra_code,
        "item_class": item.item_class,
        "branch": branch,
        "factor": str(factor),
        "remark": remark,
    }
    if approved:
        quantity = listed.quantity * factor
        price = unit_price or _unit_price(listed.foreign_amount * listed.exchange_rate, quantity)
        try:
            imported.booking = _booking(
                company,
                environment,
                branch,
                [(0, Goods(item.code, quantity, price))],
                cause=f"import:{imported.pk}",
                reason=StockReason.IMPORT_IN,
                on=now,
                by=by,
                remark=f"Import {listed.declaration_number} line {listed.line_number}",
            )
        except StockRefused as refused:
            names = {"lines[0].quantity": "factor", "lines[0].item_code": "item_code"}
            raise StockRefused(
                [wrong._replace(field=names.get(wrong.field, wrong.field.split(".")[-1])) for wrong in refused.wrongs]
            ) from None
    _decide(imported, IMPORT_JOB, "import.approved" if approved else "import.rejected", by)
    return imported


def _must_be_open(decided: Decided) -> None:
    if decided.status not in _DECIDABLE or (isinstance(decided, SupplierInvoice) and decided.reference):
        raise AlreadyDecided(decided.status)


def _decide(decided: SupplierInvoice | ImportedItem, kind: str, event: str, by: str) -> None:
    decided.status, decided.problem = Decided.Status.ACCEPTED, None
    decided.save()
    lane = lane_for(decided.company, environment=decided.environment, branch=HEAD_OFFICE, series=Lane.Series.PURCHASE)
    queue_job(lane, kind=kind, document_id=decided.pk)
    record(
        decided.company,
        event,
        subject=decided.public_id,
        environment=decided.environment,
        actor=by,
        decision=decided.decision,
    )


_Chosen = tuple[Mapping, documents.ListedLine, Item]


def _chosen(
    company: Company, environment: str, sale: documents.SupplierSale, mappings: Sequence[Mapping]
) -> list[_Chosen]:
    listed = {line.number: line for line in sale.lines}
    codes = {mapping.item_code for mapping in mappings}
    items = {item.code: item for item in Item.objects.filter(company=company, environment=environment, code__in=codes)}
    wrongs: list[Wrong] = []
    chosen: list[_Chosen] = []
    for place, mapping in enumerate(mappings):
        line, item, at = listed.get(mapping.line), items.get(mapping.item_code), f"lines[{place}]"
        if line is None:
            wrongs.append(Wrong(f"{at}.line", "unknown_line", f"The invoice has no line {mapping.line}."))
        elif any(mapping.line == other.line for other in mappings[:place]):
            wrongs.append(Wrong(f"{at}.line", "duplicate", f"Line {mapping.line} stands here twice."))
        if wrong := _unusable(f"{at}.item_code", mapping.item_code, item):
            wrongs.append(wrong)
        if line is not None and item is not None:
            chosen.append((mapping, line, item))
    if wrongs:
        raise StockRefused(wrongs)
    return chosen


def _purchase_lines(
    chosen: Sequence[_Chosen], profile: Profile, rates: dict[TaxClass, Decimal]
) -> tuple[Figures, list[documents.PurchaseLine]]:
    """Our arithmetic of the lines, which must give what the supplier charged."""
    ins: list[LineIn] = []
    wrongs: list[Wrong] = []
    for place, (_, line, _item) in enumerate(chosen):
        read = _as_charged(line, profile, rates)
        if read is None:
            message = f"Line {line.number} does not add up: {line.quantity} at {line.unit_price} is not {line.total}."
            wrongs.append(Wrong(f"lines[{place}].line", "amounts_unclear", message))
        else:
            ins.append(read)
    if wrongs:
        raise StockRefused(wrongs)
    made = _figures(ins, profile, rates)
    lines = [
        documents.PurchaseLine(
            item_code=item.kra_code,
            item_class=item.item_class,
            name=item.name,
            packaging_unit=line.packaging_unit or item.packaging_unit,
            quantity_unit=line.quantity_unit or item.quantity_unit,
            quantity=line.quantity,
            packages=line.packages or Decimal(1),
            tax_class=TaxClass(line.tax_class),
            figures=amounts,
            barcode=line.barcode or None,
            supplier_item_code=line.item_code or None,
            supplier_item_class=line.item_class or None,
            supplier_item_name=line.name or None,
        )
        for (_, line, item), amounts in zip(chosen, made.lines, strict=True)
    ]
    return made, lines


def _as_charged(line: documents.ListedLine, profile: Profile, rates: dict[TaxClass, Decimal]) -> LineIn | None:
    """The line as our arithmetic reads it, with the supplier's price or, failing that, with the price that its total
    gives; None when neither gives the total."""
    if line.tax_class not in set(TaxClass) or not line.quantity:
        return None
    letter = TaxClass(line.tax_class)
    tries = [
        LineIn(
            line.quantity, line.unit_price.quantize(CENT, ROUND_HALF_UP), letter, discount_amount=line.discount or None
        ),
        LineIn(line.quantity, _unit_price(line.total, line.quantity), letter),
    ]
    for one in tries:
        try:
            if _figures([one], profile, rates).total == line.total:
                return one
        except TaxInputError:
            continue
    return None


def _figures(lines: Sequence[LineIn], profile: Profile, rates: dict[TaxClass, Decimal]) -> Figures:
    return figures(
        lines,
        rates=rates,
        profile=profile.amount_profile,
        prices_include_tax=True,
        quantity_decimals=profile.quantity_decimals,
    )


def _unit_price(total: Decimal, quantity: Decimal) -> Decimal:
    return (total / quantity).quantize(CENT, ROUND_HALF_UP) if quantity else Decimal(0)


def _payment(code: str) -> PaymentMethod:
    return PaymentMethod(code) if code in set(PaymentMethod) else PaymentMethod.CASH


def _booking(
    company: Company,
    environment: str,
    branch: str,
    goods: Sequence[tuple[int, Goods]],
    *,
    cause: str,
    reason: StockReason,
    on: datetime,
    by: str,
    **more: Any,
) -> dict[str, Any] | None:
    if not goods:
        return None
    try:
        lines = goods_lines(company, environment, [one for _, one in goods], branch)
    except StockRefused as refused:
        places = {f"lines[{here}]": f"lines[{there}]" for here, (there, _) in enumerate(goods)}
        raise StockRefused([_moved(wrong, places) for wrong in refused.wrongs]) from None
    stock = lane_for(company, environment=environment, branch=branch, series=Lane.Series.STOCK)
    return booking_row(
        cause=cause,
        company_id=company.pk,
        environment=environment,
        beside_lane_id=stock.pk,
        reason=reason.value,
        occurred_on=on.astimezone(NAIROBI).date().isoformat(),
        lines=lines,
        actor=by,
        **more,
    )


def _moved(wrong: Wrong, places: dict[str, str]) -> Wrong:
    place, dot, name = wrong.field.partition(".")
    return wrong._replace(field=f"{places.get(place, place)}{dot}{name}")


def _speaker(office: Device) -> Credentials:
    """Who speaks, without the key: enough to write a body, not to send it."""
    return Credentials(pin=office.company.pin, branch=office.branch.code, key="", device_serial=office.serial)
