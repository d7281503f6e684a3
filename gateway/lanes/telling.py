"""Tell people that a lane is held, in the commit that holds it."""

from typing import Any

from gateway.lanes.store import Effect, Row, Statement

TELL_HELD = Statement(
    name="tell_held",
    postgres="""
INSERT INTO audit_event (public_id, company_id, environment, name, severity, subject, actor, data, at)
SELECT gen_random_uuid(), company_id, environment, 'lane.held', 'warning', subject, '',
    jsonb_build_object('reason', reason), now()
FROM jsonb_to_recordset(%s::jsonb) AS r(company_id bigint, environment text, subject uuid, reason text)
""",
    sqlite=(
        """
INSERT INTO audit_event (public_id, company_id, environment, name, severity, subject, actor, data, at)
VALUES (lower(hex(randomblob(16))), :company_id, :environment, 'lane.held', 'warning', :subject, '',
    json_object('reason', :reason), strftime('%Y-%m-%d %H:%M:%f000', 'now'))
""",
    ),
)


def tell_held(document: Row, reason: str, *, subject: Any) -> Effect:
    """The event that the lane of a document is held; `subject` is the public id of what it is about."""
    told = {"company_id": document["company_id"], "environment": document["environment"]}
    return Effect(TELL_HELD, told | {"subject": subject, "reason": reason})
