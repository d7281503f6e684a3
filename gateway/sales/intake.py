"""A sale as it comes in: its shape, what is wrong with it in plain words, and the row that is kept.

Nothing here waits or writes. Every wrong field is named; amounts never pass through a float.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from types import NoneType
from typing import Any, TypeVar, get_args

import msgspec

from gateway.catalog.shelf import ShelfItem
from gateway.devices.desk import Seat
from gateway.kra.client import GAP, Client
from gateway.kra.codes import PaymentMethod, TaxClass, is_code
from gateway.kra.documents import Credentials, SaleDocument, SaleLine
from gateway.kra.tax import Figures, LineIn, TaxInputError, figures
from gateway.lib.money import ZERO
from gateway.lib.nul import has_nul
from gateway.lib.spelling import no_such_field

T = TypeVar("T")

MOST_AMOUNT = Decimal(10) ** 13  # SQLite gives amounts back exactly up to 15 digits
MOST_PAYMENTS = 50
MOST_LINES = 999  # KRA counts lines with three digits
MOST_MISSHAPEN = 100  # fields that one answer names
ETIMS_BEGAN = datetime(2020, 1, 1, tzinfo=UTC)
FUTURE_SECONDS = 300  # how far a till's clock may run ahead of ours
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
PIN = re.compile(r"[A-Z][0-9]{9}[A-Z]")

HASH_VERSION = "v1"


class CustomerIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pin: str | None = None
    name: str | None = None
    phone: str | None = None
    email: str | None = None


class PaymentIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    method: str
    amount: Decimal


class TotalsIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    amount: Decimal | None = None
    tax: Decimal | None = None


class LineOfSaleIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    item_code: str
    quantity: Decimal
    unit_price: Decimal
    name: str | None = None
    discount_percent: Decimal | None = None
    discount_amount: Decimal | None = None
    tax_type: str | None = None
    item_class: str | None = None
    packaging_unit: str | None = None
    quantity_unit: str | None = None
    barcode: str | None = None


class SaleIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sale as a till posts it. Amounts are numbers or text, KES unless `currency` says otherwise."""

    reference: str
    issued_at: datetime
    lines: list[LineOfSaleIn]
    device: str | None = None
    customer: CustomerIn | None = None
    payments: list[PaymentIn] | None = None
    payment_method: str | None = None
    currency: str = "KES"
    exchange_rate: Decimal | None = None
    prices_include_tax: bool = True
    cashier: str | None = None
    remark: str | None = None
    totals: TotalsIn | None = None


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that is wrong: where (`lines[0].quantity`), a stable code, and a sentence."""

    field: str
    code: str
    message: str


class NotJson(Exception):
    """The body is not JSON, or not an object."""


class WrongSale(Exception):
    """The sale cannot be taken as it is. `reference` is there when it could be read: it may be known already."""

    def __init__(self, wrongs: list[Wrong], reference: str | None = None) -> None:
        super().__init__("; ".join(f"{wrong.field}: {wrong.message}" for wrong in wrongs))
        self.wrongs = wrongs
        self.reference = reference


_decoder = msgspec.json.Decoder(SaleIn)
_encoder = msgspec.json.Encoder(order="sorted", decimal_format="string")
_plain_decoder = msgspec.json.Decoder(float_hook=Decimal)
_NOT_AN_OBJECT = ("not_an_object", "This must be an object in curly brackets.")
_NOT_A_LIST = ("not_a_list", "This must be a list in square brackets.")
NOT_READABLE: dict[Any, tuple[str, str]] = {
    Decimal: ("not_a_number", "Give a number with a point, such as 650.00; no comma, no letters."),
    datetime: ("not_a_time", "Give a date and time with its zone, such as 2026-11-20T09:30:00+03:00."),
    int: ("not_whole_number", "Give a whole number, such as 1."),
    str: ("not_text", "This must be text in quotes."),
    bool: ("not_yes_no", "This must be true or false, without quotes."),
}


def read_sale(body: bytes) -> SaleIn:
    """The sale in a request's body. Raises NotJson or WrongSale."""
    return read_document(body, _decoder, SaleIn)


