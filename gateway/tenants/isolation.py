"""Whose rows the present work may see, and how PostgreSQL keeps it to them.

Every query starts from the caller's company; that is the first defence, and on SQLite the only one. On PostgreSQL there
is a second: `secure` puts every table that leads to a company under forced row-level security. The role that the web
connects with owns nothing and sees the rows of the companies that are named in the setting `app.companies` of its
connection: none unless somebody has said so here. `*` stands for all.

The scope is a context variable and is carried to the connection when it changes, and again when a connection is made.
A scope must be opened and closed on one side of a transaction: a rollback brings back what was set before it.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection, models
from django.db.backends.signals import connection_created
from psycopg import pq, sql

from gateway.tenants.models import Company

SETTING = "app.companies"
ALL = "*"
_seen: ContextVar[str] = ContextVar("the companies whose rows may be seen", default="")

# Tables that belong to no company, by model or by app, and why every company may share them
SHARED = {
    "tenants.User": "people are known before a company is; what they may see hangs on their memberships",
    "tenants.User_groups": "Django's groups are not used for companies",
    "tenants.User_user_permissions": "Django's permissions are not used for companies",
    "tenants.Organisation": "the integrator and its resellers, which stand above companies",
    "tenants.Staff": "the integrator's and the resellers' own people",
    "tenants.OperatorKey": "keys of the staff, which stand above companies",
    "tenants.BrowserSession": "a browser's session belongs to a person, and is found by its secret",
    "lanes.Process": "which engines live",
    "lanes.Chore": "which background work waits, by row id alone",
    "audit.ChainHead": "the journal's chain goes through all companies",
    "audit.Anchor": "the journal's chain goes through all companies",
    "audit.Archive": "the journal's chain goes through all companies",
    "reports.Counted": "how far the journal is counted",
    "catalog.Code": "KRA's public lists",
    "catalog.ItemClass": "KRA's public lists",
    "catalog.Notice": "KRA's public notices",
}
SHARED_APPS = {
    "admin": "the staff's own log of Django's admin",
    "auth": "Django's groups and permissions",
    "contenttypes": "Django's list of models",
    "sessions": "a session belongs to a person, and is found by its secret",
    "migrations": "which migrations have run",
    "account": "e-mail addresses of people, who are known before a company is",
    "mfa": "second steps of people",
    "axes": "failed log-ins",
    "auditlog": "the staff's edits in the admin",
    "django_celery_beat": "when periodic work is done",
}


class NotIsolated(Exception):
    """The roles cannot be told apart, or cannot be made; the text says what to change."""


# The scope


@contextlib.contextmanager
def nothing() -> Iterator[None]:
    """In this block no company's rows are seen, unless `enter` says otherwise; afterwards it is as before."""
    with _scope(""):
        yield


@contextlib.contextmanager
def only(company_ids: Iterable[int]) -> Iterator[None]:
    """In this block the rows of these companies are seen, and no others."""
    with _scope(_listed(company_ids)):
        yield


@contextlib.contextmanager
def everything() -> Iterator[None]:
    """In this block all rows are seen: for chores, for the staff, and to find out whose a key or a link is."""
    with _scope(ALL):
        yield


def enter(company_ids: Iterable[int] | None) -> None:
    """See the rows of these companies (None: of all) for the rest of the block of `nothing` that stands around.

    Never within a transaction, whose rollback would bring back the scope before.
    """
    if connection.vendor == "postgresql" and any(
        not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks
    ):
        raise RuntimeError("a scope that outlasts a transaction cannot be opened in it")
    _seen.set(ALL if company_ids is None else _listed(company_ids))
    _carry(connection)


def may_see_all() -> bool:
    """Whether the present work sees every company's rows."""
    return _seen.get() == ALL


@contextlib.contextmanager
def _scope(companies: str) -> Iterator[None]:
    token = _seen.set(companies)
    try:
        _carry(connection)
        yield
    finally:
        _seen.reset(token)
        if not _is_broken(connection):  # a rollback will bring back what was set before
            _carry(connection)


