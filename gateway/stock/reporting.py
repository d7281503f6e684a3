"""Tell KRA of one movement: stock in/out first, then the balance of each of its items.

Stock in/out adds up at KRA, and nothing tells afterwards whether it was recorded. So the two steps are two turns of one
job, with a commit between them, and a first step whose answer is missing is settled like this:

1. Where the number is proven to be counted (`stock_numbers_checked`), the same bytes are sent again under it. KRA takes
   them if it had nothing, and names a higher number if it had.
2. Elsewhere, and when a number has drifted, KRA's own balance decides: it refuses one that differs from what it counts,
   and names its own. Asked once with the movement counted in and once without, it shows which is true.
3. A KRA that takes both compares nothing: the lane is held for a person.

The balance is absolute. It may be told as often as one likes.
"""

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import Enum
from typing import Any

import msgspec

from gateway.devices import carrying
from gateway.devices.carrying import carried, held, problem, rested, seated
from gateway.devices.desk import Desk, Seat
from gateway.kra.calls import stock as calls
from gateway.kra.codes import DEFAULT_RATES, StockReason, TaxClass
from gateway.kra.errors import Busy, DeviceTrouble, Drift, Duplicate, KraError, NoAnswer, NotSent, Refused, plain
from gateway.kra.profiles import Profile
from gateway.kra.stock_documents import StockDocument, StockLine
from gateway.kra.tax import LineFigures
from gateway.lanes.engine import Turn
from gateway.lanes.store import Effect, Settlement
from gateway.lanes.stored import json_value, moment_value
from gateway.lanes.telling import tell_held
from gateway.lanes.watch import Watch
from gateway.lib.clock import utc_now
from gateway.lib.killpoint import reached
from gateway.stock import statements
from gateway.stock.amounts import goods_amounts

NO_DEVICE_SECONDS = 60.0
STEP = Decimal("0.001")
SMALLEST_PRICE = Decimal("0.01")


class Verdict(Enum):
    """Whether KRA has recorded a movement."""

    RECORDED = "recorded"
    MISSING = "missing"
    UNCLEAR = "unclear"


class Line(msgspec.Struct, frozen=True):
    """A line of a movement as it was frozen; amounts in the terms of the profile it was worked out for."""

    item_id: int
    item_code: str
    kra_code: str
    item_class: str
    name: str
    packaging_unit: str
    quantity_unit: str
    quantity: Decimal
    unit_price: Decimal
    supply: Decimal
    discount_rate: Decimal
    discount: Decimal
    tax_type: TaxClass
    taxable: Decimal
    tax: Decimal
    total: Decimal
    net: Decimal
    barcode: str | None = None


@dataclass(slots=True, kw_only=True)
class Case(carrying.Case):
    """One turn of one movement."""

    lines: list[Line]
    changes: dict[int, Decimal]  # by item, as KRA counts them
    kra: dict[int, Decimal]  # what KRA counts of each item before this movement


