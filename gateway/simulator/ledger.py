"""What KRA keeps: one SQLite file (WAL, synchronous=FULL), one writer, group commit.

Decisions are taken in memory on the event loop, one after another, and written as rows here. Whatever gathered while
the
last commit ran goes into the next transaction; an answer leaves only after ``committed`` came true for its rows.
Rows are
inserted on the loop's own thread and only the COMMIT, which waits for the disk with the interpreter lock released, runs
beside it: two threads that both want the lock cost more than the inserts.

If a transaction fails, memory and disk no longer agree. Then the process stops at once; the file still holds exactly
what was answered.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

log = logging.getLogger(__name__)

Row = tuple[Any, ...]

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS taxpayers (pin TEXT PRIMARY KEY, name TEXT NOT NULL, next_item INTEGER NOT NULL) WITHOUT
    ROWID;
CREATE TABLE IF NOT EXISTS branches (
    id INTEGER PRIMARY KEY, pin TEXT NOT NULL, code TEXT NOT NULL, name TEXT NOT NULL, address TEXT NOT NULL,
    next_invoice INTEGER NOT NULL, next_purchase INTEGER NOT NULL, next_stock INTEGER NOT NULL,
    knows_classes INTEGER NOT NULL, changed_at INTEGER NOT NULL, UNIQUE (pin, code));
CREATE TABLE IF NOT EXISTS devices (
    id INTEGER PRIMARY KEY, branch_id INTEGER NOT NULL REFERENCES branches, serial TEXT NOT NULL UNIQUE, kind TEXT
    NOT NULL,
    activated_at INTEGER, receipts INTEGER NOT NULL, copies INTEGER NOT NULL, last_contact INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS records (
    kind TEXT NOT NULL, pin TEXT NOT NULL, branch TEXT NOT NULL, key TEXT NOT NULL, changed_at INTEGER NOT NULL,
    body BLOB NOT NULL, PRIMARY KEY (kind, pin, branch, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stock (
    branch_id INTEGER NOT NULL, item TEXT NOT NULL, quantity TEXT NOT NULL, PRIMARY KEY (branch_id, item)) WITHOUT
    ROWID;
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL, headers BLOB NOT NULL,
    body BLOB NOT NULL, flavour TEXT, operation TEXT, pin TEXT, branch TEXT, status INTEGER, code TEXT, faults TEXT);
CREATE TABLE IF NOT EXISTS documents (
    id INTEGER PRIMARY KEY, branch_id INTEGER NOT NULL, kind TEXT NOT NULL, number INTEGER NOT NULL, reference TEXT
    NOT NULL,
    total TEXT NOT NULL, buyer TEXT, original INTEGER, receipt_number INTEGER, signature TEXT, internal_data TEXT,
    signed_at TEXT, recorded_at INTEGER NOT NULL, known_at INTEGER, device_id INTEGER, flavour TEXT NOT NULL,
    origin TEXT NOT NULL, request_id INTEGER, body BLOB);
CREATE UNIQUE INDEX IF NOT EXISTS invoice_number_once ON documents (branch_id, number) WHERE kind IN ('sale',
    'credit_note');
CREATE INDEX IF NOT EXISTS invoice_by_buyer ON documents (buyer) WHERE buyer IS NOT NULL;
CREATE INDEX IF NOT EXISTS credit_by_original ON documents (branch_id, original) WHERE original IS NOT NULL;
CREATE INDEX IF NOT EXISTS invoice_unsent ON documents (branch_id) WHERE known_at IS NULL;
CREATE TABLE IF NOT EXISTS faults (id INTEGER PRIMARY KEY, rule TEXT NOT NULL, used INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS late (id INTEGER PRIMARY KEY, due INTEGER NOT NULL, request BLOB NOT NULL);
"""
TABLES: Final = (
    "settings", "taxpayers", "branches", "devices", "records", "stock", "requests", "documents", "faults", "late"
)  # fmt: skip

