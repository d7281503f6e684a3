"""What stands on a receipt or a provisional slip, worked out once and shown on paper, as a page, as text, as data.

Everything comes from the stored row: what was true when the document was sent (snapshot), our figures, and the control
unit's own answer. Content and order follow the KRA Trader Invoicing System (TIS) specification v2.0, sample receipts on
pages 8 and 10. Amounts are KES with 2 decimals, signed as they are printed: a credit note's are negative. Times are
Nairobi time.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from operator import neg, pos
from typing import Any

from gateway.kra.codes import PaymentMethod, ProductType, TaxClass, code_class
from gateway.kra.tax import AmountProfile
from gateway.lanes.stored import json_value
from gateway.lib.clock import NAIROBI
from gateway.lib.money import ZERO, money, round_money
from gateway.sales.receipts.identifiers import grouped, text_code
from gateway.sales.receipts.labels import CREDIT_NOTES, Label, ReceiptType, label_of
from gateway.sales.receipts.languages import WORDS, Language, Words
from gateway.sales.receipts.stored import is_simulated, legal_number, link_to_kra, moment

NOT_AN_INVOICE = "NOT A TAX INVOICE"
SANDBOX_MARK = f"SANDBOX \N{EN DASH} {NOT_AN_INVOICE}"
SIMULATED_MARK = f"SIMULATED \N{EN DASH} {NOT_AN_INVOICE}"
NOT_YET_MARK = "NOT YET FISCALISED"
WITHDRAWN_MARK = "WITHDRAWN"
NOT_OFFICIAL = "THIS IS NOT AN OFFICIAL RECEIPT"
CREDIT_NOTE_SENTENCE = "CREDIT NOTE IS APPROVED ONLY FOR ORIGINAL SALES RECEIPT"

# The order of KRA's sample, and its words for the rates that are not numbers.
_TAX_TABLE = (TaxClass.EXEMPT, TaxClass.STANDARD, TaxClass.ZERO_RATED, TaxClass.NON_VAT, TaxClass.REDUCED)
_RATE_WORDS = {TaxClass.EXEMPT: "EX", TaxClass.NON_VAT: "Non-VAT"}

_TITLES = {
    (ReceiptType.TRAINING, False): "TRAINING RECEIPT",
    (ReceiptType.TRAINING, True): "TRAINING CREDIT NOTE",
    (ReceiptType.PROFORMA, False): "PROFORMA INVOICE",
}


@dataclass(frozen=True, slots=True)
class Seller:
    """Who sold, and where, as it was at issue."""

    name: str
    pin: str
    address: str
    city: str
    branch: str


@dataclass(frozen=True, slots=True)
class Line:
    """One article. `amount` is before the discount and stands with the tax designation; `discount` is above zero.

    On a credit note `amount` is what is credited, after the reduction, and no discount amount is shown.
    """

    description: str
    is_service: bool
    unit_price: Decimal
    quantity: Decimal
    amount: Decimal
    designation: str
    discount_percent: Decimal
    discount: Decimal


@dataclass(frozen=True, slots=True)
class Payment:
    """One means of payment with its amount."""

    means: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class TaxRow:
    """A row of the tax table: the taxable amount without tax, whatever the profile put on the wire."""

    rate: str
    taxable: Decimal
    tax: Decimal


@dataclass(frozen=True, slots=True)
class LetterTotal:
    """What a credit note says of one tax letter it uses: `TOTAL B-16.00%` and `TOTAL TAX B`."""

    letter: str
    name: str
    total: Decimal
    tax: Decimal


@dataclass(frozen=True, slots=True)
class ControlUnit:
    """The control unit's answer: its own time, its numbers, its codes in groups of four."""

    signed_at: datetime
    unit_id: str
    invoice_number: str
    counter: str
    internal_data: str
    signature: str


@dataclass(frozen=True, slots=True)
class Source:
    """What the trader's own system calls the document, and when it was made."""

    number: int | None
    reference: str
    issued_at: datetime
    cashier: str
    remark: str


