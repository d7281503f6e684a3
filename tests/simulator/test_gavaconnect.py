"""KRA behind its API gateway: tokens, three envelopes, two families of paths, validators that speak in sentences."""

import re
from base64 import b64encode
from typing import Any

import pytest

from tests.simulator.till import ITEM, PREFIX, TOKEN_PATH, Answer, Kra, Till, example, operations, table

PATTERNS = {row["id"]: row["regex"] for row in table("errors")["message_patterns"]}
BASE = PREFIX["gavaconnect"]


def says(answer: Answer, pattern: str) -> bool:
    return answer.status == 400 and re.search(PATTERNS[pattern], answer.message, re.I | re.S) is not None


def test_a_token_needs_the_right_key_and_lives_about_an_hour(gava: Till, simulator: Kra) -> None:
    wrong = b64encode(b"sim-consumer:wrong").decode()
    answer = gava.raw("GET", TOKEN_PATH, b"", {"Authorization": f"Basic {wrong}"})
    assert (answer.status, answer.message) == (400, "")
    right = b64encode(b"sim-consumer:sim-secret").decode()
    assert gava.raw("GET", TOKEN_PATH, b"", {"Authorization": f"Basic {right}"}).body["expires_in"] == "3599"
    assert gava.send("branch_list").is_accepted
    simulator.clock(advance_seconds=3600)
    late = gava.send("branch_list")
    assert (late.status, late.code, late.message) == (401, "fault", "Access Token expired")


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer nonsense", "Bearer SIM", "Basic abc"])
def test_a_wrong_token_is_401(gava: Till, token: str) -> None:
    headers = gava.identity() | {"Authorization": token}
    answer = gava.raw("POST", BASE + "/selectBhfList", b"{}", headers)
    assert (answer.status, answer.code) == (401, "fault")


def test_the_app_id_is_asked_for(gava: Till) -> None:
    headers = {name: value for name, value in gava.identity().items() if name != "apigee_app_id"}
    assert gava.raw("POST", BASE + "/selectBhfList", b"{}", headers).status == 401


def test_a_path_without_a_route_is_a_fault_that_names_targetpath(gava: Till) -> None:
    answer = gava.raw("POST", BASE + "/selectInvoiceDtl", b"{}", gava.identity())
    assert answer.status == 500 and re.search(PATTERNS["gateway_route"], answer.message, re.I)


def test_both_families_of_paths_share_one_state(gava: Till) -> None:
    sale = example("sales_save", "gavaconnect") | {"tin": gava.pin, "bhfId": "00", "invcNo": 1}
    assert gava.post("sales_save", sale, BASE + "/sendSalesTransaction").is_accepted
    found = gava.post("invoice_details", {"tin": gava.pin, "bhfId": "00", "invcNo": 1}, BASE + "/selectInvoiceDetail")
    assert found.data["salesList"][0]["invcNo"] == 1
    for operation in operations().values():
        path = operation["paths"]["gava_integrator"]
        answer = gava.raw("POST", BASE + path, b"{}", gava.identity())
        assert answer.code != "fault", path


def test_the_integrator_name_hands_the_key_out_at_the_root(simulator: Kra) -> None:
    till = Till(simulator, "gavaconnect")
    words = {"tin": till.pin, "bhfId": "00", "dvcSrlNo": till.serial}
    inner = till.post("device_init", words, BASE + "/initialize").body["responseBody"]
    assert inner["cmcKey"] and inner["deviceId"] and "cmcKey" not in inner["data"]["info"]
    again = till.post("device_init", words, BASE + "/initialize")
    assert again.code == "902" and again.data is None


def test_items_and_stock_wait_for_the_class_list(simulator: Kra) -> None:
    till = Till(simulator, "gavaconnect")
    till.key = till.send("device_init", {"dvcSrlNo": till.serial}).data["info"]["cmcKey"]
    assert says(till.send("item_save", itemCd=ITEM), "classes_not_fetched")
    assert till.send("item_class_list").is_accepted
    assert till.send("item_save", itemCd=ITEM).is_accepted


def test_an_item_code_must_be_built_from_its_units_and_be_the_next(gava: Till) -> None:
    assert says(gava.send("item_save", itemCd="KE2NTTU0000009"), "item_code_drift")
    assert gava.send("item_save", itemCd="KE2NTTU0000009").message.endswith("********2")
    assert says(gava.send("item_save", itemCd="KE2NTXU0000002"), "item_code_prefix")
    assert says(gava.send("item_save", itemCd="KE2CTTU0000002"), "item_code_prefix")
    assert says(gava.send("item_save", itemCd="KE1NTTU0000002"), "item_code_prefix")
    assert says(gava.send("item_save", itemCd="KE2NTU0000002", qtyUnitCd="U"), "item_code_prefix")
    assert gava.send("item_save", itemCd="KE3NTNO0000002", itemTyCd="3", qtyUnitCd="NO").is_accepted
    assert gava.send("item_save", itemCd=ITEM, itemNm="Brown sugar, new name").is_accepted


