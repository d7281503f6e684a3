"""For migrations: an index is dropped that another one beside it makes superfluous."""

from typing import Any

from django.db import migrations, models


def dropped(
    model: str, field: str, altered: "models.ForeignKey[Any, Any]", *, index: str
) -> migrations.SeparateDatabaseAndState:
    """Drop a field's own index by its name.

    Altering the field would make the table anew on SQLite, and the triggers that guard it would be gone.
    """
    return migrations.SeparateDatabaseAndState(
        database_operations=[migrations.RunSQL(f"DROP INDEX IF EXISTS {index}", migrations.RunSQL.noop)],
        state_operations=[migrations.AlterField(model, field, altered)],
    )
