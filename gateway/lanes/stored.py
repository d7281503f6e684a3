"""Values of a document as they are read: PostgreSQL gives them typed, SQLite as text."""

import uuid
from datetime import datetime
from typing import Any

import msgspec


def json_value(value: Any) -> Any:
    """What a JSON column holds."""
    return msgspec.json.decode(value) if isinstance(value, str | bytes) else value


def id_value(value: Any) -> uuid.UUID:
    """A public id."""
    return value if isinstance(value, uuid.UUID) else uuid.UUID(str(value))


def moment_value(value: Any) -> datetime | None:
    """A time: PostgreSQL gives an aware datetime, SQLite UTC as text."""
    if value is None or isinstance(value, datetime):
        return value
    return datetime.fromisoformat(f"{value}+00:00")
