"""Carry decisions about purchases and imports to KRA, in one lane of the head office.

A purchase has a number of its own. A confirmed one leaves KRA's list of suppliers' invoices: that, and nothing else,
settles a lost answer. One that was typed in stands in no list: the same bytes are sent again under the same number once
no earlier message can land any more, and when KRA then says that the number is used, a person decides. A decision about
an import may be sent again at will. The stock comes in with the confirmation.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.devices import carrying
from gateway.devices.carrying import carried, held, problem, rested, seated
from gateway.devices.desk import Desk
from gateway.kra.calls import purchases as calls
from gateway.kra.codes import ImportStatus
from gateway.kra.errors import Busy, DeviceTrouble, Drift, Duplicate, KraError, NoAnswer, NotSent, plain
from gateway.kra.stock_documents import ImportDecision
from gateway.lanes.engine import Turn
from gateway.lanes.store import Effect, Settlement
from gateway.lanes.stored import json_value, moment_value
from gateway.lanes.telling import tell_held
from gateway.lanes.watch import Watch
from gateway.lib.clock import utc_now
from gateway.lib.killpoint import reached
from gateway.purchases import statements
from gateway.stock.booking import BOOK
from gateway.tenants.models import HEAD_OFFICE

NO_DEVICE_SECONDS = 60.0


@dataclass(slots=True, kw_only=True)
class Case(carrying.Case):
    """One turn of one decision."""

    @property
    def is_typed(self) -> bool:
        """Whether the company told of it itself, so that KRA lists it nowhere."""
        return bool(self.row["reference"])


class Sending:
    """The handler of purchases and of imports, which differ in how they are carried."""

    def __init__(self, desk: Desk, *, late_seconds: float | None = None) -> None:
        self._desk = desk
        self._watch = Watch(late_seconds)

    async def purchase(self, turn: Turn) -> Settlement:
        """Carry one purchase to KRA. One that was sent before may be there, whatever stops this turn."""
        return await self._with_seat(turn, self._purchase, sent_at=utc_now() if turn.started.in_doubt else None)

    async def imported(self, turn: Turn) -> Settlement:
        """Carry the decision about one imported line to KRA."""
        return await self._with_seat(turn, self._import)

    async def _with_seat(
        self, turn: Turn, carry: Callable[[Case], Awaitable[Settlement]], *, sent_at: datetime | None = None
    ) -> Settlement:
        row = turn.started.document
        if not row or row["status"] not in ("accepted", "unknown"):
            return Settlement(state="closed", error="it is not to be sent any more")
        seat = await self._desk.speaker(row["company_id"], row["environment"], branch=HEAD_OFFICE)
        if seat is None:
            return Settlement(
                state="started" if turn.started.in_doubt else "queued",
                rest_seconds=NO_DEVICE_SECONDS,
                rest_reason="The head office has no active device; purchases are sent when it has.",
            )
        case = Case(**seated(self._desk, turn, seat), unanswered_at=moment_value(row["unanswered_at"]) or sent_at)
        return await carried(self._desk, case, carry, hold=_hold, wait=_wait)

    # --- purchases

    async def _purchase(self, case: Case) -> Settlement:
        if case.turn.started.in_doubt:
            if not case.is_typed:
                listed = await self._is_listed(case)
                if isinstance(listed, Settlement):
                    return listed
                if not listed:
                    return _confirmed(case, case.number)
            if not self._is_late(case):
                return _doubt(case, None)
            if not case.is_typed:
                case.unanswered_at = None
        body = calls.with_number(case.row["body"].encode(), case.number)
        case.turn.check_lease()
        reached("before purchase")
        try:
            exchange = await case.call(lambda: calls.save_purchase(case.client, case.credentials, body, case.number))
        except KraError as error:
            case.note(error.exchange)
            return await self._not_confirmed(case, error)
        reached("after purchase")
        case.note(exchange)
        return _confirmed(case, case.number)

    async def _not_confirmed(self, case: Case, error: KraError) -> Settlement:
        match error:
            case NotSent() | Busy():
                return _wait(case, plain(error), error=error)
            case NoAnswer():
                case.unanswered_at = utc_now()
                return _doubt(case, error)
            case DeviceTrouble():
                return _hold(case, plain(error), error)
            case Drift() if error.expected is not None and error.expected < case.number:
                return _hold(
                    case,
                    f"KRA expects purchase {error.expected} next, we are at {case.number}: KRA has lost some. "
                    "We never step back by ourselves; compare the numbers with KRA.",
                    error,
                )
            case Drift() | Duplicate() if case.is_typed and case.unanswered_at is not None:
                return _hold(
                    case,
                    f"KRA has used purchase number {case.number}, and does not show for what. Look on KRA's portal "
                    f"whether it has {case.row['reference']}, then say so: `lanes resolve`.",
                    error,
                )
            case Drift() | Duplicate():
                if not case.is_typed:
                    case.unanswered_at = utc_now()
                    listed = await self._is_listed(case)
                    if isinstance(listed, Settlement):
                        return listed
                    if not listed:
                        return _confirmed(case, case.number)
                last = error.expected - 1 if isinstance(error, Drift) and error.expected else case.number
                detail = f"KRA holds purchases up to {last} that are not ours; this one takes the next number."
                requeue = _requeue(case, {"code": "sequence_drift", "detail": detail, "fields": []})
                return Settlement(state="queued", used=last, error=detail, effects=[*case.effects, requeue])
        return _refused(case, error)

    async def _is_listed(self, case: Case) -> "bool | Settlement":
        """Whether KRA still lists the supplier's invoice as not confirmed; a Settlement when it cannot say now."""
        try:
            rows, _, exchange = await case.call(lambda: calls.list_supplier_sales(case.client, case.credentials))
        except KraError as error:
            case.note(error.exchange)
            return _hold(case, plain(error), error) if isinstance(error, DeviceTrouble) else _doubt(case, error)
        case.note(exchange)
        wanted = (case.row["supplier_pin"], case.row["supplier_branch"], case.row["invoice_number"])
        return any(
            (row.supplier_pin, row.supplier_branch or HEAD_OFFICE, row.supplier_invoice_number) == wanted
            for row in rows
        )

    def _is_late(self, case: Case) -> bool:
        """Whether no earlier message can land any more."""
        late_seconds = case.client.profile.late_seconds
        return self._watch.is_late(case.turn.started.job_id, case.unanswered_at, late_seconds)

    # --- imports

    async def _import(self, case: Case) -> Settlement:
        decided = json_value(case.row["decision"])
        decision = ImportDecision(
            task_code=case.row["task_code"],
            declaration_date=case.row["declaration_date"],
            line_number=case.row["line_number"],
            hs_code=json_value(case.row["document"])["hs_code"],
            item_code=decided["kra_code"],
            item_class=decided["item_class"],
            status=ImportStatus.APPROVED if decided["approved"] else ImportStatus.CANCELLED,
            remark=decided["remark"],
        )
        case.turn.check_lease()
        reached("before import")
        try:
            exchange = await case.call(lambda: calls.decide_import(case.client, case.credentials, decision))
        except KraError as error:
            case.note(error.exchange)
            match error:
                case NotSent() | Busy() | NoAnswer():  # it may be said again
                    return _wait(case, plain(error), error=error)
                case DeviceTrouble():
                    return _hold(case, plain(error), error)
            return _refused(case, error)
        reached("after import")
        case.note(exchange)
        return _confirmed(case, None, status="confirmed" if decided["approved"] else "rejected")


