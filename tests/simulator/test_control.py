"""The control side: devices, ledger, requests, clock, settings, reset."""

from datetime import datetime

import pytest

from tests.simulator.till import Kra, Till, example


def test_approving_a_serial_twice_changes_nothing(simulator: Kra) -> None:
    first = simulator.approve("P051234567X", "00", "S-1", name="DUKA LTD")
    assert simulator.approve("P051234567X", "00", "S-1") == first
    with pytest.raises(AssertionError, match="409"):
        simulator.approve("P051234567X", "01", "S-1")
    for wrong in ({"pin": "x"}, {"branch": "1"}, {"kind": "fiscal"}, {"extra": 1}):
        device = {"pin": "P051234567X", "branch": "00", "serial": "S-2", "kind": "oscu"} | wrong
        with pytest.raises(AssertionError, match="422"):
            simulator.call("POST", "/_sim/devices", device)


def test_a_replaced_device_goes_on_with_the_branchs_number(simulator: Kra) -> None:
    old = Till(simulator, "oscu_direct").start()
    assert old.sell(1).is_accepted
    new = Till(simulator, "oscu_direct")
    new.serial = "replacement"
    simulator.approve(new.pin, "00", new.serial)
    new.key = new.send("device_init", {"dvcSrlNo": new.serial}).data["info"]["cmcKey"]
    answer = new.sell(2)
    assert answer.data["curRcptNo"] == "1"
    assert [row["number"] for row in new.ledger()] == [1, 2]


def test_requests_are_kept_byte_for_byte(till: Till, simulator: Kra) -> None:
    odd = b'{ "tin":"P051234567X" ,"bhfId":"00","lastReqDt":"20180101000000","x":1.50 }'
    path = till.path("branch_list") or ""
    till.raw("POST", path, odd, till.identity())
    till.raw("POST", path, b"\xff", till.identity())
    last = simulator.requests()[-2:]
    assert last[0]["body"] == odd.decode() and last[0]["code"] == "000"
    assert ["cmckey", till.key] in last[0]["headers"]
    assert last[1]["body_base64"] == "/w==" and last[1]["code"] == "910"
    assert simulator.call("GET", f"/_sim/requests?after={last[0]['id']}&limit=1")[0]["id"] == last[1]["id"]
    assert (
        simulator.call("GET", "/_sim/requests?operation=device_init&pin=P051234567X")[0]["operation"] == "device_init"
    )


def test_the_ledger_shows_what_was_recorded_with_its_body(till: Till) -> None:
    answer = till.sell(1, "POS-77")
    (row,) = till.ledger()
    assert (row["pin"], row["branch"], row["number"], row["kind"]) == (till.pin, "00", 1, "sale")
    assert (row["reference"], row["total"], row["receipt_number"]) == ("POS-77", "2320.00", 1)
    assert row["signature"] == answer.data["rcptSign"]
    assert row["body"] == example("sales_save", "oscu_direct") | {"invcNo": 1, "trdInvcNo": "POS-77"}
    assert datetime.fromisoformat(row["recorded_at"]).utcoffset() is not None
    till.stock_in("5")
    assert [one["kind"] for one in till.ledger("all")] == ["sale", "stock_movement"]
    assert [one["kind"] for one in till.ledger("stock_movement")] == ["stock_movement"]


def test_the_clock_can_be_set_and_moved(till: Till, simulator: Kra) -> None:
    simulator.clock(now="2027-01-31T23:59:30+03:00")
    assert till.send("branch_list").body["resultDt"].startswith("20270131235930"[:12])
    simulator.clock(advance_seconds=60)
    assert till.send("branch_list").body["resultDt"].startswith("202702010000")
    with pytest.raises(AssertionError, match="422"):
        simulator.clock()


def test_settings_are_checked(simulator: Kra) -> None:
    for wrong in ({"profile": "guess"}, {"rates": {"F": 1}}, {"nothing": 1}, {"lookups_per_minute": -1}):
        with pytest.raises(AssertionError, match="422"):
            simulator.call("POST", "/_sim/settings", wrong)
    changed = simulator.call("POST", "/_sim/settings", {"rates": {"E": 0}, "lookups_per_minute": 5})
    assert changed["rates"]["E"] == 0 and changed["rates"]["B"] == 16 and changed["lookups_per_minute"] == 5


def test_the_profile_is_a_setting(till: Till, simulator: Kra) -> None:
    gross = example("sales_save", "oscu_direct") | {"taxblAmtB": 2320, "totTaxblAmt": 2320}
    gross["itemList"][0]["taxblAmt"] = 2320
    assert till.send("sales_save", gross, invcNo=1).code == "910"
    simulator.call("POST", "/_sim/settings", {"profile": "inclusive_gross_base"})
    assert till.sell(1).code == "910"
    assert till.send("sales_save", gross, invcNo=1).is_accepted
    simulator.call("POST", "/_sim/settings", {"strict": False})
    assert till.sell(2).is_accepted


def test_a_catalogue_minded_simulator_compares_lines_with_the_item(till: Till, simulator: Kra) -> None:
    simulator.call("POST", "/_sim/settings", {"match_catalogue": True})
    document = example("sales_save", "oscu_direct")
    document["itemList"][0]["qtyUnitCd"] = "NO"
    assert "differs from the registered" in till.send("sales_save", document, invcNo=1).message
    assert till.sell(1).is_accepted


def test_a_reset_forgets_everything(till: Till, simulator: Kra) -> None:
    assert till.sell(1).is_accepted
    simulator.fault("*", "html_page")
    simulator.clock(advance_seconds=10_000)
    simulator.reset()
    health = simulator.call("GET", "/_sim/health")
    assert (health["documents"], health["requests"], health["strict"]) == (0, 0, True)
    assert simulator.ledger() == [] and simulator.call("GET", "/_sim/devices") == []
    assert till.send("branch_list").code == "901"
    fresh = Till(simulator, "oscu_direct").start()
    assert fresh.sell(1).is_accepted
