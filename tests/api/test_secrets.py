"""A communication key exists only sealed, and on the wire to KRA."""

import base64
import logging
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from gateway.devices.models import Device
from gateway.devices.queries import credentials_for
from gateway.tenants.models import ApiKey
from tests.api.caller import Caller
from tests.servers import Simulator

pytestmark = pytest.mark.django_db(transaction=True)


def everything_stored() -> bytes:
    """Every value of every table, as bytes."""
    stored: list[bytes] = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            for row in cursor.fetchall():
                stored += [
                    bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode() for value in row
                ]
    if connection.vendor == "sqlite":
        cursor = connection.cursor()
        cursor.execute("PRAGMA database_list")
        name = Path(cursor.fetchall()[0][2])
        stored += [file.read_bytes() for file in name.parent.glob(f"{name.name}*")]
    return b"\n".join(stored)


def forms(secret: str) -> list[bytes]:
    """The ways in which a secret may be lying around."""
    raw = secret.encode()
    return [raw, base64.b64encode(raw).rstrip(b"="), raw.hex().encode()]


def test_a_key_is_nowhere_in_the_clear(
    owner: Caller, kra: Simulator, amani: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = [
        owner.post("/api/device/init/", {}),
        owner.post("/api/device/init/", {}),
        owner.get(f"/api/device/{amani.device.public_id}/status/"),
    ]
    kra.fault("code_list", "result_code", code="999", times=1)
    Device.objects.update(status="waiting")
    answers.append(owner.post("/api/device/init/", {}))
    device = Device.objects.select_related("company", "branch").get()
    secret = credentials_for(device).key
    assert len(secret) >= 8
    printed = capfd.readouterr()
    said = b"\n".join(answer.content for answer in answers) + (caplog.text + printed.out + printed.err).encode()
    stored = everything_stored()
    for form in forms(secret):
        assert form not in stored
        assert form not in said
    assert device.sealed_key is not None
    assert bytes(device.sealed_key) in stored


def test_a_key_that_was_entered_by_hand_is_nowhere_in_the_clear(
    owner: Caller, kra: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    owner.post("/api/device/init/", {})
    device = Device.objects.select_related("company", "branch").get()
    secret = credentials_for(device).key
    Device.objects.update(status="waiting", sealed_key=None, sealed_answers=None)
    caplog.set_level(logging.DEBUG)
    told = {"key": secret, "control_unit": device.control_unit_id, "last_number": 0}
    wrong = owner.post("/api/device/AMANI-00/key/", {**told, "last_number": -1})
    right = owner.post("/api/device/AMANI-00/key/", told)
    assert (wrong.status_code, right.status_code) == (422, 200)
    stored = everything_stored()
    for form in forms(secret):
        assert form not in stored
        assert form not in wrong.content + right.content + caplog.text.encode()


def test_an_api_key_is_kept_only_as_its_hash(amani: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    Caller(amani.key_text).get("/api/invoices/")
    assert ApiKey.objects.get().prefix == amani.key_text[:16]
    secret_part = amani.key_text[17:]
    for form in forms(secret_part):
        assert form not in everything_stored()
    assert secret_part not in caplog.text
