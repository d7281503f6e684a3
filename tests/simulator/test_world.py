"""What happens between taxpayers and branches: purchases, transfers, imports, lists by date."""

import re
from typing import Any

from tests.simulator.till import ITEM, Kra, Till, example


def test_a_sale_to_another_taxpayer_waits_in_its_purchase_list_until_confirmed(simulator: Kra) -> None:
    seller = Till(simulator, "gavaconnect", pin="P000000222A").start()
    buyer = Till(simulator, "oscu_direct", pin="P000000444D").start()
    sold = seller.sell(1, custTin=buyer.pin, custNm="The buyer")
    listed = purchases(buyer)[seller.pin, 1]
    assert listed["totAmt"] == 2320 and listed["spplrSdcId"].startswith("SIM")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", listed["cfmDt"]) and sold.is_accepted
    purchase = example("purchase_save", "oscu_direct") | {"spplrTin": seller.pin, "spplrInvcNo": 1}
    purchase["itemList"][0]["itemCd"] = ITEM
    assert buyer.send("purchase_save", purchase, invcNo=1).is_accepted
    assert (seller.pin, 1) not in purchases(buyer)
    assert "Missing purchase record" in buyer.send("purchase_save", purchase, invcNo=2).message
    assert buyer.send("purchase_save", purchase, invcNo=1).code == "994"
    assert [row["number"] for row in buyer.ledger("purchase")] == [1]


def purchases(till: Till) -> dict[tuple[str, int], dict[str, Any]]:
    rows = till.send("purchase_sales_list", lastReqDt="20180101000000").data["saleList"]
    return {(row["spplrTin"], row["spplrInvcNo"]): row for row in rows}


def test_a_purchase_nobody_listed_can_be_typed_in(till: Till) -> None:
    purchase = example("purchase_save", "oscu_direct")
    purchase["itemList"][0]["itemCd"] = ITEM
    assert till.send("purchase_save", purchase, regTyCd="M", spplrTin=None, spplrInvcNo=None).is_accepted


def test_head_office_matters_are_refused_to_a_branch(simulator: Kra) -> None:
    Till(simulator, "oscu_direct").start()
    shop = Till(simulator, "oscu_direct", branch="01")
    shop.key = shop.send("device_init", {"dvcSrlNo": shop.serial}).data["info"]["cmcKey"]
    assert "head office" in shop.send("item_save", itemCd="KE2NTTU0000002").message
    assert shop.sell(1).is_accepted


def test_goods_sent_to_a_branch_are_announced_there_and_nowhere_else(simulator: Kra) -> None:
    office = Till(simulator, "oscu_direct").start()
    shop = Till(simulator, "oscu_direct", branch="01")
    shop.key = shop.send("device_init", {"dvcSrlNo": shop.serial}).data["info"]["cmcKey"]
    office.stock_in("10")
    assert office.send("stock_io_save", sarTyCd="13", custBhfId="01", sarNo=2).is_accepted
    (moved,) = shop.send("stock_move_list").data["stockList"]
    assert (moved["custBhfId"], moved["sarNo"], moved["itemList"][0]["qty"]) == ("00", 2, 2)
    assert office.send("stock_move_list").code == "001"
    assert shop.send("stock_io_save", sarTyCd="04", custBhfId="00", sarNo=1).is_accepted
    assert shop.send("stock_master_save", rsdQty=2).is_accepted
    assert office.send("stock_master_save", rsdQty=8).is_accepted
    assert "expected 8 but found 9" in office.send("stock_master_save", rsdQty=9).message
    assert "another branch" in office.send("stock_io_save", sarTyCd="13", custBhfId="09", sarNo=3).message


def test_movements_count_on_their_own(till: Till) -> None:
    assert till.send("stock_io_save", sarTyCd="06", sarNo=1).is_accepted
    assert till.send("stock_io_save", sarTyCd="06", sarNo=1).code == "994"
    assert "Invalid sarNo: Expected: 2 but found: 5" in till.send("stock_io_save", sarTyCd="06", sarNo=5).message
    assert till.sell(1).is_accepted


