"""A device breaks with a sale in its lane; a new one takes over, and no number is lost or used twice."""

from tests.gateway import Gateway, ledger_of
from tests.servers import Simulator


def test_a_sale_that_was_held_by_a_broken_device_is_signed_by_the_one_that_replaces_it(
    shared_gateway: Gateway, simulator: Simulator
) -> None:
    shop = shared_gateway.onboard(simulator)
    old = f"SERIAL-{shop.pin}-00"
    assert shop.sell("A-1").body["number"] == 1
    simulator.fault("sales_save", "result_code", code="901", times=1, pin=shop.pin)
    held = shop.sell("A-2", wait=1)
    assert held.status == 202
    simulator.approve(shop.pin, "00", "THE-NEW-ONE")
    assert shop.call("POST", f"/api/device/{old}/replace/", {"serial": "THE-NEW-ONE"}).status == 201
    new = shop.call("POST", "/api/device/init/", {"device": "THE-NEW-ONE"})
    assert new.body["status"] == "active", new
    signed = shop.settled(held.body["id"])
    assert (signed["status"], signed["number"]) == ("signed", 2)
    assert signed["receipt"]["control_unit"] == new.body["control_unit"]
    assert shop.sell("A-3").body["number"] == 3
    assert shop.sell("A-4", device=old).body["code"] == "device_not_ready"
    assert ledger_of(simulator, shop) == [(1, "A-1"), (2, "A-2"), (3, "A-3")]
