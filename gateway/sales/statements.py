"""The hand-written SQL of the hot path: keep, start, sign, refuse. All else uses the ORM.

Each statement exists for PostgreSQL (all rows of a batch as one JSON array, one plan: a scan of the array joined to the
table by its key) and for SQLite (one row at a time). Every change of an invoice writes its event in the same statement
or right after it, and only if the change was made; so repeating a statement changes nothing and tells nothing twice.
"""

from gateway.lanes.store import Statement, few
from gateway.stock.booking import booking

_EVENT_SQLITE = """
INSERT INTO audit_event (public_id, company_id, environment, name, severity, subject, actor, data, at)
SELECT lower(hex(randomblob(16))), company_id, environment, '{name}', '{severity}', public_id, '', {data},
    strftime('%Y-%m-%d %H:%M:%f000', 'now')
FROM sales_invoice WHERE id = :id
"""

# Plan: Insert on sales_invoice from a sort of the array by its unique key, so that two batches wait in one order;
# jobs are inserted in order of arrival, which is their order in the lane.
KEEP = Statement(
    name="keep_invoices",
    postgres="""
WITH rows AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS r(
        ord int, public_id uuid, company_id bigint, environment text, device_id bigint, lane_id bigint, kind text,
        reference text, content_hash text, content jsonb, figures jsonb, snapshot jsonb, body text, tag text,
        original_id bigint, issued_at timestamptz, buyer_pin text, buyer_name text, total numeric, total_tax numeric,
        accepted_at timestamptz, phone text, email text, waits_for bigint[])
), kept AS (
    INSERT INTO sales_invoice (public_id, company_id, environment, device_id, lane_id, kind, reference, revision,
        content_hash, content, figures, snapshot, body, tag, original_id, issued_at, buyer_pin, buyer_name, total,
        total_tax, status, internal_data, signature, control_unit_id, machine_code, recovered, accepted_at)
    SELECT public_id, company_id, environment, device_id, lane_id, kind, reference, 1,
        content_hash, content, figures, snapshot, body, tag, original_id, issued_at, buyer_pin, buyer_name, total,
        total_tax, 'queued', '', '', '', '', false, accepted_at
    FROM rows ORDER BY company_id, environment, reference
    ON CONFLICT (company_id, environment, reference) DO NOTHING
    RETURNING id, public_id, lane_id, company_id, environment, reference
), queued AS (
    INSERT INTO lanes_job (lane_id, kind, document_id, state, turn, last_error, created_at, waits_for_id)
    SELECT kept.lane_id, 'invoice', kept.id, 'queued', 0, '', now(),
        CASE WHEN rows.waits_for IS NOT NULL THEN (
            SELECT max(w.id) FROM lanes_job w
            WHERE w.kind = 'item' AND w.document_id = ANY(rows.waits_for) AND NOT (w.state = 'closed')) END
    FROM kept JOIN rows USING (public_id) ORDER BY rows.ord
), reachable AS (
    INSERT INTO sales_contact (invoice_id, phone, email)
    SELECT kept.id, COALESCE(rows.phone, ''), COALESCE(rows.email, '') FROM kept JOIN rows USING (public_id)
    WHERE COALESCE(rows.phone, '') <> '' OR COALESCE(rows.email, '') <> ''
), told AS (
    INSERT INTO audit_event (public_id, company_id, environment, name, subject, actor, data, at)
    SELECT gen_random_uuid(), company_id, environment, 'invoice.accepted', public_id, '',
        jsonb_build_object('reference', reference), now()
    FROM kept
)
SELECT id, public_id, lane_id FROM kept
""",
    sqlite=(
        """
INSERT INTO sales_invoice (public_id, company_id, environment, device_id, lane_id, kind, reference, revision,
    content_hash, content, figures, snapshot, body, tag, original_id, issued_at, buyer_pin, buyer_name, total,
    total_tax, status, internal_data, signature, control_unit_id, machine_code, recovered, accepted_at)
VALUES (:public_id, :company_id, :environment, :device_id, :lane_id, :kind, :reference, 1,
    :content_hash, :content, :figures, :snapshot, :body, :tag, :original_id, :issued_at, :buyer_pin, :buyer_name,
    :total, :total_tax, 'queued', '', '', '', '', 0, :accepted_at)
ON CONFLICT (company_id, environment, reference) DO NOTHING RETURNING id, lane_id
""",
        """
INSERT INTO lanes_job (lane_id, kind, document_id, state, turn, last_error, created_at, waits_for_id)
SELECT lane_id, 'invoice', id, 'queued', 0, '', accepted_at,
    CASE WHEN :waits_for IS NOT NULL THEN (
        SELECT max(w.id) FROM lanes_job w
        WHERE w.kind = 'item' AND w.document_id IN (SELECT value FROM json_each(:waits_for))
            AND NOT (w.state = 'closed')) END
FROM sales_invoice WHERE public_id = :public_id
""",
        """
INSERT INTO sales_contact (invoice_id, phone, email)
SELECT id, COALESCE(:phone, ''), COALESCE(:email, '') FROM sales_invoice
WHERE public_id = :public_id AND (COALESCE(:phone, '') <> '' OR COALESCE(:email, '') <> '')
""",
        _EVENT_SQLITE.format(
            name="invoice.accepted", severity="info", data="json_object('reference', reference)"
        ).replace("id = :id", "public_id = :public_id"),
    ),
)