STATEMENTS: Final = {
    "setting": "INSERT OR REPLACE INTO settings VALUES (?,?)",
    "taxpayer": "INSERT OR REPLACE INTO taxpayers VALUES (?,?,?)",
    "branch": "INSERT OR REPLACE INTO branches VALUES (?,?,?,?,?,?,?,?,?,?)",
    "device": "INSERT OR REPLACE INTO devices VALUES (?,?,?,?,?,?,?,?)",
    "record": "INSERT OR REPLACE INTO records VALUES (?,?,?,?,?,?)",
    "forget_record": "DELETE FROM records WHERE kind=? AND pin=? AND branch=? AND key=?",
    "stock": "INSERT OR REPLACE INTO stock VALUES (?,?,?)",
    "request": "INSERT INTO requests VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
    "document": "INSERT INTO documents VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    "known": "UPDATE documents SET known_at=? WHERE branch_id=? AND known_at IS NULL",
    "fault": "INSERT OR REPLACE INTO faults VALUES (?,?,?)",
    "forget_fault": "DELETE FROM faults WHERE id=?",
    "late": "INSERT INTO late VALUES (?,?,?)",
    "forget_late": "DELETE FROM late WHERE id=?",
}

LARGEST: Final = 2**63 - 1  # what SQLite holds; the protocol's 38 digits go further, a series does not
INVOICES: Final = ("sale", "credit_note")
# The columns of a document, its body taken from the request where it was stored only there.
_SELECT: Final = (
    "SELECT documents.id, branch_id, kind, number, reference, total, buyer, original, receipt_number, signature, "
    "internal_data, signed_at, recorded_at, known_at, device_id, documents.flavour, origin, request_id, "
    "coalesce(documents.body, requests.body) AS body FROM documents LEFT JOIN requests ON requests.id = request_id"
)


class Document(NamedTuple):
    """One recorded document, in column order. ``body`` is None when it is the body of its request."""

    id: int
    branch_id: int
    kind: str  # sale, credit_note, purchase, stock_movement, stock_master
    number: int
    reference: str
    total: str
    buyer: str | None
    original: int | None
    receipt_number: int | None
    signature: str | None
    internal_data: str | None
    signed_at: str | None
    recorded_at: int
    known_at: int | None  # when KRA learnt of it; None while it waits in a VSCU
    device_id: int | None
    flavour: str
    origin: str  # caller, late, or another system that shares the branch
    request_id: int | None
    body: bytes | None


class StateInUse(Exception):
    """Another simulator works on this file; choose another file or stop the other one."""


