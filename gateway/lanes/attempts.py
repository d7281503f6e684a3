"""Keep every message to KRA for the record."""

from gateway.kra.documents import Exchange
from gateway.lanes.store import Effect, Started, Statement

RECORD_ATTEMPT = Statement(
    name="record_attempts",
    postgres="""
INSERT INTO lanes_attempt (company_id, environment, kind, document_id, operation, number, started_at, duration_ms,
    http_status, outcome, code, message, request_sha256, request, answer)
SELECT company_id, environment, kind, document_id, operation, number, started_at, duration_ms, http_status, outcome,
    code, message, request_sha256, request, answer
FROM jsonb_to_recordset(%s::jsonb) AS r(company_id bigint, environment text, kind text, document_id bigint,
    operation text, number bigint, started_at timestamptz, duration_ms int, http_status smallint, outcome text,
    code text, message text, request_sha256 text, request text, answer text)
""",
    sqlite=(
        """
INSERT INTO lanes_attempt (company_id, environment, kind, document_id, operation, number, started_at, duration_ms,
    http_status, outcome, code, message, request_sha256, request, answer)
VALUES (:company_id, :environment, :kind, :document_id, :operation, :number, :started_at, :duration_ms, :http_status,
    :outcome, :code, :message, :request_sha256, :request, :answer)
""",
    ),
)


def attempt_effect(started: Started, exchange: Exchange) -> Effect:
    """The row of one message, to be written when its turn is settled. The exchange is masked already."""
    return Effect(
        RECORD_ATTEMPT,
        {
            "company_id": started.document["company_id"],
            "environment": started.document["environment"],
            "kind": started.kind,
            "document_id": started.document_id,
            "operation": exchange.operation,
            "number": exchange.number,
            "started_at": exchange.started_at,
            "duration_ms": exchange.duration_ms,
            "http_status": exchange.http_status,
            "outcome": exchange.outcome,
            "code": exchange.code[:40],
            "message": exchange.message[:500],
            "request_sha256": exchange.request_sha256,
            "request": exchange.request_masked,
            "answer": exchange.answer_masked,
        },
    )
