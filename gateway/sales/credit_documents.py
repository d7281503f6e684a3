"""What KRA gets of a credit note, and whether it may go; asked when it is posted, or when its turn has come."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from gateway.kra.client import Client
from gateway.kra.codes import CreditNoteReason, TaxClass
from gateway.kra.documents import Credentials, SaleDocument, SaleLine
from gateway.lanes.stored import json_value
from gateway.sales.credit_balance import changed, is_as_credited, stored_amounts, summed
from gateway.sales.intake import main_method
from gateway.sales.receipts.stored import legal_number, moment


def note_written(
    row: Mapping[str, Any], sale: Mapping[str, Any], *, client: Client, credentials: Credentials
) -> dict[str, Any]:
    """Body, figures and snapshot of a note, now that its sale is signed and all its items have KRA's codes.

    `row` is the note's row, `sale` has the columns of the sale that its signature filled.
    """
    figures, snapshot = json_value(row["figures"]), json_value(row["snapshot"])
    codes = {line["line"]: line["kra_code"] for line in json_value(sale["sale_figures"])["lines"]}
    figures = figures | {
        name: [{**line, "kra_code": codes[line["original_line"]]} for line in figures[name]]
        for name in ("lines", "returned")
    }
    lines = [stored_amounts(line) for line in figures["lines"]]
    letters = [TaxClass(line["tax_type"]) for line in figures["lines"]]
    issued_at = moment(row["issued_at"])
    document = SaleDocument(
        kind="credit_note",
        reference=row["reference"],
        issued_at=issued_at,
        lines=[
            SaleLine(
                item_code=line["kra_code"],
                item_class=line["item_class"],
                name=line["name"],
                packaging_unit=line["packaging_unit"],
                quantity_unit=line["quantity_unit"],
                quantity=Decimal(line["quantity"]),
                tax_class=TaxClass(line["tax_type"]),
                figures=amounts,
                barcode=line["barcode"],
            )
            for line, amounts in zip(figures["lines"], lines, strict=True)
        ],
        figures=summed(list(zip(letters, lines, strict=True))),
        rates={TaxClass(letter): Decimal(rate) for letter, rate in figures["rates"].items()},
        payment_method=main_method(figures["payments"]),
        buyer_pin=row["buyer_pin"] or None,
        buyer_name=row["buyer_name"] or None,
        remark=snapshot["remark"],
        tag=row["tag"],
        operator_name=snapshot["cashier"] or "Revpay Connect",
        trade_name=snapshot["company"],
        address=", ".join(part for part in (snapshot["address"], snapshot["city"]) if part) or None,
        top_message=snapshot["top_message"] or None,
        bottom_message=snapshot["bottom_message"] or None,
        original_number=sale["number"],
        reason=CreditNoteReason.from_word(snapshot["reason"]),
        credited_at=issued_at,
    )
    return {
        "body": client.sale_body(document, credentials).decode(),
        "figures": figures,
        "snapshot": {**snapshot, "original_number": sale["number"], "original_cu_invoice_number": legal_number(sale)},
    }


def judged(row: Mapping[str, Any]) -> str:
    """Why a note whose turn it is must not go (a row of statements.CREDITED); empty: it may."""
    if row["sale_status"] != "signed":
        how = {"refused": "KRA refused it", "cancelled": "it was withdrawn"}.get(
            row["sale_status"], "it was asked for again and is not signed yet"
        )
        return (
            f"The sale {row['sale_reference']} that this note credits is not signed: {how}. What the note took is "
            "free again; credit the sale when it is signed, under a new reference."
        )
    if not is_as_credited(row["sale_revision"], json_value(row["sale_figures"]), json_value(row["figures"])):
        return changed(row["sale_reference"])
    return ""