@dataclass(frozen=True, slots=True)
class ReceiptDocument:
    """A receipt if the control unit has answered (`control_unit`), else a provisional slip that cannot pass for one.

    Training and proforma are receipts without an answer, since nothing is ever asked.

    `marks` say in capitals what it is not; `explanation` says in sentences where an unsigned sale stands.
    `qr_content` is what the QR code holds, `link` the page of KRA that shows the document.
    """

    title: str
    type: ReceiptType
    label: Label
    language: Language
    marks: tuple[str, ...]
    seller: Seller
    top_message: str
    bottom_message: str
    buyer_pin: str
    buyer_name: str
    original_invoice_number: str
    notes: tuple[str, ...]
    lines: tuple[Line, ...]
    total_before_discount: Decimal
    total_discount: Decimal
    total_exempt: Decimal
    sub_total: Decimal
    vat: Decimal
    total: Decimal
    letter_totals: tuple[LetterTotal, ...]
    payments: tuple[Payment, ...]
    tax_table: tuple[TaxRow, ...]
    control_unit: ControlUnit | None
    qr_content: str | None
    link: str | None
    source: Source
    explanation: tuple[str, ...]
    is_simulated: bool

    @property
    def words(self) -> Words:
        return WORDS[self.language]

    @property
    def is_slip(self) -> bool:
        return self.control_unit is None and self.type in (ReceiptType.NORMAL, ReceiptType.COPY)

    @property
    def is_credit_note(self) -> bool:
        return self.label in CREDIT_NOTES

    @property
    def notice(self) -> str:
        """COPY, TRAINING or PROFORMA, to stand above the items twice as large as amounts; empty on an original."""
        return "" if self.is_slip or self.type is ReceiptType.NORMAL else self.type.value

    @property
    def official_notice(self) -> str:
        """What stands below the totals, as large, of whatever is no original."""
        return NOT_OFFICIAL if self.notice else ""

    @property
    def check_words(self) -> str:
        return self.words.check_at_simulator if self.is_simulated else self.words.check_at_kra

    @property
    def sums(self) -> list[tuple[str, str]]:
        """The rows of totals, names and amounts as they are printed."""
        if self.is_credit_note:
            rows = [("TOTAL", amount(self.total))]
            for letter in self.letter_totals:
                rows.append((f"TOTAL {letter.name}", amount(letter.total)))
                rows.append((f"TOTAL TAX {letter.letter}", amount(letter.tax)))
            return [*rows, ("TOTAL TAX", amount(self.vat))]
        discount = amount(self.total_discount)
        return [
            ("TOTAL BEFORE DISCOUNT", amount(self.total_before_discount)),
            ("TOTAL DISCOUNT AWARDED", f"({discount})" if self.total_discount else discount),
            ("TOTAL EXEMPT", amount(self.total_exempt)),
            ("SUB TOTAL", amount(self.sub_total)),
            ("VAT", amount(self.vat)),
            ("TOTAL", amount(self.total)),
        ]

    @property
    def unit_rows(self) -> list[tuple[str, str]]:
        """The rows of the block SCU INFORMATION."""
        unit = self.control_unit
        if unit is None:
            return []
        rows = [
            (f"Date: {unit.signed_at:%d/%m/%Y}", f"Time: {unit.signed_at:%H:%M:%S}"),
            ("CU ID:", unit.unit_id),
            ("CU INVOICE NO.:", unit.invoice_number),
            ("RECEIPT COUNTER:", unit.counter),
            ("INTERNAL DATA:", unit.internal_data),
            ("RECEIPT SIGNATURE:", unit.signature),
        ]
        return [(name, value) for name, value in rows if value]

    @property
    def source_rows(self) -> list[tuple[str, str]]:
        """The rows of the block TIS INFORMATION."""
        source = self.source
        rows = [
            ("RECEIPT NUMBER:", "" if source.number is None else str(source.number)),
            ("REFERENCE:", source.reference),
            (f"Date: {source.issued_at:%d/%m/%Y}", f"Time: {source.issued_at:%H:%M:%S}"),
            (self.words.served_by, source.cashier),
            (self.words.remark, source.remark),
        ]
        return [(name, value) for name, value in rows if value]

    def reduction(self, line: "Line") -> tuple[str, str] | None:
        """The row below a line with a discount: its name with the percentage, its amount in brackets."""
        if not line.discount:
            return None
        percent = plain(line.discount_percent)
        if self.is_credit_note:
            return self.words.price_reduction, f"-{percent}%"
        return f"{self.words.discount} -{percent}%", f"({amount(line.discount)})"

    @property
    def items_number(self) -> int:
        return len(self.lines)


