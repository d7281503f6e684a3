"""Carry one invoice to KRA and say how that ended. It may run twice for the same invoice and then sends the same bytes.

KRA has no idempotency key: its key is the number, and its counter moves only when it accepts. So:

1. A job that was started before and whose end is not known is looked up first. Found and ours: its receipt is adopted.
   Not found: the identical body is sent again under the same number.
2. A number leaves its invoice only when no try of it is unanswered, or KRA says it has none `late_seconds` after the
   last try (a request can land late; `lanes.watch` counts them).
3. A duplicate or a higher expected number is no proof of anything and is looked up; a lower one holds the lane.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from gateway.catalog.shelf import Shelf
from gateway.devices.desk import Desk, Seat
from gateway.devices.hosts import Host, HostDown
from gateway.kra.client import Client, has_gaps, with_number
from gateway.kra.documents import Credentials, Exchange, FoundInvoice, Signature
from gateway.kra.errors import (
    Busy,
    DeviceTrouble,
    Drift,
    Duplicate,
    KraError,
    NoAnswer,
    NotOffered,
    NotSent,
    Refused,
    plain,
)
from gateway.lanes.attempts import attempt_effect
from gateway.lanes.engine import LeaseLost, Turn
from gateway.lanes.store import Effect, Read, Settlement, StoreDown
from gateway.lanes.stored import json_value, moment_value
from gateway.lanes.telling import TELL_HELD
from gateway.lanes.watch import Watch
from gateway.lib.clock import utc_now
from gateway.lib.crypto import SealBroken
from gateway.lib.killpoint import reached
from gateway.sales import statements
from gateway.sales.credit_documents import judged, note_written
from gateway.sales.rebuilding import REBUILT, Rebuilding
from gateway.sales.unknown_items import NotRegistered, StillWaiting, completed

T = TypeVar("T")

MOST_FOREIGN = 500  # numbers looked up in one turn when KRA is ahead of us
TAG_MARK = "rvp:"  # every mark of ours begins so
# Said of an address that is wrong or being redeployed, not of an invoice: refusing a whole backlog for it helps nobody
ABOUT_THE_ADDRESS = frozenset({"http_404", "http_405", "http_415", "route_fault"})
STOCK_SECONDS = 0.5  # between two looks whether the goods of a sale have been reported
LOOKUP_LIMIT = "990"  # KRA was asked too often
LOOKUP_LIMIT_SECONDS = 60.0


class Line(msgspec.Struct, frozen=True):
    """What of a stored line is compared with what KRA holds."""

    kra_code: str
    quantity: Decimal
    total: Decimal


@dataclass(slots=True)
class Case:
    """One turn of one invoice: what is known, and the messages exchanged so far."""

    turn: Turn
    seat: Seat
    client: Client
    credentials: Credentials
    number: int
    unanswered_at: datetime | None
    problem: dict[str, Any]
    host: Host
    faults: int = 0  # how often KRA has said that something went wrong on its side
    effects: list[Effect] = field(default_factory=list)
    repaired: bool = False

    @property
    def id(self) -> int:
        return self.turn.started.document_id

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Speak to KRA if its breaker lets us. Raises HostDown, or what the work raises."""
        return await self.host.call(self.seat.row["id"], work)

    async def find(self, number: int) -> tuple[FoundInvoice | None, Exchange]:
        """What KRA holds under a number of this lane."""
        return await self.call(lambda: self.client.find_invoice(self.credentials, number))

    def note(self, exchange: Exchange | None) -> None:
        """Keep a message for the record."""
        if exchange is not None:
            self.effects.append(attempt_effect(self.turn.started, exchange))


