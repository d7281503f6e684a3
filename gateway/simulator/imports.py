"""Imported items: declared lines that wait for their importer (OSCU spec v2.0 §3.3.5)."""

from __future__ import annotations

from typing import Any

from gateway.simulator.answers import Missing, Refusal
from gateway.simulator.call import Call
from gateway.simulator.classes import item_classes

APPROVED = "3"
# GavaConnect's integrator name answers success and keeps nothing.
FORGETFUL_PATH = "/importedItemConvertedInfo"


def import_key(task: str, declared: str, line: int) -> str:
    """What identifies a declared line."""
    return f"{task}/{declared}/{line}"


def import_list(call: Call) -> dict[str, Any]:
    """Declared lines, new or changed since ``lastReqDt``. An update shows only after the lag that the settings name."""
    lag = call.settings.import_lag_seconds * 1000
    rows = []
    for record in call.world.changed("import", call.branch.pin, "", call.since()):
        row = dict(record.body)
        before = row.pop("before", None)
        if before is not None and call.now < record.changed_at + lag:
            row["imptItemsttsCd"] = before
        rows.append(row)
    if not rows:
        raise Missing
    return {"itemList": rows}


def update_import(call: Call) -> None:
    """Approve or cancel a declared line and name the own item it becomes. Stock is not booked by this."""
    document, branch = call.document, call.branch
    call.head_office_only()
    key = import_key(document["taskCd"], document["dclDe"], int(document["itemSeq"]))
    record = call.world.record("import", branch.pin, "", key)
    if record is None or record.body["hsCd"] != document["hsCd"]:
        raise Refusal("910", "no such imported item was declared for this PIN", path=("taskCd",))
    if document["itemClsCd"] not in item_classes():
        raise Refusal("913", "Please provide a valid item classification code", path=("itemClsCd",))
    if document["itemCd"] not in call.taxpayer.items:
        raise Refusal("910", f"Items do not exist in your inventory: {document['itemCd']}", path=("itemCd",))
    status = document["imptItemSttsCd"]
    if status == APPROVED and not document.get("remark"):
        raise Refusal("910", "may not be empty", path=("remark",))
    if call.path.endswith(FORGETFUL_PATH):
        return
    body = record.body | {"imptItemsttsCd": status, "before": record.body["imptItemsttsCd"]}
    call.world.save("import", branch.pin, "", key, body, call.now)