def receipt_document(
    row: Mapping[str, Any],
    *,
    type: ReceiptType = ReceiptType.NORMAL,
    language: Language = Language.ENGLISH,
    offline_code: bool = False,
) -> ReceiptDocument:
    """The document of a row of `sales_invoice` (keys are column names; JSON columns may be text).

    Only a signed row gives a receipt or a copy; training and proforma are made of a row that is never kept.
    `offline_code` puts KRA's text code into the QR code in place of the link. Raises ValueError for a credit note whose
    snapshot lacks `original_cu_invoice_number`.
    """
    figures, snapshot = json_value(row["figures"]), json_value(row["snapshot"])
    is_credit_note = row["kind"] == "credit_note"
    is_rehearsal = type in (ReceiptType.TRAINING, ReceiptType.PROFORMA)
    label, words = label_of(type, is_credit_note=is_credit_note), WORDS[language]
    on_paper = neg if is_credit_note else pos
    signed = row["status"] == "signed" and not is_rehearsal
    simulated = is_simulated(row, snapshot)
    original = clean(snapshot.get("original_cu_invoice_number"))
    if is_credit_note and signed and not original:
        raise ValueError("a credit note names the CU invoice number of its original")
    link = link_to_kra(row, snapshot) if signed else None
    net = {letter: on_paper(money(figures["net"][letter])) for letter in TaxClass}
    tax = {letter: on_paper(money(figures["tax"][letter])) for letter in TaxClass}
    return ReceiptDocument(
        title=_title(type, is_credit_note, signed, words),
        type=type,
        label=label,
        language=language,
        marks=_marks(row, simulated, waits=not signed and not is_rehearsal),
        seller=_seller(snapshot),
        top_message=clean(snapshot.get("top_message")),
        bottom_message=clean(snapshot.get("bottom_message")),
        buyer_pin=clean(snapshot.get("buyer_pin")),
        buyer_name=clean(snapshot.get("buyer_name")),
        original_invoice_number=f"{original} {Label.NORMAL_SALE}" if original else "",
        notes=_notes(figures, words),
        lines=tuple(_line(line, is_credit_note) for line in figures["lines"]),
        total_before_discount=on_paper(sum((money(line["supply"]) for line in figures["lines"]), ZERO)),
        total_discount=money(figures["discount"]),
        total_exempt=net[TaxClass.EXEMPT],
        sub_total=on_paper(money(figures["total_net"])),
        vat=on_paper(money(figures["total_tax"])),
        total=on_paper(money(figures["total"])),
        letter_totals=_letter_totals(figures, net, tax),
        payments=tuple(
            Payment(_means(payment["method"]), on_paper(money(payment["amount"]))) for payment in figures["payments"]
        ),
        tax_table=tuple(TaxRow(_rate(letter, figures["rates"]), net[letter], tax[letter]) for letter in _TAX_TABLE),
        control_unit=_control_unit(row, label) if signed else None,
        qr_content=_offline_code(row) if signed and offline_code else link,
        link=link,
        source=Source(
            number=row["number"] if signed else None,
            reference=clean(row["reference"]),
            issued_at=moment(row["issued_at"]).astimezone(NAIROBI),
            cashier=clean(snapshot.get("cashier")),
            remark=clean(snapshot.get("remark")),
        ),
        explanation=() if signed or is_rehearsal else _explanation(row, words),
        is_simulated=simulated,
    )


def clean(text: str | None) -> str:
    """Text for paper and page: one line, without control and direction marks that could hide or turn what follows."""
    if not text:
        return ""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    visible = (" " if unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else letter for letter in text)
    return " ".join("".join(visible).split())


def _title(type: ReceiptType, is_credit_note: bool, signed: bool, words: Words) -> str:
    if signed:
        return "CREDIT NOTE" if is_credit_note else "TAX INVOICE"
    return _TITLES.get((type, is_credit_note), words.slip)


def _marks(row: Mapping[str, Any], simulated: bool, *, waits: bool) -> tuple[str, ...]:
    marks: tuple[str, ...] = ()
    if waits:
        marks = (WITHDRAWN_MARK if row["status"] == "cancelled" else NOT_YET_MARK, NOT_AN_INVOICE)
    if simulated:
        return (*marks, SIMULATED_MARK)
    # Whatever is not plainly production is no tax invoice.
    return marks if row["environment"] == "production" else (*marks, SANDBOX_MARK)


