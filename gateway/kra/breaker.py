"""When a KRA host is down for everybody: stop asking it, try it now and then, and let the waiting back in gently.

One breaker stands for one host and is shared by all companies. It knows no clock: `now` is passed in, in seconds of any
clock that never goes back. It is not for threads; it belongs to the loop that sends.
"""

from collections.abc import Hashable
from hashlib import blake2b

from gateway.kra.errors import Busy, KraError, NoAnswer, NotSent

DEVICES_TO_OPEN = 5
PROBE_SECONDS = 3
SPREAD_SECONDS = 5
_MEMORY_SECONDS = 180  # longer than the longest time-out, so that devices that time out one after another add up

# Codes of ours that speak of the host. KRA's own codes (999, 991 …) may be about one document and never count.
_HOST_TROUBLE = frozenset(
    {
        "not_connected",
        "no_answer",
        "token_unavailable",
        "unreadable",
        "http_408",
        "http_504",
        "http_5xx",
        "gateway_fault",
        "wrapped_408",
        "wrapped_other",
    }
)


def is_host_trouble(error: KraError) -> bool:
    """Whether an error speaks against the host. Any other answer, a refusal too, proves that it is alive."""
    return isinstance(error, NotSent | NoAnswer | Busy) and error.code in _HOST_TROUBLE


class Breaker:
    """Open (nobody may call but a probe) once 5 different devices failed with no success in between.

    A single bad device never opens it, however often it fails; any success of anybody closes it.
    """

    __slots__ = ("_failing", "_next_probe_at", "_wanted_at", "opened_at")

    def __init__(self) -> None:
        self._failing: dict[Hashable, float] = {}
        self._next_probe_at = 0.0
        self._wanted_at = float("-inf")
        self.opened_at: float | None = None

    @property
    def is_open(self) -> bool:
        return self.opened_at is not None

    def allows(self, device: Hashable, now: float) -> bool:
        """Whether a call may go out. While open this grants one probe every 3 s, and asking takes it.

        A device that has not failed comes first: five broken devices must not keep a healthy one from proving that the
        host is well.
        """
        if self.opened_at is None:
            return True
        has_failed = device in self._failing
        if not has_failed:
            self._wanted_at = now
        if now < self._next_probe_at or (has_failed and now - self._wanted_at < PROBE_SECONDS):
            return False
        self._next_probe_at = now + PROBE_SECONDS
        return True

    def failed(self, device: Hashable, now: float) -> bool:
        """Note that a call failed for the host's sake (`is_host_trouble`). True if this opened the breaker."""
        self._failing.pop(device, None)  # put at the end: the dict stays in the order of time
        self._failing[device] = now
        while now - self._failing[oldest := next(iter(self._failing))] > _MEMORY_SECONDS:
            del self._failing[oldest]
        if self.opened_at is not None or len(self._failing) < DEVICES_TO_OPEN:
            return False
        self.opened_at = now
        self._next_probe_at = now + PROBE_SECONDS
        return True

    def succeeded(self) -> bool:
        """Note that the host answered somebody. True if this closed the breaker: make resting lanes due, `due_at`."""
        self._failing.clear()
        was_open = self.is_open
        self.opened_at = None
        return was_open


def due_at(lane: str, closed_at: float) -> float:
    """When a lane that rested behind the breaker goes on: within 5 s of its closing, each lane at its own place."""
    place = int.from_bytes(blake2b(lane.encode(), digest_size=4).digest(), "big")
    return closed_at + SPREAD_SECONDS * place / 2**32
