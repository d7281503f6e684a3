"""Everything the simulated KRA knows, in memory; the ledger holds the same on disk.

A taxpayer owns branches and items; a branch owns its number series, its stock and its devices. Numbers move only when a
document is accepted.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from gateway.simulator.clock import Clock
from gateway.simulator.ledger import Ledger, Row
from gateway.simulator.settings import Settings, changed_settings, read_settings
from gateway.simulator.signing import control_unit_id, derive, machine_code

Key = tuple[str, str]


@dataclass(slots=True, eq=False)
class Record:
    """One thing a caller saved or KRA published: an item, a customer, a notice, an imported line."""

    kind: str
    pin: str
    branch: str
    key: str
    changed_at: int
    body: dict[str, Any]


@dataclass(slots=True, eq=False)
class Device:
    """A control unit that KRA approved by its serial number. It has keys only after it was initialized."""

    id: int
    serial: str
    kind: str
    branch: Branch
    key: str
    signing_key: bytes
    activated_at: int | None = None
    receipts: int = 0
    copies: int = 0  # duplicate rows at KRA, one more with each repeated initialization while the fault is on
    last_contact: int = 0

    @property
    def unit(self) -> str:
        return control_unit_id(self.id)

    @property
    def machine(self) -> str:
        return machine_code(self.id)

    @property
    def number(self) -> str:
        return f"{self.id:016d}"

    def row(self) -> tuple[str, Row]:
        return "device", (
            self.id, self.branch.id, self.serial, self.kind, self.activated_at, self.receipts, self.copies,
            self.last_contact
        )  # fmt: skip


@dataclass(slots=True, eq=False)
class Branch:
    """One place of business: the scope of the invoice, purchase and stock number series."""

    id: int
    pin: str
    code: str
    name: str
    address: str
    changed_at: int
    next_invoice: int = 1
    next_purchase: int = 1
    next_stock: int = 1
    knows_classes: bool = False
    stock: dict[str, Decimal] = field(default_factory=dict)
    unsent: int = 0  # documents a VSCU signed and has not yet forwarded
    lookups: list[int] = field(default_factory=list)

    def row(self) -> tuple[str, Row]:
        return "branch", (
            self.id, self.pin, self.code, self.name, self.address, self.next_invoice, self.next_purchase,
            self.next_stock,
            int(self.knows_classes), self.changed_at,
        )  # fmt: skip


@dataclass(slots=True, eq=False)
class Taxpayer:
    """A PIN that KRA knows."""

    pin: str
    name: str
    next_item: int = 1
    items: dict[str, Record] = field(default_factory=dict)
    branches: dict[str, Branch] = field(default_factory=dict)

    def row(self) -> tuple[str, Row]:
        return "taxpayer", (self.pin, self.name, self.next_item)


class World:
    """The state, and the few ways to change it that more than one operation needs."""

    def __init__(self, ledger: Ledger, *, seed: int | None = None, strict: bool | None = None) -> None:
        self.ledger = ledger
        self.seed = seed
        self.strict_at_start = strict
        self.load()

    def load(self) -> None:
        """Read everything from disk; what the file does not say yet is decided and written."""
        ledger = self.ledger
        stored = {row["name"]: row["value"] for row in ledger.rows("SELECT name, value FROM settings")}
        self.settings: Settings = read_settings(stored)
        if self.strict_at_start is not None:
            self.settings.strict = self.strict_at_start
        if "secret" in stored and self.seed is None:
            self.secret = bytes.fromhex(stored["secret"])
        else:
            self.secret = secrets.token_bytes(32) if self.seed is None else derive(b"seed", str(self.seed))
        self.clock = Clock(int(stored.get("clock_offset_ms", "0")))
        self.taxpayers: dict[str, Taxpayer] = {}
        self.branches: dict[Key, Branch] = {}
        self.devices: dict[str, Device] = {}  # by serial
        self.by_key: dict[str, Device] = {}
        self.units: dict[Key, Device] = {}  # the VSCU of a branch
        self.behind: set[Branch] = set()  # branches whose VSCU keeps documents that KRA does not know yet
        self.records: dict[str, dict[Key, dict[str, Record]]] = {}
        self._load_parties()
        self._load_records()
        ledger.add("setting", ("secret", self.secret.hex()))
        ledger.add("setting", ("options", self.settings.to_json()))

    def _load_parties(self) -> None:
        ledger = self.ledger
        for row in ledger.rows("SELECT * FROM taxpayers"):
            self.taxpayers[row["pin"]] = Taxpayer(*row)
        by_id: dict[int, Branch] = {}
        for row in ledger.rows("SELECT * FROM branches"):
            branch = Branch(
                id=row["id"], pin=row["pin"], code=row["code"], name=row["name"], address=row["address"],
                changed_at=row["changed_at"], next_invoice=row["next_invoice"], next_purchase=row["next_purchase"],
                next_stock=row["next_stock"], knows_classes=bool(row["knows_classes"]),
            )  # fmt: skip
            by_id[branch.id] = branch
            self._keep_branch(branch)
        for row in ledger.rows("SELECT * FROM devices ORDER BY coalesce(activated_at, 0), id"):
            device = self._new_device(row["id"], row["serial"], row["kind"], by_id[row["branch_id"]])
            device.activated_at, device.receipts = row["activated_at"], row["receipts"]
            device.copies, device.last_contact = row["copies"], row["last_contact"]
            self._keep_device(device)
        for row in ledger.rows("SELECT branch_id, item, quantity FROM stock"):
            by_id[row["branch_id"]].stock[row["item"]] = Decimal(row["quantity"])
        for row in ledger.rows(
            "SELECT branch_id, count(*) AS n FROM documents WHERE known_at IS NULL GROUP BY branch_id"
        ):
            by_id[row["branch_id"]].unsent = row["n"]
            self.behind.add(by_id[row["branch_id"]])

    def _load_records(self) -> None:
        decode = msgspec.json.Decoder(float_hook=Decimal).decode
        for row in self.ledger.stream("SELECT kind, pin, branch, key, changed_at, body FROM records"):
            self._keep_record(Record(row[0], row[1], row[2], row[3], row[4], decode(row[5])))

    def approve(
        self, *, pin: str, branch: str, serial: str, kind: str, name: str | None, address: str | None
    ) -> Device:
        """Approve a device serial for a branch, as KRA does on its portal. A second time changes nothing but names."""
        now = self.clock.now_ms()
        taxpayer = self.taxpayers.get(pin)
        if taxpayer is None:
            taxpayer = self.taxpayers[pin] = Taxpayer(pin, name or f"SIMULATED TRADER {pin}")
        elif name:
            taxpayer.name = name
        self.ledger.touch(taxpayer.row)
        place = self.branches.get((pin, branch))
        if place is None:
            title = "Headquarter" if branch == "00" else f"Branch {branch}"
            place = Branch(len(self.branches) + 1, pin, branch, title, address or "SIMULATED PLAZA, NAIROBI", now)
            self._keep_branch(place)
        elif address:
            place.address = address
        self.ledger.touch(place.row)
        device = self.devices.get(serial)
        if device is None:
            device = self._new_device(len(self.devices) + 1, serial, kind, place)
            self._keep_device(device)
        self.ledger.touch(device.row)
        return device

    def activate(self, device: Device, now: int) -> None:
        """Give a device its keys; from now on it is the unit of its branch."""
        device.activated_at = device.last_contact = now
        self._keep_device(device)
        self.ledger.touch(device.row)

    def _new_device(self, number: int, serial: str, kind: str, branch: Branch) -> Device:
        words = (branch.pin, branch.code, serial)
        key = "SIMKEY" + derive(self.secret, "key", *words).hex()[:42].upper()
        return Device(number, serial, kind, branch, key, derive(self.secret, "sign", *words))

    def _keep_branch(self, branch: Branch) -> None:
        self.branches[branch.pin, branch.code] = branch
        self.taxpayers[branch.pin].branches[branch.code] = branch

    def _keep_device(self, device: Device) -> None:
        self.devices[device.serial] = device
        if device.activated_at is not None:
            self.by_key[device.key] = device
            if device.kind == "vscu":
                self.units[device.branch.pin, device.branch.code] = device

    def branch_by_id(self, number: int) -> Branch:
        return next(branch for branch in self.branches.values() if branch.id == number)

    def device_by_id(self, number: int | None) -> Device:
        return next(device for device in self.devices.values() if device.id == number)

    def signer(self, branch: Branch) -> Device | None:
        """A control unit of the branch that can sign; the newest where there are several."""
        able = [
            device for device in self.devices.values() if device.branch is branch and device.activated_at is not None
        ]
        return max(able, key=lambda device: device.activated_at or 0, default=None)

    def save(self, kind: str, pin: str, branch: str, key: str, body: dict[str, Any], now: int) -> Record:
        """Add a record or replace it; ``now`` is when lists will say it changed."""
        record = Record(kind, pin, branch, key, now, body)
        self._keep_record(record)
        self.ledger.add("record", (kind, pin, branch, key, now, _ENCODE(body)))
        return record

    def _keep_record(self, record: Record) -> None:
        self.records.setdefault(record.kind, {}).setdefault((record.pin, record.branch), {})[record.key] = record
        if record.kind == "item" and record.pin in self.taxpayers:
            self.taxpayers[record.pin].items[record.key] = record

    def record(self, kind: str, pin: str, branch: str, key: str) -> Record | None:
        return self.records.get(kind, {}).get((pin, branch), {}).get(key)

    def changed(self, kind: str, pin: str, branch: str, since: int) -> Iterable[Record]:
        """Records changed at or after an instant. The instant's own second counts, so that nothing slips between."""
        return [row for row in self.records.get(kind, {}).get((pin, branch), {}).values() if row.changed_at >= since]

    def move_stock(self, branch: Branch, item: str, quantity: Decimal) -> None:
        """Add to (or, negative, take from) what a branch holds of an item."""
        held = branch.stock.get(item, Decimal(0)) + quantity
        branch.stock[item] = held
        self.ledger.add("stock", (branch.id, item, str(held)))

    def change_settings(self, changes: bytes) -> None:
        """Apply a JSON object of changed settings. Raises msgspec.ValidationError for what cannot be."""
        before = self.settings
        self.settings = changed_settings(before, changes)
        if self.settings.rates != before.rates:
            self.settings.rates_changed_at = self.clock.now_ms()
        self.ledger.add("setting", ("options", self.settings.to_json()))

    def save_clock(self) -> None:
        self.ledger.add("setting", ("clock_offset_ms", str(self.clock.offset_ms)))


_ENCODE = msgspec.json.Encoder(decimal_format="number").encode
