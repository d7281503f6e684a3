"""Values of a document as a handler reads them: PostgreSQL gives them typed, SQLite as text."""

from datetime import datetime
from typing import Any

import msgspec


def json_value(value: Any) -> Any:
    """What a JSON column holds."""
    return msgspec.json.decode(value) if isinstance(value, str | bytes) else value


def moment_value(value: Any) -> datetime | None:
    """A time: PostgreSQL gives an aware datetime, SQLite UTC as text."""
    if value is None or isinstance(value, datetime):
        return value
    return datetime.fromisoformat(f"{value}+00:00")