@pytest.mark.parametrize(
    ("changes", "pattern"),
    [
        ({"itemClsCd": "7777777777"}, "bad_item_class"),
        ({"pkgUnitCd": "BX"}, "bad_pkg_unit"),
        ({"qtyUnitCd": "QQ"}, "bad_qty_unit"),
        ({"itemNm": ""}, "null_value"),
    ],
)
def test_a_bad_item_is_refused_in_the_validators_words(gava: Till, changes: dict[str, Any], pattern: str) -> None:
    assert says(gava.send("item_save", itemCd="KE2NTTU0000002", **changes), pattern)


def test_a_sale_needs_stock_of_goods_but_not_of_services(gava: Till) -> None:
    assert gava.send("item_save", itemCd="KE2NTTU0000002").is_accepted
    assert gava.send("item_save", itemCd="KE3NTTU0000003", itemTyCd="3").is_accepted
    for code, accepted in (("KE2NTTU0000002", False), ("KE3NTTU0000003", True)):
        document = example("sales_save", "gavaconnect")
        document["itemList"][0]["itemCd"] = code
        answer = gava.send("sales_save", document, invcNo=1)
        assert answer.is_accepted is accepted
        assert accepted or says(answer, "no_stock")


def test_more_than_there_is_cannot_be_sold(simulator: Kra) -> None:
    till = Till(simulator, "gavaconnect").start()
    out = example("stock_io_save", "gavaconnect")
    line = out["itemList"][0] | {"qty": 99, "splyAmt": 114840, "taxblAmt": 99000, "taxAmt": 15840, "totAmt": 114840}
    out |= {"itemList": [line], "totTaxblAmt": 99000, "totTaxAmt": 15840, "totAmt": 114840}
    assert till.send("stock_io_save", out, sarTyCd="16", sarNo=2).is_accepted
    assert says(till.sell(1), "no_stock")
    assert says(till.send("stock_io_save", out, sarTyCd="15", sarNo=3), "no_stock")


def test_packages_of_nt_are_counted_as_one(gava: Till) -> None:
    document = example("sales_save", "gavaconnect")
    document["itemList"][0]["pkg"] = 2
    assert says(gava.send("sales_save", document, invcNo=1), "bad_pkg_count")


@pytest.mark.parametrize("name", ["taxblAmt", "taxAmt", "splyAmt", "totAmt"])
def test_a_wrong_amount_is_named_with_the_expected_one(gava: Till, name: str) -> None:
    document = example("sales_save", "gavaconnect")
    document["itemList"][0][name] += 1
    assert says(gava.send("sales_save", document, invcNo=1), "bad_taxable")


def test_numbers_and_rates_are_refused_in_the_known_words(gava: Till) -> None:
    assert says(gava.sell(4), "invoice_number_drift_2")
    assert says(gava.sell(1, taxRtE=0), "rate_mismatch")
    assert says(gava.send("stock_io_save", sarNo=9), "stock_number_drift")
    assert says(gava.send("purchase_save", invcNo=7), "invoice_number_drift")
    purchase = example("purchase_save", "gavaconnect")
    purchase["itemList"][0]["itemCd"] = ITEM
    assert says(gava.send("purchase_save", purchase), "supplier_invoice_missing")


def test_the_balance_must_agree_with_the_movements(gava: Till) -> None:
    answer = gava.send("stock_master_save", rsdQty=98)
    numbers = next(row["numbers"] for row in table("errors")["message_patterns"] if row["id"] == "stock_balance")
    found = re.search(numbers, answer.message, re.I)
    assert says(answer, "stock_balance") and found is not None and (found[1], found[3]) == ("100", "98")
    assert gava.send("stock_master_save", rsdQty=100).is_accepted
    assert gava.send("item_save", itemCd="KE2NTTU0000002").is_accepted
    assert says(gava.send("stock_master_save", itemCd="KE2NTTU0000002"), "stock_order")


def test_a_branch_that_does_not_exist_is_reported_as_a_tax_type_problem(gava: Till) -> None:
    headers = gava.identity() | {"bhfId": "77"}
    answer = gava.raw("POST", BASE + "/selectBhfList", b"{}", headers)
    assert says(answer, "generic_tax_type")


def test_a_service_has_no_components(gava: Till) -> None:
    assert gava.send("item_save", itemCd="KE3NTTU0000002", itemTyCd="3").is_accepted
    assert says(gava.send("item_composition_save", itemCd="KE3NTTU0000002"), "composition_service")


def test_the_forgetful_import_path_answers_success_and_keeps_nothing(gava: Till) -> None:
    row = gava.send("import_item_list").data["itemList"][0]
    words = example("import_item_update", "gavaconnect") | {"tin": gava.pin, "bhfId": "00"}
    words |= {name: row[name] for name in ("taskCd", "dclDe", "itemSeq", "hsCd")}
    assert gava.post("import_item_update", words, BASE + "/importedItemConvertedInfo").is_accepted
    assert gava.send("import_item_list").data["itemList"][0]["imptItemsttsCd"] == "2"
    assert gava.post("import_item_update", words).is_accepted
    by_line = {one["itemSeq"]: one["imptItemsttsCd"] for one in gava.send("import_item_list").data["itemList"]}
    assert by_line == {1: "3", 2: "2", 3: "2"}