def _listed(company_ids: Iterable[int]) -> str:
    return ",".join(str(int(company_id)) for company_id in sorted(set(company_ids)))


def _carry(connection: Any) -> None:
    """Tell an open connection of PostgreSQL what may be seen; one that is not open yet is told when it is made.

    It is not told again what it was told last, unless that was in a transaction, which may have been rolled back.
    """
    made, seen = connection.connection, _seen.get()
    if connection.vendor != "postgresql" or made is None or made.closed or getattr(made, "companies_told", "") == seen:
        return
    stands = made.info.transaction_status == pq.TransactionStatus.IDLE
    made.companies_told = None
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, false)", [SETTING, seen])
    made.companies_told = seen if stands else None


def _is_broken(connection: Any) -> bool:
    if connection.vendor != "postgresql" or connection.connection is None or connection.connection.closed:
        return False
    status = connection.connection.info.transaction_status
    return connection.needs_rollback or status in {pq.TransactionStatus.INERROR, pq.TransactionStatus.UNKNOWN}


def _made(sender: Any, connection: Any, **more: Any) -> None:
    if _seen.get():
        _carry(connection)


connection_created.connect(_made, dispatch_uid="tenants.isolation")


# The roles


def connect_as(role: str) -> None:
    """Let this thread's connection be made as another role: `web`, `chores` or `owner`; nothing where they are one."""
    wanted = settings.DATABASE_ROLES[role]
    if wanted is not settings.DATABASE_ROLES[settings.DATABASE_ROLE]:
        connection.close()
        connection.settings_dict = {**connection.settings_dict, **{name: wanted[name] for name in wanted}}


def connection_of(role: str) -> Mapping[str, Any]:
    """How a role connects, as Django's settings say it; the present connection's where the roles are one."""
    wanted: Mapping[str, Any] = settings.DATABASE_ROLES[role]
    return connection.settings_dict if wanted is settings.DATABASE_ROLES[settings.DATABASE_ROLE] else wanted


# The policies


@dataclass(frozen=True, slots=True)
class Table:
    """A table and how it leads to a company: the foreign keys to follow, the last of which is the company's id."""

    name: str
    path: tuple[tuple[str, str], ...]  # (column, table it points to), …


def policies() -> list[Table]:
    """Every table that leads to a company. Raises NotIsolated for one that does not and is not on the list."""
    tables, strangers = [], []
    for model in apps.get_models(include_auto_created=True):
        if not model._meta.managed or model._meta.proxy:
            continue
        label = model._meta.label
        if label in SHARED or model._meta.app_label in SHARED_APPS:
            continue
        path = _path(model)
        if path is None:
            strangers.append(label)
        else:
            tables.append(Table(model._meta.db_table, path))
    if strangers:
        raise NotIsolated(
            f"{', '.join(strangers)}: no path leads to a company. Give it one, or say in tenants.isolation.SHARED why "
            "every company may share it."
        )
    return tables


def _path(model: type[models.Model]) -> tuple[tuple[str, str], ...] | None:
    """The shortest way to a company over foreign keys; one named `company` goes first, one that may be empty last."""
    if model is Company:
        return (("id", Company._meta.db_table),)
    ways: list[tuple[type[models.Model], tuple[tuple[str, str], ...]]] = [(model, ())]
    known = {model}
    while ways:
        following = []
        for at, path in ways:
            keys = [field for field in at._meta.concrete_fields if isinstance(field, models.ForeignKey)]
            for field in sorted(keys, key=lambda key: (key.name != "company", key.null)):
                target = field.related_model
                step = (*path, (field.column, target._meta.db_table))
                if target is Company:
                    return step
                if target not in known and target._meta.label not in SHARED:
                    known.add(target)
                    following.append((target, step))
        ways = following
    return None