def read_document(body: bytes, decoder: msgspec.json.Decoder[T], wanted: type[T]) -> T:
    """The document of this kind in a request's body. Raises NotJson or WrongSale."""
    if has_nul(body):
        raise WrongSale([Wrong("(body)", "not_printable", "Take the control character \\u0000 out.")])
    try:
        document = decoder.decode(body)
    except msgspec.ValidationError:
        raise _misshapen(body, wanted) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotJson(str(error)) from None
    json.loads(body, object_pairs_hook=_once, parse_int=str, parse_float=str)  # the decoder takes the last of two
    return document


def _once(pairs: list[tuple[str, Any]]) -> None:
    """Raises WrongSale when an object names a field twice: nobody can know which of the two was meant."""
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise WrongSale([Wrong(twice, "duplicate", "This field stands twice in one object; say it once.")])


def _misshapen(body: bytes, wanted: type) -> WrongSale:
    """Every field of a body whose shape was refused, up to MOST_MISSHAPEN. Raises NotJson: what follows may be none."""
    try:
        raw = _plain_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotJson(str(error)) from None
    wrongs = list(islice(_shape("", raw, wanted), MOST_MISSHAPEN))
    if not wrongs:  # only a value that a later one of the same name hides
        wrongs = [Wrong("(body)", "duplicate", "A field stands here twice; say it once.")]
    reference = raw.get("reference") if isinstance(raw, dict) else None
    return WrongSale(wrongs, reference if isinstance(reference, str) else None)


def _shape(path: str, value: Any, wanted: Any) -> Iterator[Wrong]:
    """What of a JSON value does not have the shape of this type, field by field."""
    kinds = get_args(wanted)
    if NoneType in kinds:
        if value is None:
            return
        wanted = next(kind for kind in kinds if kind is not NoneType)
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        if not isinstance(value, dict):
            yield Wrong(path or "(body)", *_NOT_AN_OBJECT)
            return
        inner = f"{path}." if path else ""
        known = {field.name: field for field in msgspec.structs.fields(wanted)}
        for name in value:
            if name not in known:
                yield Wrong(inner + name[:100], "unknown_field", no_such_field(name, known))
        for name, field in known.items():
            if name in value:
                yield from _shape(inner + name, value[name], field.type)
            elif field.required:
                yield Wrong(inner + name, "missing", "This field is needed.")
    elif wanted in NOT_READABLE:
        try:
            msgspec.convert(value, wanted)
        except msgspec.ValidationError:
            yield Wrong(path, *NOT_READABLE[wanted])
    elif not isinstance(value, list):
        yield Wrong(path, *_NOT_A_LIST)
    else:
        for index, item in enumerate(value):
            yield from _shape(f"{path}[{index}]", item, get_args(wanted)[0])


def content_hash(sale: SaleIn) -> str:
    """The fingerprint of what the caller sent, by which a repeat is told from a change; our defaults are not in it.

    Equal amounts written differently (1, 1.0, "1.00") are the same, so are equal moments in other time zones.
    """
    return fingerprint_of(plain_content(sale))


def fingerprint_of(content: Any) -> str:
    """The fingerprint of a document's plain content."""
    return f"{HASH_VERSION}:{hashlib.sha256(_encoder.encode(content)).hexdigest()}"


def plain_content(value: Any) -> Any:
    """What a caller sent, fit for JSON, written in one way only."""
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        return format(value.normalize(), "f") if isinstance(exponent, int) and -20 < exponent < 20 else str(value)
    if isinstance(value, msgspec.Struct):
        return {
            name: item if type(item) is str else plain_content(item)
            for name in value.__struct_fields__
            if (item := getattr(value, name)) is not None
        }
    if isinstance(value, list):
        return [plain_content(item) for item in value]
    if isinstance(value, datetime):
        try:
            return value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat()
        except OverflowError:  # of the year 1 or 9999, and no such time in UTC; it will be refused
            return value.isoformat()
    return value


