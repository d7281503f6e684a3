"""Booking a movement: the one way in which stock changes, as SQL for the engine's settlements and for services alike.

A booking inserts the movement with its ledger entries, brings the balances along, queues the job that tells KRA and
writes the event: all in one transaction, or nothing when its cause is known already. It returns `woken_lane_id`.

The branch is found through `beside_lane_id`, any lane of the branch; a branch without a lane of stock keeps none.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from django.db import connection

from gateway.lanes.sqlite import to_sqlite
from gateway.lanes.store import Row, Statement

JOB_KIND = "stock"

# What a booking is made of. `lines` are objects with `item_code`, `quantity` and what KRA wants to read.
_ROWS = """
SELECT * FROM jsonb_to_recordset(%s::jsonb) AS r(
    cause text, company_id bigint, environment text, beside_lane_id bigint, reason text, occurred_on date, lines jsonb,
    fingerprint text, is_opening bool, counts bool, tells_kra bool, tracked_only bool, remark text,
    counterparty_pin text, counterparty_name text, counterparty_branch text, partner_id bigint, actor text)
"""
_ROW = """
SELECT :cause AS cause, :company_id AS company_id, :environment AS environment, :beside_lane_id AS beside_lane_id,
    :reason AS reason, :occurred_on AS occurred_on, :lines AS lines, :fingerprint AS fingerprint,
    :is_opening AS is_opening, :counts AS counts, :tells_kra AS tells_kra, :tracked_only AS tracked_only,
    :remark AS remark, :counterparty_pin AS counterparty_pin, :counterparty_name AS counterparty_name,
    :counterparty_branch AS counterparty_branch, :partner_id AS partner_id, :actor AS actor
"""
# Plan: one row a booking; lanes, items and balances each by a unique key. Balances are taken in the order of their key;
# whoever books holds the branch's lane of stock.
_POSTGRES = """
WITH source AS ({source}), made AS (
    INSERT INTO stock_movement (public_id, company_id, environment, lane_id, reason, cause, fingerprint, is_opening,
        counts, occurred_on, lines, remark, counterparty_pin, counterparty_name, counterparty_branch, partner_id,
        status, actor, booked_at)
    SELECT gen_random_uuid(), s.company_id, s.environment, lane.id, s.reason, s.cause, s.fingerprint, s.is_opening,
        s.counts, s.occurred_on, picked.lines, s.remark, s.counterparty_pin, s.counterparty_name,
        s.counterparty_branch, s.partner_id, CASE WHEN s.tells_kra THEN 'queued' ELSE 'local' END, s.actor, now()
    FROM source s JOIN lanes_lane beside ON beside.id = s.beside_lane_id
    JOIN lanes_lane lane ON lane.environment = beside.environment AND lane.pin = beside.pin
        AND lane.branch = beside.branch AND lane.series = 'stock'
    CROSS JOIN LATERAL (
        SELECT jsonb_agg(l.line || jsonb_build_object('item_id', i.id) ORDER BY l.place) AS lines
        FROM jsonb_array_elements(s.lines) WITH ORDINALITY AS l(line, place)
        JOIN catalog_item i ON i.company_id = s.company_id AND i.environment = s.environment
            AND i.code = l.line->>'item_code'
        LEFT JOIN stock_balance b ON b.lane_id = lane.id AND b.item_id = i.id
        WHERE NOT s.tracked_only OR (b.id IS NOT NULL AND i.product_type <> '3')
    ) picked
    WHERE picked.lines IS NOT NULL
    ORDER BY s.company_id, s.environment, s.cause
    ON CONFLICT (company_id, environment, cause) DO NOTHING
    RETURNING id, public_id, company_id, environment, lane_id, reason, cause, lines, is_opening, counts, partner_id,
        status, actor
), moved AS (
    SELECT made.id AS movement_id, made.company_id, made.environment, made.lane_id, made.is_opening, l.place,
        (l.line->>'item_id')::bigint AS item_id,
        CASE WHEN made.reason < '10' THEN 1 ELSE -1 END * round((l.line->>'quantity')::numeric * 1000)::bigint AS change
    FROM made CROSS JOIN LATERAL jsonb_array_elements(made.lines) WITH ORDINALITY AS l(line, place)
    WHERE made.counts
), balances AS (
    INSERT INTO stock_balance (company_id, environment, lane_id, item_id, opening, received, issued, quantity,
        kra_quantity)
    SELECT company_id, environment, lane_id, item_id,
        COALESCE(sum(change) FILTER (WHERE is_opening), 0),
        COALESCE(sum(change) FILTER (WHERE NOT is_opening AND change > 0), 0),
        -COALESCE(sum(change) FILTER (WHERE NOT is_opening AND change < 0), 0), sum(change), 0
    FROM moved GROUP BY company_id, environment, lane_id, item_id ORDER BY lane_id, item_id
    ON CONFLICT (lane_id, item_id) DO UPDATE SET
        opening = stock_balance.opening + excluded.opening, received = stock_balance.received + excluded.received,
        issued = stock_balance.issued + excluded.issued, quantity = stock_balance.quantity + excluded.quantity
    RETURNING id, lane_id, item_id
), entered AS (
    INSERT INTO stock_entry (company_id, movement_id, balance_id, position, change)
    SELECT moved.company_id, moved.movement_id, balances.id, moved.place, moved.change
    FROM moved JOIN balances USING (lane_id, item_id)
), queued AS (
    INSERT INTO lanes_job (lane_id, kind, document_id, state, turn, waits_for_id, last_error, created_at)
    SELECT made.lane_id, 'stock', made.id, 'queued', 0,
        (SELECT j.id FROM lanes_job j WHERE j.kind = 'stock' AND j.document_id = made.partner_id), '', now()
    FROM made WHERE made.status = 'queued' ORDER BY made.id
), told AS (
    INSERT INTO audit_event (public_id, company_id, environment, name, subject, actor, data, at)
    SELECT gen_random_uuid(), company_id, environment, 'stock.moved', public_id, actor,
        jsonb_build_object('reason', reason, 'cause', cause), now()
    FROM made
)
SELECT id, lane_id AS woken_lane_id FROM made
"""
_MOVEMENT = """
FROM stock_movement m WHERE m.company_id = :company_id AND m.environment = :environment AND m.cause = :cause
"""
_MOVED = """
SELECT m.id AS movement_id, m.company_id, m.environment, m.lane_id, m.is_opening, l.key + 1 AS place,
    json_extract(l.value, '$.item_id') AS item_id,
    CASE WHEN m.reason < '10' THEN 1 ELSE -1 END
        * CAST(ROUND(CAST(json_extract(l.value, '$.quantity') AS REAL) * 1000) AS INTEGER) AS change
