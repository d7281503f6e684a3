"""Reading KRA's lists as they were fetched, with the shipped tables where nothing has been fetched yet."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from django.db.models import Q, QuerySet

from gateway.catalog.models import Code, Item, ItemClass
from gateway.kra.codes import DEFAULT_RATES, code_class
from gateway.lib.cursor import BadCursor, read_cursor, write_cursor

TAX_CLASS = "04"
COUNTRY_CLASS = "05"
QUANTITY_UNIT_CLASS = "10"
PACKAGING_UNIT_CLASS = "17"


def current_rates(environment: str) -> dict[str, Decimal]:
    """The tax rate of each of the five letters, in percent, as KRA last gave it (code class 04).

    A letter that was not fetched, or whose rate cannot be read, has the rate that is shipped with the gateway.
    """
    rates = {letter.value: rate for letter, rate in DEFAULT_RATES.items()}
    fetched = _codes(environment, TAX_CLASS).filter(code__in=rates, in_use=True)
    for letter, text in fetched.values_list("code", "value"):
        rate = readable_rate(text)
        if rate is not None:
            rates[letter] = rate
    return rates


def known_codes(environment: str, number: str) -> dict[str, str]:
    """The codes of a class that may be used, with their names: as fetched, else as shipped."""
    fetched = _codes(environment, number).values_list("code", "name", "in_use")
    if codes := {code: name for code, name, in_use in fetched if in_use}:
        return codes
    return {code: shipped.name for code, shipped in code_class(number).items()}


def item_classes(environment: str, codes: Iterable[str]) -> dict[str, ItemClass]:
    """Those of the item classes that KRA lists, by code."""
    valid = ItemClass.objects.filter(environment=environment, valid_to=None)
    return {found.code: found for found in valid.filter(code__in=set(codes))}


def has_item_classes(environment: str) -> bool:
    """Whether KRA's classification has been fetched in this environment at all."""
    return ItemClass.objects.filter(environment=environment).exists()


def readable_rate(text: str) -> Decimal | None:
    """A rate of class 04 in percent, or None for text that is no rate."""
    try:
        rate = Decimal(text.strip())
    except InvalidOperation:
        return None
    return rate if rate.is_finite() and 0 <= rate <= 100 else None


def _codes(environment: str, number: str) -> QuerySet[Code]:
    """What KRA says now of a class; rows that were closed tell what it said before."""
    return Code.objects.filter(environment=environment, code_class=number, valid_to=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFilter:
    """Which items; None does not filter. `words` must all stand in the name, the code or the barcode."""

    words: str | None = None
    code: str | None = None
    kra_code: str | None = None
    barcode: str | None = None
    status: str | None = None
    tax_type: str | None = None
    item_class: str | None = None
    product_type: str | None = None


class ItemPage(NamedTuple):
    """Items in the order of their codes, and the cursor of the next page, None at the end."""

    items: list[Item]
    next: str | None


def list_items(
    company_id: int, environment: str, wanted: ItemFilter, *, limit: int, cursor: str | None = None
) -> ItemPage:
    """A page of a company's items by their codes, which never change: pages neither repeat nor skip one.

    Raises BadCursor for a cursor that another company's list, or nobody, has given.
    """
    items = Item.objects.filter(company_id=company_id, environment=environment)
    if cursor is not None:
        last = items.filter(public_id=read_cursor(cursor)).values_list("code", flat=True).first()
        if last is None:
            raise BadCursor(cursor)
        items = items.filter(code__gt=last)
    for word in (wanted.words or "").split():
        items = items.filter(Q(name__icontains=word) | Q(code__icontains=word) | Q(barcode__startswith=word))
    exactly = ("code", "kra_code", "barcode", "status", "tax_type", "item_class", "product_type")
    items = items.filter(**{name: getattr(wanted, name) for name in exactly if getattr(wanted, name) is not None})
    rows = list(items.order_by("code")[: limit + 1])
    return ItemPage(rows[:limit], write_cursor(rows[limit - 1].public_id) if len(rows) > limit else None)


def find_item(company_id: int, environment: str, public_id: uuid.UUID) -> Item | None:
    """One of the company's items."""
    return Item.objects.filter(company_id=company_id, environment=environment, public_id=public_id).first()