class Signing:
    """The handler of invoices."""

    def __init__(
        self, desk: Desk, read: Read, *, shelf: Shelf | None = None, late_seconds: float | None = None
    ) -> None:
        self._desk = desk
        self._read = read
        self._rebuilding = Rebuilding(desk, shelf or Shelf(read), read)
        self._watch = Watch(late_seconds)

    async def __call__(self, turn: Turn) -> Settlement:
        started = turn.started
        document = started.document
        if not document:
            return await self._settled_elsewhere(started.document_id)
        assert started.number is not None
        try:
            seat = await self._desk.seat(document["device_id"])
        except StoreDown as error:
            if started.in_doubt:
                raise
            return _not_even_tried(turn, str(error))
        case = Case(
            turn=turn,
            seat=seat,
            client=self._desk.client(seat),
            credentials=self._desk.identity(seat),
            number=started.number,
            unanswered_at=moment_value(document["unanswered_at"]),
            problem=json_value(document["problem"]) or {},
            host=self._desk.host(seat),
        )
        case.faults = case.problem.get("faults", 0)
        case.host.goes_on(started.lane_id)
        try:
            settlement = await self._carry(case)
        except LeaseLost:
            if case.unanswered_at is not None:
                raise
            settlement = _not_even_tried(turn, "the lease ran out before sending")
        if settlement.failed:
            case.host.rests(started.lane_id, _ender(turn))
        return settlement

    async def _settled_elsewhere(self, invoice_id: int) -> Settlement:
        """The invoice is none to be sent any more: withdrawn, or signed by a late owner who could not move the lane."""
        (row,) = await self._read(statements.ENDED, {"id": invoice_id})
        return Settlement(state="closed", used=row["number"], error=f"the invoice was {row['status']} already")

    async def _carry(self, case: Case) -> Settlement:
        adopted = await self._adopted(case)
        if adopted is not None:
            return adopted
        if case.turn.started.document["kind"] == "credit_note" and not case.turn.started.document["body"]:
            return await self._write_note(case)
        serial = case.seat.row["serial"]
        if not case.seat.is_active:
            reason = f"The device {serial} is not active: {case.seat.row['problem'] or case.seat.row['status']}."
            return _hold(case, reason, code="device_not_active")
        try:
            case.credentials = self._desk.credentials(case.seat)
        except SealBroken as error:
            return _hold(case, f"The key of device {serial} cannot be opened: {error}.", code="key_unreadable")
        try:
            if has_gaps(case.turn.started.document["body"]):
                return await self._complete(case)
            if case.turn.started.in_doubt:
                ended = await self._look_up(case)
                if ended is not None:
                    return ended
            elif (ended := await self._without_stock(case)) is not None:
                return ended
            return await self._send(case)
        except HostDown as down:
            return _behind_breaker(case, down)

    async def _write_note(self, case: Case) -> Settlement:
        """A credit note that was posted before its sale was signed: judged now, and written if it may go.

        It has never been sent, for it had no body: so its number may go to another.
        """
        (row,) = await self._read(statements.CREDITED, {"id": case.id})
        requeue = Effect(statements.REQUEUE, {"id": case.id, "problem": None})
        if row["sale_status"] in ("queued", "sending", "unknown"):  # it went behind the note: an item, or asked again
            wait = Effect(statements.WAIT_FOR_SALE, {"id": case.id})
            return Settlement(state="queued", effects=[requeue, wait], error="its sale waits")
        if reason := judged(row):
            return _settle_refusal(case, _problem("original_not_signed", reason, None))
        written = note_written(row, row, client=case.client, credentials=case.credentials)
        return Settlement(state="queued", effects=[Effect(statements.WRITE_NOTE, {"id": case.id, **written}), requeue])

    async def _without_stock(self, case: Case) -> Settlement | None:
        """What becomes of a sale of more than there is, where no more may be sold. None: there is enough.

        All earlier sales of the branch have left the stock by now. So of two that were taken at the same moment, the
        second is refused. Where KRA sells only out of stock that it was told of, what is on its way there goes first.
        """
        stock_lane_id, stock_first = case.turn.started.document["stock_lane_id"], case.client.profile.stock_first
        if stock_lane_id is None or (case.seat.row["negative_stock"] and not stock_first):
            return None
        key = {"id": case.id, "stock_lane_id": stock_lane_id}
        if short := {row["code"]: row["quantity"] for row in await self._read(statements.SHORT_OF, key)}:
            return _settle_refusal(case, _short(case, short))
        rows = await self._read(statements.NOT_YET_AT_KRA, key) if stock_first else []
        if not rows:
            return None
        codes = ", ".join(row["code"] for row in rows)
        reason = f"KRA must be told of the stock of {codes} first; that is on its way."[:200]
        requeue = {"id": case.id, "problem": _problem("stock_first", reason, None)}
        return Settlement(
            state="queued",
            rest_seconds=STOCK_SECONDS,
            rest_reason=reason,
            error=reason,
            effects=[*case.effects, Effect(statements.REQUEUE, requeue)],
        )

    async def _adopted(self, case: Case) -> Settlement | None:
        """An invoice that KRA holds already and we had lost (a restored backup): its receipt, and it is never sent.

        Was it perhaps sent again under a new number already, that number is looked up first and kept until no try of it
        can land any more.
        """
        stored = json_value(case.turn.started.document["found"])
        if stored is None:
            return None
        found = msgspec.convert(stored, FoundInvoice, strict=False)
        if _whose(case, found) != "ours":
            return None
        if case.turn.started.in_doubt:
            try:
                case.credentials = self._desk.credentials(case.seat)
                ended = await self._look_up(case)
            except SealBroken as error:
                return _hold(case, f"The key of this device cannot be opened: {error}.", code="key_unreadable")
            except HostDown as down:
                return _behind_breaker(case, down)
            if ended is not None:
                return ended
            if not self._is_late(case):
                return _unknown(case, None)
        adopt = {"id": case.id, "lane_id": case.turn.started.lane_id, "number": found.number}
        settlement = _signed(case, found.number, found.signature, recovered=True)
        effects = [*settlement.effects, Effect(statements.ADOPT_FOUND, adopt)]
        return replace(settlement, used=None, effects=effects)

    def _is_late(self, case: Case) -> bool:
        """Whether no try of the number can land any more."""
        late_seconds = case.client.profile.late_seconds
        return self._watch.is_late(case.turn.started.job_id, case.unanswered_at, late_seconds)

    async def _send(self, case: Case) -> Settlement:
        document = case.turn.started.document
        body = with_number(document["body"].encode(), case.number, report=document["report_number"] or 1)
        case.turn.check_lease()
        reached("before send")
        try:
            signature, exchange = await case.call(lambda: case.client.save_sale(case.credentials, body, case.number))
        except KraError as error:
            case.note(error.exchange)
            return await self._not_signed(case, error)
        reached("after send")
        case.note(exchange)
        return _signed(case, case.number, signature, recovered=False)

    async def _not_signed(self, case: Case, error: KraError) -> Settlement:
        match error:
            case NotSent() | Busy():
                return _later(case, error)
            case Refused() if error.code in ABOUT_THE_ADDRESS:
                return _later(case, error)
            case Refused() if error.repair == "fetch_item_classes" and not case.repaired:
                return await self._fetch_classes_and_send(case)
            case Refused() if error.repair == "refresh_codes" and _may_rebuild(case):
                return await self._rebuild(case, error)
            case Refused():
                return _refused(case, error)
            case DeviceTrouble():
                return _hold(case, plain(error), code="device_trouble", error=error)
            case Drift():
                return await self._drifted(case, error)
            case Duplicate():
                case.unanswered_at = utc_now()
                ended = await self._look_up(case)
                return ended or _unknown(case, error)
            case NoAnswer():
                case.unanswered_at = utc_now()
                case.faults += error.max_tries is not None
                if error.max_tries is not None and case.faults > error.max_tries:
                    reason = (
                        f"{plain(error)} It has answered so {case.faults} times; show the invoice to KRA's support."
                    )
                    return _hold(case, reason, code="kra_fault", error=error)
                return _unknown(case, error)
            case _:
                return _hold(case, plain(error), code=error.code, error=error)

    async def _fetch_classes_and_send(self, case: Case) -> Settlement:
        """KRA wants its classification fetched by this device first; then the same body passes."""
        case.repaired = True
        try:
            _, _, exchange = await case.call(lambda: case.client.item_classes(case.credentials))
        except KraError as error:
            case.note(error.exchange)
            return _later(case, error)
        case.note(exchange)
        return await self._send(case)

    async def _complete(self, case: Case) -> Settlement:
        """Its items were registered while it waited: their codes are put in, durably, before anything is sent.

        Its number is given back in the same commit, which then starts it again.
        """
        document = case.turn.started.document
        requeue = Effect(statements.REQUEUE, {"id": case.id, "problem": None})
        try:
            row = await completed(self._read, document)
        except NotRegistered as error:
            return _settle_refusal(case, error.problem)
        except StillWaiting as error:
            key = {name: document[name] for name in ("company_id", "environment")}
            lanes = tuple(lane["id"] for lane in await self._read(statements.ITEM_LANE, key))
            wait = Effect(statements.WAIT_FOR_ITEM, {"id": case.id, "item_id": error.item_id}, lanes=lanes)
            return Settlement(state="queued", effects=[requeue, wait], rest_seconds=0.1, error="an item waits for KRA")
        return Settlement(state="queued", effects=[Effect(statements.COMPLETE, row), requeue])

    async def _rebuild(self, case: Case, error: Refused) -> Settlement:
        """KRA's rates have changed since the sale was worked out: once, it is worked out anew and sent again."""
        row = await self._rebuilding.rebuilt(case.id, case.seat)
        if row is None:
            return _refused(case, error)
        problem = _problem(REBUILT, "KRA's tax rates have changed; the sale was worked out with the new ones.", error)
        requeue = Effect(statements.REQUEUE, {"id": case.id, "problem": problem})
        effects = [*case.effects, Effect(statements.REBUILD, row), requeue]
        return Settlement(state="queued", error=str(error)[:300], effects=effects)

    async def _look_up(self, case: Case) -> Settlement | None:
        """Ask KRA what it holds under our number. None: it has nothing, so the same bytes may be sent again."""
        try:
            found, exchange = await case.find(case.number)
        except NotOffered:
            reason = (
                "The control unit did not answer, and it cannot be asked what it signed. Look at the unit's own list "
                f"of invoices for number {case.number}, then say whether it is there."
            )
            return _hold(case, reason, code="not_known_at_unit")
        except KraError as error:
            case.note(error.exchange)
            if isinstance(error, DeviceTrouble):
                return _hold(case, plain(error), code="device_trouble", error=error)
            return _unknown(case, error)
        case.note(exchange)
        if found is None:
            return self._not_found(case)
        return await self._settle_found(case, [found])

    def _not_found(self, case: Case) -> Settlement | None:
        refusal = case.problem.get("refusal")
        if refusal is None:
            return None
        return _settle_refusal(case, refusal) if self._is_late(case) else _unknown(case, None)

    async def _drifted(self, case: Case, error: Drift) -> Settlement:
        expected = error.expected
        if expected is not None and expected < case.number:
            reason = (
                f"KRA expects number {expected} next, we are at {case.number}: KRA has lost or withdrawn invoices. "
                "We never step back by ourselves; compare the numbers with KRA."
            )
            return _hold(case, reason, code="sequence_drift", error=error)
        if case.problem.get("code") == "sequence_drift" and case.unanswered_at is None:
            reason = (
                f"KRA named another next number twice in a row (now {expected}). Another system may use this branch."
            )
            return _hold(case, reason, code="sequence_drift", error=error)
        case.unanswered_at = utc_now()
        case.problem = _problem("sequence_drift", plain(error), error)
        last = case.number if expected is None else max(case.number, expected - 1)
        if last - case.number >= MOST_FOREIGN:
            reason = f"KRA is {last - case.number + 1} invoices ahead of us. Another system uses this branch."
            return _hold(case, reason, code="sequence_drift", error=error)
        found: list[FoundInvoice] = []
        for number in range(case.number, last + 1):
            try:
                other, exchange = await case.find(number)
            except NotOffered:
                return _hold(case, plain(error), code="sequence_drift", error=error)
            except KraError as trouble:
                case.note(trouble.exchange)
                return _unknown(case, trouble)
            case.note(exchange)
            if other is None:
                return _unknown(case, error)
            found.append(other)
        return await self._settle_found(case, found)

    async def _settle_found(self, case: Case, found: list[FoundInvoice]) -> Settlement:
        """KRA holds these under our number and after it: ours is adopted, others' are noted and passed over.

        Ours cannot land under a number that another holds, so giving it the number after them is safe.
        """
        ours: FoundInvoice | None = None
        others: list[FoundInvoice] = []
        for one in found:
            match _whose(case, one):
                case "ours":
                    ours = one
                case "unclear":
                    reason = (
                        f"KRA holds an invoice number {one.number} that carries our mark but other amounts. Compare "
                        "the two; nothing more is sent for this branch until somebody has decided."
                    )
                    return _hold(case, reason, code="number_clash")
                case _:
                    others.append(one)
        effects, clash = await self._note_others(case, others)
        if clash:
            return _hold(case, clash, code="number_clash")
        highest = found[-1].number
        detail = f"KRA holds an invoice of another system under number {highest}; ours takes the next number."
        requeue = {"id": case.id, "problem": {"code": "sequence_drift", "detail": detail, "fields": []}}
        # ours gives its number up before another one of ours is signed with it
        case.effects += [Effect(statements.REQUEUE, requeue), *effects] if others else []
        if ours is not None:
            return replace(_signed(case, ours.number, ours.signature, recovered=True), used=highest)
        return Settlement(state="queued", used=highest, error=detail, effects=case.effects)

    async def _note_others(self, case: Case, others: list[FoundInvoice]) -> tuple[list[Effect], str]:
        """What to write about KRA's invoices that are not the one in hand, or why the lane must be held.

        A refused one of ours that KRA holds after all is signed with its receipt.
        """
        lane_id = case.turn.started.lane_id
        tags = [other.tag for other in others if other.tag.startswith(TAG_MARK)]
        known: dict[str, dict[str, Any]] = {}
        if tags:
            rows = await self._read(statements.BY_TAG, {"lane_id": lane_id, "tags": tags})
            known = {row["tag"]: row for row in rows}
        effects: list[Effect] = []
        for other in others:
            mine = known.get(other.tag)
            if mine is None:
                effects.append(Effect(statements.RECORD_FOUND, _found_row(case, other)))
            elif mine["status"] == "refused" and mine["is_current"]:
                changes = _receipt(case.seat, other.number, other.signature, recovered=True)
                adopt = {"id": mine["id"], "lane_id": lane_id, "number": other.number}
                effects.append(Effect(statements.RECORD_FOUND, _found_row(case, other)))
                effects.append(Effect(statements.SIGN, {"id": mine["id"], "tag": other.tag, **changes}, always=True))
                effects.append(_follow(case, mine["id"], other.tag))
                effects.append(Effect(statements.ADOPT_FOUND, adopt))
            elif not (mine["status"] == "signed" and mine["number"] == other.number):
                return [], (
                    f"KRA holds an earlier wording of one of our invoices under number {other.number}, and it was "
                    "changed or numbered anew since. One of the two must be credited; then release the lane."
                )
        return effects, ""