# Plan: nested loop from the array to the primary key. `left_behind`: its owner died, perhaps while sending it again
# just now, so its last try counts from this moment. The report's number stays with the document as long as its number.
START = Statement(
    name="start_invoices",
    postgres=f"""
UPDATE sales_invoice i SET
    number = r.number,
    report_number = CASE WHEN i.number IS NULL
                    THEN (SELECT p.report_number FROM sales_period p WHERE p.lane_id = i.lane_id)
                    ELSE i.report_number END,
    status = CASE WHEN r.in_doubt THEN 'unknown' ELSE 'sending' END,
    unanswered_at = CASE WHEN r.left_behind THEN now() WHEN r.in_doubt THEN COALESCE(i.unanswered_at, now())
                    ELSE i.unanswered_at END
FROM {few("document_id bigint, number bigint, in_doubt bool, left_behind bool")}
WHERE i.id = r.document_id AND i.status IN ('queued', 'sending', 'unknown')
RETURNING i.id, i.public_id, i.company_id, i.environment, i.device_id, i.reference, i.body, i.tag, i.total, i.kind,
    (i.figures->'lines')::text AS lines, i.buyer_pin, i.unanswered_at, i.problem, i.issued_at, i.report_number,
    (SELECT s.id FROM lanes_lane l JOIN lanes_lane s ON s.environment = l.environment AND s.pin = l.pin
        AND s.branch = l.branch AND s.series = 'stock' WHERE l.id = i.lane_id) AS stock_lane_id,
    (SELECT f.document FROM sales_found f
     WHERE f.lane_id = i.lane_id AND f.tag = i.tag AND f.adopted_by_id IS NULL LIMIT 1) AS found
""",
    sqlite=(
        """
UPDATE sales_invoice SET
    number = :number,
    report_number = CASE WHEN number IS NULL
                    THEN (SELECT p.report_number FROM sales_period p WHERE p.lane_id = sales_invoice.lane_id)
                    ELSE report_number END,
    status = CASE WHEN :in_doubt THEN 'unknown' ELSE 'sending' END,
    unanswered_at = CASE WHEN :left_behind THEN strftime('%Y-%m-%d %H:%M:%f000', 'now')
                    WHEN :in_doubt THEN COALESCE(unanswered_at, strftime('%Y-%m-%d %H:%M:%f000', 'now'))
                    ELSE unanswered_at END
WHERE id = :document_id AND status IN ('queued', 'sending', 'unknown')
RETURNING id, public_id, company_id, environment, device_id, reference, body, tag, total, kind,
    json_extract(figures, '$.lines') AS lines, buyer_pin, unanswered_at, problem, issued_at, report_number,
    (SELECT s.id FROM lanes_lane l JOIN lanes_lane s ON s.environment = l.environment AND s.pin = l.pin
        AND s.branch = l.branch AND s.series = 'stock' WHERE l.id = sales_invoice.lane_id) AS stock_lane_id,
    (SELECT f.document FROM sales_found f
     WHERE f.lane_id = sales_invoice.lane_id AND f.tag = sales_invoice.tag AND f.adopted_by_id IS NULL) AS found
""",
    ),
)

