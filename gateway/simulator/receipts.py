"""The page behind a receipt's QR code: what KRA holds, for whoever scans it."""

from __future__ import annotations

from decimal import Decimal
from html import escape
from typing import Any, Final

from gateway.simulator.amounts import LETTERS, plain
from gateway.simulator.clock import text19
from gateway.simulator.ledger import Document
from gateway.simulator.sales import DECODE
from gateway.simulator.world import Branch, World

_WIDTHS: Final = (11, 2, 16)  # PIN, branch, signature; no separators

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title}</title><link rel="stylesheet" href="/_sim/static/console.css">
<link rel="icon" href="/_sim/static/icon.svg"></head>
<body class="paper">
<p class="warning" role="note"><strong>SIMULATED.</strong> This is not KRA and this is not a KRA receipt.</p>
<main><h1>{title}</h1>{body}</main></body></html>
"""


def receipt_page(world: World, data: str) -> tuple[int, str]:
    """HTTP status and HTML for the value of ``Data``: PIN, branch and signature side by side."""
    if len(data) != sum(_WIDTHS):
        text = "The code on the receipt should hold 29 characters: PIN, branch and signature."
        return 400, _page("Cannot read this code", f"<p>{text}</p>")
    pin, code, signature = data[:11], data[11:13], data[13:]
    branch = world.branches.get((pin, code))
    found = branch and world.ledger.documents(
        "branch_id=? AND signature=? AND known_at IS NOT NULL", (branch.id, signature)
    )
    if not branch or not found:
        text = f"No invoice of {escape(pin)}, branch {escape(code)}, carries the signature {escape(signature)}."
        return 404, _page(
            "Invoice not found", f"<p>{text}</p><p>An invoice signed offline appears once it was forwarded.</p>"
        )
    return 200, _page("Invoice as held by the simulated KRA", _invoice(world, branch, found[0]))


def _page(title: str, body: str) -> str:
    return _PAGE.format(title=escape(title), body=body)


def _invoice(world: World, branch: Branch, found: Document) -> str:
    assert found.body is not None
    sent = DECODE(found.body)
    device = next(device for device in world.devices.values() if device.id == found.device_id)
    kind = "Credit note" if found.kind == "credit_note" else "Tax invoice"
    facts = [
        ("Document", kind), ("Seller", f"{world.taxpayers[branch.pin].name}, PIN {branch.pin}, branch {branch.code}"),
        ("Buyer", " ".join(filter(None, (sent.get("custNm"), sent.get("custTin")))) or "not named"),
        ("Trader's number", found.reference), ("CU invoice number", f"{device.unit}/{found.receipt_number}"),
        ("Signed", text19(found.signed_at) or ""), ("Internal data", grouped(found.internal_data)),
        ("Signature", grouped(found.signature)),
    ]  # fmt: skip
    if found.original:
        facts.insert(3, ("Corrects invoice", str(found.original)))
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts)
    lines = "".join(_line(line) for line in sent["itemList"])
    taxes = "".join(
        f"<tr><th scope='row'>{letter} {plain(Decimal(sent['taxRt' + letter]))} %</th>"
        f"<td>{_money(sent['taxblAmt' + letter])}</td><td>{_money(sent['taxAmt' + letter])}</td></tr>"
        for letter in LETTERS
        if sent["taxblAmt" + letter]
    )
    items = _table("Items", ("Item", "Quantity", "Price", "Amount"), lines)
    tax = _table("Tax", ("Rate", "Taxable", "Tax"), taxes)
    return f"<dl>{rows}</dl>{items}{tax}<p class='total'>Total KES <strong>{_money(found.total)}</strong></p>"


def _table(caption: str, columns: tuple[str, ...], rows: str) -> str:
    heads = "".join(f"<th scope='col'>{name}</th>" for name in columns)
    return f"<table><caption>{caption}</caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _line(line: dict[str, Any]) -> str:
    return (
        f"<tr><th scope='row'>{escape(line['itemNm'])}</th><td>{plain(Decimal(line['qty']))}</td>"
        f"<td>{_money(line['prc'])}</td><td>{_money(line['totAmt'])} {escape(line['taxTyCd'])}</td></tr>"
    )


def _money(amount: Any) -> str:
    return f"{Decimal(amount):,.2f}"


def grouped(text: str | None) -> str:
    """Four by four with dashes, as on paper."""
    return "-".join((text or "")[start : start + 4] for start in range(0, len(text or ""), 4))
