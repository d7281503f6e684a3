"""Sales and credit notes: the rules they must pass, signing, and reading them back.

OSCU/VSCU spec v2.0 §3.3.6; the order is number, goods, amounts, credit-note rules. Nothing moves before all have
passed.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

from gateway.simulator.amounts import check_amounts, check_rates, plain, rounded
from gateway.simulator.answers import Missing, Refusal
from gateway.simulator.call import Call
from gateway.simulator.classes import item_classes
from gateway.simulator.clock import text14, text19, text21
from gateway.simulator.ledger import Document
from gateway.simulator.series import check_invoice_number
from gateway.simulator.settings import PROFILES
from gateway.simulator.signing import seal
from gateway.simulator.world import Branch, Device

DECODE: Final = msgspec.json.Decoder(float_hook=Decimal).decode

_HEADER: Final = (
    "custTin", "custNm", "rcptTyCd", "pmtTyCd", "salesSttsCd", "cfmDt", "salesDt", "stockRlsDt", "cnclReqDt", "cnclDt",
    "rfdDt", "rfdRsnCd", "totItemCnt", *(name + letter for name in ("taxblAmt", "taxRt",
    "taxAmt") for letter in "ABCDE"),
    "totTaxblAmt", "totTaxAmt", "totAmt", "prchrAcptcYn", "remark", "regrId", "regrNm", "modrId", "modrNm",
)  # fmt: skip
_RECEIPT: Final = ("custTin", "custMblNo", "rptNo", "trdeNm", "adrs", "topMsg", "btmMsg", "prchrAcptcYn")
_LINE: Final = (
    "itemSeq", "itemCd", "itemClsCd", "itemNm", "bcd", "pkgUnitCd", "pkg", "qtyUnitCd", "qty", "prc", "splyAmt", "dcRt",
    "dcAmt", "isrccCd", "isrccNm", "isrcRt", "isrcAmt", "taxTyCd", "taxblAmt", "taxAmt", "totAmt",
)  # fmt: skip
_STAMPS: Final = frozenset(("cfmDt", "stockRlsDt", "cnclReqDt", "cnclDt", "rfdDt"))


def save_sale(call: Call) -> dict[str, Any]:
    """Sign a sale or credit note under the branch's next number, or refuse it and leave the number where it is."""
    document, branch = call.document, call.branch
    check_invoice_number(
        int(document["invcNo"]),
        branch.next_invoice,
        duplicate_code=call.duplicate_code,
        drift_code=call.settings.drift_code,
    )
    if document.get("salesTyCd") not in (None, "", "N"):
        raise Refusal("913", "only N is sent", path=("salesTyCd",))
    _check_dates(call)
    _check_goods(call)
    check_rates(document, call.settings.rates)
    check_amounts(document, call.settings.rates, (call.settings.profile,) if call.is_strict else PROFILES)
    if document["rcptTyCd"] == "R":
        _check_credit_note(call)
    elif document["orgInvcNo"]:
        raise Refusal("910", "must be 0 on a sale", path=("orgInvcNo",))
    return _sign(call)


def _check_dates(call: Call) -> None:
    latest = text14(call.now + call.settings.future_seconds * 1000)  # times of one zone and width compare as text
    if call.document["cfmDt"] > latest:
        raise Refusal("910", "must not be in the future", path=("cfmDt",))
    if call.document["salesDt"] > latest[:8]:
        raise Refusal("910", "must not be in the future", path=("salesDt",))


