"""The jar beside the till: it signs without KRA for a day, and has no words for most troubles."""

from tests.simulator.till import Kra, Till, example


def test_a_jar_without_keys_can_only_say_899(simulator: Kra) -> None:
    till = Till(simulator, "vscu")
    assert till.sell(1).code == "899"


def test_the_keys_stay_in_the_jar_and_the_last_numbers_come_out(simulator: Kra) -> None:
    till = Till(simulator, "vscu")
    info = till.send("device_init", {"dvcSrlNo": till.serial}).data["info"]
    assert info["cmcKey"] is None and info["sdcId"] is None and info["lastSaleInvcNo"] == 0
    assert till.send("device_init", {"dvcSrlNo": till.serial}).code == "902"


def test_a_serial_of_the_other_kind_is_refused(simulator: Kra) -> None:
    jar = Till(simulator, "vscu")
    direct = Till(simulator, "oscu_direct", pin="P000000111X")
    assert direct.send("device_init", {"dvcSrlNo": "unknown"}).code == "901"
    assert jar.post("device_init", {"tin": direct.pin, "bhfId": "00", "dvcSrlNo": direct.serial}).code == "903"
    simulator.call("POST", "/_sim/settings", {"wrong_kind_code": "905"})
    assert jar.post("device_init", {"tin": direct.pin, "bhfId": "00", "dvcSrlNo": direct.serial}).code == "905"


def test_aliases_of_the_paths_work(simulator: Kra) -> None:
    till = Till(simulator, "vscu")
    words = {"tin": till.pin, "bhfId": "00", "dvcSrlNo": till.serial}
    assert till.post("device_init", words, "/vscu/selectInitInfo").is_accepted
    assert till.post("device_init", words, "/vscu/selectInitOsdcInfo").code == "902"


def test_off_line_it_signs_and_kra_learns_of_it_later(jar: Till, simulator: Kra) -> None:
    simulator.fault("*", "vscu_offline", pin=jar.pin)
    first, second = jar.sell(1, "POS-1"), jar.sell(2, "POS-2")
    assert (first.data["rcptNo"], second.data["rcptNo"]) == (1, 2)
    assert jar.ledger() == [] and jar.facts()["unsent"] == 2
    assert jar.send("item_list").code == "894"
    page = f"/common/link/etims/receipt/indexEtimsReceiptData?Data={jar.pin}00{first.data['rcptSign']}"
    assert jar.raw("GET", page, b"", {}).status == 404
    simulator.clear_faults()
    assert [row["reference"] for row in jar.ledger()] == ["POS-1", "POS-2"]
    assert jar.facts()["unsent"] == 0 and jar.raw("GET", page, b"", {}).status == 200


def test_after_a_day_without_contact_it_gives_no_more_numbers(jar: Till, simulator: Kra) -> None:
    simulator.fault("*", "vscu_offline", pin=jar.pin)
    simulator.clock(advance_seconds=86_000)
    assert jar.sell(1).is_accepted
    simulator.clock(advance_seconds=500)
    assert jar.sell(2).code == "894"
    simulator.clear_faults()
    assert jar.sell(2).is_accepted
    assert [row["number"] for row in jar.ledger()] == [1, 2]


def test_an_idle_jar_counts_its_day_from_the_loss_of_the_line(jar: Till, simulator: Kra) -> None:
    simulator.clock(advance_seconds=5 * 86_400)
    simulator.fault("*", "vscu_offline", pin=jar.pin)
    assert jar.sell(1).is_accepted


def test_an_outage_with_an_end_is_caught_up_without_a_call(jar: Till, simulator: Kra) -> None:
    simulator.fault("*", "vscu_offline", pin=jar.pin, for_seconds=600)
    assert jar.sell(1).is_accepted
    simulator.clock(advance_seconds=601)
    assert len(jar.ledger()) == 1


def test_its_memory_can_be_full(jar: Till, simulator: Kra) -> None:
    simulator.fault("*", "vscu_full", pin=jar.pin, times=1)
    assert jar.sell(1).code == "E11"
    simulator.call("POST", "/_sim/settings", {"vscu_capacity": 2})
    simulator.fault("*", "vscu_offline", pin=jar.pin)
    assert [jar.sell(number).code for number in (1, 2, 3)] == ["000", "000", "E11"]
    simulator.clear_faults()
    assert jar.sell(3).is_accepted


def test_its_receipt_counter_can_fall_back(jar: Till, simulator: Kra) -> None:
    assert [jar.sell(number).data["rcptNo"] for number in (1, 2, 3)] == [1, 2, 3]
    simulator.fault("sales_save", "receipts_rolled_back", pin=jar.pin, times=1, parameters={"by": 2})
    assert jar.sell(4).data["rcptNo"] == 2


def test_it_has_no_look_up(jar: Till) -> None:
    assert jar.raw("POST", "/vscu/trnsSales/selectSales", b"{}", {}).status == 404


def test_it_takes_an_item_with_an_unknown_unit_and_refuses_to_sell_it(jar: Till) -> None:
    assert jar.send("item_save", itemCd="KE2UUQQ0000002", pkgUnitCd="U", qtyUnitCd="QQ").is_accepted
    document = example("sales_save", "vscu")
    document["itemList"][0] |= {"itemCd": "KE2UUQQ0000002", "pkgUnitCd": "U"}
    answer = jar.send("sales_save", document, invcNo=1)
    assert answer.code == "913" and "[<itemList><pkgUnitCd>]" in answer.message