FROM stock_movement m JOIN json_each(m.lines) l
WHERE m.company_id = :company_id AND m.environment = :environment AND m.cause = :cause AND m.counts
"""
_SQLITE = (
    """
INSERT INTO stock_movement (public_id, company_id, environment, lane_id, reason, cause, fingerprint, is_opening,
    counts, occurred_on, lines, remark, counterparty_pin, counterparty_name, counterparty_branch, partner_id,
    status, actor, booked_at)
SELECT * FROM (
    SELECT lower(hex(randomblob(16))), s.company_id, s.environment, lane.id AS lane_id, s.reason, s.cause,
        s.fingerprint, s.is_opening, s.counts, s.occurred_on,
        (SELECT NULLIF(json_group_array(json(picked.line)), '[]') FROM (
            SELECT json_set(l.value, '$.item_id', i.id) AS line
            FROM json_each(s.lines) l
            JOIN catalog_item i ON i.company_id = s.company_id AND i.environment = s.environment
                AND i.code = json_extract(l.value, '$.item_code')
            LEFT JOIN stock_balance b ON b.lane_id = lane.id AND b.item_id = i.id
            WHERE NOT s.tracked_only OR (b.id IS NOT NULL AND i.product_type <> '3')
            ORDER BY l.key
        ) picked) AS lines,
        s.remark, s.counterparty_pin, s.counterparty_name, s.counterparty_branch, s.partner_id,
        CASE WHEN s.tells_kra THEN 'queued' ELSE 'local' END, s.actor, strftime('%Y-%m-%d %H:%M:%f000', 'now')
    FROM ({source}) s JOIN lanes_lane beside ON beside.id = s.beside_lane_id
    JOIN lanes_lane lane ON lane.environment = beside.environment AND lane.pin = beside.pin
        AND lane.branch = beside.branch AND lane.series = 'stock'
) made WHERE made.lines IS NOT NULL
ON CONFLICT (company_id, environment, cause) DO NOTHING
RETURNING id, lane_id AS woken_lane_id
""",
    f"""
