"""The second copy of every key: kept before the first is read, sealed by the master key alone, never changed."""

import base64
import io
import json
import logging
import secrets
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from gateway.audit.models import Event
from gateway.devices import escrow
from gateway.devices.activation import SENTENCES, activate_device
from gateway.devices.keys import NothingInEscrow, restore_key
from gateway.devices.models import Device, Escrow
from gateway.devices.queries import credentials_for
from gateway.devices.services import add_device
from gateway.lib.crypto import SealBroken, key_id
from gateway.tenants.models import DataKey
from tests.devices.kra_ends import ending
from tests.devices.test_services import given_by_kra
from tests.servers import Simulator
from tests.tenants.factories import PIN, make_company

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@pytest.fixture
def device(kra: Simulator) -> Device:
    kra.approve(PIN, "00", "AMANI-00")
    return activate_device(device=make_company().device, now=NOW)


def lost(device: Device) -> None:
    """The device's own copies are gone, as after a bad repair of the database."""
    Device.objects.filter(pk=device.pk).update(sealed_key=None, sealed_answers=None)


def test_the_answer_of_an_activation_is_in_escrow_and_gives_the_same_key_back(device: Device) -> None:
    key = credentials_for(device).key
    lost(device)
    restored = restore_key(device=device, records=escrow.records(), now=NOW, actor="operator:ops")
    assert credentials_for(restored).key == key
    event = Event.objects.get(name="device.key_restored")
    assert event.actor == "operator:ops"
    assert key not in str(list(Event.objects.values()))


def test_what_is_in_escrow_shows_no_key(device: Device) -> None:
    key = credentials_for(device).key.encode()
    for record in escrow.records():
        assert key not in record.sealed + record.wrapped + escrow.write_line(record)
        assert key not in base64.b64decode(json.loads(escrow.write_line(record))["sealed"])
        assert key.decode() not in repr(escrow.opened(record))


def test_escrow_needs_the_master_key_and_nothing_else(device: Device, settings: LazySettings) -> None:
    DataKey.objects.all().delete()
    assert isinstance(escrow.opened(next(escrow.records())), escrow.Answer)
    settings.ENCRYPTION_KEYS = [secrets.token_bytes(32)]
    with pytest.raises(SealBroken):
        escrow.opened(next(escrow.records()))