def _ender(turn: Turn) -> Callable[[float], None]:
    return lambda seconds: turn.engine.end_rest(turn.started.lane_id, after_seconds=seconds)


def _whose(case: Case, found: FoundInvoice) -> str:
    """`ours`, `foreign` or `unclear`. The tag decides; total and lines must agree; without any tag also the time."""
    document = case.turn.started.document
    lines = msgspec.convert(json_value(document["lines"]), list[Line], strict=False)
    same = (
        found.total == Decimal(str(document["total"]))
        and found.line_count == len(lines)
        and all(
            line.kra_code == theirs.item_code and line.quantity == theirs.quantity and line.total == theirs.total
            for line, theirs in zip(lines, found.lines, strict=False)
        )
    )
    if found.tag == document["tag"]:
        return "ours" if same else "unclear"
    if found.tag.startswith(TAG_MARK):
        return "foreign"
    issued_at = moment_value(document["issued_at"])
    close = issued_at is not None and found.confirmed_at == issued_at.replace(microsecond=0)
    return "ours" if same and close else "foreign"


def _not_even_tried(turn: Turn, error: str) -> Settlement:
    """Nothing was sent: back in line, the number with the lane."""
    problem = {"code": "kra_away", "detail": "It was not sent yet; it goes out by itself.", "fields": []}
    requeue = Effect(statements.REQUEUE, {"id": turn.started.document_id, "problem": problem})
    return Settlement(state="queued", rest_seconds=1.0, error=error[:300], effects=[requeue])


