from typing import Any

import django.db.models.functions.datetime
from django.db import migrations, models

SAYS = "an archive never changes"
POSTGRES = f"""
CREATE TRIGGER audit_archive_stands BEFORE UPDATE OR DELETE ON audit_archive
    FOR EACH ROW EXECUTE FUNCTION audit_append_only('{SAYS}');
CREATE TRIGGER audit_archive_stays BEFORE TRUNCATE ON audit_archive
    FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only('{SAYS}');
"""
SQLITE = {
    "audit_archive_stands": f"BEFORE UPDATE ON audit_archive BEGIN SELECT RAISE(ABORT, '{SAYS}'); END",
    "audit_archive_stays": f"BEFORE DELETE ON audit_archive BEGIN SELECT RAISE(ABORT, '{SAYS}'); END",
}


def guard(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRES, params=None)
    else:
        for name, rule in SQLITE.items():
            schema_editor.execute(f"CREATE TRIGGER {name} {rule}")


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0004_append_only"),
    ]

    operations = [
        migrations.CreateModel(
            name="Archive",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("month", models.CharField(max_length=7, unique=True)),
                ("runs", models.JSONField()),
                ("count", models.PositiveBigIntegerField()),
                ("sha256", models.CharField(max_length=64)),
                ("public_key", models.CharField(max_length=64)),
                ("signature", models.CharField(max_length=128)),
                ("made_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.RunPython(guard, migrations.RunPython.noop),
    ]
