"""The hand-written SQL of a movement's way to KRA: start, doubt, record, refuse. Each is harmless when repeated."""

from gateway.lanes.store import Statement, few

_NOW = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
_OPEN = "('queued', 'sending', 'unknown')"
_COLUMNS = """
m.id, m.public_id, m.company_id, m.environment, m.lane_id, m.reason, m.cause, m.occurred_on, m.lines, m.remark,
m.counterparty_pin, m.counterparty_name, m.counterparty_branch, m.status, m.unanswered_at, m.problem,
(SELECT p.status FROM stock_movement p WHERE p.id = m.partner_id) AS partner_status,
(SELECT l.branch FROM lanes_lane l WHERE l.id = m.lane_id) AS branch
"""
_COLUMNS_SQLITE = """
id, public_id, company_id, environment, lane_id, reason, cause, occurred_on, lines, remark,
counterparty_pin, counterparty_name, counterparty_branch, status, unanswered_at, problem,
(SELECT p.status FROM stock_movement p WHERE p.id = stock_movement.partner_id) AS partner_status,
(SELECT l.branch FROM lanes_lane l WHERE l.id = stock_movement.lane_id) AS branch
"""

# `kra` is what KRA counts of each item of the movement, by item id, in thousandths: nobody but this lane changes it.
# Plan: nested loop from the array to the primary key.
START = Statement(
    name="start_movements",
    postgres=f"""
UPDATE stock_movement m SET
    status = CASE WHEN m.status NOT IN {_OPEN} THEN m.status WHEN r.in_doubt THEN 'unknown' ELSE 'sending' END,
    unanswered_at = CASE WHEN m.status NOT IN {_OPEN} THEN NULL WHEN r.left_behind THEN now()
                    WHEN r.in_doubt THEN COALESCE(m.unanswered_at, now()) ELSE m.unanswered_at END
FROM {few("document_id bigint, number bigint, in_doubt bool, left_behind bool")}
WHERE m.id = r.document_id
RETURNING {_COLUMNS},
    (SELECT jsonb_object_agg(b.item_id, b.kra_quantity) FROM stock_balance b WHERE b.lane_id = m.lane_id
        AND b.item_id IN (SELECT (line->>'item_id')::bigint FROM jsonb_array_elements(m.lines) AS line)) AS kra
""",
    sqlite=(
        f"""
UPDATE stock_movement SET
    status = CASE WHEN status NOT IN {_OPEN} THEN status WHEN :in_doubt THEN 'unknown' ELSE 'sending' END,
    unanswered_at = CASE WHEN status NOT IN {_OPEN} THEN NULL WHEN :left_behind THEN {_NOW}
                    WHEN :in_doubt THEN COALESCE(unanswered_at, {_NOW}) ELSE unanswered_at END
WHERE id = :document_id
RETURNING {_COLUMNS_SQLITE},
    (SELECT json_group_object(b.item_id, b.kra_quantity) FROM stock_balance b WHERE b.lane_id = stock_movement.lane_id
        AND b.item_id IN (SELECT json_extract(value, '$.item_id') FROM json_each(stock_movement.lines))) AS kra
""",
    ),
)

# KRA has recorded it: written even by a process that lost its lease. `changes` are thousandths by item, as sent.
RECORD = Statement(
    name="record_movements",
    postgres=f"""
WITH rows AS (
    SELECT * FROM {few("id bigint, number bigint, changes jsonb")}
), recorded AS (
    UPDATE stock_movement m SET status = 'reported', number = r.number, unanswered_at = NULL, problem = NULL
    FROM rows r WHERE m.id = r.id AND m.status IN {_OPEN}
    RETURNING m.id, m.lane_id, m.company_id, m.environment, m.public_id, m.number, r.changes
), counted AS (
    UPDATE stock_balance b SET kra_quantity = b.kra_quantity + c.change
    FROM (
        SELECT recorded.lane_id, (e->>'item_id')::bigint AS item_id, sum((e->>'change')::bigint)::bigint AS change
        FROM recorded, jsonb_array_elements(recorded.changes) AS e GROUP BY 1, 2
    ) c WHERE b.lane_id = c.lane_id AND b.item_id = c.item_id
)
INSERT INTO audit_event (public_id, company_id, environment, name, subject, actor, data, at)
SELECT gen_random_uuid(), company_id, environment, 'stock.reported', public_id, '',
    jsonb_build_object('number', number), now()
FROM recorded
""",
    sqlite=(
        f"""
UPDATE stock_movement SET status = 'reported', number = :number, unanswered_at = NULL, problem = NULL
WHERE id = :id AND status IN {_OPEN} RETURNING id
""",
        """
UPDATE stock_balance SET kra_quantity = kra_quantity + (
    SELECT SUM(json_extract(value, '$.change')) FROM json_each(:changes)
    WHERE json_extract(value, '$.item_id') = stock_balance.item_id)
WHERE lane_id = (SELECT lane_id FROM stock_movement WHERE id = :id)
    AND item_id IN (SELECT json_extract(value, '$.item_id') FROM json_each(:changes))
""",
        f"""
INSERT INTO audit_event (public_id, company_id, environment, name, subject, actor, data, at)
SELECT lower(hex(randomblob(16))), company_id, environment, 'stock.reported', public_id, '',
    json_object('number', number), {_NOW}
FROM stock_movement WHERE id = :id
""",
    ),
)

