"""A dump of the database gives no secret away."""

import base64
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tests.gateway import ROOT, Gateway, gateway
from tests.servers import Simulator, postgres_programs

PASSWORD = "correct-horse-battery-staple-41"
ENTERED = "PLANTED-KEY-ENTERED-BY-HAND-0123456789"


def dump(database_url: str) -> bytes:
    """What pg_dump writes, or SQLite's files byte by byte."""
    if database_url.startswith("sqlite"):
        path = Path(database_url.removeprefix("sqlite:///"))
        return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
    parts = urlsplit(database_url)
    arguments = ["--host", str(parts.hostname), "--port", str(parts.port), "--username", str(parts.username)]
    return subprocess.run(
        [str(postgres_programs() / "pg_dump"), *arguments, parts.path.removeprefix("/")],
        env={**os.environ, "PGPASSWORD": str(parts.password)},
        capture_output=True,
        check=True,
    ).stdout


def forms(secret: str | bytes) -> list[bytes]:
    raw = secret.encode() if isinstance(secret, str) else secret
    return [raw, base64.b64encode(raw).rstrip(b"="), raw.hex().encode()]


def test_a_dump_holds_no_readable_secret(tmp_path: Path, database_url: str, simulator: Simulator) -> None:
    with gateway(tmp_path, database_url, simulator) as running:
        pin, serial = "P051230000X", "SERIAL-1"
        simulator.approve(pin, "00", serial)
        body = {
            "company": {"pin": pin, "name": "Amani Stores Ltd"},
            "device": {"serial": serial},
            "owner": {"email": "owner@amani.example", "name": "Wanjiku", "password": PASSWORD},
        }
        made = running.call("POST", "/api/onboard/", body)
        assert made.status == 201 and made.body["device"]["status"] == "active", made
        key = made.body["api_key"]["key"]
        second = running.onboard(simulator)
        told = {"key": ENTERED, "control_unit": "SIMCU0100000001", "last_number": 0}
        running.call("POST", f"/api/device/{second.device}/key/", told, key=second.key)
        dumped = dump(database_url)
        assert b"Amani Stores Ltd" in dumped and hashlib.sha256(key.encode()).hexdigest().encode() in dumped
        master = running.environment["ENCRYPTION_KEY"]
        secrets = [
            key[17:],
            second.key[17:],
            PASSWORD,
            ENTERED,
            base64.b64decode(master),
            running.environment["SECRET_KEY"],
        ]
        secrets += device_keys(running)
        assert len(secrets) >= 8
        for secret in secrets:
            assert not [form for form in forms(secret) if form in dumped]


def device_keys(running: Gateway) -> list[str]:
    """The keys of all devices, as the gateway itself opens them."""
    code = (
        "from gateway.devices.models import Device; from gateway.devices.queries import credentials_for; "
        "[print('KEY', credentials_for(one).key) for one in Device.objects.exclude(sealed_key=None)]"
    )
    said = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", code],
        env=running.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [line.split()[1] for line in said.splitlines() if line.startswith("KEY ")]