def check(sale: SaleIn, *, now: datetime) -> list[Wrong]:
    """What is wrong with the sale in itself, whatever the catalogue and the devices say."""
    wrongs = check_reference(sale.reference)
    wrongs += check_issued_at(sale.issued_at, "A sale", now=now)
    if not sale.lines:
        wrongs.append(Wrong("lines", "too_few", "A sale has at least one line."))
    elif len(sale.lines) > MOST_LINES:
        wrongs.append(Wrong("lines", "too_many", f"A sale has at most {MOST_LINES} lines; make two sales of it."))
    if sale.customer is not None:
        wrongs += _check_customer(sale.customer)
    wrongs += _check_payments(sale)
    if sale.exchange_rate is None and sale.currency != "KES":
        wrongs.append(
            Wrong("exchange_rate", "missing", "Amounts are in KES; with another currency say its exchange rate too.")
        )
    elif sale.exchange_rate is not None and not _is_rate(sale.exchange_rate):
        wrongs.append(
            Wrong(
                "exchange_rate",
                "out_of_range",
                "A rate is above zero, with at most 9 digits before the point and 6 after.",
            )
        )
    if len(sale.currency) != 3 or not is_code("33", sale.currency):
        wrongs.append(Wrong("currency", "unknown_code", "A currency is a three-letter code such as KES."))
    wrongs += [
        Wrong(field, "not_printable", "Control characters cannot be printed; take them out.")
        for field, text in _free_texts(sale)
        if text is not None and _CONTROL.search(text)
    ]
    if sale.remark is not None and len(sale.remark) > 350:
        wrongs.append(Wrong("remark", "too_long", "A remark has at most 350 characters."))
    if sale.cashier is not None and len(sale.cashier) > 60:
        wrongs.append(Wrong("cashier", "too_long", "A cashier's name has at most 60 characters."))
    return wrongs


def check_reference(reference: str) -> list[Wrong]:
    """What is wrong with a document's own number."""
    if not reference.strip() or reference != reference.strip():
        return [Wrong("reference", "blank", "Give your own number for this document, without blanks around it.")]
    if len(reference) > 50:
        return [Wrong("reference", "too_long", "A reference has at most 50 characters.")]
    if not reference.isprintable():
        return [Wrong("reference", "not_printable", "A reference has only printable characters.")]
    return []


def check_issued_at(issued_at: datetime, what: str, *, now: datetime) -> list[Wrong]:
    """What is wrong with the time at which a document says that it was made; `what` it is opens the sentence."""
    if issued_at.tzinfo is None:
        words = "Say the time zone too, such as 2026-11-20T09:30:00+03:00 in Nairobi."
        return [Wrong("issued_at", "no_time_zone", words)]
    if issued_at > now + timedelta(seconds=FUTURE_SECONDS):
        return [Wrong("issued_at", "in_the_future", f"{what} cannot lie in the future; check the till's clock.")]
    if issued_at < ETIMS_BEGAN:
        return [Wrong("issued_at", "too_old", "This date is before eTIMS began; check the till's clock.")]
    return []


def check_text(field: str, text: str | None, most: int, what: str) -> list[Wrong]:
    """What is wrong with a free text that is printed; `what` it is opens the sentence."""
    if text is None:
        return []
    if _CONTROL.search(text):
        return [Wrong(field, "not_printable", "Control characters cannot be printed; take them out.")]
    return [Wrong(field, "too_long", f"{what} has at most {most} characters.")] if len(text) > most else []


def _free_texts(sale: SaleIn) -> Iterator[tuple[str, str | None]]:
    yield "remark", sale.remark
    yield "cashier", sale.cashier
    yield "customer.name", sale.customer.name if sale.customer else None
    yield "customer.email", sale.customer.email if sale.customer else None
    for index, line in enumerate(sale.lines):
        yield f"lines[{index}].item_code", line.item_code
        yield f"lines[{index}].name", line.name
        yield f"lines[{index}].barcode", line.barcode