def test_a_copy_that_was_moved_to_another_row_does_not_open(device: Device) -> None:
    record = next(escrow.records())
    other = escrow.Record(
        **{**{name: getattr(record, name) for name in record.__struct_fields__}, "id": device.public_id}
    )
    with pytest.raises(SealBroken):
        escrow.opened(other)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM devices_escrow",
        "UPDATE devices_escrow SET sealed = wrapped",
        "UPDATE devices_escrow SET kind = 'key'",
    ],
)
def test_the_database_lets_nobody_change_or_delete_what_is_in_escrow(device: Device, statement: str) -> None:
    with pytest.raises(DatabaseError, match="in escrow stays"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert Escrow.objects.count() == 1


def test_a_new_master_key_wraps_what_the_old_one_wrapped(device: Device, settings: LazySettings) -> None:
    old = settings.ENCRYPTION_KEYS
    fresh = secrets.token_bytes(32)
    settings.ENCRYPTION_KEYS = [fresh, *old]
    sealed = bytes(Escrow.objects.get().sealed)
    assert list(escrow.rewrap()) == [(1, 1)]
    wrapped = bytes(Escrow.objects.get().wrapped)
    assert list(escrow.rewrap()) == [(1, 1)]
    assert bytes(Escrow.objects.get().wrapped) == wrapped
    assert escrow.master_keys() == {key_id(fresh).hex()}
    settings.ENCRYPTION_KEYS = [fresh]
    assert isinstance(escrow.opened(next(escrow.records())), escrow.Answer)
    assert bytes(Escrow.objects.get().sealed) == sealed


def test_a_company_whose_vault_is_broken_is_not_activated_at_all(kra: Simulator) -> None:
    kra.approve(PIN, "00", "AMANI-00")
    device = make_company().device
    DataKey.objects.update(wrapped=b"broken")
    device = activate_device(device=device, now=NOW)
    assert (device.status, device.problem_code, device.problem) == ("waiting", "vault", SENTENCES["vault"])
    assert not kra.requests(operation="device_init")


def test_an_answer_that_the_device_cannot_keep_is_in_escrow_and_restored_from_there(
    point_at: Callable[[str], None],
) -> None:
    with ending(given_by_kra()) as server:
        point_at(server.url)
        device = make_company().device
        Device.objects.filter(pk=device.pk).update(
            sealed_answers=b"an earlier one that opens no more", status="trouble"
        )
        device = activate_device(device=device, now=NOW, again=True)
        assert (device.status, device.problem_code, device.problem) == ("activating", "unstored", SENTENCES["unstored"])
        assert activate_device(device=device, now=NOW).status == "activating"
        assert server.requests == 1
    restored = restore_key(device=device, records=escrow.records(), now=NOW)
    assert (restored.status, restored.control_unit_id) == ("active", "SIMCU0100000009")
    assert credentials_for(restored).key == "K" * 32


def test_a_database_that_takes_nothing_leaves_the_answer_in_a_file(
    point_at: Callable[[str], None], settings: LazySettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings.VAR_DIR = tmp_path
    with ending(given_by_kra()) as server, caplog.at_level(logging.CRITICAL):
        point_at(server.url)
        device = make_company().device
        Device.objects.filter(pk=device.pk).update(sealed_answers=b"does not open", status="trouble")
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE devices_escrow RENAME TO devices_gone")
        device = activate_device(device=device, now=NOW, again=True)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE devices_gone RENAME TO devices_escrow")
    assert device.problem_code == "unstored"
    (file,) = (tmp_path / "escrow").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"K" * 32 not in file.read_bytes()
    assert str(file) in caplog.text and "K" * 32 not in caplog.text
    call_command("escrow", "restore", "AMANI-00", "--pin", PIN, "--file", str(file), stdout=io.StringIO())
    assert credentials_for(Device.objects.get(pk=device.pk)).key == "K" * 32


def test_the_whole_escrow_is_carried_off_the_machine_and_a_key_comes_back(device: Device, tmp_path: Path) -> None:
    key = credentials_for(device).key
    file, told = tmp_path / "escrow.jsonl", io.StringIO()
    call_command("escrow", "export", str(file), stdout=told)
    assert "1 " in told.getvalue()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert key.encode() not in file.read_bytes()
    assert [json.loads(line)["pin"] for line in file.read_bytes().splitlines()] == [PIN]
    assert Event.objects.filter(name="export.escrow").count() == 1
    with pytest.raises(CommandError, match="exists"):
        call_command("escrow", "export", str(file))
    lost(device)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE devices_escrow RENAME TO devices_gone")
        call_command("escrow", "restore", str(device.public_id), "--file", str(file), stdout=told)
        cursor.execute("ALTER TABLE devices_gone RENAME TO devices_escrow")
    assert credentials_for(Device.objects.get(pk=device.pk)).key == key
    assert key not in told.getvalue()


def test_a_device_that_was_added_anew_after_the_loss_of_the_database_gets_its_key_from_the_file(
    device: Device, tmp_path: Path
) -> None:
    key, file = credentials_for(device).key, tmp_path / "escrow.jsonl"
    call_command("escrow", "export", str(file), stdout=io.StringIO())
    Device.objects.filter(pk=device.pk).update(serial="of the lost database", status="retired")
    anew = add_device(company=device.company, branch=device.branch, environment="sandbox", serial="AMANI-00")
    call_command("escrow", "restore", "AMANI-00", "--file", str(file), "--last-number", "41", stdout=io.StringIO())
    anew.refresh_from_db()
    assert (anew.status, credentials_for(anew).key, anew.lane.next_number) == ("active", key, 42)


def test_the_list_of_what_is_in_escrow_names_devices_and_shows_no_key(device: Device) -> None:
    told = io.StringIO()
    call_command("escrow", "list", stdout=told)
    assert "AMANI-00" in told.getvalue() and PIN in told.getvalue()
    assert credentials_for(device).key not in told.getvalue()


def test_an_empty_escrow_is_told_as_such_and_restores_nothing(kra: Simulator, tmp_path: Path) -> None:
    told = io.StringIO()
    call_command("escrow", "list", stdout=told)
    assert "nothing" in told.getvalue().lower()
    device = make_company().device
    with pytest.raises(NothingInEscrow):
        restore_key(device=device, records=escrow.records(), now=NOW)
    with pytest.raises(CommandError, match="none of them"):
        call_command("escrow", "restore", "AMANI-00")
    (tmp_path / "x").write_text("not ours\n")
    with pytest.raises(CommandError, match="no file of keys"):
        call_command("escrow", "restore", "AMANI-00", "--file", str(tmp_path / "x"))
    with pytest.raises(CommandError, match="no such device"):
        call_command("escrow", "restore", "NOBODY-00")
