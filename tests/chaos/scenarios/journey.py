"""Goods from customs to the shelf over GavaConnect, while the gateway dies at step after step and answers get lost.

The scenario keeps its own paper. At the end paper, gateway and simulated KRA must have the same of every item in every
branch: opening + in - out.
"""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from tests.chaos.evidence import felt
from tests.chaos.plant import Foundry
from tests.chaos.scenarios.stock import Paper, judge_stock, until
from tests.chaos.scenarios.stories import Story, story
from tests.chaos.seeds import Result
from tests.chaos.tills import Company

ITEMS = [
    {"code": code, "name": code.title(), "tax_type": "B", "item_class": "5016150900", "quantity_unit": unit, **price}
    for code, unit, price in (
        ("PHONE", "NO", {"price": "15000.00"}),
        ("FLOUR", "KG", {"price": "160.00"}),
        ("GIFT", "NO", {"price": "16000.00"}),
    )
]
SHOP, MARKET = "00", "01"
PATIENCE_SECONDS = 60.0
DYING_SECONDS = 25.0
LOST: tuple[tuple[str, str, dict[str, Any]], ...] = (  # what the report calls it, the simulator's fault, its settings
    ("answer lost", "answer_lost", {}),
    ("request lost", "request_lost", {}),
    ("connection reset", "connection_reset", {}),
    ("landing late", "recorded_late", {"seconds": 1.5}),
    ("cut off answer", "truncated_json", {"keep": 0.5}),
    ("web page", "html_page", {"recorded": True}),
)