def _check_customer(customer: CustomerIn) -> list[Wrong]:
    wrongs: list[Wrong] = []
    if customer.pin is not None and not PIN.fullmatch(customer.pin):
        wrongs.append(
            Wrong("customer.pin", "bad_pin", "A KRA PIN is a letter, nine digits and a letter, such as P051234567X.")
        )
    if customer.name is not None and len(customer.name) > 60:
        wrongs.append(Wrong("customer.name", "too_long", "A buyer's name has at most 60 characters."))
    if customer.phone is not None and (len(customer.phone) > 20 or not re.fullmatch(r"\+?[0-9 ()-]*", customer.phone)):
        wrongs.append(Wrong("customer.phone", "bad_phone", "A phone number has digits only, at most 20 characters."))
    if customer.email is not None and (len(customer.email) > 254 or not _EMAIL.fullmatch(customer.email)):
        wrongs.append(Wrong("customer.email", "bad_email", "This is no e-mail address."))
    return wrongs


def _check_payments(sale: SaleIn) -> list[Wrong]:
    wrongs: list[Wrong] = []
    words = ", ".join(method.word for method in PaymentMethod)
    if sale.payment_method is not None and sale.payments is not None:
        wrongs.append(Wrong("payment_method", "two_ways", "Say payments or payment_method, not both."))
    if sale.payment_method is not None and method_of(sale.payment_method) is None:
        wrongs.append(Wrong("payment_method", "unknown_value", f"A means of payment is one of: {words}."))
    if len(sale.payments or ()) > MOST_PAYMENTS:
        wrongs.append(Wrong("payments", "too_many", f"A sale has at most {MOST_PAYMENTS} payments."))
    for index, payment in enumerate((sale.payments or [])[:MOST_PAYMENTS]):
        if method_of(payment.method) is None:
            wrongs.append(
                Wrong(f"payments[{index}].method", "unknown_value", f"A means of payment is one of: {words}.")
            )
        if (wrong := not_money(payment.amount)) is not None:
            wrongs.append(Wrong(f"payments[{index}].amount", *wrong))
    return wrongs


def _is_rate(rate: Decimal) -> bool:
    exponent = rate.as_tuple().exponent
    return rate.is_finite() and rate > 0 and rate.adjusted() < 9 and isinstance(exponent, int) and exponent >= -6


def method_of(word: str) -> PaymentMethod | None:
    try:
        return PaymentMethod.from_word(word)
    except ValueError:
        return None


def not_money(amount: Decimal) -> tuple[str, str] | None:
    """Why it is no amount, as a code and a sentence; KRA takes 16 digits before the point and 2 after it."""
    if not amount.is_finite():
        return NOT_READABLE[Decimal]
    if amount < 0:
        return "negative", "An amount cannot be below zero."
    if amount.adjusted() >= 16:  # before any arithmetic: a huge exponent would overflow it
        return "amount_too_large", "An amount has at most 16 digits before the point."
    if amount != amount.quantize(Decimal("0.01")):
        return "too_many_decimals", "An amount has at most 2 decimals."
    return None


def work_out(
    sale: SaleIn, *, items: Mapping[str, ShelfItem], rates: Mapping[TaxClass, Decimal], seat: Seat
) -> tuple[Figures, list[Wrong]]:
    """The figures of the sale, and everything about its lines that is wrong."""
    wrongs: list[Wrong] = []
    lines: list[LineIn] = []
    for index, line in enumerate(sale.lines):
        item = items.get(line.item_code)
        if item is None:
            wrongs.append(
                Wrong(
                    f"lines[{index}].item_code",
                    "unknown_item",
                    f"{line.item_code[:50]} is not registered. Register it first: POST /api/item/sync/.",
                )
            )
            continue
        wrongs += _contradictions(index, line, item)
        lines.append(
            LineIn(
                line.quantity,
                line.unit_price or ZERO,  # minus zero is zero
                TaxClass(item.tax_type),
                line.discount_percent,
                line.discount_amount,
            )
        )
    if wrongs:
        lines = lines if len(lines) == len(sale.lines) else []
    profile = seat.profile
    options = {
        "rates": rates,
        "profile": profile.amount_profile,
        "prices_include_tax": sale.prices_include_tax,
        "quantity_decimals": profile.quantity_decimals,
    }
    result: Figures | None = None
    if lines:
        try:
            result = figures(lines, **options)  # type: ignore[arg-type]
        except TaxInputError as first:
            found = {_tax_wrong(first, first.line): None}  # a set that keeps its order
            for index, one in enumerate(lines):
                try:
                    figures([one], **options)  # type: ignore[arg-type]
                except TaxInputError as error:
                    found[_tax_wrong(error, index)] = None
            wrongs += found
    if result is not None and result.total >= MOST_AMOUNT:
        wrongs.append(Wrong("lines", "amount_too_large", "A sale is below 10 000 000 000 000 KES."))
    if result is None or wrongs:
        return result or figures_of_nothing(), wrongs
    return result, _check_totals(sale, result)


