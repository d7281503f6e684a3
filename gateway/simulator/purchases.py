"""Purchases: invoices that other eTIMS sellers issued to a PIN, and their confirmation (OSCU spec v2.0 §3.3.7)."""

from __future__ import annotations

from typing import Any, Final

from gateway.simulator.amounts import check_amounts, check_rates, rounded
from gateway.simulator.answers import Missing, Refusal
from gateway.simulator.call import Call
from gateway.simulator.classes import item_classes
from gateway.simulator.clock import text19
from gateway.simulator.ledger import Document
from gateway.simulator.sales import DECODE
from gateway.simulator.series import check_purchase_number
from gateway.simulator.settings import PROFILES

_HEADER: Final = (
    "rcptTyCd", "pmtTyCd", "cfmDt", "salesDt", "stockRlsDt", "totItemCnt",
    *(name + letter for name in ("taxblAmt", "taxRt", "taxAmt") for letter in "ABCDE"),
    "totTaxblAmt", "totTaxAmt", "totAmt", "remark",
)  # fmt: skip
_LINE: Final = (
    "itemSeq", "itemCd", "itemClsCd", "itemNm", "bcd", "pkgUnitCd", "pkg", "qtyUnitCd", "qty", "prc", "splyAmt", "dcRt",
    "dcAmt", "taxTyCd", "taxblAmt", "taxAmt", "totAmt",
)  # fmt: skip


def supplier_key(pin: str, branch: str, number: int) -> str:
    """What identifies a supplier's invoice."""
    return f"{pin}/{branch}/{number}"


def supplier_invoices(call: Call) -> dict[str, Any]:
    """Invoices to this PIN that it has not confirmed yet, known to KRA since ``lastReqDt``."""
    since, confirmed = call.since(), call.world.records.get("confirmation", {}).get((call.branch.pin, ""), {})
    rows = [
        record.body
        for record in call.world.changed("supplier_invoice", call.branch.pin, "", since)
        if record.key not in confirmed
    ]
    for found in call.world.ledger.documents("buyer=? AND known_at>=? ORDER BY documents.id", (call.branch.pin, since)):
        row = _listed(call, found)
        if supplier_key(row["spplrTin"], row["spplrBhfId"], found.number) not in confirmed:
            rows.append(row)
    if not rows:
        raise Missing
    return {"saleList": rows}


def _listed(call: Call, found: Document) -> dict[str, Any]:
    assert found.body is not None
    sent, world = DECODE(found.body), call.world
    seller = world.branch_by_id(found.branch_id)
    device = world.device_by_id(found.device_id)
    row: dict[str, Any] = {
        "spplrTin": seller.pin, "spplrNm": world.taxpayers[seller.pin].name, "spplrBhfId": seller.code,
        "spplrInvcNo": found.number, "spplrSdcId": device.unit, "spplrMrcNo": device.machine,
    }  # fmt: skip
    for name in _HEADER:
        row[name] = text19(sent.get(name)) if name in ("cfmDt", "stockRlsDt") else sent.get(name)
    row["itemList"] = [{name: line.get(name) for name in _LINE} for line in sent["itemList"]]
    return row


def save_purchase(call: Call) -> None:
    """Confirm a supplier's invoice (regTyCd A), or enter one that is not listed (M). Stock is not booked by this."""
    document, branch = call.document, call.branch
    call.head_office_only()
    check_purchase_number(
        int(document["invcNo"]),
        branch.next_purchase,
        duplicate_code=call.duplicate_code,
        drift_code=call.settings.drift_code,
    )
    if document["pchsTyCd"] != "N":
        raise Refusal("913", "only N is sent", path=("pchsTyCd",))
    _check_lines(call)
    check_rates(document, call.settings.rates)
    check_amounts(document, call.settings.rates, (call.settings.profile,) if call.is_strict else PROFILES)
    confirmed = _confirms(call)
    if confirmed is not None:
        call.world.save("confirmation", branch.pin, "", confirmed, {"invcNo": document["invcNo"]}, call.now)
    ledger = call.world.ledger
    ledger.record(
        ledger.new_document(
            branch_id=branch.id, kind="purchase", number=branch.next_purchase,
            reference=confirmed or str(document.get("spplrInvcNo") or ""), total=str(rounded(0 + document["totAmt"])),
            recorded_at=call.now, known_at=call.now, device_id=call.device.id, flavour=call.flavour, origin=call.origin,
            request_id=call.request_id,
        ),
        call.body,
    )  # fmt: skip
    branch.next_purchase += 1
    ledger.touch(branch.row)


def _check_lines(call: Call) -> None:
    lines = call.document["itemList"]
    if call.document["totItemCnt"] != len(lines):
        raise Refusal("910", f"must be the number of lines, {len(lines)}", path=("totItemCnt",))
    for position, line in enumerate(lines, 1):
        code = line.get("itemCd")
        if code and code not in call.taxpayer.items:
            reason = f"Items do not exist in your inventory: {code}"
            raise Refusal("910", reason, path=("itemList", "itemCd"), line=position)
        if line["itemClsCd"] not in item_classes():
            raise Refusal(
                "913", "Please provide a valid item classification code", path=("itemList", "itemClsCd"), line=position
            )


def _confirms(call: Call) -> str | None:
    """The key of the supplier's invoice that this confirms. Raises Refusal when a listed one was meant and is not
    there.
    """
    document, world, pin = call.document, call.world, call.branch.pin
    supplier, number = document.get("spplrTin"), document.get("spplrInvcNo")
    if document["regTyCd"] == "M" and not (supplier and number):
        return None
    key = supplier_key(supplier or "", document.get("spplrBhfId") or "00", int(number or 0))
    is_open = world.record("confirmation", pin, "", key) is None
    if is_open and (
        world.record("supplier_invoice", pin, "", key) is not None or _was_issued(call, supplier, int(number or 0))
    ):
        return key
    if document["regTyCd"] == "M" and is_open:
        return None
    raise Refusal(
        "910", f"Missing purchase record: supplier invoice number {number} does not exist", path=("spplrInvcNo",)
    )


def _was_issued(call: Call, supplier: str | None, number: int) -> bool:
    seller = call.world.branches.get((supplier or "", call.document.get("spplrBhfId") or "00"))
    found = call.world.ledger.invoice(seller.id, number) if seller else None
    return found is not None and found.buyer == call.branch.pin and found.known_at is not None
