"""The database's own guard: a signed invoice never changes, whoever asks."""

from typing import Any

from django.db import migrations

POSTGRES = """
CREATE FUNCTION sales_signed_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a signed invoice never changes' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER sales_signed_stands BEFORE UPDATE OR DELETE ON sales_invoice
    FOR EACH ROW WHEN (OLD.status = 'signed') EXECUTE FUNCTION sales_signed_stands();
"""
POSTGRES_UNDO = "DROP TRIGGER sales_signed_stands ON sales_invoice; DROP FUNCTION sales_signed_stands();"
SQLITE = """
CREATE TRIGGER sales_signed_stands_{verb} BEFORE {verb} ON sales_invoice WHEN OLD.status = 'signed'
BEGIN SELECT RAISE(ABORT, 'a signed invoice never changes'); END
"""


def guard(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRES)
    else:
        for verb in ("update", "delete"):
            schema_editor.execute(SQLITE.format(verb=verb))


def unguard(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRES_UNDO)
    else:
        for verb in ("update", "delete"):
            schema_editor.execute(f"DROP TRIGGER sales_signed_stands_{verb}")


class Migration(migrations.Migration):
    replaces = [("sales", "0003_signed_stands")]
    dependencies = [("sales", "0001_tables")]
    operations = [migrations.RunPython(guard, unguard)]
