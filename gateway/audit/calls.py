"""The calls to the API, written down by a thread of their own: a sale never waits for it.

What does not fit into the buffer is dropped and counted; so is what the database does not take.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable

from django.db import DatabaseError, close_old_connections, connection

from gateway.audit.models import ApiCall
from gateway.tenants.isolation import connect_as, everything

log = logging.getLogger(__name__)

MOST_WAITING = 20_000
BATCH = 500
EVERY_SECONDS = 1.0


class CallLog:
    """Takes calls from the engine's loop and writes them in batches. `mask` is applied to each path."""

    def __init__(self, *, mask: Callable[[str], str], most: int = MOST_WAITING) -> None:
        self.dropped = 0
        self._mask = mask
        self._most = most
        self._waiting: deque[ApiCall] = deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="call log", daemon=True)

    def add(self, call: ApiCall) -> None:
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
            for call in batch:
                call.path = self._mask(call.path)[:300]
            try:
                with everything():
                    ApiCall.objects.bulk_create(batch)
                written += len(batch)
            except DatabaseError as error:
                self.dropped += len(batch)
                log.warning("%d calls could not be written down: %s", len(batch), error)
                close_old_connections()
        return written

    def _run(self) -> None:
        connect_as("chores")
        try:
            while not self._stop.wait(EVERY_SECONDS):
                self.write()
            self.write()
        finally:
            connection.close()
