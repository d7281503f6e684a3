"""Every operation over every way to KRA, without a fault and with each: how the client's call ends, what has moved.

The endings of a sale and of a look-up come from `FAULTS`; what differs for another operation stands in `EXCEPTIONS`
with its reason.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from gateway.kra.calls import branches, purchases, stock
from gateway.kra.codes import ImportStatus
from gateway.kra.errors import DeviceTrouble, NoAnswer
from gateway.kra.operations import operations
from gateway.kra.stock_documents import ImportDecision, ImportedItem
from gateway.simulator.faults import KINDS
from tests.kra.simulated import BUYER, CLASS, JUST_NOW, WAYS, Shop, playing
from tests.kra.test_against_simulator import CUSTOMER, INSURANCE, NOT_OFFERED, USER, purchase
from tests.kra.test_against_simulator_faults import DONE, FAULTS, Ending, Row, ending
from tests.servers import Simulator

QUICK = {"write_seconds": 5, "lookup_seconds": 5}
_fresh = itertools.count(810_000_000)


@dataclass
class Scene:
    """A shop in which each operation can be called again and again."""

    shop: Shop
    imported: ImportedItem
    supplier: Any
    numbers: Any = field(default_factory=lambda: itertools.count(1000))

    def next(self, series: str) -> int:
        """The number that KRA expects next."""
        rows = self.shop.kra.call("GET", "/_sim/devices")
        return int(next(row for row in rows if row["serial"] == self.shop.device)[f"next_{series}"])

    def moved(self) -> tuple[int, int, int]:
        return self.next("invoice"), self.next("purchase"), self.next("stock")


async def set_up(shop: Shop) -> Scene:
    for name in ("Sugar", "Hamper", "Salt"):
        await shop.register(name)
    await shop.move("Sugar", 10)
    await shop.move("Salt", 10)
    await shop.sell()
    imported, _, _ = await purchases.list_imports(shop.client, shop.credentials)
    listed, _, _ = await purchases.list_supplier_sales(shop.client, shop.credentials)
    return Scene(shop, imported[0], listed[0])


async def initialize(scene: Scene) -> None:
    """A device of another taxpayer, for it works once only."""
    client, shop, pin = scene.shop.client, scene.shop, f"P{next(_fresh)}X"
    await asyncio.to_thread(shop.kra.approve, pin, "00", f"{pin}-00", shop.kind)
    raw = await client.initialize_device(pin, "00", f"{pin}-00")
    client.read_activation(raw, client.profile.flavour)


async def save_item(scene: Scene) -> None:
    shop = scene.shop
    kept, shop.serial = shop.serial, 2  # Sugar again: an update
    try:
        await shop.register("Sugar")
    finally:
        shop.serial = kept


async def save_composition(scene: Scene) -> None:
    codes, quantity = scene.shop.codes, Decimal(1)
    who = scene.shop.credentials
    await stock.save_component(
        scene.shop.client, who, item_code=codes["Hamper"], component_code=codes["Sugar"], quantity=quantity
    )


async def save_balance(scene: Scene) -> None:
    code = scene.shop.codes["Sugar"]
    await stock.save_balance(scene.shop.client, scene.shop.credentials, item_code=code, remaining=Decimal(10))


async def save_purchase(scene: Scene) -> None:
    shop, number = scene.shop, scene.next("purchase")
    document = structs.replace(purchase(shop, scene.supplier), supplier_invoice_number=next(scene.numbers))
    body = purchases.with_number(purchases.purchase_body(shop.client.profile, document, shop.credentials), number)
    await purchases.save_purchase(shop.client, shop.credentials, body, number)


async def decide(scene: Scene) -> None:
    row = scene.imported
    decision = ImportDecision(
        task_code=row.task_code,
        declaration_date=row.declaration_date,
        line_number=row.line_number,
        hs_code=row.hs_code,
        item_code=scene.shop.codes["Sugar"],
        item_class=CLASS,
        status=ImportStatus.APPROVED,
    )
    await purchases.decide_import(scene.shop.client, scene.shop.credentials, decision)


async def sell(scene: Scene) -> None:
    await scene.shop.sell(number=scene.next("invoice"))


async def move(scene: Scene) -> None:
    await scene.shop.move("Salt", 1, number=scene.next("stock"))


CALLS: dict[str, Callable[[Scene], Awaitable[Any]]] = {
    "device_init": initialize,
    "code_list": lambda at: at.shop.client.code_list(at.shop.credentials, JUST_NOW),
    "item_class_list": lambda at: at.shop.client.item_classes(at.shop.credentials, JUST_NOW),
    "customer_pin_lookup": lambda at: branches.find_taxpayer(at.shop.client, at.shop.credentials, BUYER),
    "branch_list": lambda at: branches.list_branches(at.shop.client, at.shop.credentials),
    "notice_list": lambda at: branches.list_notices(at.shop.client, at.shop.credentials),
    "taxpayer_info": lambda at: branches.taxpayer_info(at.shop.client, at.shop.credentials),
    "branch_customer_save": lambda at: branches.save_customer(at.shop.client, at.shop.credentials, CUSTOMER),
    "branch_customer_list": lambda at: branches.list_customers(at.shop.client, at.shop.credentials),
    "branch_user_save": lambda at: branches.save_user(at.shop.client, at.shop.credentials, USER),
    "branch_insurance_save": lambda at: branches.save_insurance(at.shop.client, at.shop.credentials, INSURANCE),
    "item_list": lambda at: at.shop.client.list_items(at.shop.credentials),
    "item_save": save_item,
    "item_composition_save": save_composition,
    "import_item_list": lambda at: purchases.list_imports(at.shop.client, at.shop.credentials),
    "import_item_update": decide,
    "sales_save": sell,
    "sales_list": lambda at: at.shop.client.list_sales(at.shop.credentials),
    "invoice_details": lambda at: at.shop.client.find_invoice(at.shop.credentials, 1),
    "purchase_sales_list": lambda at: purchases.list_supplier_sales(at.shop.client, at.shop.credentials),
    "purchase_save": save_purchase,
    "stock_move_list": lambda at: stock.list_transfers(at.shop.client, at.shop.credentials),
    "stock_io_save": move,
    "stock_master_save": save_balance,
}
MATRIX = [(operation, way) for operation in CALLS for way in WAYS if operation not in NOT_OFFERED.get(way, ())]


def rows_of(way: str) -> list[Row]:
    """The first row of each fault over this way: its own, else the direct host's."""
    own = "gavaconnect_standard" if way.startswith("gavaconnect") else way
    found: dict[str, Row] = {}
    for row in sorted(FAULTS, key=lambda row: row.way != own):
        if row.way in (own, "oscu_direct"):
            found.setdefault(row.fault, row)
    for row in FAULTS:
        is_in_vain = row.way == "vscu"  # only a VSCU has these
        found.setdefault(row.fault, replace(row, sale=DONE, look_up=DONE, is_recorded=True) if is_in_vain else row)
    return list(found.values())