def figures_of_nothing() -> Figures:
    """What stands for the figures of a sale that has none because it is wrong."""
    zero = {letter: Decimal("0.00") for letter in TaxClass}
    return Figures((), zero, zero, zero, Decimal("0.00"), Decimal("0.00"), Decimal("0.00"))


def _tax_wrong(error: TaxInputError, index: int | None) -> Wrong:
    field = f"lines[{index}].{error.field}" if index is not None else error.field
    return Wrong(field, error.code, f"{error.message[:1].upper()}{error.message[1:]}.")


def _contradictions(index: int, line: LineOfSaleIn, item: ShelfItem) -> list[Wrong]:
    wrongs: list[Wrong] = []
    if item.status == "retired":
        wrongs.append(Wrong(f"lines[{index}].item_code", "item_retired", f"{item.name} is no longer sold."))
    elif not item.kra_code:  # one that is on its way to KRA has a gap's mark there, if sales may wait for it
        reason = "is still being registered with KRA."
        if item.status == "refused":
            reason = "was refused by KRA. Correct the item first (POST /api/item/sync/), then send the sale again."
        wrongs.append(Wrong(f"lines[{index}].item_code", "item_not_registered", f"{item.name} {reason}"))
    if line.tax_type is not None and line.tax_type not in set(TaxClass):
        wrongs.append(Wrong(f"lines[{index}].tax_type", "unknown_code", "A tax letter is A, B, C, D or E."))
    elif line.tax_type is not None and line.tax_type != item.tax_type:
        wrongs.append(
            Wrong(
                f"lines[{index}].tax_type",
                "tax_type_differs",
                f"The catalogue has {item.name} under tax letter {item.tax_type}, this line says {line.tax_type}.",
            )
        )
    for name in ("item_class", "packaging_unit", "quantity_unit"):
        said = getattr(line, name)
        if said is not None and said != getattr(item, name):
            wrongs.append(
                Wrong(
                    f"lines[{index}].{name}",
                    f"{name}_differs",
                    f"The catalogue says {getattr(item, name)}, this line says {said}.",
                )
            )
    if line.name is not None and not line.name.strip():
        wrongs.append(Wrong(f"lines[{index}].name", "blank", "A name has 1 to 200 characters."))
    elif line.name is not None and len(line.name.strip()) > 200:
        wrongs.append(Wrong(f"lines[{index}].name", "too_long", "A name has 1 to 200 characters."))
    if line.barcode is not None and len(line.barcode) > 20:
        wrongs.append(Wrong(f"lines[{index}].barcode", "too_long", "A barcode has at most 20 characters."))
    return wrongs


def _check_totals(sale: SaleIn, result: Figures) -> list[Wrong]:
    wrongs: list[Wrong] = []
    slack = Decimal("0.01") * len(sale.lines)
    said = sale.totals or TotalsIn()
    for field, theirs, ours in (("amount", said.amount, result.total), ("tax", said.tax, result.total_tax)):
        if theirs is None:
            continue
        if not theirs.is_finite():
            wrongs.append(Wrong(f"totals.{field}", *NOT_READABLE[Decimal]))
        elif theirs.adjusted() >= 18 or abs(theirs - ours) > slack:
            wrongs.append(
                Wrong(
                    f"totals.{field}",
                    "totals_differ",
                    f"You say {theirs}, the lines make {ours}: more than 1 cent a line apart.",
                )
            )
    amounts = [payment.amount for payment in sale.payments or ()]
    if amounts and said.amount is None and not any(not_money(amount) for amount in amounts):
        paid = sum(amounts, Decimal(0))
        if abs(paid - result.total) > slack:
            wrongs.append(
                Wrong("payments", "payments_differ", f"The payments make {paid}, the lines make {result.total}.")
            )
    return wrongs


