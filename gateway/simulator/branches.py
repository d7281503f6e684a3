"""Branches, the people they deal with, and what KRA tells them (OSCU spec v2.0 §3.3.2, §3.3.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway.simulator.answers import Missing
from gateway.simulator.call import Call
from gateway.simulator.tables import operations
from gateway.simulator.world import Taxpayer

_PLACE: Final = {"prvncNm": "NAIROBI CITY", "dstrtNm": "WESTLANDS", "sctrNm": "WESTLANDS"}


def pin_lookup(call: Call) -> dict[str, Any]:
    """Who a PIN belongs to. 001 = KRA does not know it."""
    found = call.world.taxpayers.get(call.document["custmTin"])
    if found is None:
        raise Missing
    return {
        "custList": [{"tin": found.pin, "taxprNm": found.name, "taxprSttsCd": "A", **_PLACE, "locDesc": _place(found)}]
    }


def _place(taxpayer: Taxpayer) -> str | None:
    return next((branch.address for branch in taxpayer.branches.values()), None)


def branch_list(call: Call) -> dict[str, Any]:
    """The taxpayer's branches, registered or changed since ``lastReqDt``."""
    since = call.since()
    rows = [
        {
            "tin": branch.pin, "bhfId": branch.code, "bhfNm": branch.name, "bhfSttsCd": "01", **_PLACE,
            "locDesc": branch.address, "mgrNm": "SIMULATED MANAGER", "mgrTelNo": "0700000000",
            "mgrEmail": "manager@example.co.ke", "hqYn": "Y" if branch.code == "00" else "N",
        }
        for branch in call.taxpayer.branches.values()
        if branch.changed_at >= since
    ]  # fmt: skip
    if not rows:
        raise Missing
    return {"bhfList": sorted(rows, key=lambda row: row["bhfId"])}


def notice_list(call: Call) -> dict[str, Any]:
    """What KRA announced since ``lastReqDt``."""
    rows = [record.body for record in call.world.changed("notice", "", "", call.since())]
    if not rows:
        raise Missing
    return {"noticeList": rows}


def taxpayer_info(call: Call) -> dict[str, Any]:
    """Name and VAT type; the values of the latter are not documented anywhere."""
    return {"info": {"taxprNm": call.taxpayer.name, "vatTyCd": "1"}}


def _saver(operation: str, kind: str, key: str) -> Callable[[Call], None]:
    """Save what a branch sent, as sent, under its own key; a second time replaces it."""
    names = tuple(
        row["name"] for row in operations()[operation].fields if row["name"] not in ("tin", "bhfId", "cmcKey")
    )

    def save(call: Call) -> None:
        body = {name: call.document.get(name) for name in names}
        call.world.save(kind, call.branch.pin, call.branch.code, call.document[key], body, call.now)

    return save


save_customer: Final = _saver("branch_customer_save", "customer", "custNo")
save_user: Final = _saver("branch_user_save", "user", "userId")
save_insurance: Final = _saver("branch_insurance_save", "insurance", "isrccCd")


def customer_list(call: Call) -> dict[str, Any]:
    """Customers this branch saved since ``lastReqDt``."""
    rows = [record.body for record in call.world.changed("customer", call.branch.pin, call.branch.code, call.since())]
    if not rows:
        raise Missing
    return {"custList": rows}
