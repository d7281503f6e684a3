"""What the certification run sells, to whom, and how its invoices are printed.

A grocer in Nairobi: goods and a service, three tax letters, a buyer with a PIN and one without, two means of payment, a
partial credit note. KRA's reviewers look for all of these, and for names that a shop would have.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from gateway.kra.branch_documents import BranchCustomer, BranchUser, Insurance
from gateway.kra.codes import PaymentMethod, ProductType, TaxClass
from gateway.kra.documents import Activation, ItemClass, ItemDocument, SaleDocument, SaleLine, Signature
from gateway.kra.profiles import Profile
from gateway.kra.tax import Figures, LineIn, figures
from gateway.lib.clock import NAIROBI
from gateway.lib.money import ZERO
from gateway.sales.receipts.document import ReceiptDocument, receipt_document
from gateway.sales.receipts.identifiers import cu_invoice_number
from gateway.sales.receipts.labels import ReceiptType

CASHIER = "Wanjiru Kamau"
OPENING_STOCK = Decimal(200)
SIMULATED_TAXPAYER = ("P051892347K", "Amani General Stores Ltd", "Moi Avenue 12, Nairobi")
SIMULATED_BUYER = ("P052783916M", "Baraka Hotels Ltd", "Kenyatta Avenue 40, Nairobi")


@dataclass(frozen=True, slots=True)
class Article:
    """Something the shop sells. `price` is KES with tax; a class that KRA does not list is replaced by letter."""

    key: str
    name: str
    item_class: str
    tax_class: TaxClass
    price: Decimal
    product_type: ProductType = ProductType.FINISHED_PRODUCT
    packaging_unit: str = "NT"
    quantity_unit: str = "NO"  # two letters fit every host's item codes

    @property
    def is_service(self) -> bool:
        return self.product_type is ProductType.SERVICE


ARTICLES = (
    Article("sugar", "Brown sugar 1 kg", "5016150900", TaxClass.STANDARD, Decimal("168.00")),
    Article("milk", "Fresh milk 500 ml", "5013170100", TaxClass.EXEMPT, Decimal("62.00")),
    Article("flour", "Maize flour 2 kg", "5022150100", TaxClass.ZERO_RATED, Decimal("189.00")),
    Article("hamper", "Breakfast hamper", "5019150500", TaxClass.STANDARD, Decimal("750.00")),
    Article(
        "delivery",
        "Delivery within Nairobi",
        "7810180200",
        TaxClass.STANDARD,
        Decimal("350.00"),
        ProductType.SERVICE,
    ),
)
ARTICLE = {article.key: article for article in ARTICLES}

Basket = Sequence[tuple[str, Decimal]]  # article and quantity
SOLD_TO_BUYER: Basket = (
    ("sugar", Decimal(10)),
    ("milk", Decimal(24)),
    ("flour", Decimal(6)),
    ("delivery", Decimal(1)),
)
SOLD_TO_WALK_IN: Basket = (("milk", Decimal(2)), ("flour", Decimal(1)))
CREDITED: Basket = (("sugar", Decimal(2)), ("flour", Decimal(1)))

USER = BranchUser(user_id="wkamau", name=CASHIER, password="not-a-login-of-ours", address="Moi Avenue 12, Nairobi")
INSURANCE = Insurance(code="JUB01", name="Jubilee Health Insurance", rate=10)


def customer(pin: str, name: str) -> BranchCustomer:
    return BranchCustomer(number="000000001", pin=pin, name=name, address="Kenyatta Avenue 40, Nairobi")


def chosen_class(article: Article, listed: Mapping[str, ItemClass]) -> str:
    """The article's class if KRA lists it under its letter, else a listed one of that letter, else its own."""
    own = listed.get(article.item_class)
    if own is not None and own.in_use and own.tax_class in ("", article.tax_class):
        return own.code
    fitting = [row for row in listed.values() if row.in_use and row.tax_class == article.tax_class]
    return max(fitting, key=lambda row: (row.level, row.code)).code if fitting else article.item_class


def item(article: Article, item_class: str) -> ItemDocument:
    return ItemDocument(
        item_class=item_class,
        name=article.name,
        product_type=article.product_type,
        packaging_unit=article.packaging_unit,
        quantity_unit=article.quantity_unit,
        tax_class=article.tax_class,
        default_price=article.price,
    )


def figures_of(basket: Basket, rates: Mapping[TaxClass, Decimal], profile: Profile) -> Figures:
    lines = [LineIn(quantity, ARTICLE[key].price, ARTICLE[key].tax_class) for key, quantity in basket]
    return figures(
        lines,
        rates=rates,
        profile=profile.amount_profile,
        prices_include_tax=True,
        quantity_decimals=profile.quantity_decimals,
    )


