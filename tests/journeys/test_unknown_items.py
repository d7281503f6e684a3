"""Sales that bring items along which KRA does not know yet."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.gateway import Gateway, Shop, gateway, ledger_of
from tests.servers import Simulator

SALT: dict[str, Any] = {
    "item_code": "SALT",
    "name": "Salt 500 g",
    "item_class": "5016150900",
    "quantity": "1",
    "unit_price": "50.00",
}
SUGAR = {"item_code": "SUGAR", "quantity": "2", "unit_price": "116.00"}


def cart(*lines: dict[str, Any]) -> dict[str, Any]:
    return {"lines": list(lines), "payments": None}


def wrong(answer: Any) -> dict[str, str]:
    assert answer.status == 422, answer
    return {one["field"]: one["code"] for one in answer.body["fields"]}


def item(shop: Shop, code: str) -> Any:
    (found,) = shop.call("GET", f"/api/items/?code={code}").body["items"]
    return found


def test_an_item_that_a_sale_brings_along_is_registered_first(shop: Shop, simulator: Simulator) -> None:
    answer = shop.sell("NEW-1", **cart(SUGAR, SALT), wait=30)
    assert (answer.status, answer.body["status"]) == (201, "signed"), answer
    salt = item(shop, "SALT")
    assert salt["status"] == "registered"
    assert answer.body["lines"][1]["kra_code"] == salt["kra_code"]
    assert shop.status(answer.body["id"]) == answer.body
    assert ledger_of(simulator, shop) == [(1, "NEW-1")]
    assert shop.sell("NEW-1", **cart(SUGAR, SALT)).status == 200
    assert shop.sell("NEW-2", **cart(SALT)).status == 201


def test_of_several_lines_with_a_new_item_the_one_that_describes_it_counts(shop: Shop) -> None:
    bare = {name: SALT[name] for name in ("item_code", "quantity", "unit_price")}
    answer = shop.sell("NEW-1", **cart(bare, SALT, bare), wait=30)
    assert answer.status == 201, answer
    codes = {line["kra_code"] for line in answer.body["lines"]}
    assert codes == {item(shop, "SALT")["kra_code"]}
    other = {**SALT, "item_code": "PEPPER"}
    wrongs = wrong(shop.sell("NEW-2", **cart(other, {**other, "tax_type": "E"})))
    assert wrongs == {"lines[1].tax_type": "tax_type_differs"}


def test_a_text_that_looks_like_a_gap_stays_a_text(shop: Shop, simulator: Simulator) -> None:
    trick = 'x","itemCd":"~item-0~'
    line = {**SALT, "name": "~item-0~", "item_code": "~item-0~"}
    answer = shop.sell("NEW-1", **cart(line, SUGAR), remark=trick, wait=30)
    assert answer.status == 201, answer
    (sent,) = [row for row in simulator.ledger() if row["pin"] == shop.pin]
    body = sent["body"] if isinstance(sent["body"], dict) else json.loads(sent["body"])
    assert body["itemList"][0]["itemNm"] == "~item-0~"
    assert body["remark"].startswith(trick)
    assert body["itemList"][0]["itemCd"] == answer.body["lines"][0]["kra_code"]


def test_a_refused_item_that_is_corrected_lets_its_sale_be_asked_for_again(shop: Shop, simulator: Simulator) -> None:
    simulator.fault("item_save", "result_code", code="910", times=1)
    refused = shop.sell("NEW-1", **cart(SALT), wait=30)
    assert (refused.status, refused.body["status"]) == (422, "refused"), refused
    assert refused.body["lines"][0]["kra_code"] is None
    again = wrong(shop.sell("NEW-2", **cart(SALT)))
    assert again == {"lines[0].item_code": "item_not_registered"}
    shop.register([{"code": "SALT", "name": "Salt 500 g", "item_class": "5016150900"}])
    assert shop.call("POST", f"/api/integration/transactions/{refused.body['id']}/retry/").status in {200, 202}
    assert shop.settled(refused.body["id"])["status"] == "signed"
    assert ledger_of(simulator, shop) == [(1, "NEW-1")]


def test_a_correction_may_bring_an_item_along_too(shop: Shop, simulator: Simulator) -> None:
    simulator.fault("sales_save", "result_code", code="910", times=1)
    assert shop.sell("NEW-1").status == 422
    simulator.fault("item_save", "delay", seconds=1, times=1)
    corrected = shop.sell("NEW-1", **cart(SALT), wait=30)
    assert (corrected.status, corrected.body["status"], corrected.body["revision"]) == (201, "signed", 2), corrected
    assert ledger_of(simulator, shop) == [(1, "NEW-1")]


def test_a_reference_of_another_sale_registers_nothing(shop: Shop) -> None:
    assert shop.sell("OLD").status == 201
    assert shop.sell("OLD", **cart(SALT)).status == 409
    assert shop.call("GET", "/api/items/?code=SALT").body["items"] == []


def test_many_tills_that_bring_the_same_item_along_register_it_once(shop: Shop, simulator: Simulator) -> None:
    with ThreadPoolExecutor(6) as hands:
        carts = [cart({**SALT, "name": f"Salt, as till {till} has it"}) for till in range(6)]
        answers = list(hands.map(lambda till: shop.sell(f"NEW-{till}", **carts[till], wait=30), range(6)))
    assert [answer.status for answer in answers] == [201] * 6, answers
    assert {answer.body["lines"][0]["kra_code"] for answer in answers} == {item(shop, "SALT")["kra_code"]}
    assert sorted(number for number, _ in ledger_of(simulator, shop)) == [1, 2, 3, 4, 5, 6]


def test_a_sale_whose_item_is_retired_before_its_turn_is_refused(shop: Shop, simulator: Simulator) -> None:
    simulator.fault("item_save", "delay", seconds=2, times=1)
    slow = shop.sell("FIRST", **cart({**SALT, "item_code": "PEPPER"}), wait=0)
    waiting = shop.sell("NEW-1", **cart(SALT), wait=0)
    assert (slow.status, waiting.status) == (202, 202)
    assert shop.call("POST", f"/api/items/{item(shop, 'SALT')['id']}/retire/").status == 200
    refused = shop.settled(waiting.body["id"], seconds=20)
    assert (refused["status"], refused["problem"]["code"]) == ("refused", "item_refused")
    assert refused["problem"]["detail"] == "Salt 500 g is no longer sold."
    assert shop.settled(slow.body["id"])["status"] == "signed"


def test_what_the_line_leaves_out_is_named(shop: Shop) -> None:
    bare = {name: SALT[name] for name in ("item_code", "quantity", "unit_price")}
    refused = shop.sell("NEW-1", **cart(bare))
    assert wrong(refused) == {"lines[0].item_code": "unknown_item"}
    assert refused.body["fields"][0]["message"].endswith("or say its name and item_class in the line.")
    assert wrong(shop.sell("NEW-1", **cart({**bare, "name": "Salt"}))) == {"lines[0].item_code": "unknown_item"}
    assert wrong(shop.sell("NEW-1", **cart({**SALT, "item_class": "1"})))["lines[0].item_class"] == "unknown_code"
    assert wrong(shop.sell("NEW-1", **cart({**SALT, "tax_type": "A"})))["lines[0].tax_type"] == "contradicts_class"
    assert shop.call("GET", "/api/items/?code=SALT").body["items"] == []


def test_nothing_is_registered_for_a_sale_that_is_wrong_elsewhere(shop: Shop) -> None:
    assert "lines[1].quantity" in wrong(shop.sell("NEW-1", **cart(SALT, {**SUGAR, "quantity": "0"})))
    assert shop.call("GET", "/api/items/?code=SALT").body["items"] == []


def test_a_sale_whose_item_kra_refuses_is_refused_with_kras_words_and_the_lane_goes_on(
    shop: Shop, simulator: Simulator
) -> None:
    simulator.fault("item_save", "result_code", code="910", times=1)
    answer = shop.sell("NEW-1", **cart(SALT), wait=30)
    assert (answer.status, answer.body["status"]) == (422, "refused"), answer
    assert answer.body["problem"]["code"] == "item_refused"
    assert answer.body["problem"]["kra"]["code"] == "910"
    assert shop.sell("NEXT").status == 201
    assert ledger_of(simulator, shop) == [(1, "NEXT")]


def test_other_sales_go_on_while_one_waits_for_its_item(shop: Shop, simulator: Simulator) -> None:
    simulator.fault("item_save", "http_status", status=503, times=2)
    waiting = shop.sell("NEW-1", **cart(SALT), wait=0)
    assert waiting.status == 202
    assert waiting.body["waiting"]["reason"].startswith("SALT must be registered with KRA first")
    assert waiting.body["lines"][0]["kra_code"] is None
    assert shop.sell("OTHER").status == 201
    assert shop.settled(waiting.body["id"], seconds=40)["status"] == "signed"
    assert ledger_of(simulator, shop) == [(1, "OTHER"), (2, "NEW-1")]


@pytest.mark.slow
def test_a_sale_that_waits_survives_a_crash_and_is_signed_once(own_gateway: Gateway, simulator: Simulator) -> None:
    shop = own_gateway.onboard(simulator)
    simulator.fault("item_save", "http_status", status=503, times=3)
    waiting = shop.sell("NEW-1", **cart(SALT), wait=0)
    own_gateway.kill()
    own_gateway.start_again()
    assert shop.settled(waiting.body["id"], seconds=60)["status"] == "signed"
    assert ledger_of(simulator, shop) == [(1, "NEW-1")]


def test_an_installation_may_refuse_them(tmp_path: Path, database_url: str, simulator: Simulator) -> None:
    with gateway(tmp_path, database_url, simulator, ITEMS_UNKNOWN="refuse") as running:
        shop = running.onboard(simulator)
        assert wrong(shop.sell("NEW-1", **cart(SALT))) == {"lines[0].item_code": "unknown_item"}
        time.sleep(0.1)
        assert shop.call("GET", "/api/items/?code=SALT").body["items"] == []
