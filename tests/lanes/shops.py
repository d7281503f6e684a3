"""Shops with several branches, the processes that sell for them, and KRA's own record as the referee.

Everything is the product's: services, engine, signing, desk, client; KRA is the simulator on a real port. The loop
stands still between calls, so what is compared does not move.
"""

import asyncio
import contextlib
import io
import itertools
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar

from django.db import close_old_connections

from gateway.catalog.judging import ItemRow
from gateway.catalog.models import Item, ItemClass
from gateway.catalog.services import sync_items
from gateway.catalog.shelf import Shelf
from gateway.devices.activation import activate_device
from gateway.devices.desk import Desk
from gateway.devices.models import Device
from gateway.devices.services import add_device
from gateway.lanes import local
from gateway.lanes.engine import Engine
from gateway.lanes.models import Lane
from gateway.lanes.store import Store
from gateway.lib.clock import utc_now
from gateway.sales.intake import LineOfSaleIn, SaleIn
from gateway.sales.services import Caller, Outcome, Till
from gateway.tenants.services import add_branch
from gateway.wiring import HANDLERS, build_store
from tests.lanes.bench import put_away_lanes
from tests.lanes.shaky import kill
from tests.servers import Simulator
from tests.tenants.factories import make_company

T = TypeVar("T")
REST_SECONDS = (0.02, 0.05, 0.1)
KILL_SECONDS = 30.0  # a process that dies waits for nobody, but for its database to hang up
SUGAR = ItemRow(code="SUGAR", name="Brown sugar 1kg", item_class="5016150900", tax_type="B", quantity_unit="KG")
BREAD = ItemRow(code="BREAD", name="Bread 400g", item_class="5016150900", tax_type="A", quantity_unit="U")
_pins = itertools.count(1)


@dataclass(frozen=True)
class Counter:
    """One branch: its device, its lane of invoices, and who sells there."""

    name: str
    pin: str
    branch: str
    company_id: int
    lane_id: int
    device: str  # its serial

    @property
    def caller(self) -> Caller:
        return Caller(self.company_id, "sandbox", is_active=True)

    def sale(self, reference: str, quantity: int = 2, remark: str | None = None) -> SaleIn:
        """A sale of sugar and bread an hour ago."""
        lines = [
            LineOfSaleIn("SUGAR", Decimal(quantity), Decimal("116.55")),
            LineOfSaleIn("BREAD", Decimal(1), Decimal("65.00"), discount_percent=Decimal("7.5")),
        ]
        issued_at = (utc_now() - timedelta(hours=1)).replace(microsecond=0)
        return SaleIn(reference=reference, issued_at=issued_at, lines=lines, device=self.device, remark=remark)


@dataclass
class Process:
    """One gateway process, as `wiring.running_till` puts it together."""

    engine: Engine
    till: Till
    desk: Desk


