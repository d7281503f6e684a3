"""Device initialization: the key is given once (OSCU/VSCU spec v2.0 §3.3.1.1)."""

from __future__ import annotations

from typing import Any

from gateway.simulator.answers import Refusal
from gateway.simulator.call import Call
from gateway.simulator.clock import text14
from gateway.simulator.world import Device


def initialize(call: Call) -> dict[str, Any]:
    """Give an approved serial its key. 901 unknown serial, 903 the other kind of unit, 902 (without key) the second
    time.
    """
    document, world = call.document, call.world
    kind = "vscu" if call.flavour == "vscu" else "oscu"
    device = world.devices.get(document["dvcSrlNo"])
    if device is None or (device.branch.pin, device.branch.code) != (document.get("tin"), document.get("bhfId")):
        raise Refusal("901")
    if device.kind != kind:
        raise Refusal(
            call.settings.wrong_kind_code, f"Only {kind.upper()} device can be verified" if kind == "vscu" else ""
        )
    if device.activated_at is not None:
        if "corrupt_device" in call.switches:
            device.copies += 1
            world.ledger.touch(device.row)
            raise corrupt(device)
        raise Refusal("902")
    world.activate(device, call.now)
    return {"info": _facts(call, device)}


def corrupt(device: Device) -> Refusal:
    """KRA found several rows for one device; each further initialization adds one."""
    return Refusal("999", f"Query did not return a unique result: {device.copies + 1} results were returned")


def _facts(call: Call, device: Device) -> dict[str, Any]:
    branch = device.branch
    facts: dict[str, Any] = {
        "tin": branch.pin, "taxprNm": call.world.taxpayers[branch.pin].name, "bsnsActv": "Retail", "bhfId": branch.code,
        "bhfNm": branch.name, "bhfOpenDt": text14(branch.changed_at)[:8], "prvncNm": "NAIROBI CITY",
        "dstrtNm": "WESTLANDS",
        "sctrNm": "WESTLANDS", "locDesc": branch.address[:100], "hqYn": "Y" if branch.code == "00" else "N",
        "mgrNm": "SIMULATED MANAGER", "mgrTelNo": "0700000000", "mgrEmail": "manager@example.co.ke",
        "dvcId": device.number,
    }  # fmt: skip
    if device.kind == "oscu":
        return facts | {"sdcId": device.unit, "mrcNo": device.machine, "cmcKey": device.key}
    # The jar keeps the keys; what the caller gets are the last numbers KRA knows of the branch.
    return facts | {
        "sdcId": None, "mrcNo": None, "cmcKey": None, "intrlKey": None, "signKey": None,
        "lastSaleInvcNo": branch.next_invoice - 1, "lastPchsInvcNo": branch.next_purchase - 1,
        "lastSaleRcptNo": device.receipts or None, "lastInvcNo": branch.next_invoice - 1 or None,
        "lastTrainInvcNo": None,
        "lastProfrmInvcNo": None, "lastCopyInvcNo": None,
    }  # fmt: skip