def _check_goods(call: Call) -> None:
    lines, items, classes = call.document["itemList"], call.taxpayer.items, item_classes()
    if call.document["totItemCnt"] != len(lines):
        raise Refusal("910", f"must be the number of lines, {len(lines)}", path=("totItemCnt",))
    for position, line in enumerate(lines, 1):
        item = items.get(line["itemCd"])
        if item is None:
            reason = f"Items do not exist in your stock: {line['itemCd']}"
            raise Refusal("910", reason, path=("itemList", "itemCd"), line=position)
        named = line.get("itemClsCd")
        if named and named not in classes:
            raise Refusal(
                "913", "Please provide a valid item classification code", path=("itemList", "itemClsCd"), line=position
            )
        if call.settings.match_catalogue:
            _match(line, item.body, position)
        if call.is_gateway and line["pkgUnitCd"] == "NT" and line["pkg"] != 1:
            reason = f"Invalid pkg for itemList item {position}: expected 1 but found {line['pkg']}"
            raise Refusal("910", reason, path=("itemList", "pkg"))
    if call.is_gateway or call.settings.stock_checked_everywhere:
        _check_stock(call, lines)


def _match(line: dict[str, Any], item: dict[str, Any], position: int) -> None:
    for name in ("itemClsCd", "pkgUnitCd", "qtyUnitCd", "taxTyCd"):
        if line.get(name) not in (None, item[name]):
            reason = f"{line[name]} differs from the registered {item[name]}"
            raise Refusal("910", reason, path=("itemList", name), line=position)


def _check_stock(call: Call, lines: list[dict[str, Any]]) -> None:
    """Goods cannot be sold beyond what was reported into stock; services (product type 3) can. Returns add, so pass."""
    if call.document["rcptTyCd"] != "S":
        return
    needed: dict[str, Decimal] = {}
    for line in lines:
        if call.taxpayer.items[line["itemCd"]].body["itemTyCd"] != "3":
            needed[line["itemCd"]] = needed.get(line["itemCd"], Decimal(0)) + line["qty"]
    for code, quantity in needed.items():
        held = call.branch.stock.get(code)
        if held is None:
            raise Refusal("910", f"Items do not exist in your stock: {code}", path=("itemList", "itemCd"))
        if held < quantity:
            reason = f"Insufficient stock for item {code}: available {plain(held)}, requested {plain(quantity)}"
            raise Refusal("910", reason, path=("itemList", "qty"))


def _check_credit_note(call: Call) -> None:
    document, branch = call.document, call.branch
    if not document.get("rfdDt"):
        raise Refusal("910", "Missing RfdDt Date", path=("rfdDt",))
    if not document.get("rfdRsnCd"):
        raise Refusal("910", "Invalid RfdRsnCd: a credit note needs a reason", path=("rfdRsnCd",))
    number = int(document["orgInvcNo"])
    original = call.world.ledger.invoice(branch.id, number)
    if original is None or original.body is None:
        raise Refusal("910", f"orgInvcNo does not exist: {number}", path=("orgInvcNo",))
    if original.kind != "sale":
        raise Refusal("910", f"orgInvcNo {number} is itself a credit note", path=("orgInvcNo",))
    sold = DECODE(original.body)
    for name in ("custTin", "custNm"):
        if (sold.get(name) or "").strip() != (document.get(name) or "").strip():
            raise Refusal("910", f"{name} differs from that of the original invoice {number}", path=(name,))
    if document["rfdDt"][:8] < sold["salesDt"]:
        raise Refusal("910", "must not be before the original sale", path=("rfdDt",))
    before = sum((Decimal(note.total) for note in call.world.ledger.credits(branch.id, number)), Decimal(0))
    left = Decimal(original.total) - before
    if document["totAmt"] > left:
        found = f"{rounded(left)} left but found {document['totAmt']}"
        reason = f"the credited total exceeds the original invoice {number}: {found}"
        raise Refusal("910", reason, path=("totAmt",))


def _sign(call: Call) -> dict[str, Any]:
    device, document = call.device, call.document
    made = record_invoice(call, device=device, branch=call.branch, document=document, body=call.body)
    if call.flavour == "vscu":
        return {
            "rcptNo": made.receipt_number, "intrlData": made.internal_data, "rcptSign": made.signature,
            "totRcptNo": made.receipt_number, "vsdcRcptPbctDate": made.signed_at, "sdcId": device.unit,
            "mrcNo": device.machine,
        }  # fmt: skip
    return {
        "curRcptNo": str(made.receipt_number), "totRcptNo": str(made.receipt_number), "intrlData": made.internal_data,
        "rcptSign": made.signature, "sdcDateTime": made.signed_at,
    }  # fmt: skip