@dataclass
class Street:
    """Shops, processes and KRA. `run` lets everybody work until something has come to its end."""

    runner: asyncio.Runner
    simulator: Simulator
    late_seconds: float
    counters: list[Counter] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def do(self, work: Callable[[], T]) -> T:
        """Ordinary code that writes, in a thread while everybody works: it may have to wait for an engine's locks."""
        return self.run(in_thread(work))

    def at_once(self, *works: Coroutine[Any, Any, Any]) -> list[Any]:
        """Several things at the same time; what each came to."""

        async def all_of_them() -> list[Any]:
            return await asyncio.gather(*works)

        return self.run(all_of_them())

    def open_company(self, *branches: str) -> list[Counter]:
        """A company with an active device in each branch and two items, its sales ready to be signed."""
        ItemClass.objects.get_or_create(
            environment="sandbox", code=SUGAR.item_class, defaults={"name": "Groceries", "level": 5}
        )
        pin = f"P{next(_pins):09d}S"
        serial = f"{pin}-{branches[0]}"
        made = make_company(pin=pin, serial=serial, branch_code=branches[0])
        devices = [made.device]
        for code in branches[1:]:
            branch = add_branch(made.company, code=code, name=f"Branch {code}", address="", city="Nairobi")
            devices.append(
                add_device(company=made.company, branch=branch, environment="sandbox", serial=f"{pin}-{code}")
            )
        for code, device in zip(branches, devices, strict=True):
            self.simulator.approve(pin, code, device.serial)
            active = activate_device(device=device, now=utc_now())
            assert active.status == Device.Status.ACTIVE, active.problem
        self.do(lambda: sync_items(company=made.company, environment="sandbox", rows=[SUGAR, BREAD], now=utc_now()))
        opened = [
            Counter(f"{pin}/{code}", pin, code, made.company.pk, device.lane_id, device.serial)
            for code, device in zip(branches, devices, strict=True)
        ]
        self.counters += opened
        return opened

    def start_process(self, store: Store | None = None) -> Process:
        store = store or build_store()
        desk, shelf = Desk(store.read), Shelf(store.read)
        handlers = {kind: make(desk, shelf, store.read) for kind, make in HANDLERS.items()}
        engine = Engine(store, handlers, rest_seconds=REST_SECONDS)
        process = Process(engine, Till(engine, desk, shelf, waiting=100, waiting_company=100), desk)

        async def start() -> None:
            await engine.start()
            local.set_engine(engine)

        self.run(start())
        self.processes.append(process)
        return process

    def kill(self, process: Process) -> None:
        """`kill -9`: nothing is written or told any more, its connections end."""
        self.processes.remove(process)

        async def die() -> None:
            dying = asyncio.ensure_future(_die(process))
            await asyncio.wait([dying], timeout=KILL_SECONDS)
            assert dying.done(), f"a process did not die within {KILL_SECONDS} seconds: {_standing()}"
            dying.result()
            local.set_engine(self.processes[0].engine if self.processes else None)

        self.run(die())

    def post(
        self, process: Process, *sales: tuple[Counter, SaleIn], wait_seconds: float = 0
    ) -> list[Outcome | Exception]:
        """Post these sales at once, as from so many tills; what each till hears."""

        async def all_of_them() -> list[Any]:
            return await asyncio.gather(
                *(
                    process.till.record_sale(sale, caller=counter.caller, kind=None, wait_seconds=wait_seconds)
                    for counter, sale in sales
                ),
                return_exceptions=True,
            )

        answers: list[Outcome | Exception] = self.run(all_of_them())
        return answers

    def post_and_kill(self, process: Process, sales: list[tuple[Counter, SaleIn]], *, after_seconds: float) -> None:
        """Post these sales and let the process die so long after; nobody hears anything."""

        async def post() -> None:
            tills = [
                asyncio.create_task(process.till.record_sale(sale, caller=counter.caller, kind=None, wait_seconds=5))
                for counter, sale in sales
            ]
            await asyncio.sleep(after_seconds)
            for task in tills:
                task.cancel()
            await asyncio.gather(*tills, return_exceptions=True)

        self.run(post())
        self.kill(process)

    def pass_time(self, seconds: float) -> None:
        """Let everybody work for a while."""
        self.run(asyncio.sleep(seconds))

    def work_until(self, done: Any, *, seconds: float) -> bool:
        """Let everybody work until `done()` is true of the database; False when it was not in that time."""
        steps = int(seconds / 0.05)
        for _ in range(steps):
            if done():
                return True
            self.pass_time(0.05)
        return bool(done())

    def ledger(self, counter: Counter) -> list[dict[str, Any]]:
        """What KRA has recorded for the branch, in its order."""
        rows: list[dict[str, Any]] = self.simulator.ledger(pin=counter.pin, branch=counter.branch)
        return rows

    def fault(self, counter: Counter, operation: str, name: str, *, times: int = 1, **parameters: Any) -> None:
        self.simulator.fault(operation, name, times=times, pin=counter.pin, branch=counter.branch, **parameters)

    def register_items(self) -> None:
        """Let the items' lanes run until KRA knows every item."""
        waiting = Item.objects.filter(company_id__in={c.company_id for c in self.counters}).exclude(status="registered")
        assert self.work_until(lambda: not waiting.exists(), seconds=60), list(waiting.values("status", "problem"))

    def close(self) -> None:
        for process in list(self.processes):
            self.kill(process)
        put_away_lanes()


async def _die(process: Process) -> None:
    await kill(process.engine)
    await process.desk.close()


def _standing() -> str:
    """Where each task of the loop stands."""
    stood = io.StringIO()
    for task in asyncio.all_tasks():
        task.print_stack(file=stood)
    return stood.getvalue()


async def in_thread(work: Callable[[], T]) -> T:
    """Ordinary code in a thread with database connections of its own."""

    def done() -> T:
        close_old_connections()
        try:
            return work()
        finally:
            close_old_connections()

    return await asyncio.to_thread(done)


def held(counter: Counter) -> str:
    return Lane.objects.values_list("hold_reason", flat=True).get(pk=counter.lane_id)


@contextlib.contextmanager
def street(simulator: Simulator, settings: Any, *, late_seconds: float) -> Iterator[Street]:
    """An empty street until the block ends; KRA as on its first day."""
    simulator.reset()
    put_away_lanes()
    settings.KRA_SANDBOX_PROFILE = "simulator"
    settings.KRA_SANDBOX_BASE_URL = f"{simulator.url}/oscu/etims-api"
    settings.KRA_SANDBOX_RECEIPT_URL = f"{simulator.url}/common/link/etims/receipt/indexEtimsReceiptData?Data="
    settings.ENGINE_LATE_SECONDS = late_seconds
    with asyncio.Runner() as runner:
        made = Street(runner, simulator, late_seconds)
        try:
            yield made
        finally:
            made.close()
