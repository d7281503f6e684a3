"""KRA's code tables by name, with the plain words that our API uses for some of the codes."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from django.db.models import Max

from gateway.catalog.models import Code, Fetch
from gateway.catalog.queries import TAX_CLASS, readable_rate
from gateway.kra import codes
from gateway.kra.codes import code_class


class Table(NamedTuple):
    """One of KRA's code classes: its number, what it is, and our words for its codes."""

    number: str
    title: str
    words: type[StrEnum] | None = None


TABLES: Mapping[str, Table] = {
    "tax_types": Table("04", "Tax letters, with their rates in percent", codes.TaxClass),
    "countries": Table("05", "Countries, for the origin of an item"),
    "payment_methods": Table("07", "Means of payment", codes.PaymentMethod),
    "branch_statuses": Table("09", "Whether KRA has a branch as open or closed"),
    "quantity_units": Table("10", "Units in which an item is counted"),
    "document_statuses": Table("11", "How far a document is at KRA"),
    "stock_reasons": Table("12", "Why stock moved", codes.StockReason),
    "transaction_types": Table("14", "Normal, copy, proforma, training"),
    "taxpayer_statuses": Table("15", "Whether a taxpayer is active"),
    "packaging_units": Table("17", "How an item is packed"),
    "product_types": Table("24", "Goods, services, raw material", codes.ProductType),
    "import_statuses": Table("26", "How far an import is", codes.ImportStatus),
    "registration_types": Table("31", "Taken from KRA's list, or typed in", codes.Registration),
    "credit_note_reasons": Table("32", "Why a sale is credited", codes.CreditNoteReason),
    "currencies": Table("33", "Currencies"),
    "purchase_statuses": Table("34", "How far a purchase is"),
    "adjustment_reasons": Table("35", "Why stock was adjusted"),
    "banks": Table("36", "Banks"),
    "receipt_types": Table("37", "What a sales document is", codes.ReceiptType),
    "purchase_receipt_types": Table("38", "What a purchase document is", codes.PurchaseReceiptType),
    "tax_offices": Table("45", "KRA's stations"),
    "locales": Table("48", "Languages"),
    "class_levels": Table("49", "Levels of the item classification"),
}
_OUR_WORDS: dict[tuple[str, str], str] = {
    (table.number, member.value): member.name.lower() for table in TABLES.values() for member in table.words or ()
}
_OUR_WORDS["24", codes.ProductType.FINISHED_PRODUCT] = "goods"


def table_rows(environment: str, name: str) -> list[dict[str, Any]]:
    """The codes of a table as KRA gave them last; as shipped where nothing was fetched yet.

    `word` is what our API takes and gives for the code, if it has one; `rate` is that of a tax letter in percent.
    Raises KeyError for a name that is not in TABLES.
    """
    number = TABLES[name].number
    valid = Code.objects.filter(environment=environment, code_class=number, valid_to=None).order_by("id")
    rows = [_row(number, row.code, row.name, row.value, row.in_use, row.valid_from) for row in valid] or [
        _row(number, code, shipped.name, "" if shipped.rate is None else str(shipped.rate), True, None)
        for code, shipped in code_class(number).items()
    ]
    return rows


def codes_checked_at(environment: str) -> datetime | None:
    """When KRA's code list was last fetched in this environment, by KRA's clock; None: never."""
    fetched = Fetch.objects.filter(lane__environment=environment, operation="code_list")
    newest: datetime | None = fetched.aggregate(newest=Max("changed_since"))["newest"]
    return newest


def _row(number: str, code: str, name: str, value: str, in_use: bool, since: datetime | None) -> dict[str, Any]:
    rate = readable_rate(value) if number == TAX_CLASS else None
    return {
        "code": code,
        "name": name,
        "word": _OUR_WORDS.get((number, code)),
        "rate": None if rate is None else format(rate, ".2f"),
        "in_use": in_use,
        "valid_from": since,
    }