_RECEIPT = """
id bigint, number bigint, receipt_number bigint, total_receipt_number bigint, internal_data text, signature text,
signed_at timestamptz, control_unit_id text, machine_code text, recovered bool, settled_at timestamptz, tag text
"""
# What KRA gave is written even by a process that lost its lease; `status <> 'signed'` keeps the first receipt, and the
# tag keeps a receipt from an invoice that was corrected meanwhile: it is of other content.
SIGN = Statement(
    name="sign_invoices",
    postgres=f"""
WITH signed AS (
    UPDATE sales_invoice i SET status = 'signed', number = r.number, receipt_number = r.receipt_number,
        total_receipt_number = r.total_receipt_number, internal_data = r.internal_data, signature = r.signature,
        signed_at = r.signed_at, control_unit_id = r.control_unit_id, machine_code = r.machine_code,
        recovered = r.recovered, settled_at = r.settled_at, unanswered_at = NULL, problem = NULL
    FROM {few(_RECEIPT)}
    WHERE i.id = r.id AND i.tag = r.tag AND i.status <> 'signed'
    RETURNING i.company_id, i.environment, i.public_id, i.reference, i.number, i.recovered
)
INSERT INTO audit_event (public_id, company_id, environment, name, subject, actor, data, at)
SELECT gen_random_uuid(), company_id, environment, 'invoice.signed', public_id, '',
    jsonb_build_object('reference', reference, 'number', number, 'recovered', recovered), now()
FROM signed
""",
    sqlite=(
        """
UPDATE sales_invoice SET status = 'signed', number = :number, receipt_number = :receipt_number,
    total_receipt_number = :total_receipt_number, internal_data = :internal_data, signature = :signature,
    signed_at = :signed_at, control_unit_id = :control_unit_id, machine_code = :machine_code,
    recovered = :recovered, settled_at = :settled_at, unanswered_at = NULL, problem = NULL
WHERE id = :id AND tag = :tag AND status <> 'signed' RETURNING id
""",
        _EVENT_SQLITE.format(
            name="invoice.signed",
            severity="info",
            data="json_object('reference', reference, 'number', number, "
            "'recovered', json(CASE WHEN recovered THEN 'true' ELSE 'false' END))",
        ),
    ),
)

# What was sold leaves the stock, and what a credit note says was returned comes back, in the same commit and once,
# wherever the branch keeps the item in stock. It follows
# SIGN, and is written like it even by a process that lost its lease.
FOLLOW = booking(
    "follow_signed_sales",
    postgres=f"""
SELECT r.cause, i.company_id, i.environment, i.lane_id AS beside_lane_id,
    CASE i.kind WHEN 'sale' THEN '11' ELSE '03' END AS reason,
    (i.issued_at AT TIME ZONE 'Africa/Nairobi')::date AS occurred_on,
    CASE i.kind WHEN 'sale' THEN i.figures->'lines' ELSE i.figures->'returned' END AS lines, '' AS fingerprint,
    false AS is_opening, true AS counts, true AS tells_kra, true AS tracked_only,
    CASE i.kind WHEN 'sale' THEN 'Sale ' ELSE 'Credit note ' END || i.reference AS remark,
    i.buyer_pin AS counterparty_pin, i.buyer_name AS counterparty_name, '' AS counterparty_branch,
    NULL::bigint AS partner_id, '' AS actor
FROM {few("id bigint, tag text, cause text")} JOIN sales_invoice i ON i.id = r.id
WHERE i.tag = r.tag AND i.status = 'signed'
""",
    sqlite="""
SELECT :cause AS cause, i.company_id, i.environment, i.lane_id AS beside_lane_id,
    CASE i.kind WHEN 'sale' THEN '11' ELSE '03' END AS reason, date(i.issued_at, '+3 hours') AS occurred_on,
    json_extract(i.figures, CASE i.kind WHEN 'sale' THEN '$.lines' ELSE '$.returned' END) AS lines, '' AS fingerprint,
    0 AS is_opening, 1 AS counts, 1 AS tells_kra, 1 AS tracked_only,
    CASE i.kind WHEN 'sale' THEN 'Sale ' ELSE 'Credit note ' END || i.reference AS remark,
    i.buyer_pin AS counterparty_pin, i.buyer_name AS counterparty_name, '' AS counterparty_branch,
    NULL AS partner_id, '' AS actor
FROM sales_invoice i WHERE i.id = :id AND i.tag = :tag AND i.status = 'signed'
""",
)