def _confirmed(case: Case, used: int | None, *, status: str = "confirmed") -> Settlement:
    """KRA has it; the stock comes in with the same commit."""
    started, booking = case.turn.started, json_value(case.row["booking"])
    row = {"id": started.document_id, "number": used, "status": status}
    effects = [*case.effects, Effect(statements.CONFIRM[started.kind], row, always=True)]
    if booking is not None and status == "confirmed":
        effects.append(Effect(BOOK, booking, always=True, lanes=(booking["beside_lane_id"],)))
    return Settlement(state="closed", used=used, effects=effects, changes={"status": status})


def _refused(case: Case, error: KraError) -> Settlement:
    started = case.turn.started
    row = {"id": started.document_id, "problem": problem("refused_by_kra", plain(error), error)}
    refuse = Effect(statements.REFUSE[started.kind], row)
    return Settlement(state="closed", error=str(error)[:300], effects=[*case.effects, refuse])


def _doubt(case: Case, error: KraError | None) -> Settlement:
    """KRA may have it: the number stays, and nothing else is sent."""
    detail = plain(error) if error is not None else "An earlier message may still land; KRA is asked after that."
    return Settlement(
        state="started",
        failed=True,
        rest_reason="KRA's answer to a purchase is missing; looking whether it has it",
        error=str(error or "")[:300],
        effects=[*case.effects, _in_doubt(case, problem("being_looked_up", detail, error))],
    )


def _wait(case: Case, reason: str, rest_seconds: float | None = None, *, error: KraError | None = None) -> Settlement:
    """Nothing new reached KRA."""
    if case.unanswered_at is not None:
        return _doubt(case, error)
    return rested(case, "queued", reason, rest_seconds, error, _requeue(case, problem("kra_away", reason, error)))


def _hold(case: Case, reason: str, error: KraError | None = None) -> Settlement:
    """Stop the company's purchases and imports and tell people; the number stays while a try is unanswered."""
    told, is_doubtful = problem("held", reason, error), case.unanswered_at is not None
    shown = _in_doubt(case, told) if is_doubtful else _requeue(case, told)
    tell = tell_held(case.row, reason, subject=case.row["public_id"])
    return held(case, "started" if is_doubtful else "queued", reason, error, shown, tell)


def _in_doubt(case: Case, told: dict[str, Any]) -> Effect:
    row = {"id": case.turn.started.document_id, "unanswered_at": case.unanswered_at or utc_now(), "problem": told}
    return Effect(statements.DOUBT, row)


def _requeue(case: Case, told: dict[str, Any]) -> Effect:
    started = case.turn.started
    return Effect(statements.REQUEUE[started.kind], {"id": started.document_id, "problem": told})
