"""Stock and purchases in our words. Money is KES as Decimal with 2 decimals, quantities are positive, times aware UTC.

What KRA lists is kept as received: suppliers' amounts follow other conventions than ours and must not be recomputed.
"""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal

import msgspec

from gateway.kra.codes import ImportStatus, PaymentMethod, PurchaseReceiptType, Registration, StockReason, TaxClass
from gateway.kra.tax import Figures, LineFigures


class StockLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line of a stock movement."""

    item_code: str
    item_class: str
    name: str
    packaging_unit: str
    quantity_unit: str
    quantity: Decimal
    tax_class: TaxClass
    figures: LineFigures
    barcode: str | None = None
    expires_on: date | None = None


class StockDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A stock movement, all but its number. The direction is in the reason; transfers name the other branch."""

    reason: StockReason
    occurred_on: date
    lines: list[StockLine]
    registration: Registration = Registration.FROM_LIST
    original_number: int = 0
    counterparty_pin: str | None = None
    counterparty_name: str | None = None
    counterparty_branch: str | None = None
    remark: str | None = None
    operator_id: str = "revpay"
    operator_name: str = "Revpay Connect"


class ListedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a document that KRA lists, as received; what it leaves out is empty or 0."""

    number: int
    item_code: str
    item_class: str
    name: str
    barcode: str
    packaging_unit: str
    packages: Decimal
    quantity_unit: str
    quantity: Decimal
    unit_price: Decimal
    supply: Decimal
    discount_rate: Decimal
    discount: Decimal
    tax_class: str
    taxable: Decimal
    tax: Decimal
    total: Decimal
    expires_on: str


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """A movement that another branch has sent to the one that asks; `occurred_on` is yyyyMMdd."""

    sender_pin: str
    sender_branch: str
    number: int
    occurred_on: str
    line_count: int
    total_taxable: Decimal
    total_tax: Decimal
    total: Decimal
    remark: str
    lines: list[ListedLine]


class SupplierSale(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice that another taxpayer issued to this PIN and that is not confirmed yet; amounts as received."""

    supplier_pin: str
    supplier_name: str
    supplier_branch: str
    supplier_invoice_number: int
    supplier_control_unit_id: str
    supplier_machine_code: str
    receipt_type: str
    payment_method: str
    confirmed_at: datetime | None
    sale_date: str
    stock_released_at: datetime | None
    line_count: int
    taxable: dict[TaxClass, Decimal]
    rates: dict[TaxClass, Decimal]
    tax: dict[TaxClass, Decimal]
    total_taxable: Decimal
    total_tax: Decimal
    total: Decimal
    remark: str
    lines: list[ListedLine]


class PurchaseLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line of a purchase: our item, and what the supplier calls it."""

    item_code: str
    item_class: str
    name: str
    packaging_unit: str
    quantity_unit: str
    quantity: Decimal
    packages: Decimal
    tax_class: TaxClass
    figures: LineFigures
    barcode: str | None = None
    supplier_item_code: str | None = None
    supplier_item_class: str | None = None
    supplier_item_name: str | None = None
    expires_on: date | None = None


class PurchaseDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A purchase to confirm (`registration` FROM_LIST) or to declare (MANUAL), all but its number."""

    purchased_on: date
    confirmed_at: datetime
    lines: list[PurchaseLine]
    figures: Figures
    rates: Mapping[TaxClass, Decimal]
    registration: Registration = Registration.FROM_LIST
    receipt_type: PurchaseReceiptType = PurchaseReceiptType.PURCHASE
    payment_method: PaymentMethod = PaymentMethod.CASH
    supplier_pin: str | None = None
    supplier_name: str | None = None
    supplier_branch: str | None = None
    supplier_invoice_number: int | None = None
    supplier_control_unit_id: str | None = None
    original_number: int = 0
    warehoused_at: datetime | None = None
    credited_at: datetime | None = None
    remark: str | None = None
    operator_id: str = "revpay"
    operator_name: str = "Revpay Connect"


class ImportedItem(msgspec.Struct, frozen=True, kw_only=True):
    """One declared line of an import, as received. Its key is task, declaration date (opaque) and line number."""

    task_code: str
    declaration_date: str
    line_number: int
    declaration_number: str
    hs_code: str
    name: str
    status: str
    origin_country: str
    export_country: str
    packages: Decimal
    packaging_unit: str
    quantity: Decimal
    quantity_unit: str
    gross_weight: Decimal
    net_weight: Decimal
    supplier_name: str
    agent_name: str
    foreign_amount: Decimal
    currency: str
    exchange_rate: Decimal


class ImportDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an imported line: approved or cancelled, and as which of our items."""

    task_code: str
    declaration_date: str
    line_number: int
    hs_code: str
    item_code: str
    item_class: str
    status: ImportStatus
    remark: str = ""
    operator_id: str = "revpay"
    operator_name: str = "Revpay Connect"
