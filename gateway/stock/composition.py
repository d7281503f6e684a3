"""Tell KRA that an item is made with so much of another. Saying it again is harmless, so every doubt is a repeat."""

from decimal import Decimal

from gateway.devices.desk import Desk
from gateway.kra.calls import stock as calls
from gateway.kra.errors import Busy, DeviceTrouble, KraError, NoAnswer, NotSent, plain
from gateway.lanes.attempts import attempt_effect
from gateway.lanes.engine import Turn
from gateway.lanes.store import Effect, Settlement, Statement, few

IDLE_SECONDS = 60.0
_COLUMNS = """
c.id, c.quantity, i.company_id, i.environment, i.kra_code AS item_code, p.kra_code AS component_code
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
        turn.check_lease()
        try:
            exchange = await calls.save_component(
                self._desk.client(seat),
                self._desk.credentials(seat),
                item_code=row["item_code"],
                component_code=row["component_code"],
                quantity=Decimal(row["quantity"]).scaleb(-3),
            )
        except KraError as error:
            return _not_told(turn, error)
        told = Effect(ENDED, {"id": row["id"], "problem": None})
        return Settlement(state="closed", effects=[attempt_effect(turn.started, exchange), told])


def _not_told(turn: Turn, error: KraError) -> Settlement:
    tried = [attempt_effect(turn.started, error.exchange)] if error.exchange is not None else []
    detail = plain(error)
    match error:
        case DeviceTrouble():
            return Settlement(state="queued", hold_reason=detail, error=str(error)[:300], effects=tried)
        case NotSent() | Busy() | NoAnswer():
            return Settlement(state="queued", failed=True, rest_reason=detail, error=str(error)[:300], effects=tried)
    problem = {"code": "refused_by_kra", "detail": detail, "kra": {"code": error.code, "message": error.message}}
    refused = Effect(ENDED, {"id": turn.started.document["id"], "problem": problem})
    return Settlement(state="closed", error=str(error)[:300], effects=[*tried, refused])
