"""The journal is sealed in the background, and whoever touches it afterwards is found out."""

import contextlib
import io
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from gateway.audit.chain import anchor_journal, seal_journal, verify_journal
from gateway.audit.models import Anchor, ChainHead, Event
from gateway.audit.services import record
from gateway.lib.clock import utc_now
from gateway.tenants.services import onboard_company

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def journal() -> list[Event]:
    """Six sealed events of one company."""
    company = onboard_company(pin="P051234567X", name="Amani Stores Ltd")
    events = [
        record(company, "price.changed", subject=company.public_id, before={"price": 1.5}, after={"price": number})
        for number in range(6)
    ]
    assert seal_journal() == 6
    return events


@contextlib.contextmanager
def as_superuser() -> Iterator[Any]:
    """Somebody with the database in their hands: no trigger holds them."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "ALTER TABLE audit_event DISABLE TRIGGER USER; ALTER TABLE audit_anchor DISABLE TRIGGER USER"
            )
            triggers = []
        else:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'audit_%%'")
            triggers = cursor.fetchall()
            for name, _ in triggers:
                cursor.execute(f"DROP TRIGGER {name}")
        yield cursor
        if connection.vendor == "postgresql":
            cursor.execute("ALTER TABLE audit_event ENABLE TRIGGER USER; ALTER TABLE audit_anchor ENABLE TRIGGER USER")
        for _, sql in triggers:
            cursor.execute(sql)


def verify(**options: Any) -> str:
    """What the command says; its first line of trouble when there is any."""
    said = io.StringIO()
    try:
        call_command("verify_journal", stdout=said, stderr=said, **options)
    except CommandError as error:
        assert error.returncode == 3
        return str(error)
    return said.getvalue()


def test_a_journal_nobody_touched_is_sound(journal: list[Event]) -> None:
    record(journal[0].company, "price.changed")
    assert "sound: 6 events, 1 not sealed yet" in verify()


def test_an_empty_journal_is_sound() -> None:
    assert seal_journal() == 0
    assert "sound: 0 events, 0 not sealed yet" in verify()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET data = '{}' WHERE id = %s",
        "UPDATE audit_event SET actor = 'somebody' WHERE id = %s",
        "UPDATE audit_event SET position = 99 WHERE id = %s",
        "UPDATE audit_event SET seal = '' WHERE id = %s",
        "UPDATE audit_event SET position = NULL, seal = '' WHERE id = %s",
        "DELETE FROM audit_event WHERE id = %s",
    ],
)
def test_the_database_lets_nobody_change_or_delete_an_event(journal: list[Event], statement: str) -> None:
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, [journal[2].pk])
    assert verify_journal().flaw is None


def test_an_event_can_be_marked_as_told(journal: list[Event]) -> None:
    assert Event.objects.filter(pk=journal[0].pk).update(dispatched_at=utc_now()) == 1
    assert verify_journal().flaw is None


def test_an_anchor_never_changes(journal: list[Event]) -> None:
    anchor_journal()
    for work in (lambda: Anchor.objects.update(seal="0" * 64), lambda: Anchor.objects.all().delete()):
        with pytest.raises(DatabaseError), transaction.atomic():
            work()


@pytest.mark.parametrize(
    "change",
    [
        "actor = 'somebody else'",
        "name = 'price.kept'",
        "data = '{\"a\": 1}'",
        "before = NULL",
        "severity = 'critical'",
        "address = '10.0.0.9'",
        "company_id = NULL",
        "subject = NULL",
        "seal = '0000000000000000000000000000000000000000000000000000000000000000'",
    ],
)
def test_a_changed_event_is_named(journal: list[Event], change: str) -> None:
    with as_superuser() as cursor:
        cursor.execute(f"UPDATE audit_event SET {change} WHERE id = %s", [journal[2].pk])
    said = verify()
    assert said.startswith("changed at position 3:") and str(journal[2].public_id) in said


def test_a_removed_event_is_named(journal: list[Event]) -> None:
    with as_superuser() as cursor:
        cursor.execute("DELETE FROM audit_event WHERE id = %s", [journal[3].pk])
    assert verify().startswith("missing at position 4:")


def test_removed_last_events_are_missed(journal: list[Event]) -> None:
    with as_superuser() as cursor:
        cursor.execute("DELETE FROM audit_event WHERE position >= 5")
    assert verify().startswith("missing at position 5:")


def test_an_event_that_was_put_between_is_named(journal: list[Event]) -> None:
    with as_superuser() as cursor:
        for position in (6, 5, 4):
            cursor.execute("UPDATE audit_event SET position = %s WHERE position = %s", [position + 1, position])
        columns = "environment, name, severity, subject, actor, address, request_id, data, before, after, at, seal"
        cursor.execute(
            f"INSERT INTO audit_event (public_id, company_id, position, {columns}) "
            f"SELECT %s, company_id, 4, {columns} FROM audit_event WHERE position = 3",
            ["00000000000000000000000000000001"],
        )
    said = verify()
    assert said.startswith("inserted at position 4:") and "00000000-0000-0000-0000-000000000001" in said


def test_an_event_behind_the_end_is_named(journal: list[Event]) -> None:
    late = record(None, "setting.changed")
    with as_superuser() as cursor:
        cursor.execute("UPDATE audit_event SET position = 7, seal = '00' WHERE id = %s", [late.pk])
    assert verify().startswith("inserted at position 7:")


def reseal(change: Callable[[], Any]) -> None:
    """Change something and seal everything anew, with our own code but another installation's master key."""
    from django.conf import settings

    keys = settings.ENCRYPTION_KEYS
    with as_superuser() as cursor:
        change()
        cursor.execute("UPDATE audit_event SET position = NULL, seal = ''")
        ChainHead.objects.all().delete()
        settings.ENCRYPTION_KEYS = [b"0123456789abcdef0123456789abcdef"]
        try:
            seal_journal()
        finally:
            settings.ENCRYPTION_KEYS = keys


