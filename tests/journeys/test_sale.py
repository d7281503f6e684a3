"""A sale from the till to the receipt, and all that can be wrong with it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.gateway import Answer, Shop, ledger_of
from tests.servers import Simulator

pytestmark = pytest.mark.needs_database

NUMBER = "Give a number with a point, such as 650.00; no comma, no letters."


def fields(answer: Answer) -> list[str]:
    return [row["field"] for row in answer.body["fields"]]


def test_a_sale_is_answered_with_its_signed_receipt(shop: Shop, simulator: Simulator) -> None:
    answer = shop.sell("POS-1")
    assert answer.status == 201
    receipt = answer.body["receipt"]
    assert answer.body["status"] == "signed" and answer.body["number"] == 1
    assert len(receipt["signature"]) == 16 and len(receipt["internal_data"]) == 26
    assert receipt["control_unit"].startswith("SIM") and receipt["simulated"] and not receipt["recovered"]
    assert receipt["qr_url"].endswith(f"{shop.pin}00{receipt['signature']}")
    assert answer.body["totals"]["by_tax_type"] == {"B": {"net": "200.00", "tax": "32.00", "amount": "232.00"}}
    assert ledger_of(simulator, shop) == [(1, "POS-1")]


def test_the_same_sale_again_is_answered_with_the_same_receipt_and_signs_nothing(
    shop: Shop, simulator: Simulator
) -> None:
    first, second = shop.sell("POS-1"), shop.sell("POS-1")
    assert (second.status, second.headers["idempotency-replayed"]) == (200, "true")
    assert second.body == first.body
    assert ledger_of(simulator, shop) == [(1, "POS-1")]


def test_amounts_and_times_written_differently_are_still_the_same_sale(shop: Shop) -> None:
    shop.sell("POS-1")
    lines = [{"item_code": "SUGAR", "quantity": 2.0, "unit_price": 116}]
    assert shop.sell("POS-1", lines=lines, issued_at="2026-11-20T07:00:00Z").status == 200


def test_a_reference_never_names_a_second_sale(shop: Shop, simulator: Simulator) -> None:
    shop.sell("POS-1")
    answer = shop.sell("POS-1", remark="another")
    assert (answer.status, answer.body["code"]) == (409, "reference_reused")
    assert "Nothing was kept. Send that sale unchanged, or give a new sale a new reference." in answer.body["detail"]
    assert len(ledger_of(simulator, shop)) == 1


def test_a_known_reference_with_a_broken_body_is_a_conflict_not_a_new_sale(shop: Shop) -> None:
    shop.sell("POS-1")
    assert shop.sell("POS-1", lines="none").status == 409


def test_many_tills_at_once_get_numbers_without_a_gap_in_the_order_kra_saw(shop: Shop, simulator: Simulator) -> None:
    with ThreadPoolExecutor(16) as tills:
        answers = list(tills.map(lambda n: shop.sell(f"POS-{n}", wait=30), range(60)))
    assert {answer.status for answer in answers} == {201}
    assert sorted(answer.body["number"] for answer in answers) == list(range(1, 61))
    kra = ledger_of(simulator, shop)
    assert kra == sorted((answer.body["number"], answer.body["reference"]) for answer in answers)


def test_many_callers_repeating_one_reference_get_one_receipt(shop: Shop, simulator: Simulator) -> None:
    with ThreadPoolExecutor(12) as tills:
        answers = list(tills.map(lambda _: shop.sell("POS-1", wait=30), range(24)))
    assert [answer.status for answer in answers].count(201) == 1
    assert {answer.status for answer in answers} == {200, 201}
    assert len({answer.body["receipt"]["signature"] for answer in answers}) == 1
    assert ledger_of(simulator, shop) == [(1, "POS-1")]


def test_a_caller_who_does_not_wait_is_told_where_to_look(shop: Shop) -> None:
    answer = shop.sell("POS-1", wait=0)
    assert answer.status == 202 and answer.headers["retry-after"]
    assert answer.headers["location"] == f"/api/integration/transactions/{answer.body['id']}/status/"
    assert answer.body["receipt"] is None and answer.body["waiting"]["reason"]
    assert shop.settled(answer.body["id"])["status"] == "signed"


def line(**changes: Any) -> dict[str, Any]:
    return {"lines": [{"item_code": "SUGAR", "quantity": "2", "unit_price": "116.00", **changes}], "payments": None}


WRONG = [
    ({"lines": []}, "lines"),
    ({"lines": line()["lines"] * 1000}, "lines"),
    (line(quantity=0), "lines[0].quantity"),
    (line(quantity=-1), "lines[0].quantity"),
    (line(quantity="NaN"), "lines[0].quantity"),
    (line(quantity="Infinity"), "lines[0].quantity"),
    (line(quantity="1E+999999999"), "lines[0].quantity"),
    (line(quantity="1.0005"), "lines[0].quantity"),
    (line(quantity="two"), "lines[0].quantity"),
    (line(unit_price="116.001"), "lines[0].unit_price"),
    (line(unit_price="1E-999999999"), "lines[0].unit_price"),
    (line(unit_price="-1"), "lines[0].unit_price"),
    (line(discount_percent="100.01"), "lines[0].discount_percent"),
    (line(discount_percent="-1"), "lines[0].discount_percent"),
    (line(discount_amount="232.01"), "lines[0].discount_amount"),
    (line(discount_amount="1", discount_percent="1"), "lines[0].discount_amount"),
    (line(tax_type="F"), "lines[0].tax_type"),
    (line(tax_type="A"), "lines[0].tax_type"),
    (line(item_code="NO-SUCH"), "lines[0].item_code"),
    (line(item_class="1010101010"), "lines[0].item_class"),
    (line(colour="red"), "lines[0].colour"),
    ({"lines": [{"item_code": "SUGAR", "quantity": "1"}]}, "lines[0].unit_price"),
    ({"customer": {"pin": "P05123456X"}}, "customer.pin"),
    ({"customer": {"name": "x" * 61}}, "customer.name"),
    ({"issued_at": "2036-01-01T00:00:00+03:00"}, "issued_at"),
    ({"issued_at": "2026-11-20T10:00:00"}, "issued_at"),
    ({"issued_at": "yesterday"}, "issued_at"),
    ({"reference": "x" * 51}, "reference"),
    ({"reference": " "}, "reference"),
    ({"reference": 7}, "reference"),
    ({"totals": {"amount": "232.02"}}, "totals.amount"),
    ({"totals": {"tax": "31.98"}}, "totals.tax"),
    ({"totals": {"amount": "NaN"}}, "totals.amount"),
    ({"payments": [{"method": "shells", "amount": "232"}]}, "payments[0].method"),
    ({"payments": [{"method": "cash", "amount": "200"}]}, "payments"),
    ({"currency": "XXQ"}, "currency"),
    ({"currency": "USD"}, "exchange_rate"),
]


def test_each_wrong_field_is_named_in_words_and_none_uses_a_number(shop: Shop, simulator: Simulator) -> None:
    for changes, wrong in WRONG:
        answer = shop.post(
            {name: value for name, value in {**shop.sale("BAD"), **changes}.items() if value is not None}
        )
        assert answer.status == 422, (changes, answer)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.body["code"] == "invalid" and answer.body["request_id"]
        assert wrong in fields(answer), (changes, answer.body)
        assert all(row["message"].endswith((".", "?")) for row in answer.body["fields"]), answer.body
    assert shop.sell("GOOD").body["number"] == 1
    assert ledger_of(simulator, shop) == [(1, "GOOD")]


def test_all_wrong_fields_are_named_at_once(shop: Shop) -> None:
    lines = [{"item_code": code, "quantity": "0", "unit_price": "1"} for code in ("SUGAR", "NONE")]
    answer = shop.sell("x" * 60, lines=lines, payments=None, customer={"pin": "bad"})
    assert {"reference", "customer.pin", "lines[1].item_code"} <= set(fields(answer))


def test_every_mistake_of_shape_is_named_at_once_in_words_for_people(shop: Shop) -> None:
    body = {
        "issued_atx": "2026-11-20T10:00:00+03:00",
        "lines": [{"item_code": 7, "quantity": "two", "unit_price": "1,50"}, "sugar", {"item_code": "SUGAR"}],
        "customer": "Njeri",
        "payments": {},
        "prices_include_tax": "yes",
    }
    answer = shop.post({"reference": "POS-1", **body})
    assert {row["field"]: (row["code"], row["message"]) for row in answer.body["fields"]} == {
        "issued_atx": ("unknown_field", "There is no field issued_atx; check its spelling. Did you mean issued_at?"),
        "issued_at": ("missing", "This field is needed."),
        "lines[0].item_code": ("not_text", "This must be text in quotes."),
        "lines[0].quantity": ("not_a_number", NUMBER),
        "lines[0].unit_price": ("not_a_number", NUMBER),
        "lines[1]": ("not_an_object", "This must be an object in curly brackets."),
        "lines[2].quantity": ("missing", "This field is needed."),
        "lines[2].unit_price": ("missing", "This field is needed."),
        "customer": ("not_an_object", "This must be an object in curly brackets."),
        "payments": ("not_a_list", "This must be a list in square brackets."),
        "prices_include_tax": ("not_yes_no", "This must be true or false, without quotes."),
    }
    first = answer.body["fields"][0]
    said = f"11 fields are wrong; nothing was kept. First: {first['field']}: {first['message']}"
    assert answer.body["detail"] == said


def test_one_mistake_is_the_detail_and_many_are_cut_off(shop: Shop) -> None:
    answer = shop.sell("POS-1", lines=line(quantity="two")["lines"])
    assert answer.body["detail"] == f"lines[0].quantity: {NUMBER}"
    assert len(shop.sell("POS-1", lines=[7] * 500).body["fields"]) == 100
    twice = shop.call(
        "POST",
        "/api/sales/",
        b'{"reference": 7, "reference": "POS-1", "issued_at": "2026-11-20T10:00:00Z", "lines": []}',
    )
    assert [(row["field"], row["code"]) for row in twice.body["fields"]] == [("(body)", "duplicate")]


def test_what_is_not_json_is_told_so(shop: Shop) -> None:
    for body in (
        b"{",
        b"",
        b"\xff\xfe",
        b"nonsense",
        b'{"reference": 7',
        b'{"reference": 7, "lines": ' + b"[" * 50_000,
    ):
        assert shop.call("POST", "/api/sales/", body).status == 400
    assert fields(shop.call("POST", "/api/sales/", b"[]")) == ["(body)"]


def test_a_body_over_one_megabyte_is_refused(shop: Shop) -> None:
    answer = shop.call("POST", "/api/sales/", shop.sale(remark="x" * 1_100_000))
    assert (answer.status, answer.body["code"]) == (413, "too_large")


def test_a_wrong_or_missing_key_is_401(shop: Shop) -> None:
    assert shop.gateway.call("POST", "/api/sales/", shop.sale()).body["code"] == "key_missing"
    answer = shop.gateway.call("POST", "/api/sales/", shop.sale(), key="rvp_sbx_wrong")
    assert (answer.status, answer.body["code"]) == (401, "key_unknown")
    bearer = shop.gateway.call("POST", "/api/sales/", shop.sale(), headers={"Authorization": f"Bearer {shop.key}"})
    assert bearer.status == 201


def test_another_companys_document_and_device_do_not_exist(shop: Shop, simulator: Simulator) -> None:
    stranger = shop.gateway.onboard(simulator)
    mine = shop.sell("POS-1").body
    assert stranger.call("GET", f"/api/integration/transactions/{mine['id']}/status/").status == 404
    answer = stranger.sell("POS-1", device=shop.device)
    assert answer.status == 404 and mine["receipt"]["signature"] not in str(answer.body)
    assert stranger.sell("POS-1").body["number"] == 1


def test_a_sale_refused_by_kra_can_be_corrected_under_its_reference_and_gives_its_number_back(
    shop: Shop, simulator: Simulator
) -> None:
    simulator.fault("sales_save", "result_code", code="910", times=1, pin=shop.pin)
    refused = shop.sell("POS-1")
    assert refused.status == 422 and refused.body["status"] == "refused" and refused.body["number"] is None
    assert refused.body["problem"]["kra"]["code"] == "910"
    assert shop.sell("POS-2").body["number"] == 1
    again = shop.sell("POS-1")
    assert again.status == 422 and again.headers["idempotency-replayed"] == "true"
    corrected = shop.sell("POS-1", remark="corrected")
    assert corrected.body["status"] == "signed" and corrected.body["number"] == 2 and corrected.body["revision"] == 2
    assert ledger_of(simulator, shop) == [(1, "POS-2"), (2, "POS-1")]


def test_hostile_numbers_and_characters_are_plain_mistakes(shop: Shop) -> None:
    hostile: list[tuple[dict[str, Any], str]] = [
        ({"currency": "USD", "exchange_rate": "1e-30000000"}, "exchange_rate"),
        ({"exchange_rate": "NaN"}, "exchange_rate"),
        ({"totals": {"amount": "1e9999999"}}, "totals.amount"),
        ({"payments": [{"method": "cash", "amount": "1e9999999"}]}, "payments[0].amount"),
        ({"payments": [{"method": "cash", "amount": "NaN"}]}, "payments[0].amount"),
        ({"customer": {"email": "a@b\r\nBcc: x"}}, "customer.email"),
        ({"customer": {"email": "a@b\u0000"}}, "(body)"),
        ({"reference": "a\u0000b"}, "(body)"),
        ({"customer": {"pin": "P" + "\u0661" * 9 + "X"}}, "customer.pin"),
        ({"lines": [{"item_code": "SUGAR", "quantity": -1, "unit_price": 1}] * 8000, "payments": []}, "lines"),
    ]
    for changes, wrong in hostile:
        answer = shop.post({**shop.sale("BAD"), **changes})
        assert answer.status == 422 and wrong in fields(answer), (changes, answer.status, answer.body)
    assert shop.sell("GOOD").body["number"] == 1


def test_a_body_that_breaks_off_or_nests_without_end_is_not_json(shop: Shop) -> None:
    for body in (b'{"reference": 5, oops', b'{"x":1} zzz', b'{"x":"\xff"}', b'{"x":' + b"[" * 100_000):
        assert shop.call("POST", "/api/sales/", body).status in {400, 422}
