"""The database's own guard: a Z report never changes, and of a cash movement only which report counts it is set, once."""

from typing import Any

from django.db import migrations

MOVED = "id, public_id, company_id, environment, lane_id, reference, kind, amount, remark, cashier, made_by, made_at"
Z_SAYS, CASH_SAYS = "a Z report never changes", "a cash movement never changes"

POSTGRES = f"""
CREATE FUNCTION reports_closed_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER reports_z_stands BEFORE UPDATE OR DELETE ON reports_zreport
    FOR EACH ROW EXECUTE FUNCTION reports_closed_stands('{Z_SAYS}');
CREATE TRIGGER reports_cash_stands BEFORE UPDATE OF {MOVED} OR DELETE ON reports_cashmovement
    FOR EACH ROW EXECUTE FUNCTION reports_closed_stands('{CASH_SAYS}');
CREATE TRIGGER reports_cash_counted BEFORE UPDATE OF z_report_id ON reports_cashmovement
    FOR EACH ROW WHEN (OLD.z_report_id IS NOT NULL) EXECUTE FUNCTION reports_closed_stands('{CASH_SAYS}');
"""
POSTGRES_UNDO = """
DROP TRIGGER reports_z_stands ON reports_zreport;
DROP TRIGGER reports_cash_stands ON reports_cashmovement;
DROP TRIGGER reports_cash_counted ON reports_cashmovement;
DROP FUNCTION reports_closed_stands();
"""
SQLITE = {
    "reports_z_stands": f"BEFORE UPDATE ON reports_zreport BEGIN SELECT RAISE(ABORT, '{Z_SAYS}'); END",
    "reports_z_stays": f"BEFORE DELETE ON reports_zreport BEGIN SELECT RAISE(ABORT, '{Z_SAYS}'); END",
    "reports_cash_stands": f"BEFORE UPDATE OF {MOVED} ON reports_cashmovement "
    f"BEGIN SELECT RAISE(ABORT, '{CASH_SAYS}'); END",
    "reports_cash_counted": "BEFORE UPDATE OF z_report_id ON reports_cashmovement WHEN OLD.z_report_id IS NOT NULL "
    f"BEGIN SELECT RAISE(ABORT, '{CASH_SAYS}'); END",
    "reports_cash_stays": f"BEFORE DELETE ON reports_cashmovement BEGIN SELECT RAISE(ABORT, '{CASH_SAYS}'); END",
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
    replaces = [("reports", "0004_closed_stands")]
    dependencies = [("reports", "0001_tables")]
    operations = [migrations.RunPython(guard, unguard)]