# KRA was told the balances too. A movement that waits for this one may go. (Without `COALESCE` PostgreSQL would look
# through all that is open, by the index of that.)
FINISH = Statement(
    name="finish_movements",
    postgres=f"""
WITH finished AS (
    UPDATE stock_movement m SET status = 'done', settled_at = now(), problem = r.problem
    FROM {few("id bigint, problem jsonb")} WHERE m.id = r.id AND COALESCE(m.status, '') = 'reported'
    RETURNING m.id
)
SELECT p.lane_id AS woken_lane_id FROM stock_movement p JOIN finished ON p.partner_id = finished.id
""",
    sqlite=(
        f"""
UPDATE stock_movement SET status = 'done', settled_at = {_NOW}, problem = :problem
WHERE id = :id AND status = 'reported'
RETURNING (SELECT p.lane_id FROM stock_movement p WHERE p.partner_id = :id) AS woken_lane_id
""",
    ),
)

TOLD = Statement(
    name="told_balances",
    postgres=f"""
UPDATE stock_balance b SET told_at = now() FROM {few("lane_id bigint, item_id bigint")}
WHERE b.lane_id = r.lane_id AND b.item_id = r.item_id
""",
    sqlite=(f"UPDATE stock_balance SET told_at = {_NOW} WHERE lane_id = :lane_id AND item_id = :item_id",),
)

# KRA has named its own balance, and it is another: what it counts is taken as it says, and people are told
SAID = Statement(
    name="kra_said_balances",
    postgres=f"""
WITH said AS (
    UPDATE stock_balance b SET kra_quantity = r.said, kra_said = r.said, kra_said_at = now()
    FROM {few("lane_id bigint, item_id bigint, said bigint")}
    WHERE b.lane_id = r.lane_id AND b.item_id = r.item_id AND b.kra_quantity <> r.said
    RETURNING b.company_id, b.environment, b.item_id, b.quantity, r.said
)
INSERT INTO audit_event (public_id, company_id, environment, name, severity, subject, actor, data, at)
SELECT gen_random_uuid(), said.company_id, said.environment, 'stock.drifted', 'warning', i.public_id, '',
    jsonb_build_object('item', i.code, 'ours', said.quantity / 1000.0, 'kra', said.said / 1000.0), now()
FROM said JOIN catalog_item i ON i.id = said.item_id
""",
    sqlite=(
        f"""
UPDATE stock_balance SET kra_quantity = :said, kra_said = :said, kra_said_at = {_NOW}
WHERE lane_id = :lane_id AND item_id = :item_id AND kra_quantity <> :said RETURNING id
""",
        f"""
INSERT INTO audit_event (public_id, company_id, environment, name, severity, subject, actor, data, at)
SELECT lower(hex(randomblob(16))), b.company_id, b.environment, 'stock.drifted', 'warning', i.public_id, '',
    json_object('item', i.code, 'ours', b.quantity / 1000.0, 'kra', :said / 1000.0), {_NOW}
FROM stock_balance b JOIN catalog_item i ON i.id = b.item_id WHERE b.lane_id = :lane_id AND b.item_id = :item_id
""",
    ),
)

