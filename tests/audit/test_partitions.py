"""On PostgreSQL events and messages to KRA lie in a table for each month; old events can leave in a file."""

import gzip
import io
import re
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from gateway.audit.archive import NotArchived, archive_month, due_months, write_month
from gateway.audit.chain import anchor_journal, seal_journal, verify_journal
from gateway.audit.models import Archive, Event
from gateway.audit.services import record
from gateway.lanes.models import Attempt
from gateway.lanes.months import make_months
from gateway.lib.clock import utc_now
from gateway.reports.logs import Filter, list_logs
from gateway.tenants.services import onboard_company
from tests.tenants.secured import Secured

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.only_on("postgres")]

OLD = datetime(2017, 3, 10, 9, tzinfo=UTC)
CHRISTMAS = datetime(2017, 4, 1, 9, tzinfo=UTC)


@pytest.fixture
def company() -> Any:
    return onboard_company(pin="P051234567X", name="Amani Stores Ltd")


def write_at(company: Any, *, at: datetime, count: int = 1) -> list[Event]:
    return [
        Event.objects.create(company=company, name="price.changed", data={"price": 1.5, "row": row}, at=at)
        for row in range(count)
    ]


def try_kra(company: Any, *, at: datetime) -> Attempt:
    return Attempt.objects.create(
        company=company, environment="sandbox", kind="invoice", document_id=7, operation="sales_save",
        started_at=at, duration_ms=1, outcome="done",
    )  # fmt: skip


def table_of(row: Event | Attempt) -> str:
    return str(rows_of(f"SELECT tableoid::regclass::text FROM {row._meta.db_table} WHERE id = {row.pk}")[0])


