"""Register an item with KRA, or update it there. Saving the same item again is harmless, so every doubt is a repeat."""

from dataclasses import replace
from typing import Any

from gateway.devices.carrying import Case, carried, held, problem, rested, seated
from gateway.devices.desk import Desk
from gateway.kra.codes import ProductType, TaxClass
from gateway.kra.documents import ItemDocument
from gateway.kra.errors import Busy, DeviceTrouble, Drift, KraError, NoAnswer, NotSent, Refused, plain
from gateway.lanes.engine import Turn
from gateway.lanes.store import Effect, Read, Settlement, Statement, few
from gateway.lanes.telling import tell_held
from gateway.lib.killpoint import reached
from gateway.lib.money import money

IDLE_SECONDS = 60.0

_COLUMNS = """
i.id, i.public_id, i.company_id, i.environment, i.name, i.tax_type, i.item_class, i.product_type, i.origin_country,
i.packaging_unit, i.quantity_unit, i.price, i.barcode, i.kra_code, i.status
"""
START = Statement(
    name="start_items",
    postgres=f"""
SELECT {_COLUMNS} FROM catalog_item i
JOIN {few("document_id bigint")} ON r.document_id = i.id
""",
    sqlite=(f"SELECT {_COLUMNS} FROM catalog_item i WHERE i.id = :document_id",),
)
REGISTERED = Statement(
    name="register_items",
    postgres=f"""
WITH registered AS (
    UPDATE catalog_item i SET kra_code = r.kra_code, problem = NULL,
        status = CASE WHEN i.status = 'retired' THEN i.status ELSE 'registered' END
    FROM {few("id bigint, kra_code text")} WHERE i.id = r.id
    RETURNING i.company_id, i.environment, i.public_id, i.code, i.kra_code
)
INSERT INTO audit_event (public_id, company_id, environment, name, subject, actor, data, at)
SELECT gen_random_uuid(), company_id, environment, 'item.registered', public_id, '',
    jsonb_build_object('code', code, 'kra_code', kra_code), now()
FROM registered
""",
    sqlite=(
        """
UPDATE catalog_item SET kra_code = :kra_code, problem = NULL,
    status = CASE WHEN status = 'retired' THEN status ELSE 'registered' END
WHERE id = :id RETURNING id
""",
        """
INSERT INTO audit_event (public_id, company_id, environment, name, subject, actor, data, at)
SELECT lower(hex(randomblob(16))), company_id, environment, 'item.registered', public_id, '',
    json_object('code', code, 'kra_code', kra_code), strftime('%Y-%m-%d %H:%M:%f000', 'now')
FROM catalog_item WHERE id = :id
""",
    ),
)
REFUSED = Statement(
    name="refuse_items",
    postgres=f"""
WITH refused AS (
    UPDATE catalog_item i SET problem = r.problem,
        status = CASE WHEN i.status = 'retired' THEN i.status ELSE 'refused' END
    FROM {few("id bigint, problem jsonb")} WHERE i.id = r.id
    RETURNING i.company_id, i.environment, i.public_id, i.code, i.problem
)
INSERT INTO audit_event (public_id, company_id, environment, name, severity, subject, actor, data, at)
SELECT gen_random_uuid(), company_id, environment, 'item.refused', 'warning', public_id, '',
    jsonb_build_object('code', code, 'problem', problem), now()
FROM refused
""",
    sqlite=(
        """
UPDATE catalog_item SET problem = :problem, status = CASE WHEN status = 'retired' THEN status ELSE 'refused' END
WHERE id = :id RETURNING id
""",
        """
INSERT INTO audit_event (public_id, company_id, environment, name, severity, subject, actor, data, at)
SELECT lower(hex(randomblob(16))), company_id, environment, 'item.refused', 'warning', public_id, '',
    json_object('code', code, 'problem', json(problem)), strftime('%Y-%m-%d %H:%M:%f000', 'now')
FROM catalog_item WHERE id = :id
""",
    ),
)


_WAITING = "SELECT DISTINCT j.lane_id AS woken_lane_id FROM lanes_job j"
# Lanes in which documents wait for this registration, however it ends: read before, so that they are locked in order...
WAITING_LANES = Statement(
    name="lanes_waiting_for_an_item",
    postgres=f"{_WAITING} WHERE j.waits_for_id = %(job_id)s AND NOT (j.state = 'closed')",
    sqlite=(f"{_WAITING} WHERE j.waits_for_id = :job_id AND NOT (j.state = 'closed')",),
)
# ... and in the commit that ends it, because one may have come since
WAKE_WAITING = Statement(
    name="wake_waiting_for_items",
    postgres=f"""
{_WAITING} JOIN {few("job_id bigint")} ON j.waits_for_id = r.job_id
WHERE NOT (j.state = 'closed')
""",
    sqlite=WAITING_LANES.sqlite,
)


