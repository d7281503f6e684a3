"""Every fault of the simulator against a sale and a look-up: which error comes out, and what KRA has recorded."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from gateway.kra.errors import Busy, DeviceTrouble, Drift, Duplicate, KraError, NoAnswer, Refused
from gateway.lib.clock import utc_now
from gateway.simulator.faults import KINDS
from tests.kra.simulated import Shop, playing, recorded
from tests.servers import Simulator

OURS = [(1, "INV-1")]
NOTHING: list[tuple[int, str]] = []


class Ending(NamedTuple):
    """How a call ended: the class and code of its error, or neither."""

    error: type[KraError] | None = None
    code: str = ""


DONE = Ending()


@dataclass(frozen=True)
class Row:
    """A fault that strikes once: how a sale and a look-up of items end, and whether the sale is recorded."""

    fault: str
    sale: Ending
    is_recorded: bool
    look_up: Ending
    parameters: dict[str, Any] = field(default_factory=dict)
    way: str = "oscu_direct"

    def __str__(self) -> str:
        return "-".join([self.way, self.fault, *(f"{value}" for value in self.parameters.values())])


LOST, UNKNOWN = Ending(NoAnswer, "no_answer"), Ending(Busy, "no_answer")
GAVA: dict[str, Any] = {"way": "gavaconnect_standard"}
RECORDED = {"recorded": True}

FAULTS = [
    # the message or its answer is lost
    Row("delay", DONE, True, DONE, {"seconds": 0.05}),
    Row("request_lost", LOST, False, UNKNOWN),
    Row("request_lost", LOST, False, UNKNOWN, {"ending": "hang"}),
    Row("connection_reset", LOST, False, UNKNOWN),
    Row("recorded_late", LOST, False, UNKNOWN, {"seconds": 60}),
    Row("answer_lost", LOST, True, UNKNOWN),
    Row("answer_lost", LOST, True, UNKNOWN, {"ending": "reset"}),
    Row("truncated_json", Ending(NoAnswer, "unreadable"), True, Ending(Busy, "unreadable")),
    Row("empty_answer", Ending(NoAnswer, "unreadable"), True, Ending(Busy, "unreadable")),
    Row("empty_answer", Ending(NoAnswer, "unreadable"), False, Ending(Busy, "unreadable"), {"recorded": False}),
    # something else answers
    Row("html_page", Ending(NoAnswer, "http_5xx"), False, Ending(Busy, "http_5xx")),
    Row("html_page", Ending(NoAnswer, "http_5xx"), True, Ending(Busy, "http_5xx"), RECORDED),
    Row("html_page", Ending(NoAnswer, "unreadable"), True, Ending(Busy, "unreadable"), {"status": 200, **RECORDED}),
    Row("http_status", Ending(NoAnswer, "http_5xx"), False, Ending(Busy, "http_5xx")),
    Row("http_status", Ending(NoAnswer, "http_504"), True, Ending(Busy, "http_504"), {"status": 504, **RECORDED}),
    Row("http_status", Ending(Refused, "http_404"), False, Ending(Refused, "http_404"), {"status": 404}),
    Row("http_status", Ending(DeviceTrouble, "http_403"), False, Ending(DeviceTrouble, "http_403"), {"status": 403}),
    Row("unauthorized", Ending(DeviceTrouble, "token_fault"), False, Ending(DeviceTrouble, "token_fault")),
    Row("unauthorized", DONE, True, DONE, **GAVA),  # the token is renewed, once
    Row("rate_limited", Ending(Busy, "http_429"), False, Ending(Busy, "http_429")),
    Row("gateway_fault", Ending(DeviceTrouble, "token_fault"), False, Ending(DeviceTrouble, "token_fault")),
    Row("gateway_fault", DONE, True, DONE, **GAVA),
    Row(
        "gateway_fault",
        Ending(NoAnswer, "http_5xx"),
        False,
        Ending(Busy, "http_5xx"),
        {"faultstring": "Backend away", "errorcode": "messaging.adaptors.http.flow.ServiceUnavailable"},
        **GAVA,
    ),
    Row(
        "gateway_fault",
        Ending(Refused, "route_fault"),
        False,
        Ending(Refused, "route_fault"),
        {"faultstring": "Unresolved variable : targetPath", "errorcode": "entities.UnresolvedVariable"},
        **GAVA,
    ),
    Row("wrapped_refusal", Ending(Refused, "wrapped_400"), False, Ending(Refused, "wrapped_400"), **GAVA),
    Row(
        "wrapped_refusal",
        Ending(NoAnswer, "wrapped_other"),
        True,
        Ending(Busy, "wrapped_other"),
        {"response_code": 500, **RECORDED},
        **GAVA,
    ),
    # KRA's own words
    Row("result_code", Ending(NoAnswer, "999"), False, Ending(Busy, "999")),
    Row("result_code", Ending(NoAnswer, "999"), True, Ending(Busy, "999"), RECORDED),
    # KRA's state
    Row("number_taken", Ending(Duplicate, "994"), False, DONE),
    Row("number_taken", Ending(Drift, "invoice_number_drift_2"), False, DONE, **GAVA),
    Row("number_taken", Ending(NoAnswer, "899"), False, DONE, way="vscu"),
    Row("receipts_rolled_back", DONE, True, DONE),
    Row("repeat_as_drift", DONE, True, DONE),
    Row("duplicate_code", DONE, True, DONE),
    Row("lookup_lags", DONE, True, DONE),
    Row("lookup_limit", DONE, True, DONE),
    Row("clock_skew", DONE, True, DONE),
    Row("corrupt_device", DONE, True, DONE),
    Row("vscu_offline", DONE, False, Ending(Busy, "894"), way="vscu"),
    Row("vscu_full", Ending(Busy, "E11"), False, DONE, way="vscu"),
]


async def ending(call: Any) -> Ending:
    """How a call ended."""
    try:
        await call
    except KraError as error:
        return Ending(type(error), error.code)
    return DONE


def sold(shop: Shop) -> list[tuple[int, str]]:
    """What KRA recorded of the shop itself."""
    return [row for row in recorded(shop.kra, shop) if not row[1].startswith("OTHER-")]


QUICK = {"write_seconds": 1, "lookup_seconds": 1}


@pytest.mark.parametrize("row", FAULTS, ids=str)
def test_each_fault_against_a_sale(simulator: Simulator, row: Row) -> None:
    async def play(shop: Shop) -> tuple[Ending, list[tuple[int, str]]]:
        await asyncio.to_thread(simulator.fault, "sales_save", row.fault, times=1, **row.parameters)
        return await ending(shop.sell()), sold(shop)

    ended, rows = playing(simulator, row.way, play, **QUICK)
    assert ended == row.sale
    if row.fault == "vscu_offline":  # it signed, and forwards once it can
        assert rows == OURS
    else:
        assert rows == (OURS if row.is_recorded else NOTHING)


@pytest.mark.parametrize("row", FAULTS, ids=str)
def test_each_fault_against_a_look_up(simulator: Simulator, row: Row) -> None:
    async def play(shop: Shop) -> Ending:
        await asyncio.to_thread(simulator.fault, "item_list", row.fault, times=1, **row.parameters)
        first = await ending(shop.client.list_items(shop.credentials))
        assert await ending(shop.client.list_items(shop.credentials)) == DONE  # a fault that struck is over
        return first

    assert playing(simulator, row.way, play, **QUICK) == row.look_up


def test_the_table_leaves_out_no_fault() -> None:
    assert {row.fault for row in FAULTS} == set(KINDS)


# Every result code, on demand

REFUSED = ["20", "891", "893", "895", "910", "911", "912", "913"]
TROUBLE = ["892", "900", "901", "902", "903", "905", "E04"]
UNCLEAR = ["894", "896", "899", "991", "992", "993", "999", "777"]  # 777 is in no table
CODES = {
    **dict.fromkeys(REFUSED, (Refused, Refused)),
    **dict.fromkeys(TROUBLE, (DeviceTrouble, DeviceTrouble)),
    **dict.fromkeys(UNCLEAR, (NoAnswer, Busy)),
    **dict.fromkeys(["001", "995"], (NoAnswer, None)),  # nothing found: fine for a look-up
    **dict.fromkeys(["921", "994"], (Duplicate, Busy)),
    **dict.fromkeys(["990", "E11"], (Busy, Busy)),
    "922": (Drift, Busy),
    "000": (NoAnswer, Busy),  # success, and nothing in it
}


@pytest.mark.parametrize("way", ["oscu_direct", "gavaconnect_standard", "vscu"])
def test_every_result_code_ends_as_its_class_says(simulator: Simulator, way: str) -> None:
    async def play(shop: Shop) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for code in CODES:
            simulator.fault("*", "result_code", code=code, times=2)
            sale = await ending(shop.sell())
            look_up = await ending(shop.client.list_items(shop.credentials))
            found[code] = (sale.error, look_up.error)
        assert sold(shop) == NOTHING
        return found

    assert playing(simulator, way, play) == CODES


# What a caller does next


@pytest.mark.parametrize("way", ["oscu_direct", "gavaconnect_standard"])
@pytest.mark.parametrize("fault", ["answer_lost", "truncated_json", "empty_answer"])
def test_a_recorded_sale_whose_answer_was_lost_is_found_with_its_receipt(
    simulator: Simulator, way: str, fault: str
) -> None:
    async def play(shop: Shop) -> Any:
        simulator.fault("sales_save", fault, times=1)
        with pytest.raises(NoAnswer):
            await shop.sell()
        found, _ = await shop.client.find_invoice(shop.credentials, 1)
        return found, simulator.ledger(pin=shop.pin)

    found, (row,) = playing(simulator, way, play)
    assert (found.signature.signature, found.signature.receipt_number) == (row["signature"], row["receipt_number"])


def test_a_sale_that_is_recorded_late_is_not_found_before_and_is_found_after(simulator: Simulator) -> None:
    async def play(shop: Shop) -> Any:
        simulator.fault("sales_save", "recorded_late", seconds=60, times=1)
        with pytest.raises(NoAnswer):
            await shop.sell()
        before, _ = await shop.client.find_invoice(shop.credentials, 1)
        assert sold(shop) == NOTHING
        simulator.clock(advance_seconds=61)
        after, _ = await shop.client.find_invoice(shop.credentials, 1)
        again = await ending(shop.sell(number=1))
        return before, after, again, sold(shop)

    before, after, again, rows = playing(simulator, "oscu_direct", play)
    assert before is None and after is not None
    assert again == Ending(Duplicate, "994") and rows == OURS


def test_a_look_up_may_lag_behind_what_is_recorded(simulator: Simulator) -> None:
    async def play(shop: Shop) -> Any:
        await shop.sell()
        simulator.fault("invoice_details", "lookup_lags", seconds=60)
        before, _ = await shop.client.find_invoice(shop.credentials, 1)
        simulator.clock(advance_seconds=61)
        after, _ = await shop.client.find_invoice(shop.credentials, 1)
        return before, after

    before, after = playing(simulator, "oscu_direct", play)
    assert before is None and after is not None


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ("oscu_direct", Ending(Duplicate, "994")),
        ("gavaconnect_standard", Ending(Drift, "invoice_number_drift_2")),
        ("vscu", Ending(NoAnswer, "899")),
    ],
)
def test_a_number_sent_again_is_answered_in_the_manner_of_the_host(
    simulator: Simulator, way: str, expected: Ending
) -> None:
    async def play(shop: Shop) -> Any:
        await shop.sell()
        return await ending(shop.sell(number=1)), sold(shop)

    assert playing(simulator, way, play) == (expected, OURS)


def test_a_repeat_may_be_answered_as_drift_or_with_another_code(simulator: Simulator) -> None:
    async def play(shop: Shop) -> Any:
        await shop.sell()
        simulator.fault("sales_save", "repeat_as_drift", times=1)
        with pytest.raises(Drift) as drift:
            await shop.sell(number=1)
        simulator.fault("sales_save", "duplicate_code", code="921", times=1)
        return drift.value.expected, await ending(shop.sell(number=1)), sold(shop)

    assert playing(simulator, "oscu_direct", play) == (2, Ending(Duplicate, "921"), OURS)


def test_another_system_that_takes_our_number_is_seen_by_what_the_look_up_holds(simulator: Simulator) -> None:
    async def play(shop: Shop) -> Any:
        simulator.fault("sales_save", "number_taken", times=1)
        with pytest.raises(Duplicate):
            await shop.sell()
        found, _ = await shop.client.find_invoice(shop.credentials, 1)
        await shop.sell(number=2)
        return found, recorded(simulator, shop)

    found, rows = playing(simulator, "oscu_direct", play)
    assert found.tag != "INV-1" and not found.tag.startswith("rvp:")
    assert rows == [(1, "OTHER-1"), (2, "INV-1")]


def test_too_many_look_ups_are_told_by_990_and_pass_with_the_minute(simulator: Simulator) -> None:
    async def play(shop: Shop) -> list[Ending]:
        simulator.fault("*", "lookup_limit", per_minute=3)
        simulator.clock(advance_seconds=61)
        found = [await ending(shop.client.list_items(shop.credentials)) for _ in range(4)]
        simulator.clock(advance_seconds=61)
        return [*found, await ending(shop.client.list_items(shop.credentials)), await ending(shop.sell())]

    limited = Ending(Busy, "990")
    assert playing(simulator, "oscu_direct", play) == [DONE, DONE, DONE, limited, DONE, DONE]


def test_kras_wrong_clock_is_seen_in_what_it_answers(simulator: Simulator) -> None:
    async def play(shop: Shop) -> Any:
        simulator.fault("item_list", "clock_skew", seconds=600, times=1)
        return (await shop.client.list_items(shop.credentials))[1]

    assert playing(simulator, "oscu_direct", play) - utc_now() > timedelta(minutes=9)


def test_a_busy_host_says_when_to_come_again(simulator: Simulator) -> None:
    async def play(shop: Shop) -> Any:
        simulator.fault("sales_save", "rate_limited", retry_after=7, times=1)
        with pytest.raises(Busy) as raised:
            await shop.sell()
        return raised.value.retry_after

    assert playing(simulator, "oscu_direct", play) == 7


def test_receipt_numbers_that_fall_back_are_taken_as_given(simulator: Simulator) -> None:
    async def play(shop: Shop) -> list[int]:
        numbers = [(await shop.sell())[0].receipt_number for _ in range(2)]
        simulator.fault("sales_save", "receipts_rolled_back", by=2, times=1)
        return [*numbers, (await shop.sell())[0].receipt_number]

    assert playing(simulator, "oscu_direct", play) == [1, 2, 1]


def test_a_fault_of_one_branch_is_none_of_another(simulator: Simulator) -> None:
    async def play(shop: Shop) -> list[Ending]:
        simulator.fault("sales_save", "http_status", status=503, pin=shop.pin, branch="01")
        first = await ending(shop.sell())
        simulator.fault("sales_save", "http_status", status=503, pin=shop.pin, branch="00")
        return [first, await ending(shop.sell())]

    assert playing(simulator, "oscu_direct", play) == [DONE, Ending(NoAnswer, "http_5xx")]


def test_a_caller_that_gives_up_does_not_cancel_what_kra_received(simulator: Simulator) -> None:
    async def play(shop: Shop) -> Any:
        simulator.fault("sales_save", "delay", seconds=1.5, when="after", times=1)
        return await ending(shop.sell()), sold(shop)

    assert playing(simulator, "oscu_direct", play, write_seconds=1) == (LOST, OURS)