def rows_of(statement: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return [row[0] for row in cursor.fetchall()]


def months_of(table: str) -> set[str]:
    return {
        name[-7:]
        for name in rows_of(f"SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = '{table}'::regclass")
    }


@pytest.fixture(autouse=True)
def no_old_months() -> Any:
    """Months that a test made are gone afterwards."""
    before = {table: months_of(table) for table in ("audit_event", "lanes_attempt")}
    yield
    with connection.cursor() as cursor:
        for table, months in before.items():
            for month in months_of(table) - months:
                cursor.execute(f"DROP TABLE {table}_{month}")


def test_a_row_lands_in_the_month_of_its_time_in_nairobi(company: Any) -> None:
    now = utc_now()
    assert table_of(record(company, "price.changed")) == f"audit_event_{now + timedelta(hours=3):%Y_%m}"
    make_months(now=datetime(2030, 1, 15, tzinfo=UTC), ahead=1)
    last = datetime(2030, 1, 31, 20, 59, tzinfo=UTC)  # one minute before midnight in Nairobi
    assert table_of(try_kra(company, at=last)) == "lanes_attempt_2030_01"
    assert table_of(try_kra(company, at=last + timedelta(minutes=1))) == "lanes_attempt_2030_02"


def test_what_has_no_month_is_kept_and_moved_when_its_month_is_made(company: Any) -> None:
    (event,), attempt = write_at(company, at=OLD), try_kra(company, at=OLD)
    assert (table_of(event), table_of(attempt)) == ("audit_event_default", "lanes_attempt_default")
    kept = list(Event.objects.filter(pk=event.pk).values())
    assert make_months() == 2
    assert (table_of(event), table_of(attempt)) == ("audit_event_2017_03", "lanes_attempt_2017_03")
    assert list(Event.objects.filter(pk=event.pk).values()) == kept
    assert make_months() == 0
    seal_journal()
    assert verify_journal().flaw is None


def test_the_command_makes_as_many_months_as_it_is_told() -> None:
    said = io.StringIO()
    call_command("partitions", ahead=5, stdout=said)
    assert "4 tables made." in said.getvalue()
    with pytest.raises(CommandError, match="from 0 to 120"):
        call_command("partitions", ahead=-1)


@pytest.mark.parametrize("table", ["audit_event", "audit_event_2017_03", "audit_event_default"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET actor = 'x'", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_a_month_of_the_journal_stands_as_the_whole_does(company: Any, table: str, statement: str) -> None:
    write_at(company, at=OLD)
    make_months()
    write_at(company, at=OLD - timedelta(days=60))
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        rows_of(statement.format(table) + (" RETURNING id" if "TRUNCATE" not in statement else ""))


def test_a_second_event_at_a_position_is_found(company: Any) -> None:
    write_at(company, at=OLD)
    seal_journal()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_event (public_id, environment, name, data, at, position, seal, actor) "
            "SELECT gen_random_uuid(), '', name, data, now(), position, seal, '' FROM audit_event WHERE position = 1"
        )
    flaw = verify_journal().flaw
    assert flaw and flaw.kind in {"inserted", "changed"} and flaw.position == 1


# Plans


@pytest.mark.parametrize(
    ("statement", "index", "most"),
    [
        ("SELECT * FROM lanes_attempt WHERE kind = 'invoice' AND document_id = 7", "kind_document_id_idx", 99),
        ("SELECT * FROM audit_event WHERE dispatched_at IS NULL ORDER BY id LIMIT 10", "_id_idx", 99),
        ("SELECT * FROM audit_event WHERE position IS NULL ORDER BY id LIMIT 10", "_id_idx", 99),
        (
            "SELECT * FROM audit_event WHERE company_id = 1 AND at >= '2030-03-05' ORDER BY at DESC, id DESC LIMIT 10",
            "company_id_at_id_idx",
            4,
        ),
    ],
)
def test_hot_look_ups_read_along_an_index_of_the_months_they_need(statement: str, index: str, most: int) -> None:
    make_months(now=datetime(2029, 5, 1, tzinfo=UTC), ahead=12)
    with connection.cursor() as cursor:
        cursor.execute(  # in an empty month each index costs the same; in this one only that of open events is short
            "INSERT INTO audit_event (public_id, environment, name, data, at, position, seal, actor, dispatched_at) "
            "SELECT gen_random_uuid(), '', 'x.y', '{}', now(), g, '', '', now() FROM generate_series(1, 2000) g"
        )
        cursor.execute("ANALYZE audit_event")
        cursor.execute("SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off")
        cursor.execute(f"EXPLAIN {statement}")
        plan = [line for (line,) in cursor.fetchall()]
        cursor.execute("RESET enable_seqscan; RESET enable_bitmapscan; RESET enable_sort")
    scans = [line for line in plan if "Scan" in line]
    assert scans and all("Index" in line and index in line for line in scans), plan
    assert len(scans) <= most and not [line for line in plan if "-> Sort" in " ".join(line.split())], plan


def test_a_list_of_what_happened_reads_the_newest_months_and_older_ones_only_when_it_must(company: Any) -> None:
    now = utc_now()
    make_months(now=now - timedelta(days=500), ahead=12)
    for days in (0, 1, 2, 400, 401):
        write_at(company, at=now - timedelta(days=days))

    def months_read(limit: int) -> int:
        with CaptureQueriesContext(connection) as asked:
            page = list_logs(company.pk, "sandbox", Filter(kind="event"), limit=limit)
        assert len(page.entries) == limit
        plans = [rows_of(f"EXPLAIN {query['sql']}") for query in asked if 'FROM "audit_event"' in query["sql"]]
        return len(set(re.findall(r"on audit_event_(\d{4}_\d{2}|default)", str(plans))))

    assert months_read(2) <= 7 < 12 <= months_read(5)


# Archive


@pytest.fixture
def two_months(company: Any, settings: Any) -> Any:
    """Events of March and April 2017, sealed; one of March committed late, so it stands among April's."""
    settings.RETENTION_EVENT_YEARS = 5
    write_at(company, at=OLD, count=5)
    seal_journal()
    write_at(company, at=CHRISTMAS)
    seal_journal()
    write_at(company, at=OLD + timedelta(days=20))
    seal_journal()
    write_at(company, at=CHRISTMAS, count=3)
    record(company, "price.changed")
    anchor_journal()
    make_months()
    return company


def archive(folder: Path) -> str:
    said = io.StringIO()
    call_command("partitions", archive_to=folder, stdout=said)
    return said.getvalue()


def test_an_old_month_leaves_in_a_file_and_the_chain_goes_on(two_months: Any, tmp_path: Path) -> None:
    whole, events = verify_journal(), Event.objects.count()
    said = archive(tmp_path)
    assert "6 events of 2017-03" in said and "4 events of 2017-04" in said
    assert Event.objects.count() == events - 10 and "2017_03" not in months_of("audit_event")
    after, read = verify_journal(), verify_journal(archives=tmp_path)
    assert after.flaw is None and read.flaw is None
    assert after.checked == read.checked == whole.checked
    assert (whole.unread, after.unread, read.unread) == (0, 10, 0)
    path = tmp_path / "audit_event_2017_03.jsonl.gz"
    assert (tmp_path / f"{path.name}.sha256").read_text().split() == [
        Archive.objects.get(month="2017-03").sha256,
        path.name,
    ]
    assert len(gzip.decompress(path.read_bytes()).splitlines()) == 6
    record(two_months, "price.changed")
    seal_journal()
    assert verify_journal().checked == whole.checked + 1
    assert "No month is old enough" in archive(tmp_path)


def test_a_file_that_was_changed_and_a_forged_record_are_found(two_months: Any, tmp_path: Path) -> None:
    archive(tmp_path)
    path = tmp_path / "audit_event_2017_03.jsonl.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b"1.5", b"1.6")))
    flaw = verify_journal(archives=tmp_path).flaw
    assert flaw and flaw.kind == "archive" and path.name in flaw.says
    path.unlink()
    assert verify_journal(archives=tmp_path).flaw is not None and verify_journal().flaw is None
    with pytest.raises(DatabaseError, match="never changes"), transaction.atomic():
        Archive.objects.update(count=5)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_archive DISABLE TRIGGER USER; UPDATE audit_archive SET runs = '[]'")
        cursor.execute("ALTER TABLE audit_archive ENABLE TRIGGER USER")
    flaw = verify_journal().flaw
    assert flaw and flaw.kind == "archive" and "not signed" in flaw.says


def test_no_month_leaves_before_its_time(two_months: Any, tmp_path: Path, settings: Any) -> None:
    settings.RETENTION_EVENT_YEARS = 7
    eve = datetime(2025, 3, 31, 20, 59, tzinfo=UTC)  # of 1 April in Nairobi, a year and seven years after March 2017
    assert due_months(now=eve) == [] and due_months(now=eve + timedelta(minutes=1)) == ["2017-03"]
    with pytest.raises(NotArchived, match="must stay until 2025-04-01"):
        archive_month("2017-03", tmp_path, now=eve)
    assert not list(tmp_path.iterdir()) and "2017_03" in months_of("audit_event")


def test_a_stop_between_file_and_drop_loses_nothing_and_may_be_repeated(two_months: Any, tmp_path: Path) -> None:
    events = Event.objects.count()
    first = write_month("2017-03", tmp_path)  # and here the machine fails
    assert Event.objects.count() == events and verify_journal().flaw is None and not Archive.objects.exists()
    archive(tmp_path)
    assert Archive.objects.get(month="2017-03").sha256 == first.sha256
    assert verify_journal(archives=tmp_path).flaw is None


def test_a_month_with_unsealed_or_spoiled_events_stays(two_months: Any, tmp_path: Path) -> None:
    write_at(two_months, at=OLD)
    with pytest.raises(CommandError, match="1 events of 2017-03 are not sealed yet"):
        archive(tmp_path)
    seal_journal()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_event_2017_03 DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE audit_event SET actor = 'x' WHERE position = (SELECT min(position) FROM audit_event_2017_03)"
        )
        cursor.execute("ALTER TABLE audit_event_2017_03 ENABLE TRIGGER USER")
    with pytest.raises(CommandError, match="is not as it was sealed"):
        archive(tmp_path)
    assert "2017_03" in months_of("audit_event")


def test_a_month_that_is_being_read_stays(two_months: Any, tmp_path: Path) -> None:
    reader = connection.copy()
    try:
        with reader.cursor() as cursor:
            cursor.execute("BEGIN; SELECT count(*) FROM audit_event")
            with pytest.raises(CommandError, match="is being read"):
                archive(tmp_path)
    finally:
        reader.close()
    assert verify_journal().flaw is None and "6 events of 2017-03" in archive(tmp_path)


# The migration


def test_an_installation_with_rows_keeps_them_and_goes_on_counting(database_url: str) -> None:
    before = Secured(dict.fromkeys(("web", "owner", "engine", "chores"), database_url))
    before.manage("migrate", "-v0", "lanes", "0001_tables")
    before.manage("migrate", "-v0", "audit", "0002_append_only")
    with before.speaking("owner") as old:
        old.execute(
            "INSERT INTO audit_event (public_id, environment, name, actor, data, at, position, seal) "
            "SELECT gen_random_uuid(), '', 'x.y', '', '{}', timestamptz '2026-09-15' + g * interval '1 day', g, 'x' "
            "FROM generate_series(1, 100) g"
        )
        kept = old.execute("SELECT * FROM audit_event ORDER BY id").fetchall()
    before.manage("migrate", "-v0")
    with before.speaking("owner") as now:
        assert now.execute("SELECT * FROM audit_event ORDER BY id").fetchall() == kept
        assert rows_in(now, "audit_event_2026_10") == 31 and rows_in(now, "audit_event_default") == 0
        added = now.execute(
            "INSERT INTO audit_event (public_id, environment, name, actor, data) "
            "VALUES (gen_random_uuid(), '', 'x.y', '', '{}') RETURNING id"
        ).fetchone()
        assert added is not None and added["id"] > 100
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="append-only"):
            now.execute("UPDATE audit_event SET actor = 'x'")
    assert "0 tables made" in before.manage("partitions").stdout