_LISTED = f"(SELECT string_to_array(NULLIF(current_setting('{SETTING}', true), '{ALL}'), ',')::bigint[])::bigint[]"
_SEES_ALL = f"(SELECT current_setting('{SETTING}', true) = '{ALL}')"


def _sees(table: Table) -> str:
    """The condition under which the web sees a row. Both questions to the setting are asked once a statement."""
    condition = f"{{}}.{table.path[-1][0]} = ANY ({_LISTED})"
    for depth in range(len(table.path) - 1, 0, -1):
        column, parent = table.path[depth - 1]
        inner = condition.format(f"p{depth}")
        condition = f"EXISTS (SELECT 1 FROM {parent} p{depth} WHERE p{depth}.id = {{}}.{column} AND {inner})"
    return f"{_SEES_ALL} OR {condition.format(table.name)}"


# What the web may not do although it may do all else to tables, as GRANT says it
_WEB_RIGHTS = {
    "audit_event": "SELECT, INSERT",
    "audit_anchor": "SELECT",
    "audit_archive": "SELECT",
    "audit_chainhead": "SELECT",
    "sales_printeddocument": "SELECT, INSERT",
    "reports_zreport": "SELECT, INSERT",
    "reports_dayfigures": "SELECT",
    "reports_counted": "SELECT",
    "django_migrations": "SELECT",
}
_CHORES_RIGHTS = {
    "audit_event": "SELECT, INSERT, UPDATE (dispatched_at, position, seal)",
    "audit_anchor": "SELECT, INSERT",
    "audit_archive": "SELECT",
    "django_migrations": "SELECT",
}
_ALL_RIGHTS = "SELECT, INSERT, UPDATE, DELETE"
_CHORES_FUNCTIONS = ("make_months(text, date, date)", "drop_old_attempts(timestamptz)")  # lanes.months


@dataclass(frozen=True, slots=True)
class Role:
    name: str
    password: str


def roles() -> dict[str, Role]:
    """The roles of the settings. Raises NotIsolated when the web would be the owner."""
    named = {
        role: Role(str(database["USER"]), str(database["PASSWORD"]))
        for role, database in settings.DATABASE_ROLES.items()
    }
    if named["web"].name in {"", named["owner"].name}:
        raise NotIsolated(
            "DATABASE_URL and MIGRATE_DATABASE_URL name the same role. Give the web a role of its own in DATABASE_URL, "
            "and set MIGRATE_DATABASE_URL to the one that owns the tables."
        )
    return named


def secure(*, engine_rights: Mapping[str, str], say: Callable[[str], object] = lambda line: None) -> int:
    """Make the roles, their grants and the policies; how many tables are under one. A second run changes nothing.

    To be run by the owner, after each `migrate`: a table made since is closed to all roles until then. Raises
    NotIsolated.
    """
    named = roles()
    others = {name: role for name, role in named.items() if role.name != named["owner"].name}
    with connection.cursor() as cursor:
        for role in {role.name: role for role in others.values()}.values():
            _make_role(cursor, role, say)
        tables = policies()
        guarded = {table.name: table for table in tables}
        # A month's own table is nobody's: rows are reached through the table it is part of, whose policies hold
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace "
            "AND relkind IN ('r', 'p') AND NOT relispartition"
        )
        existing = [name for (name,) in cursor.fetchall()]
        for name in sorted(guarded.keys() & set(existing)):
            _guard(cursor, guarded[name], named)
        rights = {
            "web": {name: _WEB_RIGHTS.get(name, _ALL_RIGHTS) for name in existing},
            "chores": {name: _CHORES_RIGHTS.get(name, _ALL_RIGHTS) for name in existing},
            "engine": engine_rights,
        }
        _grant(cursor, {others[role].name for role in others}, named, rights, existing)
        for function in _CHORES_FUNCTIONS if named["chores"].name != named["owner"].name else ():
            cursor.execute(
                sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(
                    sql.SQL(function), sql.Identifier(named["chores"].name)
                )
            )
    say(f"{len(guarded.keys() & set(existing))} tables are under row-level security.")
    return len(guarded.keys() & set(existing))