REFUSE = Statement(
    name="refuse_invoices",
    postgres=f"""
WITH refused AS (
    UPDATE sales_invoice i SET status = 'refused', number = NULL, unanswered_at = NULL, problem = r.problem,
        settled_at = r.settled_at
    FROM {few("id bigint, problem jsonb, settled_at timestamptz")}
    WHERE i.id = r.id AND i.status IN ('sending', 'unknown')
    RETURNING i.company_id, i.environment, i.public_id, i.reference, i.problem
)
INSERT INTO audit_event (public_id, company_id, environment, name, severity, subject, actor, data, at)
SELECT gen_random_uuid(), company_id, environment, 'invoice.refused', 'warning', public_id, '',
    jsonb_build_object('reference', reference, 'problem', problem), now()
FROM refused
""",
    sqlite=(
        """
UPDATE sales_invoice SET status = 'refused', number = NULL, unanswered_at = NULL, problem = :problem,
    settled_at = :settled_at
WHERE id = :id AND status IN ('sending', 'unknown') RETURNING id
""",
        _EVENT_SQLITE.format(
            name="invoice.refused",
            severity="warning",
            data="json_object('reference', reference, 'problem', json(problem))",
        ),
    ),
)

# The answer is missing: the number stays, and nobody may take the invoice for signed or for failed.
DOUBT = Statement(
    name="doubt_invoices",
    postgres=f"""
WITH rows AS (
    SELECT * FROM {few("id bigint, unanswered_at timestamptz, problem jsonb")}
), old AS (
    SELECT i.id, i.status FROM sales_invoice i JOIN rows USING (id)
), doubted AS (
    UPDATE sales_invoice i SET status = 'unknown', unanswered_at = r.unanswered_at, problem = r.problem
    FROM rows r JOIN old ON old.id = r.id
    WHERE i.id = r.id AND i.status IN ('sending', 'unknown')
    RETURNING i.company_id, i.environment, i.public_id, i.reference, i.number, old.status AS before
)
INSERT INTO audit_event (public_id, company_id, environment, name, severity, subject, actor, data, at)
SELECT gen_random_uuid(), company_id, environment, 'invoice.unknown', 'warning', public_id, '',
    jsonb_build_object('reference', reference, 'number', number), now()
FROM doubted WHERE before <> 'unknown'
""",
    sqlite=(
        """
UPDATE sales_invoice SET unanswered_at = :unanswered_at, problem = :problem
WHERE id = :id AND status IN ('sending', 'unknown') RETURNING id
""",
        _EVENT_SQLITE.format(
            name="invoice.unknown", severity="warning", data="json_object('reference', reference, 'number', number)"
        ).replace("id = :id", "id = :id AND status = 'sending'"),
        "UPDATE sales_invoice SET status = 'unknown' WHERE id = :id AND status = 'sending'",
    ),
)

# Nothing was sent, or KRA was busy: back in line at the same position, the number back with the lane
REQUEUE = Statement(
    name="requeue_invoices",
    postgres=f"""
UPDATE sales_invoice i SET status = 'queued', number = NULL, unanswered_at = NULL, problem = r.problem
FROM {few("id bigint, problem jsonb")}
WHERE i.id = r.id AND i.status IN ('sending', 'unknown')
""",
    sqlite=(
        """
UPDATE sales_invoice SET status = 'queued', number = NULL, unanswered_at = NULL, problem = :problem
WHERE id = :id AND status IN ('sending', 'unknown') RETURNING id
""",
    ),
)