def test_a_jar_takes_any_rising_movement_number(jar: Till) -> None:
    assert jar.send("stock_io_save", sarTyCd="06", sarNo=7).is_accepted
    assert jar.send("stock_io_save", sarTyCd="06", sarNo=20).is_accepted
    assert jar.send("stock_io_save", sarTyCd="06", sarNo=20).code == "899"


def test_an_approved_import_shows_only_after_the_lag(till: Till, simulator: Kra) -> None:
    simulator.call("POST", "/_sim/settings", {"import_lag_seconds": 60})
    row = till.send("import_item_list").data["itemList"][0]
    key = {name: row[name] for name in ("taskCd", "dclDe", "itemSeq", "hsCd")}
    assert till.send("import_item_update", **key, itemCd=ITEM, remark="").code == "910"
    assert till.send("import_item_update", **key, itemCd="KE2NTTU0000077").code == "910"
    assert till.send("import_item_update", **key | {"hsCd": "1"}, itemCd=ITEM).code == "910"
    assert till.send("import_item_update", **key, itemCd=ITEM).is_accepted
    assert status_of(till, row["itemSeq"]) == "2"
    simulator.clock(advance_seconds=61)
    assert status_of(till, row["itemSeq"]) == "3"


def status_of(till: Till, line: int) -> str:
    rows = till.send("import_item_list").data["itemList"]
    return str(next(row["imptItemsttsCd"] for row in rows if row["itemSeq"] == line))


def test_lists_give_what_changed_since_and_nothing_when_nothing_did(till: Till, simulator: Kra) -> None:
    since = till.send("item_list").body["resultDt"]
    simulator.clock(advance_seconds=10)
    later = till.send("item_list").body["resultDt"]
    for operation in (
        "item_list",
        "code_list",
        "item_class_list",
        "branch_list",
        "notice_list",
        "branch_customer_list",
    ):
        assert till.send(operation, lastReqDt=later).code == "001", operation
    assert till.send("branch_customer_save").is_accepted
    (customer,) = till.send("branch_customer_list", lastReqDt=later).data["custList"]
    assert customer["custNo"] == "CUST00001"
    assert till.send("item_list", lastReqDt=since).is_accepted


def test_saving_an_item_again_changes_it(till: Till) -> None:
    assert till.send("item_save", itemCd=ITEM, itemNm="White sugar").is_accepted
    (item,) = till.send("item_list").data["itemList"]
    assert item["itemNm"] == "White sugar" and item["rraModYn"] == "N" and item["regBhfId"] == "00"


def test_the_class_tree_is_large_named_and_stable(till: Till) -> None:
    rows = till.send("item_class_list").data["itemClsList"]
    by_code = {row["itemClsCd"]: row for row in rows}
    assert len(by_code) == len(rows) >= 5000
    assert by_code["5016150900"]["itemClsNm"].startswith("Natural sugars") and by_code["5016150900"]["taxTyCd"] == "B"
    assert {"99000000", "9901200000", "1000000000"} <= set(by_code)
    assert {row["itemClsLvl"] for row in rows} == {1, 2, 3, 4, 5}
    assert {row["taxTyCd"] for row in rows if row["itemClsLvl"] == 5} == {"A", "B", "C", "E"}
    assert all(row["taxTyCd"] is None for row in rows if row["itemClsLvl"] < 5)
    names = " ".join(row["itemClsNm"].lower() for row in rows)
    for word in (
        "unga",
        "airtime",
        "diesel",
        "lpg",
        "haircut",
        "phone repair",
        "school fees",
        "paracetamol",
        "bread",
        "milk",
    ):
        assert word in names


def test_the_code_list_is_complete(till: Till) -> None:
    classes = {row["cdCls"]: row["dtlList"] for row in till.send("code_list").data["clsList"]}
    assert len(classes) == 21 and sum(map(len, classes.values())) > 700
    assert {row["cd"]: row["userDfnCd1"] for row in classes["04"]} == {
        "A": "0",
        "B": "16",
        "C": "0",
        "D": "0",
        "E": "8",
    }


def test_a_pin_is_known_or_not(till: Till) -> None:
    assert till.send("customer_pin_lookup").data["custList"][0]["taxprNm"] == "EXAMPLE BUYER LTD"
    assert till.send("customer_pin_lookup", custmTin=till.pin).is_accepted
    assert till.send("customer_pin_lookup", custmTin="P999999999Z").code == "001"
