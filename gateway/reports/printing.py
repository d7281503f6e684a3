"""X, Z and PLU reports on paper: as PDF (A4, 80 mm), as text, and as bytes for thermal printers.

What must stand on them: KRA Trader Invoicing System (TIS) specification v2.0, reports. Amounts are KES; those of credit
notes are below zero, as on the notes themselves. Whatever is printed is kept for the electronic journal.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from gateway.catalog.queries import current_rates
from gateway.lanes.models import Lane
from gateway.lib.clock import NAIROBI
from gateway.lib.money import ZERO, money
from gateway.lib.software import NAME, VERSION
from gateway.reports.plu import ItemSold
from gateway.reports.tally import SIDES
from gateway.sales.models import PrintedDocument
from gateway.sales.receipts.document import TaxRow, amount, clean, plain
from gateway.sales.receipts.forms import Form
from gateway.sales.receipts.labels import Label
from gateway.sales.receipts.printed import printed_document
from gateway.sales.receipts.roll import Centred, Gap, Marks, Paragraph, Piece, Row, Rule, TaxTable
from gateway.sales.receipts.text import DEFAULT_WIDTH, LEAST_WIDTH, roll_text

_HEADS = {"sales": "SALES (NS)", "credit_notes": "CREDIT NOTES (NC)"}
_SIGNS = {"sales": 1, "credit_notes": -1}
_RATE_WORDS = {"A": "EX", "D": "Non-VAT"}


def report_pieces(report: Mapping[str, Any]) -> Iterator[Piece]:
    """An X report, or a Z report when it has a number, from top to bottom."""
    figures, rates = report["figures"], current_rates(report["environment"])
    letter = "Z" if "number" in report else "X"
    yield from _head(f"{letter} DAILY REPORT", figures["seller"], report["environment"])
    if letter == "Z":
        yield Row("REPORT NO.", str(report["number"]), strong=True)
    yield Row("DAY", f"{report['day']:%d/%m/%Y}")
    yield Row("FROM", _moment(report["opened_at"]))
    yield Row("TO", _moment(report["closed_at"]))
    if report["first_number"] is not None:
        yield Row("INVOICE NUMBERS", f"{report['first_number']} - {report['last_number']}")
    if figures["late_numbers"]:
        yield Row("AND LATE ONES", ", ".join(str(number) for number in figures["late_numbers"]))
    for side in SIDES.values():
        yield from _side(figures, side, rates)
    yield Rule()
    yield Row("NET TOTAL", amount(money(figures["net"]["amount"])), strong=True)
    yield Row("NET TAX", amount(money(figures["net"]["tax"])))
    yield from _counts(figures)
    yield from _drawer(figures["cash"])
    yield Rule()
    yield Centred("CUMULATIVE TOTALS", strong=True)
    for side, sums in figures["cumulative"].items():
        yield Row(f"{_HEADS[side]} {sums['count']}", _signed(sums["amount"], side))
        yield Row("TAX", _signed(sums["tax"], side), indent=2)
    yield from _foot(figures["seller"], figures["software"])


def plu_pieces(
    items: Sequence[ItemSold], *, seller: Mapping[str, Any], environment: str, first_day: date, last_day: date
) -> Iterator[Piece]:
    """A PLU report from top to bottom."""
    yield from _head("PLU REPORT", seller, environment)
    yield Row("INTERVAL", f"{first_day:%d/%m/%Y} - {last_day:%d/%m/%Y}")
    yield Rule()
    for item in items:
        yield Paragraph(clean(f"{item.code} {item.name}"))
        yield Row(f"{amount(item.unit_price)} {item.tax_type} {item.rate}%", "", indent=2)
        yield Row(f"SOLD {plain(item.sold)}", amount(item.sold_amount), indent=2)
        if item.credited:
            yield Row(f"CREDITED {plain(item.credited)}", amount(-item.credited_amount), indent=2)
        if item.remaining is not None:
            yield Row("REMAINING STOCK", plain(item.remaining), indent=2)
    if not items:
        yield Paragraph("Nothing was sold in this interval.")
    yield Rule()
    yield Row("TOTAL", amount(total_of(items)), strong=True)
    yield from _foot(seller, {"name": NAME, "version": VERSION})


def printed(
    pieces: Iterable[Piece],
    *,
    lane: Lane,
    label: Label,
    wanted: Form,
    actor: str,
    reference: str,
    total: Decimal,
    table: Sequence[ItemSold] = (),
) -> bytes:
    """The report as it goes out, and kept for the journal. `table`: a PLU report's items, in columns on A4."""
    roll = list(pieces)
    content = _drawn(roll, wanted, table, title=f"{label.words} {reference}")
    printed_document(
        company_id=lane.company_id,
        environment=lane.environment,
        branch=lane.branch,
        label=label,
        text=roll_text(roll),
        content=content,
        channel=PrintedDocument.Channel.API,
        format=wanted.format,
        actor=actor,
        paper=wanted.paper,
        reference=reference,
        total=total,
    ).save()
    return content