# Another's invoice under a number of ours: kept as found, and told once
RECORD_FOUND = Statement(
    name="record_found",
    postgres="""
WITH rows AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS r(
        lane_id bigint, number bigint, tag text, document jsonb, company_id bigint, environment text, subject uuid)
), found AS (
    INSERT INTO sales_found (lane_id, number, tag, document, found_at)
    SELECT lane_id, number, tag, document, now() FROM rows ORDER BY lane_id, number
    ON CONFLICT (lane_id, number) DO NOTHING RETURNING lane_id, number
)
INSERT INTO audit_event (public_id, company_id, environment, name, severity, subject, actor, data, at)
SELECT gen_random_uuid(), company_id, environment, 'lane.drifted', 'warning', subject, '',
    jsonb_build_object('number', number), now()
FROM rows JOIN found USING (lane_id, number)
""",
    sqlite=(
        """
INSERT INTO sales_found (lane_id, number, tag, document, found_at)
VALUES (:lane_id, :number, :tag, :document, strftime('%Y-%m-%d %H:%M:%f000', 'now'))
ON CONFLICT (lane_id, number) DO NOTHING RETURNING id
""",
        """
INSERT INTO audit_event (public_id, company_id, environment, name, severity, subject, actor, data, at)
VALUES (lower(hex(randomblob(16))), :company_id, :environment, 'lane.drifted', 'warning', :subject, '',
    json_object('number', :number), strftime('%Y-%m-%d %H:%M:%f000', 'now'))
""",
    ),
)

ADOPT_FOUND = Statement(
    name="adopt_found",
    postgres=f"""
UPDATE sales_found f SET adopted_by_id = r.id
FROM {few("id bigint, lane_id bigint, number bigint")}
WHERE f.lane_id = r.lane_id AND f.number = r.number AND f.adopted_by_id IS NULL
    AND EXISTS (SELECT 1 FROM sales_invoice i WHERE i.id = r.id AND i.status = 'signed' AND i.number = r.number)
""",
    sqlite=(
        """
UPDATE sales_found SET adopted_by_id = :id WHERE lane_id = :lane_id AND number = :number AND adopted_by_id IS NULL
    AND EXISTS (SELECT 1 FROM sales_invoice i WHERE i.id = :id AND i.status = 'signed' AND i.number = :number)
""",
    ),
)

# Which of our invoices a mark in KRA's remark belongs to; `is_current` tells it from what was corrected since.
# Plan: the lane's part of the unique key on (lane, number); asked only when numbers have drifted.
BY_TAG = Statement(
    name="invoices_by_tag",
    postgres="""
SELECT i.id, i.status, i.number, i.tag, true AS is_current FROM sales_invoice i
WHERE i.lane_id = %(lane_id)s AND i.tag = ANY(%(tags)s)
UNION ALL
SELECT i.id, i.status, i.number, r.tag, false FROM sales_revision r JOIN sales_invoice i ON i.id = r.invoice_id
WHERE i.lane_id = %(lane_id)s AND r.tag = ANY(%(tags)s) AND r.tag <> i.tag
""",
    sqlite=(
        """
SELECT i.id, i.status, i.number, i.tag, 1 AS is_current FROM sales_invoice i
WHERE i.lane_id = :lane_id AND i.tag IN (SELECT value FROM json_each(:tags))
UNION ALL
SELECT i.id, i.status, i.number, r.tag, 0 FROM sales_revision r JOIN sales_invoice i ON i.id = r.invoice_id
WHERE i.lane_id = :lane_id AND r.tag IN (SELECT value FROM json_each(:tags)) AND r.tag <> i.tag
""",
    ),
)