def expected(row: Row, operation: str, way: str) -> Ending:
    for faults, ways, names, told in EXCEPTIONS:
        if row.fault in faults and way.startswith(ways) and operation in names:
            return told
    return row.sale if operations()[operation].is_write else row.look_up


OTHER_WRITES = {name for name, row in operations().items() if row.is_write} - {"sales_save"}
STALE = Ending(DeviceTrouble, "token_fault")
EXCEPTIONS: list[tuple[set[str], tuple[str, ...], set[str], Ending]] = [
    # the number that another system takes, and the room in a VSCU, are those of invoices
    ({"number_taken", "vscu_full"}, tuple(WAYS), OTHER_WRITES, DONE),
    # a device is never initialised twice by itself, not even with a new token
    ({"unauthorized", "gateway_fault"}, ("gavaconnect",), {"device_init"}, STALE),
    # what has no device yet has no line that could be down
    ({"vscu_offline"}, ("vscu",), {"device_init"}, DONE),
    # a VSCU off line signs sales and does nothing else
    ({"vscu_offline"}, ("vscu",), OTHER_WRITES, Ending(NoAnswer, "894")),
]


@pytest.mark.parametrize(("operation", "way"), MATRIX)
def test_each_operation_over_each_way_with_and_without_each_fault(
    simulator: Simulator, operation: str, way: str
) -> None:
    async def play(shop: Shop) -> list[tuple[str, Ending, Ending]]:
        scene, differs = await set_up(shop), []
        assert await ending(CALLS[operation](scene)) == DONE
        for row in rows_of(way):
            before = scene.moved()
            simulator.fault(operation, row.fault, times=1, **row.parameters)
            found = await ending(CALLS[operation](scene))
            simulator.clear_faults()
            wanted = expected(row, operation, way)
            if found != wanted:
                differs.append((row.fault, found, wanted))
            if operation in SERIES and row.fault != "number_taken":
                steps = scene.moved()[SERIES[operation]] - before[SERIES[operation]]
                assert steps == int(row.is_recorded or found == DONE), (row.fault, steps)
            assert await ending(CALLS[operation](scene)) == DONE, f"after {row.fault}"
        return differs

    assert playing(simulator, way, play, **QUICK) == []


SERIES = {"sales_save": 0, "purchase_save": 1, "stock_io_save": 2}


def test_no_operation_no_way_and_no_fault_is_left_out() -> None:
    assert set(CALLS) == set(operations())
    assert len(MATRIX) == len(CALLS) * len(WAYS) - sum(map(len, NOT_OFFERED.values()))
    for way in WAYS:
        assert {row.fault for row in rows_of(way)} == set(KINDS)