class Ledger:
    """The file and its writer. Everything but the commit happens on the event loop's thread."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = path.with_name(path.name + ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise StateInUse(f"another simulator already uses {path}") from error
        self._writer = _connect(path)
        self._writer.executescript(SCHEMA)
        self._reader = _connect(path)
        self._thread = ThreadPoolExecutor(1, "ledger-commit")
        self._rows: dict[str, list[Row]] = {name: [] for name in STATEMENTS}
        self._waiting: asyncio.Future[None] | None = None
        self._committing = False
        self._dirty: set[Callable[[], tuple[str, Row]]] = set()
        self.next_request = self._next_id("requests")
        self.next_document = self._next_id("documents")
        self.next_late = self._next_id("late")
        self.commits = 0
        self._unsaved: dict[tuple[int, int], Document] = {}  # invoices that are not on disk yet
        self._saving: dict[tuple[int, int], Document] = {}

    def add(self, statement: str, row: Row) -> None:
        """Put a row into the transaction that is being gathered."""
        self._rows[statement].append(row)

    def take_request_id(self) -> int:
        """The id of the next request."""
        self.next_request += 1
        return self.next_request - 1

    def new_document(
        self, *, branch_id: int, kind: str, number: int, reference: str, total: str, recorded_at: int,
        known_at: int | None,
        device_id: int, flavour: str, origin: str, request_id: int | None,
    ) -> Document:  # fmt: skip
        """A document with the next id; its seal, buyer and original are set by whoever signs it."""
        self.next_document += 1
        return Document(
            self.next_document - 1, branch_id, kind, number, reference, total, None, None, None, None, None, None,
            recorded_at, known_at, device_id, flavour, origin, request_id, None,
        )  # fmt: skip

    def record(self, document: Document, body: bytes) -> None:
        """Add a document. Its bytes are stored once: with the request that brought it, or else here."""
        self.add("document", document)
        if document.kind in INVOICES:
            self._unsaved[document.branch_id, document.number] = document._replace(body=body)

    def touch(self, row: Callable[[], tuple[str, Row]]) -> None:
        """Write this object's row as it is when the transaction closes, once however often it was touched."""
        self._dirty.add(row)

    def committed(self) -> asyncio.Future[None]:
        """Comes true when everything added so far is on disk."""
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_future()
            if not self._committing:
                # the next turn of the loop: what other requests decide in this turn shares the commit
                self._committing = True
                asyncio.get_running_loop().call_soon(self._start)
        return self._waiting

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        done, self._waiting = self._waiting, None
        try:
            self._insert()
        except sqlite3.Error:
            _stop_at_once()
        commit = loop.run_in_executor(self._thread, self._writer.execute, "COMMIT")
        commit.add_done_callback(lambda finished: self._finish(finished, done))

    def _insert(self) -> None:
        writer = self._writer
        writer.execute("BEGIN IMMEDIATE")
        for write in self._dirty:
            name, row = write()
            self._rows[name].append(row)
        self._dirty.clear()
        self._saving, self._unsaved = self._unsaved, {}
        for name, rows in self._rows.items():
            if rows:
                writer.executemany(STATEMENTS[name], rows)
                self._rows[name] = []

    def _finish(self, finished: asyncio.Future[Any], done: asyncio.Future[None] | None) -> None:
        if finished.exception() is not None:
            _stop_at_once()
        self.commits += 1
        self._saving = {}
        if done is not None and not done.done():
            done.set_result(None)
        if self._waiting is None:
            self._committing = False
        else:
            self._start()

    def write_now(self) -> None:
        """Insert and commit what was added, on this thread. Only before the server runs, and at its end."""
        self._insert()
        self._writer.execute("COMMIT")

    def empty(self) -> None:
        """Forget everything. Nothing may be being gathered or committed meanwhile."""
        self._writer.execute("BEGIN IMMEDIATE")
        for table in TABLES:
            self._writer.execute(f"DELETE FROM {table}")
        self._writer.execute("COMMIT")
        self.next_request = self.next_document = self.next_late = 1

    @property
    def is_idle(self) -> bool:
        """True while nothing waits for the disk."""
        return not self._committing

    def close(self) -> None:
        self._thread.shutdown()
        self._writer.close()
        self._reader.close()
        self._lock.close()

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """What a query finds on disk."""
        return self._reader.execute(sql, parameters).fetchall()

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self._reader.execute(sql, parameters).fetchone()
        return found

    def invoice(self, branch_id: int, number: int) -> Document | None:
        """The sale or credit note with that number, also when it is not on disk yet; its body filled in."""
        if number > LARGEST:
            return None
        key = (branch_id, number)
        waiting = self._unsaved.get(key) or self._saving.get(key)
        if waiting is not None:
            return waiting
        row = self.one(f"{_SELECT} WHERE branch_id=? AND number=? AND kind IN ('sale','credit_note')", key)
        return None if row is None else Document(*row)

    def credits(self, branch_id: int, original: int) -> list[Document]:
        """The credit notes against one sale."""
        rows = self.rows(f"{_SELECT} WHERE branch_id=? AND original=?", (branch_id, original))
        found = {row["id"]: Document(*row) for row in rows}
        for waiting in (self._saving, self._unsaved):
            for document in waiting.values():
                if document.branch_id == branch_id and document.original == original:
                    found[document.id] = document
        return list(found.values())

    def documents(self, where: str, parameters: Sequence[Any] = ()) -> list[Document]:
        """Documents on disk, bodies filled in, in the order in which they were recorded."""
        return [Document(*row) for row in self.rows(f"{_SELECT} WHERE {where}", parameters)]

    def stream(self, sql: str, parameters: Sequence[Any] = ()) -> Iterable[sqlite3.Row]:
        return self._reader.execute(sql, parameters)

    def _next_id(self, table: str) -> int:
        row = self.one(f"SELECT coalesce(max(id), 0) + 1 FROM {table}")
        assert row is not None
        return int(row[0])


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5, cached_statements=64)
    connection.row_factory = sqlite3.Row
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=4000", "cache_size=-65536"):
        connection.execute(f"PRAGMA {pragma}").close()
    return connection


def _stop_at_once() -> None:
    log.critical(
        "the simulator's ledger cannot be written; stopping so that nothing unrecorded is answered", exc_info=True
    )
    os._exit(70)
