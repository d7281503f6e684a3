"""What `check --deploy` asks of the database."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import DatabaseError

from gateway.tenants.isolation import weaknesses


@register(Tags.security, deploy=True)
def row_level_security(app_configs: Any, **options: Any) -> Sequence[CheckMessage]:
    """On PostgreSQL the web must not be able to see past its company."""
    hint = "Give the web a role of its own and run: manage.py secure_database (docs/how-to/run-on-postgresql.md)"
    try:
        return [Warning(sentence, hint=hint, id="gateway.W001") for sentence in weaknesses()]
    except DatabaseError as error:
        return [Warning(f"The database could not be asked for its row-level security: {error}", id="gateway.W002")]
