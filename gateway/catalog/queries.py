"""Reading KRA's lists as they were fetched, with the shipped tables where nothing has been fetched yet."""

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from django.db.models import QuerySet

from gateway.catalog.models import Code, ItemClass
from gateway.kra.codes import DEFAULT_RATES, code_class

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