def _signed(case: Case, number: int, signature: Signature, *, recovered: bool) -> Settlement:
    changes = _receipt(case.seat, number, signature, recovered=recovered)
    tag = case.turn.started.document["tag"]
    sign = Effect(statements.SIGN, {"id": case.id, "tag": tag, **changes}, always=True)
    follow = _follow(case, case.id, tag)
    told = {"status": "signed", "problem": None, **changes}
    if case.problem.get("code") == REBUILT:
        told = {}  # its figures changed on the way: whoever waits reads it anew
    return Settlement(state="closed", used=number, effects=[*case.effects, sign, follow], changes=told)


def _follow(case: Case, invoice_id: int, tag: str) -> Effect:
    """What was sold leaves the stock of the branch, what was returned comes back to it, where that is kept."""
    document = case.turn.started.document
    key = {"company_id": document["company_id"], "environment": document["environment"]}
    row = {"id": invoice_id, "tag": tag, "cause": f"invoice:{invoice_id}", **key}
    lane_id = document["stock_lane_id"]
    return Effect(statements.FOLLOW, row, always=True, lanes=() if lane_id is None else (lane_id,))


def _short(case: Case, short: dict[str, int]) -> dict[str, Any]:
    """The problem of a sale of more than the branch has, which is told in thousandths."""
    wrongs = []
    for index, line in enumerate(json_value(case.turn.started.document["lines"])):
        if line["item_code"] in short:
            has = format(max(Decimal(short[line["item_code"]]).scaleb(-3), Decimal(0)).normalize(), "f")
            message = f"The branch has {has} of {line['item_code']} left. Book what came in first."
            wrongs.append({"field": f"lines[{index}].quantity", "code": "insufficient_stock", "message": message})
    return {"code": "insufficient_stock", "detail": wrongs[0]["message"], "fields": wrongs}


