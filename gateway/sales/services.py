"""Take a sale: a known one is answered as it is, a new one is kept and carried to KRA, a refused one corrected."""

import asyncio
import contextlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gateway.catalog.judging import ItemRow
from gateway.catalog.shelf import Shelf, ShelfItem
from gateway.devices.desk import Desk, Seat
from gateway.devices.models import Device
from gateway.lanes.engine import Engine
from gateway.lanes.store import Intake, StoreDown, StoreRefused
from gateway.lanes.stored import id_value
from gateway.lib.clock import utc_now
from gateway.sales import statements
from gateway.sales.actions import correct_invoice
from gateway.sales.intake import MOST_LINES, SaleIn, Wrong, check, content_hash, invoice_row, work_out
from gateway.sales.unknown_items import judge_unknown, marked, register_unknown, shown, unknown_rows
from gateway.stock.statements import HELD
from gateway.tenants.threads import in_thread

POLL_SECONDS = 0.5
ON_ITS_WAY = frozenset({"queued", "sending", "unknown"})


class CompanyNotActive(Exception):
    """The company is suspended or closed: nothing new is taken."""


class DeviceNotFound(Exception):
    """The company has no such device in this environment, or none at all."""


class DeviceNotReady(Exception):
    """The device is not activated, or was retired."""


class Invalid(Exception):
    """Fields of the sale are wrong."""

    def __init__(self, wrongs: list[Wrong]) -> None:
        super().__init__("; ".join(f"{wrong.field}: {wrong.message}" for wrong in wrongs))
        self.wrongs = wrongs


class ReferenceReused(Exception):
    """The reference names a document with other content."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The invoice as it is now (a row of BY_REFERENCE), and whether its reference was known before."""

    row: Mapping[str, Any]
    replayed: bool


@dataclass(frozen=True, slots=True)
class Caller:
    """Who posts: the company and environment of the key, and the only device it may use, if it is bound to one."""

    company_id: int
    environment: str
    is_active: bool
    device: uuid.UUID | None = None


