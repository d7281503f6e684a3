"""The calls to the API, written down by a thread of their own: a sale never waits for it.

What does not fit into the buffer is dropped and counted; so is what the database does not take. Without the ORM, which
would cost every sale a fifth of a millisecond.
"""

import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from django.db import DatabaseError, close_old_connections, connection

from gateway.tenants.isolation import connect_as, everything

log = logging.getLogger(__name__)

MOST_WAITING = 20_000
BATCH = 500
EVERY_SECONDS = 1.0


class Call(NamedTuple):
    """One call, its fields named as the columns of `ApiCall`."""

    company_id: int | None
    environment: str
    at: datetime
    method: str
    path: str
    status: int
    code: str
    duration_ms: int
    key_prefix: str
    address: str
    request_id: str
    subject: uuid.UUID | None


_COLUMNS = ", ".join(Call._fields)
_POSTGRES = f"""
INSERT INTO audit_apicall ({_COLUMNS}) SELECT {_COLUMNS} FROM json_to_recordset(%s::json) AS call (company_id bigint,
    environment text, at timestamptz, method text, path text, status int, code text, duration_ms int, key_prefix text,
    address text, request_id text, subject uuid)
"""
_SQLITE = f"INSERT INTO audit_apicall ({_COLUMNS}) VALUES ({', '.join(['%s'] * len(Call._fields))})"


class CallLog:
    """Takes calls from the engine's loop and writes them in batches. `mask` is applied to each path."""

    def __init__(self, *, mask: Callable[[str], str], most: int = MOST_WAITING) -> None:
        self.dropped = 0
        self._mask = mask
        self._most = most
        self._waiting: deque[Call] = deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="call log", daemon=True)

    def add(self, call: Call) -> None:
        """Keep a call to be written soon; never waits."""
        if len(self._waiting) >= self._most:
            self.dropped += 1
        else:
            self._waiting.append(call)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, for a few seconds at most."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=5)

    def write(self) -> int:
        """Write what has gathered; how many."""
        written = 0
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                with everything():
                    _insert([call._replace(path=self._readable(call.path)) for call in batch])
                written += len(batch)
            except DatabaseError as error:
                self.dropped += len(batch)
                log.warning("%d calls could not be written down: %s", len(batch), error)
                close_old_connections()
        return written

    def _readable(self, path: str) -> str:
        """The path without secrets, and without the one character that PostgreSQL takes nowhere."""
        return self._mask(path).replace("\0", "\N{REPLACEMENT CHARACTER}")[:300]

    def _run(self) -> None:
        connect_as("chores")
        try:
            while not self._stop.wait(EVERY_SECONDS):
                self.write()
            self.write()
        finally:
            connection.close()


def _insert(calls: list[Call]) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # one message, one statement
            cursor.execute(_POSTGRES, [msgspec.json.encode([call._asdict() for call in calls]).decode()])
        else:
            cursor.executemany(_SQLITE, [_as_django_keeps(call) for call in calls])


def _as_django_keeps(call: Call) -> Call:
    """Times and ids as Django writes them on SQLite: UTC without saying so, and bare hex."""
    subject: Any = call.subject.hex if call.subject else None
    return call._replace(at=call.at.replace(tzinfo=None), subject=subject)