def tag_of(*, environment: str, pin: str, branch: str, reference: str, content: str) -> str:
    """The mark at the end of KRA's remark by which we know our own document again: 12 characters after `rvp:`."""
    text = "\x1f".join((environment, pin, branch, reference, content))
    return "rvp:" + hashlib.sha256(text.encode()).hexdigest()[:12]


def invoice_row(
    sale: SaleIn,
    result: Figures,
    *,
    items: Mapping[str, ShelfItem],
    rates: Mapping[TaxClass, Decimal],
    seat: Seat,
    client: Client,
    credentials: Credentials,
    now: datetime,
) -> dict[str, Any]:
    """The row of `sales_invoice` for a checked sale: what was sent, our figures, the snapshot, the body for KRA.

    Raises ValueError when KRA could not be given one of its texts.
    """
    device = seat.row
    customer = sale.customer or CustomerIn()
    content = plain_content(sale)
    fingerprint = fingerprint_of(content)
    tag = tag_of(
        environment=device["environment"],
        pin=device["pin"],
        branch=device["branch_code"],
        reference=sale.reference,
        content=fingerprint,
    )
    lines = [(line, items[line.item_code], result.lines[index]) for index, line in enumerate(sale.lines)]
    payments = _payments(sale, result)
    document = SaleDocument(
        kind="sale",
        reference=sale.reference,
        issued_at=sale.issued_at,
        lines=[
            SaleLine(
                item_code=item.kra_code,
                item_class=item.item_class,
                name=line.name or item.name,
                packaging_unit=item.packaging_unit,
                quantity_unit=item.quantity_unit,
                quantity=line.quantity,
                tax_class=TaxClass(item.tax_type),
                figures=amounts,
                barcode=line.barcode or item.barcode or None,
            )
            for line, item, amounts in lines
        ],
        figures=result,
        rates=rates,
        payment_method=main_method(payments),
        buyer_pin=customer.pin,
        buyer_name=customer.name,
        remark=sale.remark,
        tag=tag,
        operator_name=sale.cashier or "Revpay Connect",
        trade_name=device["company_name"],
        address=", ".join(part for part in (device["address"], device["city"]) if part) or None,
        top_message=device["top_message"] or None,
        bottom_message=device["bottom_message"] or None,
    )
    body = client.sale_body(document, credentials)
    return {
        "public_id": uuid.uuid4(),
        "company_id": device["company_id"],
        "environment": device["environment"],
        "device_id": device["id"],
        "lane_id": device["lane_id"],
        "kind": "sale",
        "reference": sale.reference,
        "content_hash": fingerprint,
        "content": _without_contact(content),
        "figures": _figures(sale, result, lines, payments, rates, seat),
        "snapshot": _snapshot(sale, seat),
        "body": body.decode(),
        "tag": tag,
        "original_id": None,
        "issued_at": sale.issued_at,
        "buyer_pin": customer.pin or "",
        "buyer_name": customer.name or "",
        "total": result.total,
        "total_tax": result.total_tax,
        "accepted_at": now,
        "phone": customer.phone,
        "email": customer.email,
        "waits_for": sorted({item.id for _, item, _ in lines if item.kra_code.startswith(GAP)}) or None,
    }


def rehearsal_row(
    sale: SaleIn, result: Figures, *, items: Mapping[str, ShelfItem], rates: Mapping[TaxClass, Decimal], seat: Seat
) -> dict[str, Any]:
    """What a receipt needs of a checked sale that is shown and never kept: training, or a proforma."""
    lines = [(line, items[line.item_code], result.lines[index]) for index, line in enumerate(sale.lines)]
    return {
        "company_id": seat.row["company_id"],
        "environment": seat.row["environment"],
        "kind": "sale",
        "reference": sale.reference,
        "status": "queued",
        "number": None,
        "problem": None,
        "control_unit_id": "",
        "issued_at": sale.issued_at,
        "figures": _figures(sale, result, lines, _payments(sale, result), rates, seat),
        "snapshot": _snapshot(sale, seat),
    }