class Reporting:
    """The handler of stock movements."""

    def __init__(self, desk: Desk, *, late_seconds: float | None = None) -> None:
        self._desk = desk
        self._watch = Watch(late_seconds)

    async def __call__(self, turn: Turn) -> Settlement:
        row = turn.started.document
        if not row:
            return Settlement(state="closed", error="the movement is gone")
        if row["status"] not in ("sending", "unknown", "reported"):
            return Settlement(state="closed", error=f"the movement was {row['status']} already")
        seat = await self._desk.speaker(row["company_id"], row["environment"], branch=row["branch"])
        if seat is None:
            return Settlement(
                state="started" if row["status"] == "unknown" else "queued",
                rest_seconds=NO_DEVICE_SECONDS,
                rest_reason="No device of the branch is active; its stock is reported when one is.",
                effects=[] if row["status"] == "unknown" else [_requeue(turn, None)],
            )
        work = self._balances if row["status"] == "reported" else self._movement
        return await carried(self._desk, self._case(turn, seat), work, hold=_hold, wait=_wait)

    def _case(self, turn: Turn, seat: Seat) -> Case:
        row = turn.started.document
        lines = msgspec.convert(json_value(row["lines"]), list[Line], strict=False)
        sign = 1 if StockReason(row["reason"]).is_in else -1
        changes: dict[int, Decimal] = {}
        for line in lines:
            sent = line.quantity.quantize(Decimal(1).scaleb(-seat.profile.quantity_decimals), ROUND_HALF_UP)
            changes[line.item_id] = changes.get(line.item_id, Decimal(0)) + sign * sent
        counted = json_value(row["kra"]) or {}
        return Case(
            **seated(self._desk, turn, seat),
            lines=lines,
            changes=changes,
            kra={int(item): Decimal(amount) * STEP for item, amount in counted.items()},
            unanswered_at=moment_value(row["unanswered_at"]),
        )

    # --- the movement

    async def _movement(self, case: Case) -> Settlement:
        if case.row["partner_status"] == "refused":
            detail = "The movement that must go before it was refused, so this one is not sent."
            return _refused(case, {"code": "partner_refused", "detail": detail, "fields": []}, detail)
        if case.turn.started.in_doubt and not case.client.profile.stock_numbers_checked:
            case.unanswered_at = case.unanswered_at or utc_now()
            match await self._ask(case):
                case Verdict.RECORDED:
                    return _recorded(case, case.number)
                case Verdict.UNCLEAR:
                    return _hold(case, _UNCLEAR)
                case Settlement() as ended:
                    return ended
            if not self._is_late(case):
                return _doubt(case, None)
            case.unanswered_at = None
        return await self._send(case)

    async def _send(self, case: Case, *, repaired: bool = False) -> Settlement:
        body = calls.with_stock_number(calls.stock_body(case.client, _document(case), case.credentials), case.number)
        case.turn.check_lease()
        reached("before stock in/out")
        try:
            exchange = await case.call(lambda: calls.save_movement(case.client, case.credentials, body, case.number))
        except KraError as error:
            case.note(error.exchange)
            if isinstance(error, Refused) and error.repair == "fetch_item_classes" and not repaired:
                return await self._fetch_classes_and_send(case)
            return await self._not_recorded(case, error)
        reached("after stock in/out")
        case.note(exchange)
        return _recorded(case, case.number)

    async def _fetch_classes_and_send(self, case: Case) -> Settlement:
        try:
            _, _, exchange = await case.call(lambda: case.client.item_classes(case.credentials))
        except KraError as error:
            case.note(error.exchange)
            return _wait(case, plain(error), error=error)
        case.note(exchange)
        return await self._send(case, repaired=True)

    async def _not_recorded(self, case: Case, error: KraError) -> Settlement:
        match error:
            case NotSent() | Busy():
                return _wait(case, plain(error), error=error)
            case NoAnswer():
                case.unanswered_at = utc_now()
                return _doubt(case, error)
            case DeviceTrouble():
                return _hold(case, plain(error), error)
            case Drift() if error.balance is None and error.expected is not None and error.expected < case.number:
                return _hold(
                    case,
                    f"KRA expects stock movement {error.expected} next, we are at {case.number}: KRA has lost some. "
                    "We never step back by ourselves; compare the numbers with KRA.",
                    error,
                )
            case Drift() | Duplicate():
                return await self._taken(case, error)
            case _ if not self._is_late(case):  # an earlier try may still land
                return _doubt(case, error)
            case _:
                return _refused(case, problem("refused_by_kra", plain(error), error), str(error))

    async def _taken(self, case: Case, error: Drift | Duplicate) -> Settlement:
        """KRA has used our number: for this movement, or for one that we do not know of."""
        last = case.number
        if isinstance(error, Drift) and error.expected is not None:
            last = error.expected - 1
        verdict = await self._ask(case)
        if isinstance(verdict, Settlement):
            return verdict
        ours = case.unanswered_at is not None and case.client.profile.stock_numbers_checked and last == case.number
        if verdict is Verdict.RECORDED or (verdict is Verdict.UNCLEAR and ours):
            return _recorded(case, case.number)
        if verdict is Verdict.MISSING:
            detail = f"KRA holds stock movements up to {last} that are not ours; this one takes the next number."
            requeue = _requeue(case.turn, {"code": "sequence_drift", "detail": detail, "fields": []})
            return Settlement(state="queued", used=last, error=detail[:300], effects=[*case.effects, requeue])
        case.unanswered_at = case.unanswered_at or utc_now()
        return _hold(case, _UNCLEAR, error)

    async def _ask(self, case: Case) -> "Verdict | Settlement":
        """Let KRA's own balance say whether it has counted this movement; a Settlement when KRA cannot say now."""
        line = case.lines[0]
        before = case.kra.get(line.item_id, Decimal(0))
        after = before + case.changes[line.item_id]
        case.unanswered_at = case.unanswered_at or utc_now()
        with_it = await self._tell(case, line.kra_code, after)
        if isinstance(with_it, Settlement):
            return with_it
        if with_it is not None:
            return Verdict.MISSING if with_it == before else Verdict.UNCLEAR
        without_it = await self._tell(case, line.kra_code, before)
        if isinstance(without_it, Settlement):
            return without_it
        return Verdict.RECORDED if without_it == after else Verdict.UNCLEAR

    async def _tell(self, case: Case, kra_code: str, remaining: Decimal) -> "Decimal | Settlement | None":
        """Tell KRA a balance: None when it took it, its own figure when that differs, a Settlement in all else."""
        case.turn.check_lease()
        try:
            exchange = await case.call(
                lambda: calls.save_balance(case.client, case.credentials, item_code=kra_code, remaining=remaining)
            )
        except KraError as error:
            case.note(error.exchange)
            if isinstance(error, Drift) and error.balance is not None:
                return error.balance[0]
            if error.rule == "stock_order":  # it has no movement of the item at all
                return Decimal(0)
            if isinstance(error, DeviceTrouble):
                return _hold(case, plain(error), error)
            if isinstance(error, NotSent | Busy | NoAnswer):
                return _doubt(case, error)
            return _hold(case, f"KRA did not take the balance by which we ask it. {plain(error)}", error)
        case.note(exchange)
        return None

    def _is_late(self, case: Case) -> bool:
        late_seconds = case.client.profile.late_seconds
        return self._watch.is_late(case.turn.started.job_id, case.unanswered_at, late_seconds)

    # --- the balances

    async def _balances(self, case: Case) -> Settlement:
        """The second turn: what is left of each item. What KRA counts otherwise is taken from it and told to people."""
        problems: list[dict[str, Any]] = []
        codes = {line.item_id: line for line in case.lines}
        for item_id, line in codes.items():
            remaining = case.kra.get(item_id, Decimal(0))
            for _ in range(2):
                case.turn.check_lease()
                reached("before stock master")
                try:
                    exchange = await case.call(
                        lambda line=line, remaining=remaining: calls.save_balance(  # type: ignore[misc]
                            case.client, case.credentials, item_code=line.kra_code, remaining=remaining
                        )
                    )
                except KraError as error:
                    case.note(error.exchange)
                    if isinstance(error, Drift) and error.balance is not None:
                        remaining = error.balance[0]
                        case.effects.append(Effect(statements.SAID, _balance_row(case, item_id, said=remaining)))
                        continue
                    if isinstance(error, NotSent | Busy | NoAnswer):
                        return _again(case, error)
                    if isinstance(error, DeviceTrouble):
                        return _hold(case, plain(error), error)
                    problems.append(problem("balance_refused", f"{line.item_code}: {plain(error)}", error))
                    break
                reached("after stock master")
                case.note(exchange)
                case.effects.append(Effect(statements.TOLD, _balance_row(case, item_id)))
                break
        finish = Effect(
            statements.FINISH, {"id": case.turn.started.document_id, "problem": problems[0] if problems else None}
        )
        return Settlement(state="closed", effects=[*case.effects, finish], changes={"status": "done"})


