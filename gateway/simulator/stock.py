"""Stock: movements, which add up, and the balance, which must agree with them (OSCU spec v2.0 §3.3.8)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from gateway.simulator.amounts import check_amounts, plain, rounded
from gateway.simulator.answers import Missing, Refusal
from gateway.simulator.call import Call
from gateway.simulator.classes import item_classes
from gateway.simulator.ledger import LARGEST
from gateway.simulator.series import check_stock_number
from gateway.simulator.settings import PROFILES
from gateway.simulator.tables import directions

_TO_BRANCH: Final = "13"
_HEADER: Final = ("sarNo", "ocrnDt", "totItemCnt", "totTaxblAmt", "totTaxAmt", "totAmt", "remark")
_LINE: Final = (
    "itemSeq", "itemCd", "itemClsCd", "itemNm", "bcd", "pkgUnitCd", "pkg", "qtyUnitCd", "qty", "itemExprDt", "prc",
    "splyAmt", "totDcAmt", "taxblAmt", "taxTyCd", "taxAmt", "totAmt",
)  # fmt: skip


def save_movement(call: Call) -> None:
    """Add a movement. Quantities are positive; the movement type says which way. The next ``sarNo`` or nothing."""
    document, branch, world = call.document, call.branch, call.world
    number = int(document["sarNo"])
    if call.flavour != "vscu" or number < branch.next_stock:  # a jar takes any rising number
        check_stock_number(
            number, branch.next_stock, duplicate_code=call.duplicate_code, drift_code=call.settings.drift_code
        )  # fmt: skip
    if number >= LARGEST:
        raise Refusal("910", "is larger than any series", path=("sarNo",))
    direction = directions()[document["sarTyCd"]]
    moved = _moved(call, direction)
    check_amounts(
        document, call.settings.rates, (call.settings.profile,) if call.is_strict else PROFILES, by_letter=False
    )
    target = _target(call)
    for code, quantity in moved.items():
        world.move_stock(branch, code, direction * quantity)
    if target is not None:
        row = {"custTin": branch.pin, "custBhfId": branch.code, **{name: document.get(name) for name in _HEADER}}
        row["itemList"] = [{name: line.get(name) for name in _LINE} for line in document["itemList"]]
        world.save("transfer", branch.pin, target, f"{branch.code}/{number}", row, call.now)
    ledger = world.ledger
    ledger.record(
        ledger.new_document(
            branch_id=branch.id, kind="stock_movement", number=number, reference=document["sarTyCd"],
            total=str(rounded(0 + document["totAmt"])), recorded_at=call.now, known_at=call.now,
            device_id=call.device.id,
            flavour=call.flavour, origin=call.origin, request_id=call.request_id,
        ),
        call.body,
    )  # fmt: skip
    branch.next_stock = number + 1
    ledger.touch(branch.row)


def _moved(call: Call, direction: int) -> dict[str, Decimal]:
    lines, items = call.document["itemList"], call.taxpayer.items
    if call.document["totItemCnt"] != len(lines):
        raise Refusal("910", f"must be the number of lines, {len(lines)}", path=("totItemCnt",))
    if call.is_gateway and not call.branch.knows_classes:
        raise Refusal("910", "Please get item classification list (selectItemClsList) request before saving stock")
    moved: dict[str, Decimal] = {}
    for position, line in enumerate(lines, 1):
        code = line.get("itemCd")
        if not code and call.is_gateway:
            raise Refusal("910", "may not be empty", path=("itemList", "itemCd"), line=position)
        if code and code not in items:
            reason = f"Items do not exist in your inventory: {code}"
            raise Refusal("910", reason, path=("itemList", "itemCd"), line=position)
        if line["itemClsCd"] not in item_classes():
            raise Refusal(
                "913", "Please provide a valid item classification code", path=("itemList", "itemClsCd"), line=position
            )
        if call.is_gateway and not (line["prc"] and line["totAmt"]):
            raise Refusal("910", "expected a value", path=("itemList", "totAmt"), line=position)
        if code:
            moved[code] = moved.get(code, Decimal(0)) + line["qty"]
    if direction < 0 and (call.is_gateway or call.settings.stock_checked_everywhere):
        for code, quantity in moved.items():
            held = call.branch.stock.get(code, Decimal(0))
            if held < quantity:
                reason = f"Insufficient stock for item {code}: available {plain(held)}, requested {plain(quantity)}"
                raise Refusal("910", reason, path=("itemList", "qty"))
    return moved


def _target(call: Call) -> str | None:
    """The branch a transfer is addressed to. Raises Refusal when the taxpayer has no such branch."""
    target = call.document.get("custBhfId")
    if call.document["sarTyCd"] != _TO_BRANCH or not target:
        return None
    if target == call.branch.code or target not in call.taxpayer.branches:
        raise Refusal("910", "must be another branch of the taxpayer", path=("custBhfId",))
    return str(target)


def save_master(call: Call) -> None:
    """Say how much is left of an item; a strict host compares it with the movements it holds. It can be repeated."""
    document, branch = call.document, call.branch
    code, left = document["itemCd"], Decimal(document["rsdQty"])
    if code not in call.taxpayer.items:
        raise Refusal("910", f"Items do not exist in your inventory: {code}", path=("itemCd",))
    held = branch.stock.get(code)
    if call.is_strict:
        if held is None:
            raise Refusal("910", f"Stock IO is empty for item {code}", path=("itemCd",))
        if held != left:
            wording = (
                f"rsdQty mismatch. Expected: {plain(held)} found: {plain(left)}" if call.is_gateway
                else f"rsdQty does not match the stock movements: expected {plain(held)} but found {plain(left)}"
            )  # fmt: skip
            raise Refusal("910", wording, path=("rsdQty",))
    else:
        call.world.move_stock(branch, code, left - (held or Decimal(0)))
    ledger = call.world.ledger
    ledger.record(
        ledger.new_document(
            branch_id=branch.id, kind="stock_master", number=0, reference=code, total=plain(left), recorded_at=call.now,
            known_at=call.now, device_id=call.device.id, flavour=call.flavour, origin=call.origin,
            request_id=call.request_id,
        ),
        call.body,
    )  # fmt: skip


def move_list(call: Call) -> dict[str, Any]:
    """Transfers addressed to this branch since ``lastReqDt``. Not a ledger, not a balance."""
    rows = [record.body for record in call.world.changed("transfer", call.branch.pin, call.branch.code, call.since())]
    if not rows:
        raise Missing
    return {"stockList": rows}
