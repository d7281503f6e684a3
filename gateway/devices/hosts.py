"""KRA's hosts as this process sees them: whether they answer, and which lanes rest because they do not."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.kra.breaker import Breaker, due_at, is_host_trouble
from gateway.kra.errors import KraError

T = TypeVar("T")

ASKS_A_SECOND = 20.0  # how often lanes behind an open breaker come to ask, all together
SHORTEST_REST = 3.0
LONGEST_REST = 60.0


class HostDown(Exception):
    """The breaker of the host is open: nothing was sent. Rest `seconds`, then ask again."""

    def __init__(self, seconds: float) -> None:
        super().__init__("the host does not answer")
        self.seconds = seconds


class Host:
    """One KRA host, shared by all companies."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.breaker = Breaker()
        self.answered_at: float | None = None  # of the monotonic clock
        self.failed_at: float | None = None
        self._resting: dict[int, Callable[[float], None]] = {}

    def rests(self, lane_id: int, end_rest: Callable[[float], None]) -> None:
        """A lane rests because this host failed it; `end_rest(after_seconds)` is called when the host is back."""
        self._resting[lane_id] = end_rest

    def goes_on(self, lane_id: int) -> None:
        """A lane's turn has begun: it rests no more."""
        self._resting.pop(lane_id, None)

    async def call(self, device: int, work: Callable[[], Awaitable[T]]) -> T:
        """Do the work if the breaker lets this device call now, and let the breaker learn from how it ends.

        Raises HostDown without calling, or what the work raises.
        """
        if not self.breaker.allows(device, time.monotonic()):
            resting = len(self._resting) / ASKS_A_SECOND
            raise HostDown(min(LONGEST_REST, max(SHORTEST_REST, resting)))
        try:
            result = await work()
        except KraError as error:
            if is_host_trouble(error):
                self.failed_at = time.monotonic()
                self.breaker.failed(device, self.failed_at)
            else:
                self._well()
            raise
        self._well()
        return result

    def _well(self) -> None:
        self.answered_at = time.monotonic()
        if not self.breaker.succeeded():
            return  # a lane that rests while others are well is sick by itself
        resting, self._resting = self._resting, {}
        for lane_id, end_rest in resting.items():
            end_rest(due_at(str(lane_id), self.answered_at) - self.answered_at)