class Registration:
    """The handler of items."""

    def __init__(self, desk: Desk, read: Read) -> None:
        self._desk = desk
        self._read = read

    async def __call__(self, turn: Turn) -> Settlement:
        row = turn.started.document
        if not row:
            return Settlement(state="closed", error="the item is gone", effects=[await self._wake_waiting(turn)])
        seat = await self._desk.speaker(row["company_id"], row["environment"])
        if seat is None:
            return Settlement(
                state=_kept(turn),
                rest_seconds=IDLE_SECONDS,
                rest_reason="No device of the company is active yet; items are registered when one is.",
            )
        case = Case(**seated(self._desk, turn, seat))
        return await carried(self._desk, case, self._register, hold=_hold, wait=_wait)

    async def _register(self, case: Case) -> Settlement:
        row = case.row
        document = _document(dict(row))
        body = case.client.item_body(document, case.credentials)
        kra_code = row["kra_code"]
        if not kra_code:
            kra_code = case.client.item_code(document, case.number)
            body = case.client.item_with_number(body, case.number)
        used = case.number if not row["kra_code"] else None
        case.turn.check_lease()
        reached("before item is sent")
        try:
            exchange = await case.call(lambda: case.client.save_item(case.credentials, body))
        except KraError as error:
            case.note(error.exchange)
            settlement = _not_registered(case, error)
            if settlement.state == "closed":
                effects = [*settlement.effects, await self._wake_waiting(case.turn)]
                settlement = replace(settlement, effects=effects)
            return settlement
        reached("after item was sent")
        case.note(exchange)
        registered = Effect(REGISTERED, {"id": row["id"], "kra_code": kra_code})
        return Settlement(
            state="closed",
            used=used,
            effects=[*case.effects, registered, await self._wake_waiting(case.turn)],
            changes={"status": "registered", "kra_code": kra_code},
        )

    async def _wake_waiting(self, turn: Turn) -> Effect:
        row = {"job_id": turn.started.job_id}
        lanes = tuple(lane["woken_lane_id"] for lane in await self._read(WAITING_LANES, row))
        return Effect(WAKE_WAITING, row, lanes=lanes)


def _document(row: dict[str, Any]) -> ItemDocument:
    return ItemDocument(
        code=row["kra_code"] or None,
        item_class=row["item_class"],
        name=row["name"],
        product_type=ProductType(row["product_type"]),
        packaging_unit=row["packaging_unit"],
        quantity_unit=row["quantity_unit"],
        tax_class=TaxClass(row["tax_type"]),
        default_price=money(str(row["price"])),
        country=row["origin_country"],
        barcode=row["barcode"] or None,
        in_use=row["status"] != "retired",
    )


def _not_registered(case: Case, error: KraError) -> Settlement:
    match error:
        case Drift() if error.expected is not None and error.expected > case.number:
            # KRA has item codes that we did not give: go on after them
            return Settlement(state="queued", used=error.expected - 1, error=str(error)[:300], effects=case.effects)
        case DeviceTrouble() | Drift():
            return _hold(case, plain(error), error)
        case NotSent() | Busy() | NoAnswer():
            return _wait(case, plain(error), error=error)
        case Refused() | _:
            row = {"id": case.row["id"], "problem": problem("refused_by_kra", plain(error), error)}
            return Settlement(state="closed", error=str(error)[:300], effects=[*case.effects, Effect(REFUSED, row)])


def _kept(turn: Turn) -> str:
    """The state of a job of which nothing was sent in this turn: its number stays with it if it was sent before."""
    return "started" if turn.started.in_doubt else "queued"


def _wait(case: Case, reason: str, rest_seconds: float | None = None, *, error: KraError | None = None) -> Settlement:
    """It is sent again after a rest, under the same number if KRA may have it."""
    return rested(case, _kept(case.turn) if error is None else "started", reason, rest_seconds, error)


def _hold(case: Case, reason: str, error: KraError | None = None) -> Settlement:
    """Stop the company's items and tell people."""
    tell = tell_held(case.row, reason, subject=case.row["public_id"])
    return held(case, _kept(case.turn) if error is None else "started", reason, error, tell)