_UNCLEAR = (
    "KRA's answer to a stock movement was lost, and this KRA does not show what it counts. Look at the stock on KRA's "
    "portal, then say whether it has the movement: `lanes resolve`."
)


def _balance_row(case: Case, item_id: int, said: Decimal | None = None) -> dict[str, Any]:
    row: dict[str, Any] = {"lane_id": case.turn.started.lane_id, "item_id": item_id}
    return row if said is None else {**row, "said": int(said / STEP)}


def _document(case: Case) -> StockDocument:
    row = case.row
    occurred_on = row["occurred_on"]
    return StockDocument(
        reason=StockReason(row["reason"]),
        occurred_on=occurred_on if isinstance(occurred_on, date) else date.fromisoformat(occurred_on),
        lines=[_stock_line(line, case.client.profile) for line in case.lines],
        counterparty_pin=row["counterparty_pin"] or None,
        counterparty_name=row["counterparty_name"] or None,
        counterparty_branch=row["counterparty_branch"] or None,
        remark=row["remark"] or None,
    )


def _stock_line(line: Line, profile: Profile) -> StockLine:
    amounts = LineFigures(
        unit_price=line.unit_price,
        supply=line.supply,
        discount_rate=line.discount_rate,
        discount=line.discount,
        taxable=line.taxable,
        tax=line.tax,
        total=line.total,
        net=line.net,
    )
    if not amounts.total:  # KRA takes a line without an amount for one that is missing
        amounts = goods_amounts(line.quantity, SMALLEST_PRICE, line.tax_type, profile, DEFAULT_RATES)
    return StockLine(
        item_code=line.kra_code,
        item_class=line.item_class,
        name=line.name,
        packaging_unit=line.packaging_unit,
        quantity_unit=line.quantity_unit,
        quantity=line.quantity,
        tax_class=line.tax_type,
        figures=amounts,
        barcode=line.barcode or None,
    )