def record_invoice(call: Call, *, device: Device, branch: Branch, document: dict[str, Any], body: bytes) -> Document:
    """Give the document the next receipt number, seal it, move the branch's counter and put it into the ledger."""
    world = call.world
    ledger = world.ledger
    number = branch.next_invoice
    branch.next_invoice = number + 1
    device.receipts += 1
    signed_at = world.clock.stamp(call.now)
    mark = seal(
        device.signing_key, unit=device.unit, receipt_number=device.receipts, signed_at=signed_at, document=body
    )
    is_sale = document["rcptTyCd"] == "S"
    is_known = "vscu_offline" not in call.switches
    made = ledger.new_document(
        branch_id=branch.id, kind="sale" if is_sale else "credit_note", number=number, reference=document["trdInvcNo"],
        total=str(rounded(Decimal(document["totAmt"]))), recorded_at=call.now, known_at=call.now if is_known else None,
        device_id=device.id, flavour=call.flavour, origin=call.origin, request_id=call.request_id,
    )._replace(
        buyer=document.get("custTin") or None, original=None if is_sale else int(document["orgInvcNo"]),
        receipt_number=device.receipts, signature=mark.signature, internal_data=mark.internal_data, signed_at=signed_at,
        body=None if call.request_id is not None else body,
    )  # fmt: skip
    ledger.record(made, body)
    if not is_known:
        branch.unsent += 1
        world.behind.add(branch)
    ledger.touch(branch.row)
    ledger.touch(device.row)
    return made


def invoice_details(call: Call) -> dict[str, Any]:
    """One recorded invoice by its number, as the look-up after a lost answer sees it. 001 when there is none."""
    found = call.world.ledger.invoice(call.branch.id, int(call.document["invcNo"]))
    if found is None or found.known_at is None or not _is_visible(call, found):
        raise Missing
    return {"salesList": [read_back(found)]}


def _is_visible(call: Call, found: Document) -> bool:
    lag = lag_ms(call)
    return not lag or found.recorded_at <= call.now - lag


def sales_list(call: Call) -> dict[str, Any]:
    """What the branch recorded since ``lastReqDt``."""
    rows = call.world.ledger.documents(
        "branch_id=? AND kind IN ('sale','credit_note') AND known_at IS NOT NULL AND recorded_at>=? ORDER BY number",
        (call.branch.id, call.since()),
    )
    rows = [row for row in rows if _is_visible(call, row)]
    if not rows:
        raise Missing
    return {"salesList": [read_back(row) for row in rows]}


def lag_ms(call: Call) -> int:
    """How far look-ups lag behind the recording, in milliseconds, while that fault is on."""
    return round(Decimal(str(call.switches.get("lookup_lags", {}).get("seconds", 0))) * 1000)


def read_back(found: Document) -> dict[str, Any]:
    """A stored invoice in the shape of ``salesList``, its dates in 19 and 21 characters."""
    assert found.body is not None
    sent = DECODE(found.body)
    row: dict[str, Any] = {"invcNo": found.number, "orgInvcNo": found.original or 0}
    for name in _HEADER:
        value = sent.get(name)
        row[name] = text19(value) if name in _STAMPS else value
    receipt = sent.get("receipt") or {}
    row["receipt"] = {
        **{name: receipt.get(name) for name in _RECEIPT},
        "rcptPbctDt": text21(receipt.get("rcptPbctDt") or sent["cfmDt"]),
        "intrlData": found.internal_data,
        "rcptSign": found.signature,
        "curRcptNo": str(found.receipt_number),
        "totRcptNo": str(found.receipt_number),
        "sdcDateTime": text21(found.signed_at),
    }
    row["itemList"] = [{name: line.get(name) for name in _LINE} for line in sent["itemList"]]
    return row
