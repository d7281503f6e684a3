"""Tell KRA that an item is made with so much of another. Saying it again is harmless, so every doubt is a repeat."""

from decimal import Decimal

from gateway.devices.carrying import Case, carried, held, problem, rested, seated
from gateway.devices.desk import Desk
from gateway.kra.calls import stock as calls
from gateway.kra.errors import Busy, DeviceTrouble, KraError, NoAnswer, NotSent, plain
from gateway.lanes.engine import Turn
from gateway.lanes.store import Effect, Settlement, Statement, few
from gateway.lanes.telling import tell_held

IDLE_SECONDS = 60.0
_COLUMNS = """
c.id, c.quantity, i.company_id, i.environment, i.public_id AS item_public_id, i.kra_code AS item_code,
p.kra_code AS component_code
FROM stock_component c JOIN catalog_item i ON i.id = c.item_id JOIN catalog_item p ON p.id = c.component_id
"""
START = Statement(
    name="start_components",
    postgres=f"""
SELECT {_COLUMNS} JOIN {few("document_id bigint")} ON r.document_id = c.id
""",
    sqlite=(f"SELECT {_COLUMNS} WHERE c.id = :document_id",),
)
ENDED = Statement(
    name="end_components",
    postgres=f"""
UPDATE stock_component c SET problem = r.problem, told_at = CASE WHEN r.problem IS NULL THEN now() END
FROM {few("id bigint, problem jsonb")} WHERE c.id = r.id
""",
    sqlite=(
        """
UPDATE stock_component SET problem = :problem,
    told_at = CASE WHEN :problem IS NULL THEN strftime('%Y-%m-%d %H:%M:%f000', 'now') END
WHERE id = :id
""",
    ),
)


class Composition:
    """The handler of components, in the lane of the company's items."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __call__(self, turn: Turn) -> Settlement:
        row = turn.started.document
        if not row:
            return Settlement(state="closed", error="the component was taken out of its recipe")
        seat = await self._desk.speaker(row["company_id"], row["environment"])
        if seat is None:
            return Settlement(state="queued", rest_seconds=IDLE_SECONDS, rest_reason="No device is active yet.")
        return await carried(self._desk, Case(**seated(self._desk, turn, seat)), _tell, hold=_hold, wait=_wait)


async def _tell(case: Case) -> Settlement:
    row = case.row
    case.turn.check_lease()
    try:
        exchange = await case.call(
            lambda: calls.save_component(
                case.client,
                case.credentials,
                item_code=row["item_code"],
                component_code=row["component_code"],
                quantity=Decimal(row["quantity"]).scaleb(-3),
            )
        )
    except KraError as error:
        case.note(error.exchange)
        return _not_told(case, error)
    case.note(exchange)
    told = Effect(ENDED, {"id": row["id"], "problem": None})
    return Settlement(state="closed", effects=[*case.effects, told])


def _not_told(case: Case, error: KraError) -> Settlement:
    match error:
        case DeviceTrouble():
            return _hold(case, plain(error), error)
        case NotSent() | Busy() | NoAnswer():
            return _wait(case, plain(error), error=error)
    refused = Effect(ENDED, {"id": case.row["id"], "problem": problem("refused_by_kra", plain(error), error)})
    return Settlement(state="closed", error=str(error)[:300], effects=[*case.effects, refused])


def _wait(case: Case, reason: str, rest_seconds: float | None = None, *, error: KraError | None = None) -> Settlement:
    """It is told again after a rest."""
    return rested(case, "queued", reason, rest_seconds, error)


def _hold(case: Case, reason: str, error: KraError | None = None) -> Settlement:
    """Stop the company's items and tell people."""
    return held(case, "queued", reason, error, tell_held(case.row, reason, subject=case.row["item_public_id"]))