REFUSE = Statement(
    name="refuse_movements",
    postgres=f"""
WITH refused AS (
    UPDATE stock_movement m SET status = 'refused', number = NULL, unanswered_at = NULL, problem = r.problem,
        settled_at = now()
    FROM {few("id bigint, problem jsonb")} WHERE m.id = r.id AND m.status IN {_OPEN}
    RETURNING m.id, m.company_id, m.environment, m.public_id, m.problem, m.cause
), told AS (
    INSERT INTO audit_event (public_id, company_id, environment, name, severity, subject, actor, data, at)
    SELECT gen_random_uuid(), company_id, environment, 'stock.refused', 'warning', public_id, '',
        jsonb_build_object('cause', cause, 'problem', problem), now()
    FROM refused
)
SELECT p.lane_id AS woken_lane_id FROM stock_movement p JOIN refused ON p.partner_id = refused.id
""",
    sqlite=(
        f"""
UPDATE stock_movement SET status = 'refused', number = NULL, unanswered_at = NULL, problem = :problem,
    settled_at = {_NOW}
WHERE id = :id AND status IN {_OPEN}
RETURNING (SELECT p.lane_id FROM stock_movement p WHERE p.partner_id = :id) AS woken_lane_id
""",
        f"""
INSERT INTO audit_event (public_id, company_id, environment, name, severity, subject, actor, data, at)
SELECT lower(hex(randomblob(16))), company_id, environment, 'stock.refused', 'warning', public_id, '',
    json_object('cause', cause, 'problem', json(problem)), {_NOW}
FROM stock_movement WHERE id = :id
""",
    ),
)

# Its answer is missing: the number stays with it
DOUBT = Statement(
    name="doubt_movements",
    postgres=f"""
UPDATE stock_movement m SET status = 'unknown', unanswered_at = r.unanswered_at, problem = r.problem, number = r.number
FROM {few("id bigint, unanswered_at timestamptz, problem jsonb, number bigint")}
WHERE m.id = r.id AND m.status IN {_OPEN}
""",
    sqlite=(
        f"""
UPDATE stock_movement SET status = 'unknown', unanswered_at = :unanswered_at, problem = :problem, number = :number
WHERE id = :id AND status IN {_OPEN} RETURNING id
""",
    ),
)

# Nothing was sent, or KRA does not have it: back in line, the number back with the lane
REQUEUE = Statement(
    name="requeue_movements",
    postgres=f"""
UPDATE stock_movement m SET status = 'queued', number = NULL, unanswered_at = NULL, problem = r.problem
FROM {few("id bigint, problem jsonb")} WHERE m.id = r.id AND m.status IN {_OPEN}
""",
    sqlite=(
        f"""
UPDATE stock_movement SET status = 'queued', number = NULL, unanswered_at = NULL, problem = :problem
WHERE id = :id AND status IN {_OPEN} RETURNING id
""",
    ),
)

# What a branch has of some items, and what was promised to sales that wait there, in thousandths; `lane_id` is any lane
# of the branch. Asked only where no more may go out than there is. Plan: lanes, items and balances by unique keys, the
# open jobs of the lane of sales.
_HELD = """
FROM lanes_lane beside JOIN lanes_lane s ON s.environment = beside.environment AND s.pin = beside.pin
    AND s.branch = beside.branch AND s.series = 'stock'
LEFT JOIN lanes_lane l ON l.environment = beside.environment AND l.pin = beside.pin AND l.branch = beside.branch
    AND l.series = 'invoice'
JOIN stock_balance b ON b.lane_id = s.id JOIN catalog_item c ON c.id = b.item_id AND c.product_type <> '3'
"""
HELD = Statement(
    name="held_items",
    postgres=f"""
SELECT s.id AS stock_lane_id, c.code, b.quantity, COALESCE((
    SELECT SUM(round((line->>'quantity')::numeric * 1000)) FROM lanes_job j
    JOIN sales_invoice i ON i.id = j.document_id CROSS JOIN LATERAL jsonb_array_elements(i.figures->'lines') AS line
    WHERE j.lane_id = l.id AND j.kind = 'invoice' AND NOT (j.state = 'closed') AND i.kind = 'sale'
        AND line->>'item_code' = c.code), 0)::bigint AS promised
{_HELD} WHERE beside.id = %(lane_id)s AND c.code = ANY(%(codes)s)
""",
    sqlite=(
        f"""
SELECT s.id AS stock_lane_id, c.code, b.quantity, COALESCE((
    SELECT SUM(CAST(ROUND(CAST(json_extract(line.value, '$.quantity') AS REAL) * 1000) AS INTEGER)) FROM lanes_job j
    JOIN sales_invoice i ON i.id = j.document_id JOIN json_each(i.figures, '$.lines') line
    WHERE j.lane_id = l.id AND j.kind = 'invoice' AND NOT (j.state = 'closed') AND i.kind = 'sale'
        AND json_extract(line.value, '$.item_code') = c.code), 0) AS promised
{_HELD} WHERE beside.id = :lane_id AND c.code IN (SELECT value FROM json_each(:codes))
""",
    ),
)
