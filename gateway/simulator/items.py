"""Items of a taxpayer: registering, listing, composing (OSCU spec v2.0 §3.3.4)."""

from __future__ import annotations

from typing import Any, Final

from gateway.simulator.answers import Missing, Refusal
from gateway.simulator.call import Call
from gateway.simulator.classes import item_classes
from gateway.simulator.series import check_item_code
from gateway.simulator.tables import operations

_SAVED: Final = tuple(
    row["name"] for row in operations()["item_save"].fields if row["name"] not in ("tin", "bhfId", "cmcKey")
)
_LISTED: Final = (
    "itemCd", "itemClsCd", "itemTyCd", "itemNm", "itemStdNm", "orgnNatCd", "pkgUnitCd", "qtyUnitCd", "taxTyCd",
    "btchNo",
    "bcd", "regBhfId", "dftPrc", "grpPrcL1", "grpPrcL2", "grpPrcL3", "grpPrcL4", "grpPrcL5", "addInfo", "sftyQty",
    "isrcAplcbYn", "useYn",
)  # fmt: skip
_GATEWAY_REFUSES: Final = frozenset(("BX",))


def save_item(call: Call) -> None:
    """Register an item for the PIN, or update it when the code is known. GavaConnect also checks how the code is
    built.
    """
    document, taxpayer = call.document, call.taxpayer
    call.head_office_only()
    code = document["itemCd"]
    if call.is_gateway:
        if not call.branch.knows_classes:
            raise Refusal("910", "Please get item classification list (selectItemClsList) request before saving items")
        if document["pkgUnitCd"] in _GATEWAY_REFUSES:
            raise Refusal("913", "Package unit code can only be among the listed codes", path=("pkgUnitCd",))
    if document["itemClsCd"] not in item_classes():
        raise Refusal("913", "Please provide a valid item classification code", path=("itemClsCd",))
    is_new = code not in taxpayer.items
    if call.is_gateway and is_new:
        check_item_code(document, taxpayer.next_item)
    body = {name: document.get(name) for name in _SAVED} | {"regBhfId": call.branch.code}
    call.world.save("item", taxpayer.pin, "", code, body, call.now)
    if is_new:
        serial = code[-7:]
        taxpayer.next_item = max(
            taxpayer.next_item + 1, int(serial) + 1 if serial.isascii() and serial.isdigit() else 0
        )
        call.world.ledger.touch(taxpayer.row)


def item_list(call: Call) -> dict[str, Any]:
    """Items registered or changed since ``lastReqDt``."""
    found = call.world.changed("item", call.branch.pin, "", call.since())
    rows = []
    for record in found:
        row: dict[str, Any] = {"tin": call.branch.pin} | {name: record.body.get(name) for name in _LISTED}
        row["rraModYn" if call.flavour != "vscu" else "KRAModYn"] = "N"
        rows.append(row)
    if not rows:
        raise Missing
    return {"itemList": rows}


def save_composition(call: Call) -> None:
    """Name one component of a product. It cannot be read back."""
    document, items = call.document, call.taxpayer.items
    call.head_office_only()
    for name in ("itemCd", "cpstItemCd"):
        if document[name] not in items:
            raise Refusal("910", f"Items do not exist in your inventory: {document[name]}", path=(name,))
    if document["itemCd"] == document["cpstItemCd"]:
        raise Refusal("910", "an item cannot be its own component", path=("cpstItemCd",))
    for name in ("itemCd", "cpstItemCd"):
        if items[document[name]].body["itemTyCd"] == "3":
            raise Refusal("910", "Cannot create a service using item composition", path=(name,))
    if call.is_gateway and call.branch.stock.get(document["cpstItemCd"], 0) < document["cpstQty"]:
        raise Refusal("910", f"Insufficient Stock for component {document['cpstItemCd']}", path=("cpstItemCd",))
    key = f"{document['itemCd']}/{document['cpstItemCd']}"
    call.world.save("composition", call.branch.pin, "", key, {"cpstQty": document["cpstQty"]}, call.now)