def _drawn(roll: Sequence[Piece], wanted: Form, table: Sequence[ItemSold], *, title: str) -> bytes:
    match wanted.format:
        case "text":
            width = LEAST_WIDTH if wanted.paper == "58mm" else DEFAULT_WIDTH
            return roll_text(roll, width=width).encode()
        case "escpos":
            from gateway.sales.receipts.escpos import roll_escpos  # Pillow: who prints nothing need not have it

            return roll_escpos(roll, paper=wanted.paper)
    from gateway.reports.sheets import report_pdf  # reportlab costs 0.4 s and 20 MB, which a till can do without

    return report_pdf(roll, paper=wanted.paper, table=table, title=title)


def _head(title: str, seller: Mapping[str, Any], environment: str) -> Iterator[Piece]:
    if environment != "production":
        yield Marks(("SANDBOX",))
    yield Centred(clean(seller["name"]), strong=True)
    place = ", ".join(part for part in (seller["address"], seller["city"]) if part)
    for text in (f"{seller['branch_name']} ({seller['branch_code']})", place, f"PIN: {seller['pin']}"):
        if text:
            yield Centred(clean(text))
    yield Gap()
    yield Centred(title, strong=True)


def _side(figures: Mapping[str, Any], side: str, rates: Mapping[str, Decimal]) -> Iterator[Piece]:
    sums = figures[side]
    yield Rule()
    yield Centred(_HEADS[side], strong=True)
    yield Row("NUMBER", str(sums["count"]))
    yield Row("ITEMS", str(figures["items"][side]))
    yield Row("TOTAL", _signed(sums["amount"], side), strong=True)
    yield Row("TAX", _signed(sums["tax"], side))
    yield Row("DISCOUNTS", _signed(figures["discounts"][side], side))
    for group in figures["by_group"]:
        if Decimal(group[side]["amount"]):
            name = clean(f"GROUP {group['group']} {group['name']}")
            yield Row(name, _signed(group[side]["amount"], side))
            yield Row("TAX", _signed(group[side]["tax"], side), indent=2)
    rows = tuple(
        TaxRow(_rate(row, rates), _on_paper(row[side]["net"], side), _on_paper(row[side]["tax"], side))
        for row in figures["by_tax_type"]
    )
    yield TaxTable(("Rate", "Taxable", "VAT"), rows)
    for means in figures["payments"]:
        if Decimal(means[side]):
            yield Row(means["name"], _signed(means[side], side))


def _counts(figures: Mapping[str, Any]) -> Iterator[Piece]:
    yield Rule()
    for name, words in (("copies", "COPIES"), ("training", "TRAINING"), ("proforma", "PROFORMA")):
        for label, sums in figures[name].items():
            yield Row(f"{words} ({label}) {sums['count']}", amount(money(sums["amount"])))
    yield Row("OTHER REDUCTIONS", amount(money(figures["other_reductions"])))
    incomplete = figures["incomplete"]
    yield Row("INCOMPLETE SALES", str(incomplete["count"]))
    for name in ("refused", "cancelled", "open"):
        yield Row(f"{name.upper()} {incomplete[name]['count']}", amount(money(incomplete[name]["amount"])), indent=2)


def _drawer(cash: Mapping[str, Any]) -> Iterator[Piece]:
    yield Rule()
    yield Centred("CASH", strong=True)
    yield Row("OPENING DEPOSIT", amount(money(cash["opening"])))
    yield Row(f"DEPOSITS {cash['deposits']['count']}", amount(money(cash["deposits"]["amount"])))
    yield Row(f"WITHDRAWALS {cash['withdrawals']['count']}", amount(ZERO - money(cash["withdrawals"]["amount"])))
    yield Row("CASH SALES", amount(money(cash["sales"])))
    yield Row("CASH CREDIT NOTES", amount(ZERO - money(cash["credit_notes"])))
    yield Row("IN DRAWER", amount(money(cash["in_drawer"])), strong=True)


def _foot(seller: Mapping[str, Any], software: Mapping[str, str]) -> Iterator[Piece]:
    yield Rule()
    yield Centred("TIS INFORMATION", strong=True)
    yield Row("SOFTWARE", f"{software['name']} {software['version']}")
    for device in seller["devices"]:
        yield Row("DEVICE", device["serial"])
        yield Row("CU ID", device["control_unit"])


def _signed(text: str, side: str) -> str:
    return amount(_on_paper(text, side))


def _on_paper(text: str, side: str) -> Decimal:
    """Below zero on the side of credit notes; nothing is nothing on either."""
    return _SIGNS[side] * money(text) + ZERO


def _rate(row: Mapping[str, Any], rates: Mapping[str, Decimal]) -> str:
    """The rate as receipts print it. A letter that no document used has none of its own, so the current one stands."""
    letter, rate = row["tax_type"], row["rate"]
    return _RATE_WORDS.get(letter) or f"{plain(rates[letter]) if rate is None else rate}%"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(NAIROBI):%d/%m/%Y %H:%M:%S}"


def total_of(items: Sequence[ItemSold]) -> Decimal:
    """What the items brought, less what was credited."""
    return sum((item.sold_amount - item.credited_amount for item in items), ZERO)