def _may_rebuild(case: Case) -> bool:
    is_sale = case.turn.started.document["kind"] == "sale"  # a credit note has the rates of its sale, whatever they are
    return is_sale and case.unanswered_at is None and case.problem.get("code") != REBUILT


def _receipt(seat: Seat, number: int, signature: Signature, *, recovered: bool) -> dict[str, Any]:
    """The columns that a signature fills."""
    return {
        "number": number,
        "receipt_number": signature.receipt_number,
        "total_receipt_number": signature.total_receipt_number,
        "internal_data": signature.internal_data,
        "signature": signature.signature,
        "signed_at": signature.signed_at,
        "control_unit_id": signature.control_unit_id or seat.row["control_unit_id"],
        "machine_code": signature.machine_code or seat.row["machine_code"],
        "recovered": recovered,
        "settled_at": utc_now(),
    }


def _found_row(case: Case, other: FoundInvoice) -> dict[str, Any]:
    document = case.turn.started.document
    return {
        "lane_id": case.turn.started.lane_id,
        "number": other.number,
        "tag": other.tag[:40] if other.tag.startswith(TAG_MARK) else "",
        "document": msgspec.to_builtins(other),
        "company_id": document["company_id"],
        "environment": document["environment"],
        "subject": document["public_id"],
    }