class Till:
    """What the hot path needs of this process: the engine, the devices, the catalogue."""

    def __init__(
        self,
        engine: Engine,
        desk: Desk,
        shelf: Shelf,
        *,
        waiting: int,
        waiting_company: int,
        registers_items: bool = True,
    ) -> None:
        self.engine = engine
        self.desk = desk
        self.shelf = shelf
        self._registers_items = registers_items  # those that a sale brings along
        self._waiting = waiting
        self._waiting_company = waiting_company
        self._waiting_by_company: dict[int, int] = {}

    async def known(self, caller: Caller, reference: str) -> dict[str, Any] | None:
        """The company's invoice under a reference, if there is one."""
        key = {"company_id": caller.company_id, "environment": caller.environment, "reference": reference}
        rows = await self.engine.store.read(statements.BY_REFERENCE, key)
        return rows[0] if rows else None

    async def by_public_id(self, caller: Caller, public_id: uuid.UUID) -> dict[str, Any] | None:
        """The company's invoice with an id, if there is one."""
        key = {"company_id": caller.company_id, "environment": caller.environment, "public_id": public_id}
        rows = await self.engine.store.read(statements.BY_PUBLIC_ID, key)
        return rows[0] if rows and _may_see(caller, rows[0]) else None

    async def record_sale(self, sale: SaleIn, *, caller: Caller, kind: str | None, wait_seconds: float) -> Outcome:
        """Keep a sale, wait for its receipt that long, and say what it is now. `kind` limits which devices may sign.

        A known reference is answered from its row before anything else is judged. Raises Invalid, DeviceNotFound,
        DeviceNotReady, CompanyNotActive, ReferenceReused, and lanes' NotKept.
        """
        try:
            row, seat, lanes = await self._judge(sale, caller, kind)
        except (Invalid, DeviceNotFound, DeviceNotReady, CompanyNotActive):
            known = await self.known(caller, sale.reference)
            if known is None:
                raise
            return await self._replay(known, sale, caller, None, wait_seconds)
        return await self._keep(sale, row, seat, lanes, caller, wait_seconds)

    async def _judge(
        self, sale: SaleIn, caller: Caller, kind: str | None
    ) -> tuple[dict[str, Any], Seat, tuple[int, ...]]:
        """The sale's row, who signs it, and the lanes besides its own that must stand still while it is kept."""
        if not caller.is_active:
            raise CompanyNotActive
        seat = await self._find_seat(sale, caller, kind)
        now = utc_now()
        wrongs = check(sale, now=now)
        if len(sale.lines) > MOST_LINES:
            raise Invalid(wrongs)
        codes = {line.item_code for line in sale.lines}
        items = await self.shelf.items(caller.company_id, caller.environment, codes)
        new: dict[int, ItemRow] = {}
        if self._registers_items and any(code not in items or not items[code].kra_code for code in codes):
            items, new, amiss = await self._with_unknown(sale, caller, items)
            named = {wrong.field for wrong in wrongs}
            wrongs += [wrong for wrong in amiss if wrong.field not in named]
        rates = await self.shelf.rates(caller.environment)
        result, more = work_out(sale, items=items, rates=rates, seat=seat)
        if wrongs or more:
            named = {wrong.field for wrong in wrongs}
            raise Invalid(wrongs + [wrong for wrong in more if wrong.field not in named])
        if new:
            items = await self._registered(sale, caller, new)
            result, wrongs = work_out(sale, items=items, rates=rates, seat=seat)
            if wrongs:  # somebody else has put the item into the catalogue meanwhile, in other words
                raise Invalid(wrongs)
        lanes: tuple[int, ...] = ()
        if seat.profile.stock_first or not seat.row["negative_stock"]:
            lanes = await self._must_be_in_stock(sale, seat)
        client, credentials = self.desk.client(seat), self.desk.identity(seat)
        try:
            row = invoice_row(
                sale, result, items=items, rates=rates, seat=seat, client=client, credentials=credentials, now=now
            )
        except ValueError as error:
            raise Invalid([Wrong("lines", "not_sendable", f"KRA cannot take this: {error}.")]) from error
        return row, seat, (*lanes, *await self._lanes_waited_for(row))

    async def _must_be_in_stock(self, sale: SaleIn, seat: Seat) -> tuple[int, ...]:
        """Raises Invalid for lines of more than the branch has, where it keeps the item in stock.

        Gives the branch's lane of stock: whoever takes goods out meanwhile must see this sale, or be seen by it.
        """
        codes = sorted({line.item_code for line in sale.lines})
        rows = await self.engine.store.read(HELD, {"lane_id": seat.row["lane_id"], "codes": codes})
        left = {row["code"]: Decimal(row["quantity"] - row["promised"]).scaleb(-3) for row in rows}
        wrongs: list[Wrong] = []
        for index, line in enumerate(sale.lines):
            if line.item_code not in left:
                continue
            if left[line.item_code] < line.quantity:
                has = format(max(left[line.item_code], Decimal(0)).normalize(), "f")
                message = f"The branch has {has} of {line.item_code} left. Book what came in first."
                wrongs.append(Wrong(f"lines[{index}].quantity", "insufficient_stock", message))
            left[line.item_code] -= line.quantity
        if wrongs:
            raise Invalid(wrongs)
        return tuple({row["stock_lane_id"] for row in rows})

    async def _with_unknown(
        self, sale: SaleIn, caller: Caller, items: Mapping[str, ShelfItem]
    ) -> tuple[dict[str, ShelfItem], dict[int, ItemRow], list[Wrong]]:
        """The items as they will be once those that the sale brings along are registered, these, and what is wrong."""
        described, wrongs = unknown_rows(sale, items)
        new: dict[int, ItemRow] = {}
        if described:
            new, amiss = await in_thread(caller.company_id, judge_unknown, caller.environment, described)
            wrongs += amiss
        return marked({**items, **shown(new.values())}, sale), new, wrongs

    async def _registered(self, sale: SaleIn, caller: Caller, new: dict[int, ItemRow]) -> dict[str, ShelfItem]:
        """The sale's items, those that it brings along being registered from now on. Raises Invalid."""
        known = await self.known(caller, sale.reference)
        if known is not None and known["status"] != "refused":
            raise Invalid([Wrong("reference", "duplicate", "This reference names another document.")])
        await in_thread(caller.company_id, register_unknown, caller.company_id, caller.environment, list(new.values()))
        codes = {line.item_code for line in sale.lines}
        brought = {row.code for row in new.values()}
        return marked(await self.shelf.items(caller.company_id, caller.environment, codes), sale, brought)

    async def _find_seat(self, sale: SaleIn, caller: Caller, kind: str | None) -> Seat:
        """The device that signs. One that was added or activated a moment ago is found as well."""
        seats = await self.desk.of_company(caller.company_id, caller.environment)
        try:
            return chosen_seat(seats, sale, caller, kind)
        except (DeviceNotFound, DeviceNotReady):
            seats = await self.desk.of_company(caller.company_id, caller.environment, afresh=True)
            return chosen_seat(seats, sale, caller, kind)

    async def _keep(
        self,
        sale: SaleIn,
        row: dict[str, Any],
        seat: Seat,
        lanes: tuple[int, ...],
        caller: Caller,
        wait_seconds: float,
    ) -> Outcome:
        may_wait = wait_seconds > 0 and self._room(caller.company_id)
        future = self.engine.watch(row["public_id"]) if may_wait else None
        self._count(caller.company_id, may_wait)
        try:
            kept = await self.engine.keep(Intake(statements.KEEP, row, lanes=lanes))
            if kept.id is None:
                known = await self.known(caller, sale.reference)
                assert known is not None  # the database has just refused a second one
                return await self._replay(known, sale, caller, row, wait_seconds)
            changes: Mapping[str, Any] | None = None
            if future is not None and not kept.stalled:
                changes = await _within(future, wait_seconds)
            if changes and not row["waits_for"]:  # one that waited has changed on the way
                return Outcome({**_fresh(row, seat), **changes, "id": kept.id}, replayed=False)
        finally:
            self._count(caller.company_id, may_wait, -1)
            if future is not None:
                future.cancel()
        now = await self.by_public_id(caller, row["public_id"])
        assert now is not None
        return Outcome(now, replayed=False)

    async def _lanes_waited_for(self, row: Mapping[str, Any]) -> tuple[int, ...]:
        """The lane in which items of the sale are still to be registered."""
        if not row["waits_for"]:
            return ()
        key = {name: row[name] for name in ("company_id", "environment")}
        return tuple(lane["id"] for lane in await self.engine.store.read(statements.ITEM_LANE, key))

    async def _replay(
        self,
        known: dict[str, Any],
        sale: SaleIn,
        caller: Caller,
        row: dict[str, Any] | None,
        wait_seconds: float,
    ) -> Outcome:
        """Answer a known reference as it is now; while it is refused, other content corrects it.

        `row` is the judged sale; None when it could not be taken as it is, and so cannot correct anything.
        """
        if not _may_see(caller, known):
            raise ReferenceReused
        fingerprint = content_hash(sale)
        if known["content_hash"] != fingerprint:
            is_other = row is None or known["lane_id"] != row["lane_id"] or known["kind"] != row["kind"]
            if known["status"] != "refused" or row is None or is_other:
                raise ReferenceReused
            corrected = await in_thread(
                row["company_id"], correct_invoice, invoice_id=known["id"], revision=known["revision"], row=row
            )
            if not corrected:  # somebody else was quicker, perhaps with the very same correction
                now = await self.known(caller, sale.reference)
                if now is None or now["content_hash"] != fingerprint:
                    raise ReferenceReused
                return await self._replay(now, sale, caller, None, wait_seconds)
            await self.wait_for(id_value(known["public_id"]), caller, wait_seconds)
            now = await self.known(caller, sale.reference)
            assert now is not None
            return Outcome(now, replayed=False)
        if known["status"] in ON_ITS_WAY and not known["hold_reason"]:
            await self.wait_for(id_value(known["public_id"]), caller, wait_seconds)
            known = await self.known(caller, sale.reference) or known
        return Outcome(known, replayed=True)

    async def wait_for(self, public_id: uuid.UUID, caller: Caller, wait_seconds: float) -> None:
        """Wait until a document that is on its way is settled, or so long; not where too many wait already."""
        if wait_seconds <= 0 or not self._room(caller.company_id):
            return
        future = self.engine.watch(public_id)
        self._count(caller.company_id, True)
        try:
            now = await self.by_public_id(caller, public_id)
            if now is not None and now["status"] in ON_ITS_WAY:
                await _within(future, wait_seconds)
        finally:
            self._count(caller.company_id, True, -1)
            future.cancel()

    async def tell_what_others_settled(self) -> None:
        """The slow net under waiting requests whose invoice another process settles; runs until it is cancelled."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            waited = self.engine.watched_ids()
            if not waited:
                continue
            with contextlib.suppress(StoreDown, StoreRefused):
                for row in await self.engine.store.read(statements.SETTLED, {"public_ids": waited}):
                    self.engine.tell(id_value(row["public_id"]), {})

    def _room(self, company_id: int) -> bool:
        return (
            self.engine.watched < self._waiting and self._waiting_by_company.get(company_id, 0) < self._waiting_company
        )

    def _count(self, company_id: int, counted: bool, change: int = 1) -> None:
        if counted:
            left = self._waiting_by_company.get(company_id, 0) + change
            if left:
                self._waiting_by_company[company_id] = left
            else:
                self._waiting_by_company.pop(company_id, None)


def _may_see(caller: Caller, row: Mapping[str, Any]) -> bool:
    """Whether a key that is bound to one device may see the invoice."""
    return caller.device is None or id_value(row["device_public_id"]) == caller.device


def chosen_seat(seats: list[Seat], sale: SaleIn, caller: Caller, kind: str | None) -> Seat:
    """The one of these devices that signs this sale. Raises DeviceNotFound, DeviceNotReady, Invalid."""
    seats = [seat for seat in seats if kind is None or seat.row["kind"] == kind]
    if caller.device is not None:
        seats = [seat for seat in seats if seat.public_id == caller.device]
    if sale.device is not None:
        seats = [seat for seat in seats if sale.device in seat.names]
    else:
        in_use = [seat for seat in seats if seat.row["status"] != Device.Status.RETIRED]
        if len(in_use) > 1:
            active = [seat for seat in in_use if seat.is_active]
            if len(active) != 1:
                raise Invalid([Wrong("device", "missing", "The company has several devices: say which one.")])
            in_use = active
        seats = in_use
    if not seats:
        raise DeviceNotFound
    if seats[0].row["status"] not in (Device.Status.ACTIVE, Device.Status.TROUBLE):
        raise DeviceNotReady(f"The device {seats[0].row['serial']} is {seats[0].row['status']}.")
    return seats[0]


async def _within(future: "asyncio.Future[Mapping[str, Any]]", seconds: float) -> Mapping[str, Any] | None:
    try:
        return await asyncio.wait_for(asyncio.shield(future), seconds)
    except TimeoutError:
        return None


def _fresh(row: dict[str, Any], seat: Seat) -> dict[str, Any]:
    """A row that was just kept, with the columns that its answer needs."""
    return {**row, "revision": 1, "device_public_id": seat.public_id, "problem": None, "receipt_number": None}
