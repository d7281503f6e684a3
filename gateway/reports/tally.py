"""The sums of an X or Z report: signed documents go in one by one, figures come out.

Contents follow the KRA Trader Invoicing System (TIS) specification v2.0, reports. Amounts are KES with 2 decimals, as
text, and above zero for credit notes too: their side says what they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models.fields.json import KT

from gateway.kra.codes import PaymentMethod, TaxClass, code_class
from gateway.lib.money import ZERO
from gateway.sales.models import Invoice

SIDES = {Invoice.Kind.SALE.value: "sales", Invoice.Kind.CREDIT_NOTE.value: "credit_notes"}
GROUP_DIGITS = 2  # of an item class: its segment, the highest level of KRA's tree
COLUMNS = ("number", "kind", "total", "total_tax")
PARTS = tuple(f"figures__{name}" for name in ("lines", "net", "tax", "rates", "payments"))
# An amount that stands alone is asked for as text: from SQLite, Django hands over "64.90" as the float 64.9
AMOUNTS = {"discount": KT("figures__discount")}


@dataclass(slots=True)
class Sum:
    """A count of documents with their amount and the tax in it."""

    count: int = 0
    amount: Decimal = ZERO
    tax: Decimal = ZERO

    def add(self, amount: Decimal, tax: Decimal) -> None:
        self.count += 1
        self.amount += amount
        self.tax += tax

    def shown(self) -> dict[str, Any]:
        return {"count": self.count, "amount": str(self.amount), "tax": str(self.tax)}


def _sides() -> dict[str, Sum]:
    return {side: Sum() for side in SIDES.values()}


@dataclass(slots=True)
class Tally:
    """Sums of documents, in any order."""

    sides: dict[str, Sum] = field(default_factory=_sides)
    letters: dict[tuple[str, str], dict[str, Sum]] = field(default_factory=dict)  # by letter and rate
    groups: dict[str, dict[str, Sum]] = field(default_factory=dict)
    means: dict[str, dict[str, Decimal]] = field(default_factory=dict)
    discounts: dict[str, Decimal] = field(default_factory=lambda: dict.fromkeys(SIDES.values(), ZERO))
    items: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SIDES.values(), 0))

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a signed document: a row of its COLUMNS, PARTS and AMOUNTS."""
        side = SIDES[row["kind"]]
        self.sides[side].add(row["total"], row["total_tax"])
        rates, taxes = row["figures__rates"], row["figures__tax"]
        for letter, net in row["figures__net"].items():
            amount, tax = Decimal(net), Decimal(taxes[letter])
            if amount or tax:
                key = letter, _plain(rates[letter])
                self.letters.setdefault(key, _sides())[side].add(amount + tax, tax)
        for line in row["figures__lines"]:
            group = line["item_class"][:GROUP_DIGITS]
            self.groups.setdefault(group, _sides())[side].add(Decimal(line["total"]), Decimal(line["tax"]))
        self.items[side] += len(row["figures__lines"])
        self.discounts[side] += Decimal(row["discount"])
        for payment in row["figures__payments"]:
            sums = self.means.setdefault(payment["method"], dict.fromkeys(SIDES.values(), ZERO))
            sums[side] += Decimal(payment["amount"])

    def shown(self, group_names: Mapping[str, str]) -> dict[str, Any]:
        """The figures, all letters always among them. `group_names`: by the first digits of an item class."""
        used = {letter for letter, _ in self.letters}
        unused = [(letter.value, "") for letter in TaxClass if letter not in used]
        sales, notes = self.sides.values()
        return {
            **{side: sums.shown() for side, sums in self.sides.items()},
            "net": {"amount": str(sales.amount - notes.amount), "tax": str(sales.tax - notes.tax)},
            "by_tax_type": [
                {"tax_type": letter, "rate": rate or None, **_by_letter(self.letters.get((letter, rate)) or _sides())}
                for letter, rate in sorted([*self.letters, *unused])
            ],
            "by_group": [
                {
                    "group": group,
                    "name": group_names.get(group, ""),
                    **{side: {"amount": str(one.amount), "tax": str(one.tax)} for side, one in sums.items()},
                }
                for group, sums in sorted(self.groups.items())
            ],
            "payments": [
                {
                    "method": method,
                    "name": code_class("07")[PaymentMethod.from_word(method)].name,
                    **{side: str(amount) for side, amount in sums.items()},
                }
                for method, sums in sorted(self.means.items(), key=lambda one: PaymentMethod.from_word(one[0]))
            ],
            "discounts": {side: str(amount) for side, amount in self.discounts.items()},
            "other_reductions": str(ZERO),  # there are none: a reduction is a discount of a line
            "items": dict(self.items),
        }


def _by_letter(sums: Mapping[str, Sum]) -> dict[str, dict[str, str]]:
    return {
        side: {"net": str(one.amount - one.tax), "tax": str(one.tax), "amount": str(one.amount)}
        for side, one in sums.items()
    }


def _plain(rate: str) -> str:
    return format(Decimal(rate).normalize(), "f")


def added(before: Mapping[str, Any] | None, figures: Mapping[str, Any]) -> dict[str, Any]:
    """The sums of all reports so far: those of the report before, and these figures."""
    sums: dict[str, Any] = {}
    for side in SIDES.values():
        was = before[side] if before else Sum().shown()
        now = figures[side]
        sums[side] = {
            "count": was["count"] + now["count"],
            **{name: str(Decimal(was[name]) + Decimal(now[name])) for name in ("amount", "tax")},
        }
    return sums
