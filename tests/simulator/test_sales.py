"""Sales and credit notes: one number each, one receipt each, and what the rules refuse."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.simulator.till import Kra, Till, example, table

DRIFT = {row["id"]: row for row in table("errors")["message_patterns"]}


def test_an_accepted_sale_is_signed_and_can_be_looked_up(till: Till) -> None:
    answer = till.sell()
    assert answer.is_accepted
    assert re.fullmatch("[A-Z2-7]{26}", answer.data["intrlData"])
    assert re.fullmatch("[A-Z2-7]{16}", answer.data["rcptSign"])
    assert (answer.data["curRcptNo"], answer.data["totRcptNo"]) == ("1", "1")
    found = till.send("invoice_details", invcNo=1).data["salesList"][0]
    assert found["receipt"]["rcptSign"] == answer.data["rcptSign"]
    assert found["receipt"]["curRcptNo"] == "1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", found["cfmDt"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.0", found["receipt"]["sdcDateTime"])
    assert found["remark"] is None and "trdInvcNo" not in found
    assert [row["reference"] for row in till.ledger()] == ["POS-1"]


def test_the_answers_look_like_the_tables_say(any_till: Till) -> None:
    answer = any_till.sell()
    expected = set(example_answer(any_till.flavour))
    assert set(answer.data) == expected
    kind = int if any_till.flavour == "vscu" else str
    assert isinstance(answer.data["totRcptNo"], kind)


def example_answer(flavour: str) -> list[str]:
    rows = next(row for row in table("endpoints")["operations"] if row["id"] == "sales_save")
    return list(rows["examples"]["response"]["vscu" if flavour == "vscu" else "oscu"]["data"])


def test_a_look_up_of_what_is_not_recorded_says_001(till: Till) -> None:
    assert till.send("invoice_details", invcNo=1).code == "001"
    assert till.send("sales_list").code == "001"


def test_a_wrong_number_is_refused_with_the_expected_one_and_moves_nothing(any_till: Till) -> None:
    assert any_till.sell(1).is_accepted
    answer = any_till.sell(3)
    expected = re.search(DRIFT["invoice_number_drift_2"]["regex"], answer.message, re.I)
    assert not answer.is_accepted and expected is not None and expected[1] == "2"
    assert any_till.sell(2).is_accepted


@pytest.mark.parametrize(("flavour", "code"), [("oscu_direct", "994"), ("gavaconnect", "400"), ("vscu", "899")])
def test_a_number_that_is_recorded_is_a_duplicate_in_the_words_of_its_host(
    simulator: Kra, flavour: str, code: str
) -> None:
    till = Till(simulator, flavour).start()
    assert till.sell(1).is_accepted
    again = till.sell(1)
    assert again.code == code and again.data is None
    if flavour == "gavaconnect":
        assert again.message == "Invalid invcNo sequence, expected: 2 but found: 1"
    assert len(till.ledger()) == 1


def test_a_refused_sale_leaves_its_number_to_the_next_one(till: Till) -> None:
    assert till.sell(1, totAmt=1).code == "910"
    assert till.sell(1, custTin="NOT-A-PIN").code == "910"
    assert till.sell(1).is_accepted


def test_branches_count_on_their_own_and_never_skip_under_load(simulator: Kra) -> None:
    shops = [Till(simulator, "oscu_direct", pin=f"P00000000{n}X").start() for n in range(4)]

    def sell_twenty(shop: Till) -> list[str]:
        return [shop.sell(number, f"POS-{number}").data["curRcptNo"] for number in range(1, 21)]

    with ThreadPoolExecutor(4) as pool:
        for numbers in pool.map(sell_twenty, shops):
            assert numbers == [str(number) for number in range(1, 21)]
    for shop in shops:
        rows = shop.ledger()
        assert [(row["number"], row["reference"]) for row in rows] == [(n, f"POS-{n}") for n in range(1, 21)]
        assert len({row["signature"] for row in rows}) == 20


def test_many_callers_with_one_number_get_one_receipt(till: Till) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: till.sell(1, f"POS-{n}"), range(8)))
    assert sorted(answer.code for answer in answers) == ["000"] + ["994"] * 7
    assert len(till.ledger()) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"totItemCnt": 2}, "number of lines"),
        ({"salesTyCd": "C"}, "only N"),
        ({"orgInvcNo": 7}, "must be 0"),
        ({"salesDt": "20991231"}, "future"),
        ({"cfmDt": "20991231000000"}, "future"),
        ({"taxRtE": 0}, "taxRtE failed: expected 8.00"),
        ({"totTaxAmt": 320.01}, "Invalid totTaxAmt: expected 320.00"),
    ],
)
def test_what_contradicts_itself_is_refused(till: Till, changes: dict[str, Any], words: str) -> None:
    answer = till.sell(1, **changes)
    assert answer.code in ("910", "913") and words in answer.message
    assert till.ledger() == []


def test_goods_must_be_registered_and_classed(till: Till) -> None:
    for name, value, code in (("itemCd", "KE2NTTU0000099", "910"), ("itemClsCd", "7777777777", "913")):
        document = example("sales_save", "oscu_direct")
        document["itemList"][0][name] = value
        assert till.send("sales_save", document, invcNo=1).code == code
    assert till.ledger() == []


def test_a_changed_rate_is_published_and_demanded(till: Till, simulator: Kra) -> None:
    since = till.send("code_list").body["resultDt"]
    simulator.call("POST", "/_sim/clock", {"advance_seconds": 60})
    simulator.call("POST", "/_sim/settings", {"rates": {"E": 0}})
    (changed,) = till.send("code_list", lastReqDt=since).data["clsList"]
    assert {row["cd"]: row["userDfnCd1"] for row in changed["dtlList"]} == {
        "A": "0",
        "B": "16",
        "C": "0",
        "D": "0",
        "E": "0",
    }
    assert "expected 0.00" in till.sell(1).message
    assert till.sell(1, taxRtE=0).is_accepted


def test_credits_are_partial_until_the_original_is_used_up(any_till: Till) -> None:
    assert any_till.sell(1).is_accepted
    half = halved(any_till.flavour)
    assert any_till.credit(1, 2, **half).is_accepted
    assert any_till.credit(1, 3, **half).is_accepted
    answer = any_till.credit(1, 4, **half)
    assert not answer.is_accepted and "exceeds the original" in answer.message
    assert [(row["kind"], row["original"]) for row in any_till.ledger()][1:] == [("credit_note", 1)] * 2


def halved(flavour: str) -> dict[str, Any]:
    line = example("sales_save", flavour)["itemList"][0]
    line |= {"qty": 1, "splyAmt": 1160, "taxblAmt": 1000, "taxAmt": 160, "totAmt": 1160}
    totals = {"taxblAmtB": 1000, "taxAmtB": 160, "totTaxblAmt": 1000, "totTaxAmt": 160, "totAmt": 1160}
    return {"itemList": [line], **totals}


@pytest.mark.parametrize(
    ("changes", "pattern"),
    [
        ({"rfdDt": None}, "credit_date_missing"),
        ({"rfdRsnCd": None}, "credit_reason_missing"),
        ({"orgInvcNo": 5}, "original_missing"),
        ({"custTin": "P000000999Z"}, None),
        ({"custNm": "Somebody else"}, None),
        ({"rfdDt": "20200101000000"}, None),
    ],
)
def test_a_credit_note_must_fit_its_original(any_till: Till, changes: dict[str, Any], pattern: str | None) -> None:
    assert any_till.sell(1).is_accepted
    answer = any_till.credit(1, 2, **changes)
    assert not answer.is_accepted and answer.code != "001"
    if pattern is not None:
        assert re.search(DRIFT[pattern]["regex"], answer.message, re.I)
    assert len(any_till.ledger()) == 1


def test_a_credit_note_cannot_be_credited(till: Till) -> None:
    assert till.sell(1).is_accepted and till.credit(1, 2).is_accepted
    assert "itself a credit note" in till.credit(2, 3).message


def test_the_receipt_page_shows_what_kra_has_and_says_that_it_is_simulated(till: Till) -> None:
    signature = till.sell().data["rcptSign"]
    path = "/common/link/etims/receipt/indexEtimsReceiptData?Data="
    page = till.raw("GET", f"{path}{till.pin}00{signature}", b"", {})
    assert page.status == 200 and "SIMULATED" in page.message and "2,320.00" in page.message
    assert "Invoice not found" in till.raw("GET", f"{path}{till.pin}00{'A' * 16}", b"", {}).message
    assert till.raw("GET", path + "short", b"", {}).status == 400


def test_control_units_cannot_be_taken_for_real_ones(simulator: Kra) -> None:
    till = Till(simulator, "oscu_direct")
    info = till.send("device_init", {"dvcSrlNo": till.serial}).data["info"]
    assert info["sdcId"].startswith("SIM") and len(info["sdcId"]) <= 18
    assert info["mrcNo"].startswith("SIM") and len(info["mrcNo"]) == 11
