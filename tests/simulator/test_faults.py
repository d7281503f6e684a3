"""Each fault on demand: what the caller sees, and what KRA recorded all the same."""

import http.client
import json
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.simulator.faults import KINDS
from tests.simulator.till import Answer, Kra, Till, example, table

LOST = (http.client.RemoteDisconnected, ConnectionResetError)


def sell_or_none(till: Till, number: int = 1, reference: str = "POS-1") -> Answer | None:
    try:
        return till.sell(number, reference)
    except LOST:
        return None


@pytest.mark.parametrize(
    ("fault", "parameters", "recorded"),
    [
        ("answer_lost", {}, True),
        ("answer_lost", {"ending": "reset"}, True),
        ("answer_lost", {"ending": "hang", "hang_seconds": 0.1}, True),
        ("request_lost", {}, False),
        ("request_lost", {"ending": "hang", "hang_seconds": 0.1}, False),
        ("connection_reset", {}, False),
    ],
)
def test_a_connection_ends_without_an_answer(
    till: Till, simulator: Kra, fault: str, parameters: dict[str, Any], recorded: bool
) -> None:
    simulator.fault("sales_save", fault, times=1, parameters=parameters)
    assert sell_or_none(till) is None
    assert len(till.ledger()) == int(recorded)
    assert till.send("invoice_details", invcNo=1).code == ("000" if recorded else "001")
    assert till.sell(1).code == ("994" if recorded else "000")


@pytest.mark.parametrize(
    ("fault", "parameters", "status", "sign", "recorded"),
    [
        ("html_page", {}, 502, "<html>", False),
        ("html_page", {"status": 503, "recorded": True}, 503, "<html>", True),
        ("http_status", {"status": 504, "recorded": True}, 504, "", True),
        ("http_status", {"status": 403}, 403, "", False),
        ("unauthorized", {}, 401, "Invalid Access Token", False),
        ("rate_limited", {"retry_after": 7}, 429, "", False),
        ("gateway_fault", {}, 500, "Access Token expired", False),
        ("gateway_fault", {"faultstring": "Unresolved variable : targetPath"}, 500, "targetPath", False),
        ("wrapped_refusal", {"message": "cannot be null"}, 200, "cannot be null", False),
        ("wrapped_refusal", {"response_code": 500, "recorded": True}, 200, "Request refused", True),
        ("empty_answer", {}, 200, "", True),
        ("truncated_json", {}, 200, '{"resultCd":"000"', True),
    ],
)
def test_an_answer_that_is_no_answer(
    till: Till, simulator: Kra, fault: str, parameters: dict[str, Any], status: int, sign: str, recorded: bool
) -> None:
    simulator.fault("sales_save", fault, times=1, parameters=parameters)
    answer = till.sell(1)
    assert answer.status == status and sign in answer.message and answer.code != "000"
    if fault == "rate_limited":
        assert answer.headers["retry-after"] == "7"
    assert len(till.ledger()) == int(recorded)


@pytest.mark.parametrize("code", [row["code"] for row in table("errors")["codes"]])
def test_every_result_code_can_be_had_on_any_flavour(any_till: Till, simulator: Kra, code: str) -> None:
    simulator.fault("sales_save", "result_code", times=1, pin=any_till.pin, parameters={"code": code})
    assert any_till.sell(1).code == code
    assert any_till.ledger() == []
    assert any_till.sell(1).is_accepted


def test_a_request_recorded_late_is_found_by_no_look_up_before_its_time(till: Till, simulator: Kra) -> None:
    simulator.fault("sales_save", "recorded_late", times=1, parameters={"seconds": 90})
    assert sell_or_none(till) is None
    assert till.send("invoice_details", invcNo=1).code == "001"
    simulator.clock(advance_seconds=60)
    assert till.send("invoice_details", invcNo=1).code == "001"
    simulator.clock(advance_seconds=31)
    assert till.send("invoice_details", invcNo=1).code == "000"
    assert [row["origin"] for row in till.ledger()] == ["late"]


def test_a_late_request_whose_number_was_used_meanwhile_is_refused_quietly(till: Till, simulator: Kra) -> None:
    simulator.fault("sales_save", "recorded_late", times=1, parameters={"seconds": 90})
    assert sell_or_none(till) is None
    assert till.sell(1, "POS-2").is_accepted
    simulator.clock(advance_seconds=100)
    assert [row["reference"] for row in till.ledger()] == ["POS-2"]


def test_a_look_up_can_lag_behind_the_recording(till: Till, simulator: Kra) -> None:
    simulator.fault("invoice_details", "lookup_lags", parameters={"seconds": 30})
    assert till.sell(1).is_accepted
    assert till.send("invoice_details", invcNo=1).code == "001"
    simulator.clock(advance_seconds=31)
    assert till.send("invoice_details", invcNo=1).code == "000"


def test_a_repeat_can_be_answered_as_drift_or_with_another_duplicate_code(till: Till, simulator: Kra) -> None:
    assert till.sell(1).is_accepted
    simulator.fault("sales_save", "duplicate_code", times=1, parameters={"code": "921"})
    assert till.sell(1).code == "921"
    simulator.fault("sales_save", "repeat_as_drift", times=1)
    assert "expected: 2 but found: 1" in till.sell(1).message
    assert till.sell(1).code == "994"


