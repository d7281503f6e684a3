"""Number series and the words in which a wrong number is refused.

A series starts at 1 and moves only when KRA accepts. Sales and credit notes of a PIN and branch share one; purchases,
stock movements and the item codes of a PIN have their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.simulator.answers import Refusal


def check_invoice_number(found: int, expected: int, *, duplicate_code: str | None, drift_code: str) -> None:
    """The next number or nothing. A number that is already recorded is a duplicate where the host says so."""
    if found == expected:
        return
    if found < expected and duplicate_code is not None:
        raise Refusal(duplicate_code)
    raise Refusal(drift_code, f"Invalid invcNo sequence, expected: {expected} but found: {found}", path=("invcNo",))


def check_purchase_number(found: int, expected: int, *, duplicate_code: str | None, drift_code: str) -> None:
    """As for invoices, in a series of its own and with the host's other wording."""
    if found == expected:
        return
    if found < expected and duplicate_code is not None:
        raise Refusal(duplicate_code)
    raise Refusal(drift_code, f"Invc No: {found} is invalid, use the expected value: {expected}", path=("invcNo",))


def check_stock_number(found: int, expected: int, *, duplicate_code: str | None, drift_code: str) -> None:
    """The next ``sarNo``, or nothing."""
    if found == expected:
        return
    if found < expected and duplicate_code is not None:
        raise Refusal(duplicate_code)
    raise Refusal(drift_code, f"Invalid sarNo: Expected: {expected} but found: {found}", path=("sarNo",))


def check_item_code(document: Mapping[str, Any], expected: int) -> None:
    """GavaConnect's layout: country (2), product type (1), packaging unit (2), quantity unit (2), 7-digit serial.

    The serial is the next of the PIN over all prefixes; a refusal shows only its tail.
    """
    code = document["itemCd"]
    package, unit = document["pkgUnitCd"], document["qtyUnitCd"]
    if len(code) != 14 or not code[7:].isdigit() or code[:3] != document["orgnNatCd"] + document["itemTyCd"]:
        raise Refusal(
            "910", "itemCd isn't made up of correct orgnNatCd, itemTyCd, pkgUnitCd, qtyUnitCd", path=("itemCd",)
        )
    if code[3:5] != package:
        raise Refusal("910", f"Incorrect pkgUnitCd Prefix in itemCd: {code[3:5]}", path=("itemCd",))
    if code[5:7] != unit:
        raise Refusal("910", f"Incorrect qtyUnitCd Prefix in itemCd: {code[5:7]}", path=("itemCd",))
    if int(code[7:]) != expected:
        tail = str(expected)
        masked = "*" * (9 - len(tail)) + tail
        raise Refusal("910", f"Invalid itemCd Sequence. Expected sequence ending with: {masked}", path=("itemCd",))
