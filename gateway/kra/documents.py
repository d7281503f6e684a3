"""What we tell KRA and what KRA tells us, in our words. Money is KES as Decimal with 2 decimals, times are aware UTC.

`kra/wire.py` turns these into KRA's names and back; nothing else of the product knows those.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from gateway.kra.codes import CreditNoteReason, PaymentMethod, ProductType, TaxClass
from gateway.kra.tax import Figures, LineFigures

Kind = Literal["sale", "credit_note"]
Outcome = Literal[
    "done", "empty", "refused", "duplicate", "drift", "device_trouble", "busy", "no_answer", "not_sent", "unread"
]


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who speaks to KRA: one device of one branch. `key` is the communication key, empty for VSCU, shown nowhere.

    `base_url` is where a VSCU device listens; empty for OSCU, which lives at the profile's host.
    """

    pin: str
    branch: str
    key: str = field(repr=False)
    device_serial: str = ""
    base_url: str = ""


class AppCredentials(msgspec.Struct, frozen=True):
    """The integrator's application at GavaConnect: token key and secret, and the id of the app. Shown nowhere."""

    consumer_key: str
    consumer_secret: str
    app_id: str

    def __repr__(self) -> str:
        return "AppCredentials(…)"

    def __rich_repr__(self) -> list[str]:  # type: ignore[override]
        return []


class SaleLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line of a sale or credit note; `item_code` is registered at KRA. Quantities are positive on both."""

    item_code: str
    item_class: str
    name: str
    packaging_unit: str
    quantity_unit: str
    quantity: Decimal
    tax_class: TaxClass
    figures: LineFigures
    barcode: str | None = None


class SaleDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A sale or credit note as KRA must get it, all but its number.

    `tag` (up to 40 characters, no blanks) goes to the end of the remark: KRA's look-up returns the remark but not our
    reference, so the tag is how a document is known again. A credit note needs `original_number`, `reason`,
    `credited_at`.
    """

    kind: Kind
    reference: str
    issued_at: datetime
    lines: list[SaleLine]
    figures: Figures
    rates: Mapping[TaxClass, Decimal]
    payment_method: PaymentMethod = PaymentMethod.CASH
    buyer_pin: str | None = None
    buyer_name: str | None = None
    buyer_phone: str | None = None
    remark: str | None = None
    tag: str = ""
    operator_id: str = "revpay"
    operator_name: str = "Revpay Connect"
    trade_name: str | None = None
    address: str | None = None
    top_message: str | None = None
    bottom_message: str | None = None
    original_number: int | None = None
    reason: CreditNoteReason | None = None
    credited_at: datetime | None = None


class ItemDocument(msgspec.Struct, frozen=True, kw_only=True):
    """An item to register, or to update when its `code` is already known. `country` is ISO 3166 alpha-2."""

    item_class: str
    name: str
    product_type: ProductType
    packaging_unit: str
    quantity_unit: str
    tax_class: TaxClass
    default_price: Decimal
    country: str = "KE"
    code: str | None = None
    standard_name: str | None = None
    batch_number: str | None = None
    barcode: str | None = None
    group_prices: tuple[Decimal, ...] = ()
    additional_info: str | None = None
    safety_quantity: Decimal | None = None
    insurance_applies: bool = False
    in_use: bool = True
    operator_id: str = "revpay"
    operator_name: str = "Revpay Connect"


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """What the control unit gave for a document. Opaque texts are kept as given; `signed_at` is the unit's clock.

    OSCU names no control unit here: its id and machine code come from the activation.
    """

    receipt_number: int
    total_receipt_number: int
    internal_data: str
    signature: str
    signed_at: datetime
    control_unit_id: str | None = None
    machine_code: str | None = None


class FoundLine(msgspec.Struct, frozen=True, gc=False):
    """One line of a document as KRA holds it."""

    item_code: str
    quantity: Decimal
    unit_price: Decimal
    total: Decimal


class FoundInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """A sale or credit note as KRA holds it. `original_number` is None on sales; absent texts are empty."""

    number: int
    kind: Kind
    original_number: int | None
    buyer_pin: str
    buyer_name: str
    confirmed_at: datetime
    total: Decimal
    total_tax: Decimal
    line_count: int
    lines: list[FoundLine]
    remark: str
    signature: Signature

    @property
    def tag(self) -> str:
        """The last word of the remark: our tag, if the document is ours."""
        return self.remark.rpartition(" ")[2]


class Activation(msgspec.Struct, frozen=True, kw_only=True):
    """What initialization gave. `key` is the communication key, given once by OSCU and kept by the program on VSCU.

    `last_numbers` holds the counters that VSCU names: `sale_invoice`, `purchase_invoice`, `sale_receipt`, `invoice`,
    `training_invoice`, `proforma_invoice`, `copy_invoice`; those it left out are absent. Its repr hides every key.
    """

    pin: str
    branch: str
    taxpayer_name: str
    business_activity: str
    branch_name: str
    branch_opened_on: str
    county_name: str
    sub_county_name: str
    tax_locality_name: str
    location_description: str
    is_head_office: bool
    manager_name: str
    manager_phone: str
    manager_email: str
    device_id: str
    control_unit_id: str
    machine_code: str
    key: str
    internal_key: str
    signing_key: str
    last_numbers: dict[str, int]

    def __repr__(self) -> str:
        return f"Activation(pin={self.pin!r}, branch={self.branch!r}, control_unit_id={self.control_unit_id!r}, …)"

    def __rich_repr__(self) -> list[str]:  # type: ignore[override]
        return [self.control_unit_id]


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One message to KRA and what came back, fit to be stored: keys, tokens, passwords and people's contacts masked.

    `operation` is ours (`sales_save`), `number` the one it carried, `request_sha256` the hex digest of the bytes sent.
    `http_status` is None when no answer came. `code` and `message` are KRA's, or ours in words. `server_time` is KRA's
    clock in a successful answer, to be held against ours.
    """

    operation: str
    number: int | None
    started_at: datetime
    duration_ms: int
    http_status: int | None
    request_sha256: str
    request_masked: str
    answer_masked: str
    outcome: Outcome
    code: str
    message: str
    server_time: datetime | None = None


class RawActivation(msgspec.Struct, frozen=True, kw_only=True):
    """An activation answer exactly as it came, to be stored sealed before anybody reads it. Its repr hides the body."""

    body: bytes
    http_status: int
    content_type: str
    exchange: Exchange

    def __repr__(self) -> str:
        return f"RawActivation(http_status={self.http_status}, {len(self.body)} bytes)"

    def __rich_repr__(self) -> list[str]:  # type: ignore[override]
        return [f"{len(self.body)} bytes"]


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """One code of a class as KRA serves it. `custom_values[0]` of class 04 is the rate in percent."""

    code: str
    name: str
    description: str
    sort_order: int
    in_use: bool
    custom_values: tuple[str, str, str]


class CodeClass(msgspec.Struct, frozen=True, kw_only=True):
    """One code list as KRA serves it."""

    number: str
    name: str
    description: str
    in_use: bool
    custom_labels: tuple[str, str, str]
    codes: list[Code]


class ItemClass(msgspec.Struct, frozen=True, kw_only=True):
    """One node of KRA's item classification; only the deepest level has a tax class."""

    code: str
    name: str
    level: int
    tax_class: str
    is_major_target: bool
    in_use: bool


class RegisteredItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item as KRA lists it. Its default price has come back as 0 whatever was saved."""

    code: str
    item_class: str
    product_type: str
    name: str
    standard_name: str
    country: str
    packaging_unit: str
    quantity_unit: str
    tax_class: str
    batch_number: str
    barcode: str
    registering_branch: str
    default_price: Decimal
    insurance_applies: bool
    modified_by_authority: bool
    in_use: bool
