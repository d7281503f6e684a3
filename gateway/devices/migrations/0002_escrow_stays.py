"""The database itself keeps what is in escrow: nothing is deleted, and only the wrapping changes, when keys rotate."""

from typing import Any

from django.db import migrations

CONTENT = "id, public_id, company_id, device_id, kind, sealed, created_at"
SAYS = "what is in escrow stays"

POSTGRES = f"""
CREATE FUNCTION devices_escrow_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '{SAYS}' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER devices_escrow_stays BEFORE UPDATE OF {CONTENT} OR DELETE ON devices_escrow
    FOR EACH ROW EXECUTE FUNCTION devices_escrow_stays();
"""
POSTGRES_UNDO = "DROP TRIGGER devices_escrow_stays ON devices_escrow; DROP FUNCTION devices_escrow_stays();"
SQLITE = {
    "devices_escrow_stands": f"BEFORE UPDATE OF {CONTENT} ON devices_escrow BEGIN SELECT RAISE(ABORT, '{SAYS}'); END",
    "devices_escrow_stays": f"BEFORE DELETE ON devices_escrow BEGIN SELECT RAISE(ABORT, '{SAYS}'); END",
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
    replaces = [("devices", "0004_escrow_stays")]
    dependencies = [("devices", "0001_tables")]
    operations = [migrations.RunPython(guard, unguard)]