# The last two columns are of one kind each: what credits a sale, and what a credit note credits. Plan: an index scan of
# original_id that finds nothing for most sales, and the primary key.
_COLUMNS = """
i.id, i.original_id, i.device_id, i.public_id,
i.company_id, i.environment, i.kind, i.reference, i.revision, i.content_hash, i.figures, i.snapshot,
i.issued_at, i.buyer_pin, i.buyer_name, i.total, i.total_tax, i.status, i.number, i.problem, i.receipt_number,
i.total_receipt_number, i.internal_data, i.signature, i.signed_at, i.control_unit_id, i.machine_code, i.recovered,
i.accepted_at, i.settled_at, i.lane_id, d.public_id AS device_public_id, l.rest_reason, l.hold_reason, l.due_at,
CASE WHEN i.status IN ('queued', 'sending', 'unknown') THEN (
    SELECT COUNT(*) FROM lanes_job ahead JOIN lanes_job own ON own.kind = 'invoice' AND own.document_id = i.id
    WHERE ahead.lane_id = i.lane_id AND NOT (ahead.state = 'closed') AND ahead.id <= own.id) END AS position
"""
_LINKS = """
, (SELECT jsonb_agg(jsonb_build_object('id', n.public_id, 'reference', n.reference, 'status', n.status,
    'number', n.number, 'amount', n.figures->>'total') ORDER BY n.id)
    FROM sales_invoice n WHERE n.original_id = i.id) AS credit_notes,
(SELECT jsonb_build_object('id', o.public_id, 'reference', o.reference, 'number', o.number)
    FROM sales_invoice o WHERE o.id = i.original_id) AS original
"""
_LINKS_SQLITE = """
, (SELECT json_group_array(json(note)) FROM (
    SELECT json_object('id', n.public_id, 'reference', n.reference, 'status', n.status,
        'number', n.number, 'amount', json_extract(n.figures, '$.total')) AS note
    FROM sales_invoice n WHERE n.original_id = i.id ORDER BY n.id)) AS credit_notes,
(SELECT json_object('id', o.public_id, 'reference', o.reference, 'number', o.number)
    FROM sales_invoice o WHERE o.id = i.original_id) AS original
"""
_TABLES = "sales_invoice i JOIN devices_device d ON d.id = i.device_id JOIN lanes_lane l ON l.id = i.lane_id"

BY_REFERENCE = Statement(
    name="invoice_by_reference",
    postgres=f"""
SELECT {_COLUMNS}{_LINKS} FROM {_TABLES}
WHERE i.company_id = %(company_id)s AND i.environment = %(environment)s AND i.reference = %(reference)s
""",
    sqlite=(
        f"""
SELECT {_COLUMNS}{_LINKS_SQLITE} FROM {_TABLES}
WHERE i.company_id = :company_id AND i.environment = :environment AND i.reference = :reference
""",
    ),
)

BY_PUBLIC_ID = Statement(
    name="invoice_by_public_id",
    postgres=f"""
SELECT {_COLUMNS}{_LINKS} FROM {_TABLES}
WHERE i.company_id = %(company_id)s AND i.environment = %(environment)s AND i.public_id = %(public_id)s
""",
    sqlite=(
        f"""
SELECT {_COLUMNS}{_LINKS_SQLITE} FROM {_TABLES}
WHERE i.company_id = :company_id AND i.environment = :environment AND i.public_id = :public_id
""",
    ),
)

# A credit note whose turn it is and whose body was not written yet, with the sale that it credits
CREDITED = Statement(
    name="credited_sale",
    postgres="""
SELECT n.reference, n.figures, n.snapshot, n.issued_at, n.buyer_pin, n.buyer_name, n.tag,
    o.status AS sale_status, o.revision AS sale_revision, o.reference AS sale_reference, o.figures AS sale_figures,
    o.number, o.control_unit_id, o.receipt_number
FROM sales_invoice n JOIN sales_invoice o ON o.id = n.original_id WHERE n.id = %(id)s
""",
    sqlite=(
        """
SELECT n.reference, n.figures, n.snapshot, n.issued_at, n.buyer_pin, n.buyer_name, n.tag,
    o.status AS sale_status, o.revision AS sale_revision, o.reference AS sale_reference, o.figures AS sale_figures,
    o.number, o.control_unit_id, o.receipt_number
FROM sales_invoice n JOIN sales_invoice o ON o.id = n.original_id WHERE n.id = :id
""",
    ),
)

# Its sale is signed: what KRA gets, durable before it is sent. An empty body has never been sent.
WRITE_NOTE = Statement(
    name="write_credit_notes",
    postgres=f"""
UPDATE sales_invoice i SET body = r.body, figures = r.figures, snapshot = r.snapshot
FROM {few("id bigint, body text, figures jsonb, snapshot jsonb")}
WHERE i.id = r.id AND i.status IN ('sending', 'unknown') AND i.body = ''
""",
    sqlite=(
        """
UPDATE sales_invoice SET body = :body, figures = :figures, snapshot = :snapshot
WHERE id = :id AND status IN ('sending', 'unknown') AND body = '' RETURNING id
""",
    ),
)