INSERT INTO stock_balance (company_id, environment, lane_id, item_id, opening, received, issued, quantity, kra_quantity)
SELECT company_id, environment, lane_id, item_id,
    COALESCE(SUM(CASE WHEN is_opening THEN change END), 0),
    COALESCE(SUM(CASE WHEN NOT is_opening AND change > 0 THEN change END), 0),
    -COALESCE(SUM(CASE WHEN NOT is_opening AND change < 0 THEN change END), 0), SUM(change), 0
FROM ({_MOVED}) WHERE true GROUP BY company_id, environment, lane_id, item_id
ON CONFLICT (lane_id, item_id) DO UPDATE SET
    opening = opening + excluded.opening, received = received + excluded.received,
    issued = issued + excluded.issued, quantity = quantity + excluded.quantity
""",
    f"""
INSERT INTO stock_entry (company_id, movement_id, balance_id, position, change)
SELECT moved.company_id, moved.movement_id, b.id, moved.place, moved.change
FROM ({_MOVED}) moved JOIN stock_balance b ON b.lane_id = moved.lane_id AND b.item_id = moved.item_id
""",
    f"""
INSERT INTO lanes_job (lane_id, kind, document_id, state, turn, waits_for_id, last_error, created_at)
SELECT m.lane_id, 'stock', m.id, 'queued', 0,
    (SELECT j.id FROM lanes_job j WHERE j.kind = 'stock' AND j.document_id = m.partner_id), '',
    strftime('%Y-%m-%d %H:%M:%f000', 'now')
{_MOVEMENT} AND m.status = 'queued'
""",
    f"""
INSERT INTO audit_event (public_id, company_id, environment, name, subject, actor, data, at)
SELECT lower(hex(randomblob(16))), m.company_id, m.environment, 'stock.moved', m.public_id, m.actor,
    json_object('reason', m.reason, 'cause', m.cause), strftime('%Y-%m-%d %H:%M:%f000', 'now')
{_MOVEMENT}
""",
)


def booking(name: str, *, postgres: str, sqlite: str) -> Statement:
    """A statement that books what a SELECT of the caller's gives, in the columns of a booking.

    In SQLite its rows also carry `company_id`, `environment` and `cause`.
    """
    first, *others = _SQLITE
    return Statement(
        name=name,
        postgres=_POSTGRES.replace("{source}", postgres),
        sqlite=(first.replace("{source}", sqlite), *others),
    )


BOOK = booking("book_movements", postgres=_ROWS, sqlite=_ROW)


def booking_row(
    *,
    cause: str,
    company_id: int,
    environment: str,
    beside_lane_id: int,
    reason: str,
    occurred_on: str,
    lines: list[dict[str, Any]],
    **more: Any,
) -> dict[str, Any]:
    """A row for BOOK; what is left out of `more` is as in an ordinary movement that KRA is told of."""
    ordinary = {
        "fingerprint": "",
        "is_opening": False,
        "counts": True,
        "tells_kra": True,
        "tracked_only": False,
        "remark": "",
        "counterparty_pin": "",
        "counterparty_name": "",
        "counterparty_branch": "",
        "partner_id": None,
        "actor": "",
    }
    return {
        **ordinary,
        "cause": cause,
        "company_id": company_id,
        "environment": environment,
        "beside_lane_id": beside_lane_id,
        "reason": reason,
        "occurred_on": occurred_on,
        "lines": lines,
        **more,
    }


def run(statement: Statement, row: Row) -> list[dict[str, Any]]:
    """Run an engine's statement for one row on Django's own connection, inside the transaction that is open there."""
    connection.ensure_connection()
    if connection.vendor == "sqlite":
        params: Mapping[str, Any] = {name: to_sqlite(value) for name, value in row.items()}
        first, *others = statement.sqlite
        found = _fetched(first, params)
        for sql in others if found else ():
            _fetched(sql, params)
        return found
    return _fetched(statement.postgres, (msgspec.json.encode([row]).decode(),))


def run_read(statement: Statement, params: Row) -> list[dict[str, Any]]:
    """Run an engine's reading statement on Django's own connection, inside the transaction that is open there."""
    connection.ensure_connection()
    if connection.vendor == "sqlite":
        return _fetched(statement.sqlite[0], {name: to_sqlite(value) for name, value in params.items()})
    return _fetched(statement.postgres, dict(params))


def _fetched(sql: str, params: Any) -> list[dict[str, Any]]:
    cursor = connection.connection.cursor()
    try:
        cursor.execute(sql, params)
        if cursor.description is None:
            return []
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    finally:
        cursor.close()
