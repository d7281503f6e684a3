"""Tokens, keys, devices, VSCUs without KRA, and the ways in which KRA's numbers and balances can differ from ours."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from gateway.kra.branch_documents import BranchUser
from gateway.kra.calls import branches, purchases, stock
from gateway.kra.client import Client
from gateway.kra.codes import StockReason
from gateway.kra.documents import AppCredentials, Credentials
from gateway.kra.errors import Busy, DeviceTrouble, Drift, Duplicate, NoAnswer, NotOffered, NotSent, Refused
from tests.kra.servers import free_port
from tests.kra.simulated import APP, Shop, connected, playing, recorded
from tests.kra.test_against_simulator import purchase
from tests.servers import Simulator

GAVA = "gavaconnect_standard"
BOTH = pytest.mark.parametrize("way", ["oscu_direct", GAVA])


def tokens_given(kra: Simulator) -> int:
    return len([row for row in kra.requests(operation="token") if row["status"] == 200])


# Tokens and the app


def test_a_token_that_ran_out_is_renewed_and_the_sale_is_signed_once(simulator: Simulator) -> None:
    async def play(shop: Shop) -> Any:
        simulator.clock(advance_seconds=7200)  # past the token's hour, as KRA's clock goes
        await shop.sell()
        return [row["status"] for row in simulator.requests(operation="sales_save")], recorded(simulator, shop)

    statuses, rows = playing(simulator, GAVA, play)
    assert (statuses, rows) == ([401, 200], [(1, "INV-1")])
    assert tokens_given(simulator) == 2


def test_many_calls_with_a_token_that_ran_out_renew_it_once(simulator: Simulator) -> None:
    async def play(shop: Shop) -> None:
        simulator.clock(advance_seconds=7200)
        await asyncio.gather(*(shop.client.list_items(shop.credentials) for _ in range(10)))

    playing(simulator, GAVA, play)
    assert tokens_given(simulator) == 2


def test_a_token_that_is_refused_again_is_trouble(simulator: Simulator) -> None:
    async def play(shop: Shop) -> Any:
        simulator.fault("sales_save", "unauthorized")
        with pytest.raises(DeviceTrouble) as raised:
            await shop.sell()
        return raised.value.code, len(simulator.requests(operation="sales_save")), recorded(simulator, shop)

    assert playing(simulator, GAVA, play) == ("token_fault", 2, [])


@pytest.mark.parametrize("app", [AppCredentials("wrong", APP.consumer_secret, "a"), AppCredentials("k", "wrong", "a")])
def test_a_wrong_app_key_is_trouble_and_nothing_is_sent(simulator: Simulator, app: AppCredentials) -> None:
    async def run() -> Any:
        async with connected(simulator, GAVA, app=app) as client:
            with pytest.raises(DeviceTrouble) as raised:
                await client.code_list(Credentials("P051234567X", "00", "SIMKEY0"))
            return raised.value.code

    assert asyncio.run(run()) == "app_refused"
    assert {row["operation"] for row in simulator.requests()} == {"token"}


def test_a_path_that_the_gateway_does_not_know_is_refused(simulator: Simulator) -> None:
    async def run() -> Any:
        url = f"{simulator.url}/gavaconnect/etims-oscu/api/v1/old"
        async with connected(simulator, GAVA, base_url=url) as client:
            with pytest.raises(Refused) as raised:
                await client.code_list(Credentials("P051234567X", "00", "SIMKEY0"))
            return raised.value.code

    assert asyncio.run(run()) == "route_fault"


# Keys and devices


@BOTH
def test_a_wrong_key_is_trouble(simulator: Simulator, way: str) -> None:
    async def play(shop: Shop) -> Any:
        shop.key = "SIMKEYOFSOMEBODYELSE"
        with pytest.raises(DeviceTrouble) as raised:
            await shop.sell()
        return raised.value.code

    assert playing(simulator, way, play) == "901"


def test_without_a_key_nothing_leaves_us(simulator: Simulator) -> None:
    async def play(shop: Shop) -> Any:
        shop.key = ""
        with pytest.raises(DeviceTrouble) as raised:
            await shop.sell()
        return raised.value.code, simulator.requests(operation="sales_save")

    assert playing(simulator, "oscu_direct", play) == ("892", [])


@pytest.mark.parametrize("way", ["oscu_direct", GAVA, "gavaconnect_integrator", "vscu"])
def test_a_second_activation_gives_902_and_no_key(simulator: Simulator, way: str) -> None:
    async def play(shop: Shop) -> Any:
        raw = await shop.client.initialize_device(shop.pin, "00", shop.device)
        with pytest.raises(DeviceTrouble) as raised:
            shop.client.read_activation(raw, shop.client.profile.flavour)
        assert b"SIMKEY" not in raw.body
        await shop.sell()  # the first key is as good as before
        return raised.value.code

    assert playing(simulator, way, play) == "902"


@pytest.mark.parametrize(("setting", "kind"), [("903", "vscu"), ("905", "vscu"), ("903", "oscu")])
def test_a_serial_of_the_other_kind_is_told_by_903_or_905(simulator: Simulator, setting: str, kind: str) -> None:
    simulator.call("POST", "/_sim/settings", {"wrong_kind_code": setting})
    simulator.approve("P051234567X", "00", "S-1", kind)

    async def run() -> Any:
        async with connected(simulator, "oscu_direct" if kind == "vscu" else "vscu") as client:
            raw = await client.initialize_device("P051234567X", "00", "S-1")
            with pytest.raises(DeviceTrouble) as raised:
                client.read_activation(raw, client.profile.flavour)
            return raised.value.code

    assert asyncio.run(run()) == setting


@BOTH
def test_a_damaged_device_refuses_everything_and_more_with_each_activation(simulator: Simulator, way: str) -> None:
    async def play(shop: Shop) -> list[str]:
        simulator.fault("*", "corrupt_device")
        said = []
        for _ in range(2):
            raw = await shop.client.initialize_device(shop.pin, "00", shop.device)
            assert b"cmcKey" not in raw.body
            with pytest.raises(NoAnswer) as raised:
                shop.client.read_activation(raw, shop.client.profile.flavour)
            said.append(raised.value.message)
        with pytest.raises(NoAnswer):  # 999 proves nothing: it is looked up, and never sent under another number
            await shop.sell()
        assert recorded(simulator, shop) == []
        return said

    first, second = playing(simulator, way, play)
    assert "2 results" in first and "3 results" in second


def test_a_branch_that_does_not_exist_is_told_in_words_that_mislead(simulator: Simulator) -> None:
    async def play(shop: Shop) -> Any:
        with pytest.raises(Refused) as raised:
            await shop.client.code_list(Credentials(shop.pin, "77", shop.key))
        return raised.value.rule

    assert playing(simulator, GAVA, play) == "generic_tax_type"


# VSCU


def test_a_vscu_signs_for_a_day_without_kra_then_stops_and_forwards_all_when_it_is_back(simulator: Simulator) -> None:
    async def play(shop: Shop) -> Any:
        simulator.fault("*", "vscu_offline", pin=shop.pin)
        first, _ = await shop.sell()
        simulator.clock(advance_seconds=23 * 3600)
        second, _ = await shop.sell()
        assert recorded(simulator, shop) == []  # legal receipts, and KRA knows of neither
        simulator.clock(advance_seconds=2 * 3600)
        with pytest.raises(NoAnswer) as stopped:
            await shop.sell()
        with pytest.raises(Busy):
            await shop.client.list_items(shop.credentials)
        simulator.clear_faults()
        assert recorded(simulator, shop) == [(1, "INV-1"), (2, "INV-2")]
        third, _ = await shop.sell()
        return stopped.value.code, [sale.receipt_number for sale in (first, second, third)]

    assert playing(simulator, "vscu", play) == ("894", [1, 2, 3])


@pytest.mark.parametrize("how", ["fault", "setting"])
def test_a_vscu_whose_memory_is_full_signs_nothing_and_can_be_asked_again(simulator: Simulator, how: str) -> None:
    async def play(shop: Shop) -> Any:
        if how == "fault":
            simulator.fault("sales_save", "vscu_full")
        else:
            simulator.call("POST", "/_sim/settings", {"vscu_capacity": 1})
            simulator.fault("*", "vscu_offline", pin=shop.pin)
            await shop.sell()
        with pytest.raises(Busy) as raised:
            await shop.sell()
        simulator.clear_faults()
        await shop.sell()
        return raised.value.code

    assert playing(simulator, "vscu", play) == "E11"


def test_a_vscu_that_is_not_running_is_not_sent(simulator: Simulator) -> None:
    async def play(shop: Shop) -> None:
        with pytest.raises(NotSent):
            await shop.client.code_list(
                Credentials(shop.pin, "00", "", shop.device, f"http://127.0.0.1:{free_port()}/vscu")
            )

    playing(simulator, "vscu", play)


def test_a_vscu_offers_no_look_up_of_a_sale(simulator: Simulator) -> None:
    async def play(shop: Shop) -> None:
        with pytest.raises(NotOffered):
            await shop.client.find_invoice(shop.credentials, 1)

    playing(simulator, "vscu", play)


# Numbers


@BOTH
def test_a_number_ahead_of_kras_is_drift_and_names_the_number(simulator: Simulator, way: str) -> None:
    async def play(shop: Shop) -> Any:
        with pytest.raises(Drift) as raised:
            await shop.sell(number=7)
        return raised.value.expected, recorded(simulator, shop)

    assert playing(simulator, way, play) == (1, [])


@BOTH
def test_drift_of_purchases_is_read_in_the_other_wording(simulator: Simulator, way: str) -> None:
    async def play(shop: Shop) -> Any:
        await shop.register("Sugar")
        listed, _, _ = await purchases.list_supplier_sales(shop.client, shop.credentials)
        body = purchases.purchase_body(shop.client.profile, purchase(shop, listed[0]), shop.credentials)
        with pytest.raises(Drift) as raised:
            await purchases.save_purchase(shop.client, shop.credentials, purchases.with_number(body, 5), 5)
        return raised.value.expected, raised.value.rule

    assert playing(simulator, way, play) == (1, "invoice_number_drift")


@BOTH
def test_a_stock_number_ahead_is_drift_and_one_behind_is_known(simulator: Simulator, way: str) -> None:
    async def play(shop: Shop) -> Any:
        await shop.register("Sugar")
        with pytest.raises(Drift) as ahead:
            await shop.move("Sugar", number=3)
        await shop.move("Sugar")
        with pytest.raises((Duplicate, Drift)) as behind:
            await shop.move("Sugar", number=1)
        return ahead.value.expected, type(behind.value)

    assert playing(simulator, way, play) == (1, Drift if way == GAVA else Duplicate)


def test_an_item_code_out_of_turn_is_answered_with_the_tail_of_the_next_only(simulator: Simulator) -> None:
    async def play(shop: Shop) -> Any:
        shop.serial = 9
        with pytest.raises(Drift) as raised:
            await shop.register("Sugar")
        return raised.value.expected, raised.value.expected_tail

    assert playing(simulator, GAVA, play) == (None, "2")


def test_the_direct_host_takes_any_item_code(simulator: Simulator) -> None:
    async def play(shop: Shop) -> str:
        shop.serial = 9
        return (await shop.register("Sugar")).outcome

    assert playing(simulator, "oscu_direct", play) == "done"


# Stock


@BOTH
def test_a_balance_that_differs_is_drift_with_both_quantities_in_both_wordings(simulator: Simulator, way: str) -> None:
    async def play(shop: Shop) -> Any:
        await shop.register("Sugar")
        await shop.move("Sugar", 10)
        with pytest.raises(Drift) as raised:
            await save_balance(shop.client, shop, 7)
        await save_balance(shop.client, shop, 10)
        return raised.value.balance, raised.value.message

    balance, message = playing(simulator, way, play)
    assert balance == (Decimal(10), Decimal(7))
    assert ("mismatch" in message) is (way == GAVA)


async def save_balance(client: Client, shop: Shop, quantity: int) -> None:
    await stock.save_balance(client, shop.credentials, item_code=shop.codes["Sugar"], remaining=Decimal(quantity))


@BOTH
def test_a_balance_before_any_movement_is_refused(simulator: Simulator, way: str) -> None:
    async def play(shop: Shop) -> Any:
        await shop.register("Sugar")
        with pytest.raises(Refused) as raised:
            await save_balance(shop.client, shop, 10)
        return raised.value.rule

    assert playing(simulator, way, play) == "stock_order"


def test_goods_that_are_not_in_stock_are_not_sold_over_gavaconnect_and_services_are(simulator: Simulator) -> None:
    async def play(shop: Shop) -> Any:
        await shop.register("Sugar")
        rules = []
        with pytest.raises(Refused) as never:
            await shop.sell(lines=shop.sale("Sugar").lines)
        rules.append(never.value.rule)
        await shop.move("Sugar", 1)
        with pytest.raises(Refused) as too_few:
            await shop.sell(lines=shop.sale("Sugar").lines)
        rules.append(too_few.value.rule)
        with pytest.raises(Refused) as out:
            await shop.move("Sugar", 5, StockReason.DISCARDED_OUT)
        rules.append(out.value.rule)
        await shop.sell()
        return rules, recorded(simulator, shop)

    assert playing(simulator, GAVA, play) == (["no_stock"] * 3, [(1, "INV-1")])


# Rates and lists


@BOTH
def test_a_rate_that_has_changed_is_refused_and_says_that_codes_must_be_fetched(simulator: Simulator, way: str) -> None:
    async def play(shop: Shop) -> Any:
        simulator.call("POST", "/_sim/settings", {"rates": {"B": 18}})
        with pytest.raises(Refused) as raised:
            await shop.sell()
        return raised.value.rule, raised.value.repair, recorded(simulator, shop)

    assert playing(simulator, way, play) == ("rate_mismatch", "refresh_codes", [])


def test_gavaconnect_wants_the_classification_fetched_before_items(simulator: Simulator) -> None:
    simulator.approve("P051234567X", "00", "P051234567X-00")

    async def run() -> Any:
        async with connected(simulator, GAVA) as client:
            shop = Shop(simulator, GAVA, client, "P051234567X")
            raw = await client.initialize_device(shop.pin, "00", shop.device)
            shop.key = client.read_activation(raw, client.profile.flavour).key
            with pytest.raises(Refused) as raised:
                await shop.register("Repair", service=True)
            await client.item_classes(shop.credentials)
            await shop.register("Repair", service=True)
            return raised.value.repair

    assert asyncio.run(run()) == "fetch_item_classes"


def test_a_user_account_may_be_saved_twice(simulator: Simulator) -> None:
    async def play(shop: Shop) -> None:
        for name in ("Wanjiru", "Wanjiru Kamau"):
            user = BranchUser(user_id="wk", name=name, password="x")
            await branches.save_user(shop.client, shop.credentials, user)

    playing(simulator, "oscu_direct", play)
