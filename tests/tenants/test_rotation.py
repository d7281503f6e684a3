"""Keys change while everything runs: nothing is lost, and nothing opens any more with a key that was taken away."""

import threading
from typing import Any

import pytest
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.apps import apps
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import connection, models, transaction
from django.utils import timezone

from gateway.audit.models import Event
from gateway.devices import escrow
from gateway.devices.models import Device
from gateway.devices.queries import credentials_for
from gateway.devices.rotation import change_data_keys
from gateway.lib.crypto import SealBroken, wrapped_by
from gateway.tenants import vault
from gateway.tenants.models import Company, DataKey, User
from gateway.tenants.vault import change_data_key, device_key_aad, forget_previous_keys, open_for, rewrap_data_keys
from gateway.wiring import SEALED
from tests.tenants.factories import make_company, make_stranger

pytestmark = pytest.mark.django_db
NEW = bytes(range(32))


def sealed_device(made: Any, key: bytes = b"cmc-key") -> Device:
    with transaction.atomic():
        device = made.device
        device.sealed_key = vault.seal_for(made.company, device_key_aad(device.public_id), key)
        device.save(update_fields=["sealed_key"])
    return Device.objects.select_related("company", "branch").get(pk=device.pk)


def test_equal_keys_have_different_ciphertexts() -> None:
    mine, theirs = sealed_device(make_company()), sealed_device(make_stranger())
    again = vault.seal_for(mine.company, device_key_aad(mine.public_id), b"cmc-key")
    assert len({bytes(mine.sealed_key or b""), bytes(theirs.sealed_key or b""), again}) == 3


def test_every_column_that_a_data_key_seals_is_on_the_list() -> None:
    listed = {(column.model, column.column) for column in SEALED}
    for model in apps.get_models():
        for field in model._meta.fields:
            if isinstance(field, models.BinaryField) and field.name.startswith("sealed_"):
                assert (model, field.name) in listed, f"{model._meta.label}.{field.name}"


