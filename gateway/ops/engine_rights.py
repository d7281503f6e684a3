"""What the engine may do in the database, read from its own statements: no right that none of them needs."""

import re
import sys
from collections.abc import Iterator

from django.apps import apps

from gateway import wiring
from gateway.api import health, hot
from gateway.lanes import postgres
from gateway.lanes.store import Statement

_VERB = re.compile(
    r"\b(INSERT INTO|UPDATE|DELETE FROM)\s+([a-z_]+)|\bON CONFLICT\b(?:(?!\bDO NOTHING\b)[^;])*?\bDO (UPDATE)\b",
    re.IGNORECASE,
)
_ORDER = ("SELECT", "INSERT", "UPDATE", "DELETE")
_MODULES = (wiring, hot, health)  # importing these has imported every statement
_OWN_ROW = "lanes_process"  # a process writes its heartbeat and takes it away when it ends


def statements() -> dict[str, str]:
    """Every statement of the engine and of the hot routes for PostgreSQL, by name."""
    found: dict[str, str] = {}
    for name, module in sorted(sys.modules.items()):
        if name.startswith(f"{_MODULES[0].__package__}."):
            for value in vars(module).values():
                if isinstance(value, Statement):
                    found[value.name] = value.postgres
    for name in ("BEAT", "LOCK_LANES", "SETTLE_JOBS", "ADVANCE", "DUE"):
        found[name.lower()] = getattr(postgres, name)
    return found


def engine_rights() -> dict[str, str]:
    """Table by table what the engine's role is granted."""
    tables = {model._meta.db_table for model in apps.get_models(include_auto_created=True)}
    rights: dict[str, set[str]] = {_OWN_ROW: set(_ORDER)}
    for text in statements().values():
        for table in tables & set(re.findall(r"[a-z_]+", text)):
            rights.setdefault(table, set()).add("SELECT")
        for table, verb in _changes(text):
            if table in tables:
                rights[table].add(verb)
    return {table: ", ".join(sorted(verbs, key=_ORDER.index)) for table, verbs in sorted(rights.items())}


def _changes(text: str) -> Iterator[tuple[str, str]]:
    inserted = ""
    for verb, table, updates in _VERB.findall(text):
        if updates:
            yield inserted, "UPDATE"
            continue
        if verb.upper() == "INSERT INTO":
            inserted = table
        yield table, verb.upper().split()[0]