def _refused(case: Case, error: Refused) -> Settlement:
    problem = _problem("refused_by_kra", plain(error), error)
    if case.unanswered_at is None:
        return _settle_refusal(case, problem)
    # An earlier try of this number is unanswered: KRA may hold it, whatever it says of this one.
    case.problem = {**_problem("being_looked_up", "KRA refused it, but an earlier try may have been recorded.", error)}
    case.problem["refusal"] = problem
    return _unknown(case, None)


def _settle_refusal(case: Case, problem: dict[str, Any]) -> Settlement:
    changes = {"status": "refused", "number": None, "problem": problem, "settled_at": utc_now()}
    effect = Effect(statements.REFUSE, {"id": case.id, "problem": problem, "settled_at": changes["settled_at"]})
    return Settlement(state="closed", error=problem["detail"][:300], effects=[*case.effects, effect], changes=changes)


def _unknown(case: Case, error: KraError | None) -> Settlement:
    """It may be at KRA: keep the number, show it as unknown, and look it up after a rest."""
    if error is not None and "refusal" not in case.problem:
        case.problem = _problem(case.problem.get("code", "being_looked_up"), plain(error), error)
    if case.faults:
        case.problem = {**case.problem, "faults": case.faults}
    row = {"id": case.id, "unanswered_at": case.unanswered_at or utc_now(), "problem": case.problem}
    return Settlement(
        state="started",
        failed=True,
        rest_seconds=LOOKUP_LIMIT_SECONDS if error is not None and error.code == LOOKUP_LIMIT else None,
        rest_reason="KRA's answer is missing; asking KRA what it has",
        error=str(error or "")[:300],
        effects=[*case.effects, Effect(statements.DOUBT, row)],
    )


