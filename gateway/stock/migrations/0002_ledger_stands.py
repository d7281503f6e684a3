"""The database's own guard: what stands in the stock ledger is never changed or removed, whoever asks."""

from typing import Any

from django.db import migrations

POSTGRES = """
CREATE FUNCTION stock_ledger_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the stock ledger never changes' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER stock_ledger_stands BEFORE UPDATE OR DELETE ON stock_entry
    FOR EACH ROW EXECUTE FUNCTION stock_ledger_stands();
"""
POSTGRES_UNDO = "DROP TRIGGER stock_ledger_stands ON stock_entry; DROP FUNCTION stock_ledger_stands();"
SQLITE = """
CREATE TRIGGER stock_ledger_stands_{verb} BEFORE {verb} ON stock_entry
BEGIN SELECT RAISE(ABORT, 'the stock ledger never changes'); END
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
            schema_editor.execute(f"DROP TRIGGER stock_ledger_stands_{verb}")


class Migration(migrations.Migration):
    dependencies = [("stock", "0001_tables")]
    operations = [migrations.RunPython(guard, unguard)]
