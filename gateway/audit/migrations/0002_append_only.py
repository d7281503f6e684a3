"""The database itself keeps the journal as it was written.

An event may be told on (`dispatched_at`) and sealed, once; an anchor and an archive never change. Nothing of them is
deleted.
"""

from typing import Any

from django.db import migrations

CONTENT = "id, public_id, company_id, environment, name, severity, subject, actor, address, request_id, data, before, after, at"
EVENT_SAYS, SEAL_SAYS = "the journal is append-only", "an event is sealed once"
ANCHOR_SAYS, ARCHIVE_SAYS = "an anchor never changes", "an archive never changes"

POSTGRES = f"""
CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER audit_event_stands BEFORE UPDATE OF {CONTENT} OR DELETE ON audit_event
    FOR EACH ROW EXECUTE FUNCTION audit_append_only('{EVENT_SAYS}');
CREATE TRIGGER audit_event_sealed BEFORE UPDATE OF position, seal ON audit_event
    FOR EACH ROW WHEN (OLD.position IS NOT NULL) EXECUTE FUNCTION audit_append_only('{SEAL_SAYS}');
CREATE TRIGGER audit_event_stays BEFORE TRUNCATE ON audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only('{EVENT_SAYS}');
CREATE TRIGGER audit_anchor_stands BEFORE UPDATE OR DELETE ON audit_anchor
    FOR EACH ROW EXECUTE FUNCTION audit_append_only('{ANCHOR_SAYS}');
CREATE TRIGGER audit_anchor_stays BEFORE TRUNCATE ON audit_anchor
    FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only('{ANCHOR_SAYS}');
CREATE TRIGGER audit_archive_stands BEFORE UPDATE OR DELETE ON audit_archive
    FOR EACH ROW EXECUTE FUNCTION audit_append_only('{ARCHIVE_SAYS}');
CREATE TRIGGER audit_archive_stays BEFORE TRUNCATE ON audit_archive
    FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only('{ARCHIVE_SAYS}');
"""
POSTGRES_UNDO = """
DROP TRIGGER audit_event_stands ON audit_event;
DROP TRIGGER audit_event_sealed ON audit_event;
DROP TRIGGER audit_event_stays ON audit_event;
DROP TRIGGER audit_anchor_stands ON audit_anchor;
DROP TRIGGER audit_anchor_stays ON audit_anchor;
DROP TRIGGER audit_archive_stands ON audit_archive;
DROP TRIGGER audit_archive_stays ON audit_archive;
DROP FUNCTION audit_append_only();
"""
SQLITE = {
    "audit_event_stands": f"BEFORE UPDATE OF {CONTENT} ON audit_event BEGIN SELECT RAISE(ABORT, '{EVENT_SAYS}'); END",
    "audit_event_sealed": "BEFORE UPDATE OF position, seal ON audit_event WHEN OLD.position IS NOT NULL "
    f"BEGIN SELECT RAISE(ABORT, '{SEAL_SAYS}'); END",
    "audit_event_stays": f"BEFORE DELETE ON audit_event BEGIN SELECT RAISE(ABORT, '{EVENT_SAYS}'); END",
    "audit_anchor_stands": f"BEFORE UPDATE ON audit_anchor BEGIN SELECT RAISE(ABORT, '{ANCHOR_SAYS}'); END",
    "audit_anchor_stays": f"BEFORE DELETE ON audit_anchor BEGIN SELECT RAISE(ABORT, '{ANCHOR_SAYS}'); END",
    "audit_archive_stands": f"BEFORE UPDATE ON audit_archive BEGIN SELECT RAISE(ABORT, '{ARCHIVE_SAYS}'); END",
    "audit_archive_stays": f"BEFORE DELETE ON audit_archive BEGIN SELECT RAISE(ABORT, '{ARCHIVE_SAYS}'); END",
}


def guard(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRES, params=None)
    else:
        for name, rule in SQLITE.items():
            schema_editor.execute(f"CREATE TRIGGER {name} {rule}")


def unguard(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRES_UNDO, params=None)
    else:
        for name in SQLITE:
            schema_editor.execute(f"DROP TRIGGER {name}")


class Migration(migrations.Migration):
    replaces = [("audit", "0004_append_only"), ("audit", "0005_archive")]
    dependencies = [("audit", "0001_tables")]
    operations = [migrations.RunPython(guard, unguard)]