def _later(case: Case, error: KraError) -> Settlement:
    """Nothing new reached KRA: same position, after a rest."""
    if case.unanswered_at is not None:
        return _unknown(case, error)
    row = {"id": case.id, "problem": _problem("kra_away", plain(error), error)}
    wait = float(error.retry_after) if isinstance(error, Busy) and error.retry_after else None
    if error.code == LOOKUP_LIMIT:
        wait = LOOKUP_LIMIT_SECONDS
    return Settlement(
        state="queued",
        failed=True,
        rest_seconds=wait,
        rest_reason=plain(error),
        error=str(error)[:300],
        effects=[*case.effects, Effect(statements.REQUEUE, row)],
    )


def _hold(case: Case, reason: str, *, code: str, error: KraError | None = None) -> Settlement:
    """Stop the lane and tell people; the invoice keeps its place, and its number while a try is unanswered."""
    problem = _problem(code, reason, error)
    if "refusal" in case.problem:  # KRA's own words stay with the invoice
        problem["refusal"] = case.problem["refusal"]
    unanswered = case.unanswered_at
    statement = statements.DOUBT if unanswered else statements.REQUEUE
    row = {"id": case.id, "problem": problem} | ({"unanswered_at": unanswered} if unanswered else {})
    document = case.turn.started.document
    told = {"company_id": document["company_id"], "environment": document["environment"]}
    told |= {"subject": document["public_id"], "reason": reason}
    return Settlement(
        state="started" if unanswered else "queued",
        hold_reason=reason,
        error=str(error or reason)[:300],
        effects=[*case.effects, Effect(statement, row), Effect(TELL_HELD, told)],
    )


def _behind_breaker(case: Case, down: HostDown) -> Settlement:
    """KRA does not answer anybody: nothing was sent, and the lane goes on when KRA is back."""
    reason = "KRA does not answer anybody at the moment; the sale is kept and goes out when KRA is back."
    row: dict[str, Any] = {"id": case.id, "problem": {"code": "kra_away", "detail": reason, "fields": []}}
    statement = statements.REQUEUE
    if case.unanswered_at is not None:
        row = {"id": case.id, "problem": case.problem or row["problem"], "unanswered_at": case.unanswered_at}
        statement = statements.DOUBT
    return Settlement(
        state="started" if case.unanswered_at is not None else "queued",
        failed=True,
        rest_seconds=down.seconds,
        rest_reason=reason,
        effects=[*case.effects, Effect(statement, row)],
    )


def _problem(code: str, detail: str, error: KraError | None) -> dict[str, Any]:
    problem: dict[str, Any] = {"code": code, "detail": detail, "fields": []}
    if error is not None:
        problem["kra"] = {"code": error.code, "message": error.message}
        if error.field:
            problem["fields"] = [{"field": error.field, "code": error.code, "message": error.message}]
    return problem