def _make_role(cursor: Any, role: Role, say: Callable[[str], object]) -> None:
    cursor.execute("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = %s", [role.name])
    found = cursor.fetchone()
    if found is not None:
        if found[0]:
            raise NotIsolated(f"The role {role.name} is a superuser or may bypass row-level security; choose another.")
        return
    cursor.execute("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
    if not cursor.fetchone()[0]:
        raise NotIsolated(
            f"The role {role.name} does not exist and we may not make it. As a superuser: "
            f"CREATE ROLE {role.name} LOGIN PASSWORD '…';"
        )
    cursor.execute(
        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role.name), sql.Literal(role.password))
    )
    say(f"Made the role {role.name}.")


def _guard(cursor: Any, table: Table, named: Mapping[str, Role]) -> None:
    name = sql.Identifier(table.name)
    cursor.execute(sql.SQL("ALTER TABLE {0} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY").format(name))
    web = named["web"].name
    trusted = sorted({role.name for role in named.values()} - {web})
    wanted = {"gateway_web": ([web], _sees(table)), "gateway_trusted": (trusted, "true")}
    for policy, (to, condition) in wanted.items():
        cursor.execute(sql.SQL("DROP POLICY IF EXISTS {} ON {}").format(sql.Identifier(policy), name))
        cursor.execute(
            sql.SQL("CREATE POLICY {} ON {} TO {} USING ({}) WITH CHECK ({})").format(
                sql.Identifier(policy),
                name,
                sql.SQL(", ").join(map(sql.Identifier, to)),
                sql.SQL(condition),
                sql.SQL(condition),
            )
        )


def _grant(
    cursor: Any,
    names: set[str],
    named: Mapping[str, Role],
    rights: Mapping[str, Mapping[str, str]],
    existing: list[str],
) -> None:
    """Take everything away and give what is needed, in one transaction with the policies: nobody meets the gap."""
    cursor.execute("SELECT current_schema(), current_database()")
    schema, database = map(sql.Identifier, cursor.fetchone())
    for name in sorted(names):
        role = sql.Identifier(name)
        cursor.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, role))
        cursor.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, role))
        cursor.execute(sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA {} FROM {}").format(schema, role))
        cursor.execute(sql.SQL("GRANT USAGE ON ALL SEQUENCES IN SCHEMA {} TO {}").format(schema, role))
        for purpose, on_tables in rights.items():
            if named[purpose].name != name:
                continue
            for table in existing:
                if given := on_tables.get(table):
                    cursor.execute(
                        sql.SQL("GRANT {} ON {} TO {}").format(
                            sql.SQL(given),
                            sql.Identifier(table),
                            role,
                        )
                    )


def weaknesses() -> list[str]:
    """What keeps row-level security from being in force for the web, in plain sentences; empty when all is well.

    Always empty on SQLite, which knows none.
    """
    if connection.vendor != "postgresql":
        return []
    role = settings.DATABASE_ROLES["web"]["USER"]
    guarded = [table.name for table in policies()]
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = %s", [role])
        mighty = cursor.fetchone()
        cursor.execute(
            "SELECT c.relname, pg_get_userbyid(c.relowner), c.relrowsecurity AND c.relforcerowsecurity "
            "FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY(%s)",
            [guarded],
        )
        rows = cursor.fetchall()
    found = []
    if mighty is None or mighty[0]:
        found.append(f"The web's role {role} is a superuser or may bypass row-level security.")
    if any(owner == role for _, owner, _ in rows):
        found.append(f"The web's role {role} owns tables.")
    if open_tables := sorted(name for name, _, is_guarded in rows if not is_guarded):
        found.append(f"{len(open_tables)} tables are not under row-level security: {', '.join(open_tables[:5])}.")
    return found
