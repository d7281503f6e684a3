"""What handlers that carry a document to KRA have in common: seat, key, breaker, and how a turn ends when one fails.

Saving an invoice has more cases than these and keeps a frame of its own (`sales.signing`).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from gateway.devices.desk import Desk, Seat
from gateway.devices.hosts import Host, HostDown
from gateway.kra.client import Client
from gateway.kra.documents import Credentials, Exchange
from gateway.kra.errors import Busy, KraError
from gateway.lanes.attempts import attempt_effect
from gateway.lanes.engine import LeaseLost, Turn
from gateway.lanes.store import Effect, Settlement
from gateway.lib.crypto import SealBroken

T = TypeVar("T")
LEASE_SECONDS = 1.0  # until a lane whose lease ran out before sending is looked at again


@dataclass(slots=True, kw_only=True)
class Case:
    """One turn of one document: over which device it goes, what is known, and the messages exchanged so far."""

    turn: Turn
    seat: Seat
    client: Client
    credentials: Credentials
    host: Host
    unanswered_at: datetime | None = None  # of the last try that KRA may have counted, where that matters
    effects: list[Effect] = field(default_factory=list)

    @property
    def row(self) -> Any:
        return self.turn.started.document

    @property
    def number(self) -> int:
        assert self.turn.started.number is not None
        return self.turn.started.number

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Speak to KRA if its breaker lets us. Raises HostDown, or what the work raises."""
        return await self.host.call(self.seat.row["id"], work)

    def note(self, exchange: Exchange | None) -> None:
        """Keep a message for the record."""
        if exchange is not None:
            self.effects.append(attempt_effect(self.turn.started, exchange))


C = TypeVar("C", bound=Case)


def seated(desk: Desk, turn: Turn, seat: Seat) -> dict[str, Any]:
    """What every case begins with. The key is not opened yet: `carried` does that."""
    client, host = desk.client(seat), desk.host(seat)
    return {"turn": turn, "seat": seat, "client": client, "credentials": desk.identity(seat), "host": host}


async def carried(
    desk: Desk,
    case: C,
    work: Callable[[C], Awaitable[Settlement]],
    *,
    hold: Callable[[C, str], Settlement],
    wait: Callable[[C, str, float], Settlement],
) -> Settlement:
    """How the turn ends whose `work` speaks to KRA.

    `hold(case, reason)` stops the lane when the device's key does not open. `wait(case, reason, seconds)` puts the
    document back when nothing was sent. Raises LeaseLost when an earlier try of it is unanswered.
    """
    lane_id, engine = case.turn.started.lane_id, case.turn.engine
    case.host.goes_on(lane_id)
    try:
        case.credentials = desk.credentials(case.seat)
        settlement = await work(case)
    except SealBroken as error:
        return hold(case, f"The key of device {case.seat.row['serial']} cannot be opened: {error}.")
    except HostDown as down:
        settlement = wait(case, "KRA does not answer anybody at the moment.", down.seconds)
    except LeaseLost:
        if case.unanswered_at is not None:
            raise
        settlement = wait(case, "the lease ran out before sending", LEASE_SECONDS)
    if settlement.failed:
        case.host.rests(lane_id, lambda seconds: engine.end_rest(lane_id, after_seconds=seconds))
    return settlement


def rested(
    case: Case, state: str, reason: str, rest_seconds: float | None, error: KraError | None, *more: Effect
) -> Settlement:
    """The lane rests, as long as KRA wants if it said so. `more` effects than the messages of the turn."""
    return Settlement(
        state=state,
        failed=True,
        rest_seconds=_rest_wanted(error) or rest_seconds,
        rest_reason=reason,
        error=str(error or reason)[:300],
        effects=[*case.effects, *more],
    )


def held(case: Case, state: str, reason: str, error: KraError | None, *more: Effect) -> Settlement:
    """The lane is held; who tells people of it is among the `more` effects."""
    return Settlement(state=state, hold_reason=reason, error=str(error or reason)[:300], effects=[*case.effects, *more])


def _rest_wanted(error: KraError | None) -> float | None:
    """How long KRA wants to be left alone, if it said so (seconds)."""
    return float(error.retry_after) if isinstance(error, Busy) and error.retry_after else None


def problem(code: str, detail: str, error: KraError | None = None) -> dict[str, Any]:
    """What is shown of a document that did not get through, with KRA's own words where it spoke."""
    told: dict[str, Any] = {"code": code, "detail": detail, "fields": []}
    if error is not None:
        told["kra"] = {"code": error.code, "message": error.message}
    return told