@dataclass(frozen=True, slots=True)
class Sold:
    """A signed sale or credit note of the run."""

    basket: Basket
    document: SaleDocument
    number: int
    signature: Signature


def sale_lines(
    basket: Basket, amounts: Figures, codes: Mapping[str, str], classes: Mapping[str, str]
) -> list[SaleLine]:
    return [
        SaleLine(
            item_code=codes[key],
            item_class=classes[key],
            name=ARTICLE[key].name,
            packaging_unit=ARTICLE[key].packaging_unit,
            quantity_unit=ARTICLE[key].quantity_unit,
            quantity=quantity,
            tax_class=ARTICLE[key].tax_class,
            figures=row,
        )
        for (key, quantity), row in zip(basket, amounts.lines, strict=True)
    ]


# Printing


def payments_of(sold: Sold) -> list[dict[str, str]]:
    """A buyer with a PIN pays by phone and 500.00 in cash, and is paid back by phone; whoever walks in pays cash."""
    total = sold.document.figures.total
    cash = Decimal("500.00")
    if sold.document.payment_method is PaymentMethod.MOBILE_MONEY and sold.document.kind == "sale" and total > cash:
        return [{"method": "mobile_money", "amount": str(total - cash)}, {"method": "cash", "amount": str(cash)}]
    return [{"method": sold.document.payment_method.word, "amount": str(total)}]


def unit_of(sold: Sold, activation: Activation) -> str:
    return sold.signature.control_unit_id or activation.control_unit_id


def printed(
    sold: Sold,
    *,
    type: ReceiptType,
    activation: Activation,
    profile: Profile,
    seller: str,
    address: str,
    original: Sold | None = None,
) -> ReceiptDocument:
    """The receipt as the gateway prints it, from the same kind of row that it keeps."""
    document, signature = sold.document, sold.signature
    unit = unit_of(sold, activation)
    snapshot = {
        "company": seller,
        "pin": activation.pin,
        "branch_code": activation.branch,
        "branch_name": activation.branch_name,
        "address": address,
        "city": "",
        "top_message": "Karibu sana",
        "bottom_message": "Asante, karibu tena",
        "simulated": profile.environment == "simulator",
        "receipt_url": profile.receipt_url,
        "buyer_pin": document.buyer_pin,
        "buyer_name": document.buyer_name,
        "cashier": CASHIER,
    }
    if original is not None:
        snapshot["original_cu_invoice_number"] = cu_invoice_number(
            unit_of(original, activation), original.signature.receipt_number
        )
    row: dict[str, Any] = {
        "public_id": uuid.uuid4(),
        "kind": document.kind,
        "reference": document.reference,
        "environment": "sandbox",
        "status": "signed",
        "issued_at": document.issued_at,
        "figures": _figures(sold, profile),
        "snapshot": snapshot,
        "number": sold.number,
        "problem": None,
        "receipt_number": signature.receipt_number,
        "total_receipt_number": signature.total_receipt_number,
        "internal_data": signature.internal_data,
        "signature": signature.signature,
        "signed_at": signature.signed_at,
        "control_unit_id": unit,
        "machine_code": signature.machine_code or activation.machine_code,
    }
    return receipt_document(row, type=type)


def _figures(sold: Sold, profile: Profile) -> dict[str, Any]:
    document, amounts = sold.document, sold.document.figures
    lines = [
        {
            "name": ARTICLE[key].name,
            "product_type": ARTICLE[key].product_type,
            "quantity": f"{quantity.normalize():f}",
            "tax_type": ARTICLE[key].tax_class,
            "unit_price": str(row.unit_price),
            "supply": str(row.supply),
            "discount_rate": str(row.discount_rate),
            "discount": str(row.discount),
        }
        for (key, quantity), row in zip(sold.basket, amounts.lines, strict=True)
    ]
    return {
        "profile": profile.amount_profile,
        "currency": "KES",
        "exchange_rate": None,
        "rates": {letter: str(document.rates[letter]) for letter in TaxClass},
        "lines": lines,
        "net": {letter: str(amounts.net[letter]) for letter in TaxClass},
        "tax": {letter: str(amounts.tax[letter]) for letter in TaxClass},
        "total": str(amounts.total),
        "total_tax": str(amounts.total_tax),
        "total_net": str(amounts.total - amounts.total_tax),
        "discount": str(sum((row.discount for row in amounts.lines), ZERO)),
        "payments": payments_of(sold),
    }


def reference(kind: str, started: datetime, place: int) -> str:
    """The shop's own number of a document, new in every run: `INV-20261120-091500-1`."""
    return f"{kind}-{started.astimezone(NAIROBI):%Y%m%d-%H%M%S}-{place}"