def test_another_system_can_take_the_next_numbers(till: Till, simulator: Kra) -> None:
    simulator.fault("sales_save", "number_taken", times=1, parameters={"count": 2})
    assert till.sell(1).code == "994"
    found = till.send("invoice_details", invcNo=1).data["salesList"][0]
    assert found["remark"] == "signed by another system"
    assert till.sell(3).is_accepted
    assert [row["origin"] for row in till.ledger()] == ["another system", "another system", "caller"]


def test_the_clock_of_answers_can_be_wrong(till: Till, simulator: Kra) -> None:
    right = int(till.send("code_list").body["resultDt"])
    simulator.fault("*", "clock_skew", parameters={"seconds": 86_400 * 400})
    assert int(till.send("code_list").body["resultDt"]) - right >= 1_00_00_00_00_00


def test_look_ups_can_be_limited_by_the_minute(till: Till, simulator: Kra) -> None:
    simulator.fault("*", "lookup_limit", parameters={"per_minute": 3})
    assert [till.send("branch_list").code for _ in range(5)] == ["000"] * 3 + ["990"] * 2
    assert till.sell(1).is_accepted
    simulator.clock(advance_seconds=61)
    assert till.send("branch_list").code == "000"


def test_a_device_is_damaged_a_little_more_by_each_initialization(till: Till, simulator: Kra) -> None:
    simulator.fault("*", "corrupt_device", pin=till.pin)
    texts = [till.send("device_init", {"dvcSrlNo": till.serial}).message for _ in range(3)]
    assert all("Query did not return a unique result" in text for text in texts) and len(set(texts)) == 3
    assert "unique result: 4" in till.sell(1).message


def test_a_fault_strikes_only_its_operation_branch_and_number_of_times(simulator: Kra) -> None:
    one, other = (Till(simulator, "oscu_direct", pin=f"P00000000{n}X").start() for n in range(2))
    simulator.fault("sales_save", "html_page", pin=one.pin, branch="00", times=2)
    assert other.sell(1).is_accepted
    assert one.send("invoice_details", invcNo=1).code == "001"
    assert [one.sell(1).status for _ in range(3)] == [502, 502, 200]
    assert [row["faults"] for row in simulator.requests() if row["operation"] == "sales_save"][1:3] == [
        ["html_page"]
    ] * 2


def test_a_fault_ends_at_its_virtual_time(till: Till, simulator: Kra) -> None:
    simulator.fault("sales_save", "html_page", for_seconds=120)
    assert till.sell(1).status == 502
    simulator.clock(advance_seconds=121)
    assert till.sell(1).status == 200


def test_a_caller_that_hangs_up_cancels_nothing(till: Till, simulator: Kra) -> None:
    simulator.fault("sales_save", "delay", times=1, parameters={"seconds": 0.3})
    words = json.dumps(example("sales_save", "oscu_direct") | {"tin": till.pin, "invcNo": 1}).encode()
    address = urlsplit(simulator.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port)
    connection.request("POST", till.path("sales_save") or "", words, till.identity())
    connection.close()
    give_up = time.monotonic() + 10
    while not till.ledger() and time.monotonic() < give_up:
        till.send("branch_list")
    assert [row["number"] for row in till.ledger()] == [1]


@pytest.mark.parametrize("distribution", ["fixed", "uniform", "lognormal"])
def test_an_answer_can_be_slow(till: Till, simulator: Kra, distribution: str) -> None:
    how = {"distribution": distribution, "seconds": 0.05, "low": 0.05, "high": 0.06, "median": 0.05, "sigma": 0.01}
    simulator.fault("branch_list", "delay", times=1, parameters=how)
    started = time.monotonic()
    assert till.send("branch_list").is_accepted
    assert time.monotonic() - started >= 0.04


def test_faults_are_listed_described_and_removed(till: Till, simulator: Kra) -> None:
    first = simulator.fault("sales_save", "html_page")
    simulator.fault("sales_save", "delay")
    shown = simulator.call("GET", "/_sim/faults")
    assert [row["fault"] for row in shown["faults"]] == ["html_page", "delay"]
    assert {row["name"] for row in shown["known"]} == set(KINDS)
    simulator.call("DELETE", f"/_sim/faults/{first['id']}")
    assert [row["fault"] for row in simulator.call("GET", "/_sim/faults")["faults"]] == ["delay"]
    simulator.clear_faults()
    assert till.sell(1).is_accepted


@pytest.mark.parametrize(
    "wrong",
    [
        {"fault": "no_such_fault"},
        {"fault": "delay", "operation": "no_such_operation"},
        {"fault": "delay", "parameters": {"minutes": 1}},
        {"fault": "delay", "times": 0},
    ],
)
def test_a_fault_that_does_not_exist_is_refused(simulator: Kra, wrong: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="422"):
        simulator.call("POST", "/_sim/faults", wrong)