def _payments(sale: SaleIn, result: Figures) -> list[dict[str, str]]:
    return [
        {"method": payment.method, "amount": str(payment.amount.quantize(Decimal("0.01")) or ZERO)}
        for payment in sale.payments or ()
    ] or [{"method": sale.payment_method or "cash", "amount": str(result.total)}]


def _snapshot(sale: SaleIn, seat: Seat) -> dict[str, Any]:
    """What a receipt must show later as it is now."""
    device, customer = seat.row, sale.customer or CustomerIn()
    return {
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
        "simulated": seat.profile.environment == "simulator",
        "receipt_url": seat.profile.receipt_url,
        "buyer_pin": customer.pin,
        "buyer_name": customer.name,
        "cashier": sale.cashier,
        "remark": sale.remark,
    }


def main_method(payments: list[dict[str, str]]) -> PaymentMethod:
    """KRA takes one means of payment: the one that paid most; cash and credit together have a code of their own."""
    if {payment["method"] for payment in payments} == {"cash", "credit"}:
        return PaymentMethod.CASH_CREDIT
    return PaymentMethod.from_word(paid_most(payments))


def paid_most(payments: list[dict[str, str]]) -> str:
    """The means by which most was paid, in one or several parts; of two alike the one that was said first."""
    if len(payments) == 1:
        return payments[0]["method"]
    paid: dict[str, Decimal] = {}
    for payment in payments:
        paid[payment["method"]] = paid.get(payment["method"], ZERO) + Decimal(payment["amount"])
    return max(paid, key=lambda method: paid[method])


def _without_contact(content: dict[str, Any]) -> dict[str, Any]:
    """What the caller sent, without the buyer's phone and e-mail: those are kept where they can be erased."""
    customer = content.get("customer")
    if customer is None:
        return content
    return {**content, "customer": {name: value for name, value in customer.items() if name in {"pin", "name"}}}


def _figures(
    sale: SaleIn,
    result: Figures,
    lines: list[tuple[LineOfSaleIn, ShelfItem, Any]],
    payments: list[dict[str, str]],
    rates: Mapping[TaxClass, Decimal],
    seat: Seat,
) -> dict[str, Any]:
    rows = [
        {
            "line": index,
            "item_code": item.code,
            "kra_code": item.kra_code,
            "item_class": item.item_class,
            "name": line.name or item.name,
            "product_type": item.product_type,
            "packaging_unit": item.packaging_unit,
            "quantity_unit": item.quantity_unit,
            "barcode": line.barcode or item.barcode or None,
            "quantity": format(line.quantity.normalize(), "f"),
            "unit_price": str(amounts.unit_price),
            "supply": str(amounts.supply),
            "discount_rate": str(amounts.discount_rate),
            "discount": str(amounts.discount),
            "tax_type": item.tax_type,
            "net": str(amounts.net),
            "taxable": str(amounts.taxable),
            "tax": str(amounts.tax),
            "total": str(amounts.total),
        }
        for index, (line, item, amounts) in enumerate(lines, start=1)
    ]
    return {
        "profile": str(seat.profile.amount_profile),
        "prices_include_tax": sale.prices_include_tax,
        "currency": sale.currency,
        "exchange_rate": str(sale.exchange_rate) if sale.exchange_rate is not None else None,
        "rates": {str(letter): str(rates[letter]) for letter in TaxClass},
        "lines": rows,
        "net": {str(letter): str(amount) for letter, amount in result.net.items()},
        "taxable": {str(letter): str(amount) for letter, amount in result.taxable.items()},
        "tax": {str(letter): str(amount) for letter, amount in result.tax.items()},
        "total": str(result.total),
        "total_tax": str(result.total_tax),
        "total_net": str(result.total - result.total_tax),
        "discount": str(sum((line.discount for line in result.lines), Decimal("0.00"))),
        "payments": payments,
    }
