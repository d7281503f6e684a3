"""The SQL of a decision's way to KRA, for purchases and for imports. Each is harmless when repeated."""

from gateway.lanes.store import Statement, few

_NOW = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
_OPEN = "('accepted', 'unknown')"
_SHARED = "d.id, d.public_id, d.company_id, d.environment, d.status, d.document, d.decision, d.booking, d.unanswered_at"
_OF_PURCHASES = "d.reference, d.body, d.supplier_pin, d.supplier_branch, d.invoice_number"
_OF_IMPORTS = "d.task_code, d.declaration_date, d.line_number"
_PURCHASES, _IMPORTS = "purchases_supplierinvoice", "purchases_importeditem"


def _start(name: str, table: str, columns: str) -> Statement:
    return Statement(
        name=name,
        postgres=f"""
SELECT {_SHARED}, {columns} FROM {table} d
JOIN {few("document_id bigint")} ON r.document_id = d.id
""",
        sqlite=(f"SELECT {_SHARED}, {columns} FROM {table} d WHERE d.id = :document_id",),
    )


def _confirm(name: str, table: str, noun: str, number: tuple[str, str]) -> Statement:
    return Statement(
        name=name,
        postgres=f"""
WITH confirmed AS (
    UPDATE {table} d SET status = r.status, unanswered_at = NULL, problem = NULL, settled_at = now(){number[0]}
    FROM {few("id bigint, number bigint, status text")}
    WHERE d.id = r.id AND d.status IN {_OPEN}
    RETURNING d.company_id, d.environment, d.public_id, d.status
)
INSERT INTO audit_event (public_id, company_id, environment, name, subject, actor, data, at)
SELECT gen_random_uuid(), company_id, environment, '{noun}.settled', public_id, '',
    jsonb_build_object('status', status), now()
FROM confirmed
""",
        sqlite=(
            f"""
UPDATE {table} SET status = :status, unanswered_at = NULL, problem = NULL, settled_at = {_NOW}{number[1]}
WHERE id = :id AND status IN {_OPEN} RETURNING id
""",
            f"""
INSERT INTO audit_event (public_id, company_id, environment, name, subject, actor, data, at)
SELECT lower(hex(randomblob(16))), company_id, environment, '{noun}.settled', public_id, '',
    json_object('status', status), {_NOW}
FROM {table} WHERE id = :id
""",
        ),
    )


def _refuse(name: str, table: str, noun: str) -> Statement:
    return Statement(
        name=name,
        postgres=f"""
WITH refused AS (
    UPDATE {table} d SET status = 'refused', unanswered_at = NULL, problem = r.problem, settled_at = now()
    FROM {few("id bigint, problem jsonb")} WHERE d.id = r.id AND d.status IN {_OPEN}
    RETURNING d.company_id, d.environment, d.public_id, d.problem
)
INSERT INTO audit_event (public_id, company_id, environment, name, severity, subject, actor, data, at)
SELECT gen_random_uuid(), company_id, environment, '{noun}.refused', 'warning', public_id, '',
    jsonb_build_object('problem', problem), now()
FROM refused
""",
        sqlite=(
            f"""
UPDATE {table} SET status = 'refused', unanswered_at = NULL, problem = :problem, settled_at = {_NOW}
WHERE id = :id AND status IN {_OPEN} RETURNING id
""",
            f"""
INSERT INTO audit_event (public_id, company_id, environment, name, severity, subject, actor, data, at)
SELECT lower(hex(randomblob(16))), company_id, environment, '{noun}.refused', 'warning', public_id, '',
    json_object('problem', json(problem)), {_NOW}
FROM {table} WHERE id = :id
""",
        ),
    )


def _requeue(name: str, table: str) -> Statement:
    return Statement(
        name=name,
        postgres=f"""
UPDATE {table} d SET status = 'accepted', unanswered_at = NULL, problem = r.problem
FROM {few("id bigint, problem jsonb")} WHERE d.id = r.id AND d.status IN {_OPEN}
""",
        sqlite=(
            f"""
UPDATE {table} SET status = 'accepted', unanswered_at = NULL, problem = :problem
WHERE id = :id AND status IN {_OPEN} RETURNING id
""",
        ),
    )


START_PURCHASES = _start("start_purchases", _PURCHASES, _OF_PURCHASES)
START_IMPORTS = _start("start_imports", _IMPORTS, _OF_IMPORTS)
CONFIRM_PURCHASES = _confirm("confirm_purchases", _PURCHASES, "purchase", (", number = r.number", ", number = :number"))
SETTLE_IMPORTS = _confirm("settle_imports", _IMPORTS, "import", ("", ""))
REFUSE_PURCHASES = _refuse("refuse_purchases", _PURCHASES, "purchase")
REFUSE_IMPORTS = _refuse("refuse_imports", _IMPORTS, "import")
# Nothing was sent, or KRA does not have it: back in line, the number back with the lane
REQUEUE_PURCHASES = _requeue("requeue_purchases", _PURCHASES)
REQUEUE_IMPORTS = _requeue("requeue_imports", _IMPORTS)
# By the kind of the job
START = {"purchase": START_PURCHASES, "import": START_IMPORTS}
CONFIRM = {"purchase": CONFIRM_PURCHASES, "import": SETTLE_IMPORTS}
REFUSE = {"purchase": REFUSE_PURCHASES, "import": REFUSE_IMPORTS}
REQUEUE = {"purchase": REQUEUE_PURCHASES, "import": REQUEUE_IMPORTS}
DOUBT = Statement(
    name="doubt_purchases",
    postgres=f"""
UPDATE {_PURCHASES} d SET status = 'unknown', unanswered_at = r.unanswered_at, problem = r.problem
FROM {few("id bigint, unanswered_at timestamptz, problem jsonb")}
WHERE d.id = r.id AND d.status IN {_OPEN}
""",
    sqlite=(
        f"""
UPDATE {_PURCHASES} SET status = 'unknown', unanswered_at = :unanswered_at, problem = :problem
WHERE id = :id AND status IN {_OPEN} RETURNING id
""",
    ),
)