# Put back behind its sale, whose job is in the same lane
WAIT_FOR_SALE = Statement(
    name="wait_for_sales",
    postgres=f"""
UPDATE lanes_job j SET waits_for_id = w.id
FROM {few("id bigint")}, sales_invoice n, lanes_job w
WHERE j.kind = 'invoice' AND j.document_id = r.id AND n.id = r.id
    AND w.kind = 'invoice' AND w.document_id = n.original_id AND NOT (w.state = 'closed')
""",
    sqlite=(
        """
UPDATE lanes_job SET waits_for_id = (
    SELECT w.id FROM lanes_job w JOIN sales_invoice n ON n.original_id = w.document_id
    WHERE w.kind = 'invoice' AND n.id = :id AND NOT (w.state = 'closed'))
WHERE kind = 'invoice' AND document_id = :id
""",
    ),
)

CONTENT = Statement(
    name="invoice_content",
    postgres="SELECT content, body FROM sales_invoice WHERE id = %(id)s",
    sqlite=("SELECT content, body FROM sales_invoice WHERE id = :id",),
)

# Worked out anew with other rates. It is with KRA no more, and its number is given back in the same commit.
REBUILD = Statement(
    name="rebuild_invoices",
    postgres=f"""
WITH rebuilt AS (
    UPDATE sales_invoice i SET figures = r.figures, body = r.body, total = r.total, total_tax = r.total_tax
    FROM {few("id bigint, figures jsonb, body text, total numeric, total_tax numeric")}
    WHERE i.id = r.id AND i.status = 'sending' AND i.unanswered_at IS NULL
    RETURNING i.company_id, i.environment, i.public_id, i.reference
)
INSERT INTO audit_event (public_id, company_id, environment, name, subject, actor, data, at)
SELECT gen_random_uuid(), company_id, environment, 'invoice.rebuilt', public_id, '',
    jsonb_build_object('reference', reference), now()
FROM rebuilt
""",
    sqlite=(
        """
UPDATE sales_invoice SET figures = :figures, body = :body, total = :total, total_tax = :total_tax
WHERE id = :id AND status = 'sending' AND unanswered_at IS NULL RETURNING id
""",
        _EVENT_SQLITE.format(name="invoice.rebuilt", severity="info", data="json_object('reference', reference)"),
    ),
)

# The codes of items that were registered while a sale waited for them
ITEM_CODES = Statement(
    name="item_codes",
    postgres="""
SELECT id, code, kra_code, status, problem FROM catalog_item
WHERE company_id = %(company_id)s AND environment = %(environment)s AND code = ANY(%(codes)s)
""",
    sqlite=(
        """
SELECT id, code, kra_code, status, problem FROM catalog_item
WHERE company_id = :company_id AND environment = :environment AND code IN (SELECT value FROM json_each(:codes))
""",
    ),
)

# Where a company's items are registered
ITEM_LANE = Statement(
    name="item_lane",
    postgres="""
SELECT id FROM lanes_lane WHERE company_id = %(company_id)s AND environment = %(environment)s AND series = 'item'
""",
    sqlite=(
        """
SELECT id FROM lanes_lane WHERE company_id = :company_id AND environment = :environment AND series = 'item'
""",
    ),
)

# The codes that were missing stand in the body and the lines now. Nothing of it was sent: a body with gaps never is
COMPLETE = Statement(
    name="complete_invoices",
    postgres=f"""
UPDATE sales_invoice i SET figures = jsonb_set(i.figures, '{{lines}}', r.lines), body = r.body
FROM {few("id bigint, body text, lines jsonb")}
WHERE i.id = r.id AND i.status IN ('queued', 'sending', 'unknown')
""",
    sqlite=(
        """
UPDATE sales_invoice SET figures = json_set(figures, '$.lines', json(:lines)), body = :body
WHERE id = :id AND status IN ('queued', 'sending', 'unknown')
""",
    ),
)