def _seller(snapshot: Mapping[str, Any]) -> Seller:
    code, name = clean(snapshot.get("branch_code")), clean(snapshot.get("branch_name"))
    return Seller(
        name=clean(snapshot["company"]),
        pin=snapshot["pin"],
        address=clean(snapshot.get("address")),
        city=clean(snapshot.get("city")),
        branch=f"{name} ({code})" if name and code else name,
    )


def _line(line: Mapping[str, Any], is_credit_note: bool) -> Line:
    supply, discount = money(line["supply"]), money(line["discount"])
    rate = Decimal(line["discount_rate"])
    if discount and not rate:
        rate = round_money(discount * 100 / supply)
    letter = TaxClass(line["tax_type"])
    return Line(
        description=clean(line["name"]),
        is_service=line["product_type"] == ProductType.SERVICE,
        unit_price=money(line["unit_price"]),
        quantity=Decimal(line["quantity"]),
        amount=-(supply - discount) if is_credit_note else supply,
        designation=f"{letter}-EX" if letter is TaxClass.EXEMPT else letter.value,
        discount_percent=rate,
        discount=discount,
    )


def _means(word: str) -> str:
    """KRA's name of a means of payment (class 07): `MOBILE MONEY`."""
    return code_class("07")[PaymentMethod.from_word(word)].name


def _rate(letter: TaxClass, rates: Mapping[str, str]) -> str:
    return _RATE_WORDS.get(letter) or f"{plain(Decimal(rates[letter]))}%"


def amount(number: Decimal) -> str:
    """KES as Kenya writes it: `6,720.00`."""
    return f"{number:,.2f}"


def plain(number: Decimal) -> str:
    """A quantity or percentage without needless zeros: `0.2`, `16`, `1,000`."""
    text = f"{number:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _letter_totals(
    figures: Mapping[str, Any], net: Mapping[TaxClass, Decimal], tax: Mapping[TaxClass, Decimal]
) -> tuple[LetterTotal, ...]:
    rates, used = figures["rates"], {line["tax_type"] for line in figures["lines"]}
    return tuple(
        LetterTotal(
            letter=letter.value,
            name=f"{letter}-{_RATE_WORDS.get(letter) or f'{money(rates[letter])}%'}",
            total=net[letter] + tax[letter],
            tax=tax[letter],
        )
        for letter in _TAX_TABLE
        if letter in used
    )


def _notes(figures: Mapping[str, Any], words: Words) -> tuple[str, ...]:
    notes = [words.all_in_kes]
    if figures["profile"] == AmountProfile.EXCLUSIVE:
        notes.append(words.prices_without_vat)
    currency, rate = clean(figures.get("currency")), figures.get("exchange_rate")
    if rate and currency and currency != "KES":
        notes.append(f"{currency} 1 = KES {plain(Decimal(rate))}")
    return tuple(notes)


def _control_unit(row: Mapping[str, Any], label: Label) -> ControlUnit:
    number, total_number = row["receipt_number"], row["total_receipt_number"]
    legal = legal_number(row)
    return ControlUnit(
        signed_at=moment(row["signed_at"]).astimezone(NAIROBI),
        unit_id=row["control_unit_id"],
        invoice_number=f"{legal} {label}" if legal else "",
        counter=f"{number}/{total_number} {label}",
        internal_data=grouped(row["internal_data"]),
        signature=grouped(row["signature"]),
    )


def _offline_code(row: Mapping[str, Any]) -> str:
    return text_code(
        signed_at=moment(row["signed_at"]),
        control_unit=row["control_unit_id"],
        receipt_number=row["receipt_number"],
        internal_data=row["internal_data"],
        signature=row["signature"],
    )


def _explanation(row: Mapping[str, Any], words: Words) -> tuple[str, ...]:
    sentences = [getattr(words, row["status"])]
    if row["status"] == "refused":
        sentences += _reasons(json_value(row["problem"]) or {}, words)
    return tuple(sentences)


def _reasons(problem: Mapping[str, Any], words: Words) -> Sequence[str]:
    kra = problem.get("kra") or {}
    reasons = [clean(problem.get("detail"))]
    reasons += [f"{clean(field['field'])}: {clean(field['message'])}" for field in problem.get("fields") or []]
    if kra.get("code"):
        reasons.append(f"{words.kra_answered} {clean(str(kra['code']))} {clean(kra.get('message'))}".rstrip())
    return [reason for reason in reasons if reason]
