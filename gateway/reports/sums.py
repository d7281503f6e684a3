"""Sums of signed documents by currency and kind, as they are kept and shown: amounts as text with 2 decimals."""

from decimal import Decimal
from typing import Any

from gateway.sales.models import Invoice

Sums = dict[str, dict[str, dict[str, Any]]]  # by currency, by kind: count, amount, tax, by_tax_type


def add_document(sums: Sums, row: dict[str, Any]) -> None:
    """Add a signed document: a row with `kind`, `total`, `total_tax` and the figures' currency, net and tax."""
    of_kind = _of_currency(sums, row["figures__currency"] or "KES")[row["kind"]]
    letters = {}
    for letter, net in row["figures__net"].items():
        tax = row["figures__tax"].get(letter, "0")
        if Decimal(net) or Decimal(tax):
            letters[letter] = {"net": net, "tax": tax}
    _add(of_kind, {"count": 1, "amount": row["total"], "tax": row["total_tax"], "by_tax_type": letters})


def add_sums(sums: Sums, more: Sums) -> None:
    """Add what was summed elsewhere."""
    for currency, kinds in more.items():
        for kind, figures in kinds.items():
            _add(_of_currency(sums, currency)[kind], figures)


def _of_currency(sums: Sums, currency: str) -> dict[str, dict[str, Any]]:
    empty = {"count": 0, "amount": "0.00", "tax": "0.00"}
    return sums.setdefault(currency, {kind.value: {**empty, "by_tax_type": {}} for kind in Invoice.Kind})


def _add(to: dict[str, Any], more: dict[str, Any]) -> None:
    to["count"] += more["count"]
    for name in ("amount", "tax"):
        to[name] = _plus(to[name], more[name])
    for letter, sums in more["by_tax_type"].items():
        known = to["by_tax_type"].setdefault(letter, {"net": "0.00", "tax": "0.00", "amount": "0.00"})
        net, tax = _plus(known["net"], sums["net"]), _plus(known["tax"], sums["tax"])
        to["by_tax_type"][letter] = {"net": net, "tax": tax, "amount": _plus(net, tax)}
    to["by_tax_type"] = dict(sorted(to["by_tax_type"].items()))


def _plus(one: Any, other: Any) -> str:
    return f"{Decimal(one) + Decimal(other):.2f}"
