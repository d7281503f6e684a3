"""What every test may ask for, and how the suite chooses its database.

`pytest --database sqlite` (the default) runs everything; `pytest --database postgres` starts a private PostgreSQL and
runs again what touches the database. What the machine cannot run is listed at the end, and is a failure when CI=true.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import django
import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.db import connections

from tests import migrated, servers

DATABASE_FIXTURES = {"db", "transactional_db", "django_db_setup", "database_url", "shared_gateway"}
ROOM_BYTES = 4 << 30  # a run fills about a quarter of it
FOLDERS = ExitStack()  # the cluster and the folders of this run, taken down when it ends

os.environ["SECRET_KEY"] = "only-for-tests-0123456789abcdefghijklmnopqrstuvwxyz"
os.environ["ENCRYPTION_KEY"] = "dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk="  # 32 bytes: "tests-only-…"
os.environ["DJANGO_SETTINGS_MODULE"] = "gateway.settings"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database", choices=["sqlite", "postgres"], default="sqlite", help="which database to run on")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose the database before Django reads its settings; the processes of xdist inherit the choice."""
    if not hasattr(config, "workerinput"):
        put_files_in_memory()
        os.environ["DATABASE_URL"] = choose_database(config)
        migrated.folder()
    django.setup()


def put_files_in_memory() -> None:
    """Let this run's files lie in memory where there is room: on a disk each commit of each database waits for it."""
    memory = Path("/dev/shm")
    if "TMPDIR" not in os.environ and memory.is_dir() and shutil.disk_usage(memory).free > ROOM_BYTES:
        os.environ["TMPDIR"] = tempfile.tempdir = str(memory)


def choose_database(config: pytest.Config) -> str:
    """The URL that this run's settings get; ends the run when there can be no PostgreSQL."""
    if config.getoption("--database") == "sqlite":
        folder = FOLDERS.enter_context(tempfile.TemporaryDirectory(prefix="gateway-sqlite-"))
        return f"sqlite:///{folder}/gateway.sqlite3"
    try:
        return FOLDERS.enter_context(servers.postgres())
    except servers.Unavailable as reason:
        if os.environ.get("CI") == "true":
            raise pytest.UsageError(f"the run on PostgreSQL could not start: {reason}") from reason
        pytest.exit(f"could not run on PostgreSQL, because {reason}", returncode=0)


def pytest_unconfigure() -> None:
    FOLDERS.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about the other database, and on PostgreSQL what touches none: it has run on SQLite."""
    database = config.getoption("--database")
    chosen = [item for item in items if belongs_on(database, item)]
    if len(chosen) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if not belongs_on(database, item)])
        items[:] = chosen


def belongs_on(database: str, item: pytest.Item) -> bool:
    """Whether a test is part of the run on this database."""
    only_on = item.get_closest_marker("only_on")
    if only_on or database == "sqlite":
        return only_on is None or only_on.args == (database,)
    is_marked = item.get_closest_marker("django_db") or item.get_closest_marker("needs_database")
    return bool(is_marked or DATABASE_FIXTURES.intersection(getattr(item, "fixturenames", ())))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what could not run, and why."""
    reasons: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in reasons.items():
        terminalreporter.write_line(f"could not run: {count} {'test' if count == 1 else 'tests'}, because {reason}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a test that could not run is a failure: there everything can be installed.

    Elsewhere a choice of tests (`-k`) of which none touches the database is no failure of the run on PostgreSQL.
    """
    in_ci = os.environ.get("CI") == "true"
    on_postgres = session.config.getoption("--database") == "postgres"
    if on_postgres and not in_ci and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and in_ci and reporter.stats.get("skipped") and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


# The database


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> None:
    """One test database a worker; SQLite's is a file as in the product, not in memory, so that processes share it."""
    url = os.environ["DATABASE_URL"]
    if url.startswith("sqlite"):
        name = str(tmp_path_factory.mktemp("database") / "test.sqlite3")
        url = f"sqlite:///{name}"
    else:
        name = f"test_gateway_{worker_id}"
        url = f"{url.rpartition('/')[0]}/{name}"
    connections.settings["default"]["TEST"]["NAME"] = name
    migrated.give_tables({**os.environ, "DATABASE_URL": url})


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """It has its tables already."""
    return True


@pytest.fixture(scope="session", autouse=True)
def tables_may_be_wiped() -> None:
    """Journal and escrow let nobody delete; only what wipes the tables between tests goes round their triggers."""
    ops = connections["default"].ops
    wipe = ops.sql_flush

    def sql_flush(style: Any, tables: Any, **options: Any) -> list[str]:
        if connections["default"].vendor == "postgresql":  # TRUNCATE makes hundreds of files anew; these are few rows
            deleted = [f"DELETE FROM {ops.quote_name(table)};" for table in tables]
            return ["SET LOCAL session_replication_role = replica;", *deleted]  # no trigger, no foreign key
        statements = wipe(style, tables, **options)
        if not statements:
            return statements
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%BEFORE DELETE%'")
            triggers = cursor.fetchall()
        return [*(f"DROP TRIGGER {name}" for name, _ in triggers), *statements, *(sql for _, sql in triggers)]

    ops.sql_flush = sql_flush  # type: ignore[method-assign]


@pytest.fixture(scope="session", autouse=True)
def passwords_cost_little() -> None:
    """Argon2 as in the product, with the least of work: most tests of people make several passwords."""
    Argon2PasswordHasher.time_cost, Argon2PasswordHasher.memory_cost, Argon2PasswordHasher.parallelism = 1, 8, 1


@pytest.fixture
def database_url(tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database for a process of its own, of the kind that this run is about."""
    if (url := os.environ["DATABASE_URL"]).startswith("sqlite"):
        yield f"sqlite:///{tmp_path / 'gateway.sqlite3'}"
        return
    with servers.postgres_database(url) as fresh:
        yield fresh


# Servers


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis of this worker."""
    try:
        with servers.redis() as url:
            yield url
    except servers.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def browser_program() -> str:
    """The path of a Chromium."""
    try:
        return servers.browser_program()
    except servers.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def pdf_program() -> str:
    """The path of Poppler's pdftoppm, which draws PDF files."""
    if found := shutil.which("pdftoppm"):
        return found
    pytest.skip("there is no pdftoppm here (Debian's poppler-utils)")


@pytest.fixture(scope="session")
def simulator_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Simulator]:
    """This worker's simulator."""
    with servers.simulator(tmp_path_factory.mktemp("simulator")) as running:
        yield running


@pytest.fixture
def simulator(simulator_process: servers.Simulator) -> servers.Simulator:
    """KRA in a box, as on its first day."""
    simulator_process.reset()
    return simulator_process
