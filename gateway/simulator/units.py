"""A VSCU's line to KRA: signing while it is down, the 24-hour stop, forwarding afterwards.

Off line the unit goes on signing for 24 hours after its last contact, then gives no more numbers (VSCU spec v2.0 §2.2).
"""

from __future__ import annotations

from gateway.simulator.answers import Refusal
from gateway.simulator.call import Call
from gateway.simulator.faults import Faults
from gateway.simulator.world import Branch, World


def check_unit(call: Call) -> None:
    """May the unit answer this call now? On line it forwards what it kept. Raises Refusal 894 or E11."""
    device, branch, settings = call.device, call.branch, call.settings
    offline = call.switches.get("vscu_offline")
    if offline is None:
        forward(call.world, branch, call.now)
        device.last_contact = call.now
        call.world.ledger.touch(device.row)
    elif call.operation != "sales_save":
        raise Refusal("894")
    else:
        # it was in touch with KRA until the line broke
        last = max(device.last_contact, offline["since"])
        if call.now - last > settings.vscu_offline_seconds * 1000:
            raise Refusal("894", "no contact for more than 24 hours; no receipt number is given")
    if call.operation == "sales_save" and ("vscu_full" in call.switches or branch.unsent >= settings.vscu_capacity):
        raise Refusal("E11")


def forward(world: World, branch: Branch, now: int) -> None:
    """Hand everything a unit kept to KRA."""
    if branch.unsent:
        world.ledger.add("known", (now, branch.id))
        branch.unsent = 0
        world.behind.discard(branch)


def catch_up(world: World, faults: Faults) -> None:
    """Forward for every unit that is on line again, though nobody has called it."""
    now = world.clock.now_ms()
    for branch in list(world.behind):
        if not faults.is_on("vscu_offline", branch.pin, branch.code, now):
            forward(world, branch, now)