def test_all_data_keys_are_wrapped_anew_and_the_old_master_key_can_go(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(vault, "BATCH", 2)
    made = [make_company(pin=f"P05000000{n}X", serial=f"S-{n}") for n in range(5)]
    device = sealed_device(made[0])
    old = vault.master_key_ids()[0]
    settings.ENCRYPTION_KEYS = [NEW, *settings.ENCRYPTION_KEYS]
    steps = rewrap_data_keys()
    assert next(steps) == (2, 5)  # and then somebody stops it
    assert vault.master_keys_of_data_keys() == {vault.master_key_ids()[0], old}
    call_command("rotate_keys")
    said = capsys.readouterr().out
    assert "data keys: 5 of 5" in said and f"No longer needed: {old}" in said
    settings.ENCRYPTION_KEYS = [NEW]
    assert credentials_for(device).key == "cmc-key"
    assert Event.objects.get(name="master_key.rotated").company is None


def test_copies_in_escrow_and_second_steps_open_with_the_new_master_key_alone(
    settings: LazySettings, capsys: pytest.CaptureFixture[str]
) -> None:
    device = make_company().device
    entered = escrow.EnteredKey(
        at=timezone.now(), key="cmc-key", control_unit_id="SIMCU1", machine_code="", device_id=""
    )
    assert escrow.keep(device, entered)
    user = User.objects.create_user("wanjiru@amani.example")
    TOTP.activate(user, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
    codes = RecoveryCodes.activate(user).get_unused_codes()
    old = vault.master_key_ids()[0]
    settings.ENCRYPTION_KEYS = [NEW, *settings.ENCRYPTION_KEYS]
    call_command("rotate_keys")
    said = capsys.readouterr().out
    assert "copies in escrow: 1 of 1" in said and "second steps: 2 of 2" in said
    assert f"No longer needed: {old}" in said

    settings.ENCRYPTION_KEYS = [NEW]
    assert escrow.opened(next(escrow.records())) == entered
    steps = {row.type: row.wrap() for row in Authenticator.objects.filter(user=user)}
    assert get_adapter().decrypt(steps["totp"].instance.data["secret"]) == "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    assert steps["recovery_codes"].get_unused_codes() == codes
    assert steps["recovery_codes"].validate_code(codes[0])


def test_rotating_twice_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    make_company()
    before = bytes(DataKey.objects.get().wrapped)
    call_command("rotate_keys")
    assert bytes(DataKey.objects.get().wrapped) == before
    assert "needed" not in capsys.readouterr().out


def test_a_master_key_that_is_missing_is_told_of_and_nothing_is_lost(settings: LazySettings) -> None:
    device = sealed_device(make_company())
    keys = settings.ENCRYPTION_KEYS
    settings.ENCRYPTION_KEYS = [NEW]
    with pytest.raises(CommandError, match="which is not at hand"):
        call_command("rotate_keys")
    settings.ENCRYPTION_KEYS = keys
    assert credentials_for(device).key == "cmc-key"


def test_a_new_data_key_seals_every_record_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.devices.rotation.GRACE_SECONDS", 0)
    device = sealed_device(make_company())
    stale_record, stale_wrapped = bytes(device.sealed_key or b""), bytes(DataKey.objects.get().wrapped)
    assert change_data_keys(SEALED, say=lambda line: None) == []
    fresh = Device.objects.select_related("company", "branch").get(pk=device.pk)
    assert credentials_for(fresh).key == "cmc-key"
    assert wrapped_by(bytes(fresh.sealed_key or b"")) != wrapped_by(stale_record)
    with pytest.raises(SealBroken):
        open_for(device.company, device_key_aad(device.public_id), stale_record)
    pair = (stale_wrapped, device.company.public_id, device_key_aad(device.public_id), stale_record)
    assert vault.open_wrapped(*pair) == b"cmc-key"  # what an engine remembers for two seconds fits together
    assert Event.objects.get(name="data_key.changed").data == {"records": 1}


def test_a_record_read_just_before_its_key_changed_still_opens() -> None:
    device = sealed_device(make_company())
    assert change_data_key(device.company_id, SEALED) == 1
    assert credentials_for(device).key == "cmc-key"
    assert forget_previous_keys() == 1
    with pytest.raises(SealBroken):
        credentials_for(device)


def test_a_change_of_data_keys_that_was_stopped_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.devices.rotation.GRACE_SECONDS", 0)
    first, second = make_company().company, make_stranger().company
    change_data_key(first.pk, SEALED)
    done = bytes(DataKey.objects.get(company=first).wrapped)
    assert vault.unchanged_data_keys() == [second.pk]
    change_data_keys(SEALED, say=lambda line: None)
    assert bytes(DataKey.objects.get(company=first).wrapped) == done
    assert not DataKey.objects.exclude(previous=None).exists()


def test_a_running_process_takes_a_new_master_key_from_its_file(settings: LazySettings, tmp_path: Any) -> None:
    import base64

    device = sealed_device(make_company())
    file = tmp_path / "master"
    file.write_text("\n".join(base64.b64encode(key).decode() for key in (NEW, *settings.ENCRYPTION_KEYS)))
    before = list(settings.ENCRYPTION_KEYS)
    settings.ENCRYPTION_KEYS = [NEW, *before]
    list(rewrap_data_keys())
    settings.ENCRYPTION_KEYS = before  # the process that runs on
    with pytest.raises(SealBroken):
        credentials_for(device)
    settings.ENCRYPTION_KEY_FILE = str(file)
    assert credentials_for(device).key == "cmc-key"
    assert [NEW, *before] == settings.ENCRYPTION_KEYS
    file.write_text("half wri")
    assert credentials_for(device).key == "cmc-key"


@pytest.mark.only_on("postgres")
@pytest.mark.django_db(transaction=True)
def test_no_key_changes_while_something_is_being_sealed() -> None:
    device = sealed_device(make_company())
    holds, may_end = threading.Event(), threading.Event()

    def seal_slowly() -> None:
        try:
            with transaction.atomic():
                company = Company.objects.get(pk=device.company_id)
                record = vault.seal_for(company, device_key_aad(device.public_id), b"newer-key")
                holds.set()
                may_end.wait(30)
                Device.objects.filter(pk=device.pk).update(sealed_key=record)
        finally:
            connection.close()

    thread = threading.Thread(target=seal_slowly)
    thread.start()
    assert holds.wait(30)
    with pytest.raises(vault.StillSealing):
        change_data_key(device.company_id, SEALED)
    may_end.set()
    thread.join()
    assert change_data_key(device.company_id, SEALED) == 1
    forget_previous_keys()
    assert credentials_for(Device.objects.select_related("company", "branch").get(pk=device.pk)).key == "newer-key"