# Put back to wait for an item whose registration has not ended; the items' lane is locked, so it does not end unseen
WAIT_FOR_ITEM = Statement(
    name="wait_for_items",
    postgres=f"""
UPDATE lanes_job j SET waits_for_id = w.id
FROM {few("id bigint, item_id bigint")}, lanes_job w
WHERE j.kind = 'invoice' AND j.document_id = r.id
    AND w.kind = 'item' AND w.document_id = r.item_id AND NOT (w.state = 'closed')
""",
    sqlite=(
        """
UPDATE lanes_job SET waits_for_id = (
    SELECT w.id FROM lanes_job w WHERE w.kind = 'item' AND w.document_id = :item_id AND NOT (w.state = 'closed'))
WHERE kind = 'invoice' AND document_id = :id
""",
    ),
)

ENDED = Statement(
    name="invoice_ended",
    postgres="SELECT status, number FROM sales_invoice WHERE id = %(id)s",
    sqlite=("SELECT status, number FROM sales_invoice WHERE id = :id",),
)

# Documents that somebody here waits for and that another process has settled
SETTLED = Statement(
    name="settled_among",
    postgres="""
SELECT public_id FROM sales_invoice
WHERE public_id = ANY(%(public_ids)s) AND status IN ('signed', 'refused', 'cancelled')
""",
    sqlite=(
        """
SELECT public_id FROM sales_invoice WHERE status IN ('signed', 'refused', 'cancelled')
    AND public_id IN (SELECT value FROM json_each(:public_ids))
""",
    ),
)

# Of which items a sale needs more than there is, at KRA or here, in thousandths. Plan: the sale, items and balances by
# unique keys.
_NEEDED = (
    """
FROM sales_invoice i CROSS JOIN LATERAL jsonb_array_elements(i.figures->'lines') AS line
JOIN catalog_item c ON c.company_id = i.company_id AND c.environment = i.environment AND c.code = line->>'item_code'
JOIN stock_balance b ON b.lane_id = %(stock_lane_id)s AND b.item_id = c.id
WHERE i.id = %(id)s AND i.kind = 'sale' AND c.product_type <> '3'
""",
    """
FROM sales_invoice i JOIN json_each(i.figures, '$.lines') line
JOIN catalog_item c ON c.company_id = i.company_id AND c.environment = i.environment
    AND c.code = json_extract(line.value, '$.item_code')
JOIN stock_balance b ON b.lane_id = :stock_lane_id AND b.item_id = c.id
WHERE i.id = :id AND i.kind = 'sale' AND c.product_type <> '3'
""",
)
_NEEDS = (
    "SUM(round((line->>'quantity')::numeric * 1000))",
    "SUM(ROUND(CAST(json_extract(line.value, '$.quantity') AS REAL) * 1000))",
)
_ON_THE_WAY = "AND EXISTS (SELECT 1 FROM lanes_job j WHERE j.lane_id = b.lane_id AND NOT (j.state = 'closed'))"

# KRA does not have enough of them yet, while movements are still on their way to it
NOT_YET_AT_KRA = Statement(
    name="not_yet_at_kra",
    postgres=f"""
SELECT c.code {_NEEDED[0]} {_ON_THE_WAY}
GROUP BY c.code, b.kra_quantity HAVING {_NEEDS[0]} > b.kra_quantity ORDER BY c.code
""",
    sqlite=(
        f"""
SELECT c.code {_NEEDED[1]} {_ON_THE_WAY}
GROUP BY c.code, b.kra_quantity HAVING {_NEEDS[1]} > b.kra_quantity ORDER BY c.code
""",
    ),
)

# The branch does not have enough of them now that it is the sale's turn
SHORT_OF = Statement(
    name="short_of",
    postgres=f"""
SELECT c.code, b.quantity {_NEEDED[0]}
GROUP BY c.code, b.quantity HAVING {_NEEDS[0]} > b.quantity ORDER BY c.code
""",
    sqlite=(
        f"""
SELECT c.code, b.quantity {_NEEDED[1]}
GROUP BY c.code, b.quantity HAVING {_NEEDS[1]} > b.quantity ORDER BY c.code
""",
    ),
)