def _recorded(case: Case, used: int) -> Settlement:
    """KRA has it: that is written first; the balances follow in the job's next turn."""
    changes = [{"item_id": item_id, "change": int(change / STEP)} for item_id, change in case.changes.items()]
    row = {"id": case.turn.started.document_id, "number": used, "changes": changes}
    return Settlement(state="queued", used=used, effects=[*case.effects, Effect(statements.RECORD, row, always=True)])


def _refused(case: Case, told: dict[str, Any], error: str) -> Settlement:
    refuse = Effect(statements.REFUSE, {"id": case.turn.started.document_id, "problem": told})
    return Settlement(state="closed", error=error[:300], effects=[*case.effects, refuse], changes={"status": "refused"})


def _doubt(case: Case, error: KraError | None) -> Settlement:
    """KRA may have it: the number stays, and nothing else of the branch's stock is told."""
    detail = plain(error) if error is not None else "KRA may still be at work on it."
    row = {
        "id": case.turn.started.document_id,
        "unanswered_at": case.unanswered_at or utc_now(),
        "problem": problem("being_looked_up", detail, error),
        "number": case.number,
    }
    return Settlement(
        state="started",
        failed=True,
        rest_reason="KRA's answer to a stock movement is missing",
        error=str(error or "")[:300],
        effects=[*case.effects, Effect(statements.DOUBT, row)],
    )


def _again(case: Case, error: KraError) -> Settlement:
    """The balance could not be told now; that may be repeated at will."""
    return rested(case, "queued", plain(error), None, error)


def _wait(case: Case, reason: str, rest_seconds: float | None = None, *, error: KraError | None = None) -> Settlement:
    """Nothing new reached KRA."""
    if case.row["status"] == "reported":
        return Settlement(
            state="queued", failed=True, rest_seconds=rest_seconds, rest_reason=reason, effects=case.effects
        )
    if case.unanswered_at is not None:
        return _doubt(case, error)
    requeue = _requeue(case.turn, problem("kra_away", reason, error))
    return rested(case, "queued", reason, rest_seconds, error, requeue)


def _hold(case: Case, reason: str, error: KraError | None = None) -> Settlement:
    """Stop the branch's stock and tell people; sales go on."""
    row = case.row
    told, tell = problem("held", reason, error), tell_held(row, reason, subject=row["public_id"])
    if row["status"] == "reported":
        return Settlement(state="queued", hold_reason=reason, error=reason[:300], effects=[*case.effects, tell])
    if case.unanswered_at is None:
        shown = _requeue(case.turn, told)
    else:
        doubt = {"unanswered_at": case.unanswered_at, "problem": told, "number": case.number}
        shown = Effect(statements.DOUBT, {"id": case.turn.started.document_id, **doubt})
    return held(case, "started" if case.unanswered_at else "queued", reason, error, shown, tell)


def _requeue(turn: Turn, told: dict[str, Any] | None) -> Effect:
    return Effect(statements.REQUEUE, {"id": turn.started.document_id, "problem": told})