@dataclass
class Trader:
    """A company with a shop and a market stall, who does as an ERP would: says it again until it is answered."""

    told: Story
    company: Company
    paper: Paper = field(default_factory=dict)

    def do(self, method: str, path: str, body: Any = None) -> Any:
        """A call that must succeed in the end; a decision that was taken by an earlier try has succeeded too."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while True:
            status, answer = self.company.call(method, path, body)
            if status is not None and status < 500:
                assert status < 300 or answer["code"] == "already_decided", (method, path, status, answer)
                return answer
            assert time.monotonic() < give_up, (method, path, status, answer)
            time.sleep(0.2)

    def decided(self, path: str, word: str, body: Any) -> None:
        """Decide about a purchase or an import, and wait until KRA has confirmed it."""
        self.do("POST", f"{path}{word}/", body)
        done = until(lambda: self.do("GET", path)["status"] == "confirmed", PATIENCE_SECONDS)
        self.told.result.expect(done, "stuck", path, str(self.told.plant.held()))

    def signed(self, *references: str) -> None:
        """Wait until sales and credit notes that were posted are signed."""
        for reference in references:
            document = self.company.wait_for(reference, seconds=PATIENCE_SECONDS)
            self.told.result.expect(document.get("status") == "signed", "stuck", reference, str(document))

    def move(self, item: str, quantity: int | str, branch: str = SHOP) -> None:
        """Write it down on paper."""
        self.paper[branch, item] = self.paper.get((branch, item), Decimal(0)) + Decimal(quantity)


def opened(trader: Trader) -> None:
    lines = [{"item_code": "FLOUR", "quantity": "20"}]
    trader.do("POST", "/api/stock/opening/", {"reference": "OPEN-1", "branch": SHOP, "lines": lines})
    trader.move("FLOUR", 20)


def imported(trader: Trader) -> None:
    """400 telephones were declared."""
    trader.do("POST", "/api/imports/fetch/")
    lines = trader.do("GET", "/api/imports/")["imports"]
    phones = next(line["id"] for line in lines if line["name"] == "SMARTPHONES")
    trader.decided(f"/api/imports/{phones}/", "approve", {"item_code": "PHONE", "branch": SHOP})
    trader.move("PHONE", 400)


def sold(trader: Trader) -> None:
    """The sales wait until KRA knows the goods, and then the stock follows them."""
    for reference, quantity in (("POS-1", 3), ("POS-2", 5)):
        line = {"item_code": "PHONE", "quantity": str(quantity), "unit_price": "15000.00"}
        trader.company.post_until_clear(reference, wait=2, lines=[line], device=trader.company.device)
        trader.move("PHONE", -quantity)
    trader.signed("POS-1", "POS-2")


def brought_back(trader: Trader) -> None:
    """Two come back with a credit note, one without."""
    lines = [{"line": 1, "quantity": "2"}]
    trader.company.credit_until_clear("POS-2-CN", "POS-2", goods_returned=True, lines=lines)
    trader.move("PHONE", 2)
    back = {"reference": "BACK-1", "branch": SHOP, "reason": "return_in"}
    trader.do("POST", "/api/stock/adjustments/", {**back, "lines": [{"item_code": "PHONE", "quantity": 1}]})
    trader.move("PHONE", 1)
    trader.signed("POS-2-CN")


def bought(trader: Trader) -> None:
    """Four bags of 50 kg."""
    trader.do("POST", "/api/purchases/fetch/")
    purchases = trader.do("GET", "/api/purchases/")["purchases"]
    bags = next(row["id"] for row in purchases if row["supplier_pin"] == "P000000101S")
    mapped = {"branch": SHOP, "lines": [{"line": 1, "item_code": "FLOUR", "factor": 50}]}
    trader.decided(f"/api/purchases/{bags}/", "accept", mapped)
    trader.move("FLOUR", 200)


def transferred(trader: Trader) -> None:
    body = {"reference": "MOVE-1", "from_branch": SHOP, "to_branch": MARKET}
    trader.do("POST", "/api/stock/transfers/", {**body, "lines": [{"item_code": "PHONE", "quantity": 10}]})
    trader.move("PHONE", -10)
    trader.move("PHONE", 10, MARKET)


def made(trader: Trader) -> None:
    """Four gifts, each of a telephone and half a kilogram of flour."""
    components = [{"item_code": "PHONE", "quantity": 1}, {"item_code": "FLOUR", "quantity": "0.5"}]
    trader.do("PUT", "/api/stock/recipes/GIFT/", {"components": components})
    body = {"reference": "MAKE-1", "branch": SHOP, "item_code": "GIFT", "quantity": 4}
    trader.do("POST", "/api/stock/production/", body)
    trader.move("PHONE", -4)
    trader.move("FLOUR", -2)
    trader.move("GIFT", 4)


class Stage(NamedTuple):
    """A part of the way: where the gateway dies meanwhile, which answers get lost, what else is killed or away."""

    walk: Callable[[Trader], None]
    dies_at: tuple[str, ...]
    operation: str
    also: str = ""


STAGES = (
    Stage(opened, ("before stock in/out", "after stock master"), "stock_master_save"),
    Stage(imported, ("before import", "after import"), "import_item_update"),
    Stage(sold, ("before send", "after send"), "sales_save", also="outage"),
    Stage(brought_back, ("after stock in/out",), "sales_save"),
    Stage(bought, ("before purchase", "after purchase"), "purchase_save"),
    Stage(transferred, ("before stock master",), "stock_master_save", also="postgres"),
    Stage(made, ("after turn:2", "before stock in/out"), "stock_master_save", also="simulator"),
)
MOVEMENTS = {SHOP: 10, MARKET: 1}  # opening, import, 2 sales, 2 returns, purchase, transfer, 2 of production


def goods_from_customs_to_the_shelf(foundry: Foundry, result: Result, folder: Path) -> None:
    """Opened, imported, sold, brought back, bought, moved and made, under kills, lost answers and outages."""
    lost = itertools.cycle(LOST)
    with story(foundry, result, folder, engines=0, serves=1, flavour="gavaconnect") as told:
        (company,) = told.companies
        trader, serve = Trader(told, company), told.plant.programs["serve 1"]
        _set_up(trader)
        serve.kill_points = [step for stage in STAGES for step in stage.dies_at]
        steps = 0
        told.plant.disturb(PATIENCE_SECONDS)
        serve.kill()
        for stage in STAGES:
            told.plant.disturb(PATIENCE_SECONDS)
            for operation in (stage.operation, "stock_io_save"):
                name, fault, settings = next(lost)
                told.fault(name, fault, operation, times=1, pin=company.pin, **settings)
            _strike(told, stage.also)
            stage.walk(trader)
            steps += len(stage.dies_at)
            died = until(lambda steps=steps: len(serve.died_at) >= steps, DYING_SECONDS)
            result.expect(died, "not told", stage.dies_at[-1], f"the gateway died at {serve.died_at} only")
        for step in serve.died_at:
            result.strike(f"kill at step {step!r}")
        told.plant.mend()
        missed = {fault for _, fault, _ in LOST} - felt(told.plant).keys()
        result.expect(not missed, "not told", "faults", f"nothing came while KRA had {missed}")
        judge_stock(told, company, trader.paper, movements=MOVEMENTS)
        purchases = [row["number"] for row in told.plant.simulator.ledger(pin=company.pin, kind="purchase")]
        result.expect(purchases == [1], "doubled", "purchase", f"KRA's purchases have the numbers {purchases}")


def _set_up(trader: Trader) -> None:
    """The items at KRA, and a second branch whose device is active."""
    known = lambda: trader.do("POST", "/api/integration/items/sync/", {"items": ITEMS})["items"]  # noqa: E731
    assert until(lambda: all(item["kra_code"] for item in known()), PATIENCE_SECONDS), known()
    serial = f"SERIAL-{trader.company.pin}-{MARKET}"
    trader.told.plant.simulator.approve(trader.company.pin, MARKET, serial)
    path = f"/api/companies/{trader.company.id}"
    trader.do("POST", f"{path}/branches/", {"code": MARKET, "name": "Market"})
    trader.do("POST", f"{path}/devices/", {"serial": serial, "branch": {"code": MARKET}})
    assert trader.do("POST", "/api/device/init/", {"device": serial})["status"] == "active"


def _strike(told: Story, what: str) -> None:
    if what == "outage":
        told.fault("KRA: outage", "connection_reset", "*", for_seconds=3)
    elif what in told.plant.programs:
        told.result.strike(f"kill -9 {what}")
        told.plant.programs[what].kill(down_seconds=1)