def test_a_chain_forged_from_the_start_lacks_the_signature(journal: list[Event]) -> None:
    reseal(lambda: Event.objects.filter(pk=journal[1].pk).update(actor="nobody"))
    assert verify().startswith("head at position 6:")


def test_a_copy_of_an_anchor_shows_a_forgery_even_by_who_has_the_key(journal: list[Event], tmp_path: Path) -> None:
    anchor_journal()
    kept = tmp_path / "anchors.jsonl"
    assert "1 anchors" in verify(export_anchors=kept)
    assert "sound" in verify(against=kept)
    with as_superuser() as cursor:
        cursor.execute("UPDATE audit_event SET actor = 'nobody' WHERE id = %s", [journal[1].pk])
        cursor.execute("UPDATE audit_event SET position = NULL, seal = ''")
        cursor.execute("DELETE FROM audit_anchor")
        ChainHead.objects.all().delete()
        seal_journal()
    assert "sound" in verify()
    assert verify(against=kept).startswith("anchor at position 6:")


def test_a_file_that_holds_no_anchors_is_refused(tmp_path: Path) -> None:
    kept = tmp_path / "anchors.jsonl"
    for text in ("not JSON", '{"date": "2026-11-20"}'):
        kept.write_text(text, encoding="utf-8")
        with pytest.raises(CommandError, match="no file of anchors"):
            call_command("verify_journal", against=kept)


def test_an_anchor_is_made_once_a_day_and_mailed(journal: list[Event], settings: Any, mailoutbox: list[Any]) -> None:
    settings.ANCHOR_EMAIL = "notary@example.com"
    now = datetime.fromisoformat("2026-11-20T21:30:00+00:00")  # half past midnight in Nairobi
    assert (anchor_journal(now=now), anchor_journal(now=now)) == (1, 0)
    anchor_journal(now=now + timedelta(days=1))
    assert [str(anchor.date) for anchor in Anchor.objects.order_by("date")] == ["2026-11-21", "2026-11-22"]
    assert [anchor.count for anchor in Anchor.objects.order_by("date")] == [6, 0]
    assert len(mailoutbox) == 2 and Anchor.objects.earliest("date").signature in mailoutbox[0].body
    assert verify_journal().flaw is None


@pytest.mark.only_on("postgres")
def test_an_event_that_commits_late_is_sealed_late_and_not_left_out(journal: list[Event]) -> None:
    began, may_end = threading.Event(), threading.Event()

    def slow() -> None:
        try:
            with transaction.atomic():
                record(None, "slow.written")
                began.set()
                may_end.wait(30)
        finally:
            connection.close()

    thread = threading.Thread(target=slow)
    thread.start()
    assert began.wait(30)
    quick = record(None, "quick.written")
    assert seal_journal() == 1
    may_end.set()
    thread.join()
    late = Event.objects.get(name="slow.written")
    assert late.pk < quick.pk and late.position is None
    assert seal_journal() == 1
    late.refresh_from_db()
    assert late.position == 8 and verify_journal().flaw is None


@pytest.mark.only_on("postgres")
def test_many_sealers_at_once_make_one_chain(journal: list[Event]) -> None:
    for number in range(300):
        record(None, "thing.changed", number=number)
    totals: list[int] = []

    def work() -> None:
        try:
            totals.append(seal_journal())
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(totals) == 300
    verdict = verify_journal()
    assert (verdict.checked, verdict.unsealed, verdict.flaw) == (306, 0, None)


def test_anchors_of_a_master_key_that_is_gone_are_told_of(journal: list[Event], settings: Any) -> None:
    anchor_journal()
    settings.ENCRYPTION_KEYS = [b"0123456789abcdef0123456789abcdef", *settings.ENCRYPTION_KEYS]
    assert verify_journal().unknown_keys == []
    record(None, "key.rotated")
    seal_journal()
    settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS[:1]
    verdict = verify_journal()
    assert verdict.flaw is None and verdict.unknown_keys == [Anchor.objects.get().public_key]