def rows_in(made: psycopg.Connection[dict[str, Any]], table: str) -> int:
    row = made.execute(f"SELECT count(*) AS n FROM {table}").fetchone()
    assert row is not None
    return int(row["n"])


def test_what_belongs_to_a_table_is_given_to_the_one_that_takes_its_place(company: Any) -> None:
    module = import_module("gateway.lanes.migrations.0002_months")
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE reader_of_months")
        try:
            with transaction.atomic():
                cursor.execute(
                    "CREATE TABLE made_of_old (id bigint, n int CHECK (n > 0), at timestamptz NOT NULL, "
                    "company_id bigint CONSTRAINT old_company REFERENCES tenants_company, "
                    "CONSTRAINT old_pkey PRIMARY KEY (id), CONSTRAINT old_n UNIQUE (n));"
                    "CREATE INDEX old_at ON made_of_old (at DESC) WHERE n > 1;"
                    "ALTER TABLE made_of_old ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
                    "CREATE POLICY seen ON made_of_old TO reader_of_months USING (n = 1) WITH CHECK (n < 5);"
                    "GRANT SELECT, UPDATE (n) ON made_of_old TO reader_of_months;"
                    "CREATE TRIGGER stays BEFORE DELETE ON made_of_old "
                    "FOR EACH ROW EXECUTE FUNCTION audit_append_only('stays')"
                )
                cursor.execute(module.BELONGINGS, {"table": "made_of_old", "key": "at"})
                assert sorted(statement for (statement,) in cursor.fetchall()) == sorted(
                    [
                        "ALTER TABLE made_of_old ADD CONSTRAINT old_pkey PRIMARY KEY (id, at)",
                        "ALTER TABLE made_of_old ADD CONSTRAINT old_n UNIQUE (n, at)",
                        "ALTER TABLE made_of_old ADD CONSTRAINT old_company FOREIGN KEY (company_id) "
                        "REFERENCES tenants_company(id)",
                        "CREATE INDEX old_at ON public.made_of_old USING btree (at DESC) WHERE (n > 1)",
                        "CREATE TRIGGER stays BEFORE DELETE ON public.made_of_old "
                        "FOR EACH ROW EXECUTE FUNCTION audit_append_only('stays')",
                        "ALTER TABLE made_of_old ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
                        "CREATE POLICY seen ON made_of_old TO reader_of_months USING ((n = 1)) WITH CHECK ((n < 5))",
                        "GRANT SELECT ON made_of_old TO reader_of_months",
                        "GRANT UPDATE (n) ON made_of_old TO reader_of_months",
                    ]
                )
                transaction.set_rollback(True)
        finally:
            cursor.execute("DROP ROLE reader_of_months")
