"""A real gateway process for tests, and a shop that sells through it over HTTP."""

import contextlib
import http.client
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.ops.children import Child, answers, free_port
from tests import servers
from tests.migrated import give_tables

ROOT = Path(__file__).parent.parent
SUGAR = {"code": "SUGAR", "name": "Brown sugar 1kg", "tax_type": "B", "item_class": "5016150900", "quantity_unit": "KG"}
OWNERS_PASSWORD = "correct horse battery"
_pins = itertools.count(int(time.time()) % 1_000_000 * 100)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer with its JSON body."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Gateway:
    """A running `manage.py serve`."""

    url: str
    database_url: str
    log: Path
    environment: dict[str, str]
    child: Child = field(repr=False)

    def call(
        self, method: str, path: str, body: Any = None, *, key: str = "", headers: dict[str, str] | None = None
    ) -> Answer:
        """One call; `body` is sent as JSON unless it is bytes already."""
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=70)
        sent = {
            "Content-Type": "application/json",
            **({"Authorization": f"Token {key}"} if key else {}),
            **(headers or {}),
        }
        payload = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, payload, sent)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")  # a spreadsheet is no text
        finally:
            connection.close()
        is_json = "json" in answer.headers.get("Content-Type", "")
        return Answer(
            answer.status,
            {k.lower(): v for k, v in answer.headers.items()},
            json.loads(text) if is_json and text else text,
        )

    def onboard(
        self,
        simulator: servers.Simulator,
        *,
        pin: str = "",
        branch: str = "00",
        operator: str = "",
        owner: str = "",
        **company: str,
    ) -> "Shop":
        """A company with one active device and one registered item; `operator` is a key where onboarding needs one.

        `owner` is the address of somebody who owns it and signs in with OWNERS_PASSWORD.
        """
        people = {"owner": {"email": owner, "name": "Wanjiru Kamau", "password": OWNERS_PASSWORD}} if owner else {}
        pin = pin or f"P{next(_pins) % 10**9:09d}X"
        serial = f"SERIAL-{pin}-{branch}"
        simulator.approve(pin, branch, serial)
        answer = self.call(
            "POST",
            "/api/onboard/",
            {
                "company": {"pin": pin, "name": "Amani Stores Ltd", **company},
                "branch": {"code": branch, "name": "Head office", "address": "Moi Avenue 12", "city": "Nairobi"},
                "device": {"serial": serial, "device_type": "oscu"},
                **people,
            },
            key=operator,
        )
        assert answer.status == 201, answer
        assert answer.body["device"]["status"] == "active", answer.body
        ids = {name: answer.body[name]["id"] for name in ("device", "company")}
        shop = Shop(self, answer.body["api_key"]["key"], pin, branch, **ids)
        shop.register([SUGAR])
        return shop

    def manage(self, *arguments: str) -> str:
        """What a command prints that runs beside this gateway, with its settings."""
        command = [sys.executable, "manage.py", *arguments]
        run = subprocess.run(command, cwd=ROOT, env=self.environment, check=True, capture_output=True, text=True)
        return run.stdout.strip()

    def kill(self) -> None:
        """`kill -9`: no goodbye."""
        self.child.process.kill()
        self.child.process.wait()

    def start_again(self) -> None:
        """Start on the same database and port."""
        self.child = _serve(self.url, self.log, self.environment)


@dataclass
class Shop:
    """A company that sells through the gateway."""

    gateway: Gateway
    key: str
    pin: str
    branch: str
    device: str
    company: str

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        return self.gateway.call(method, path, body, key=self.key, headers=headers)

    def register(self, items: list[dict[str, Any]]) -> Any:
        answer = self.call("POST", "/api/integration/items/sync/", {"items": items})
        assert answer.status == 200, answer
        return answer.body

    def sale(self, reference: str = "POS-1", **changes: Any) -> dict[str, Any]:
        """A valid sale; `changes` replace whole fields."""
        return {
            "reference": reference,
            "issued_at": "2026-11-20T10:00:00+03:00",
            "lines": [{"item_code": "SUGAR", "quantity": "2", "unit_price": "116.00"}],
            "payments": [{"method": "cash", "amount": "232.00"}],
            **changes,
        }

    def post(self, sale: Any, *, wait: int = 10, path: str = "/api/sales/") -> Answer:
        return self.call("POST", path, sale, Prefer=f"wait={wait}")

    def sell(self, reference: str = "POS-1", *, wait: int = 10, **changes: Any) -> Answer:
        return self.post(self.sale(reference, **changes), wait=wait)

    def status(self, public_id: str) -> Any:
        answer = self.call("GET", f"/api/integration/transactions/{public_id}/status/")
        assert answer.status == 200, answer
        return answer.body

    def settled(self, public_id: str, *, seconds: float = 60) -> Any:
        """The document once it is signed or refused."""
        deadline = time.monotonic() + seconds
        while True:
            document = self.status(public_id)
            if document["status"] in {"signed", "refused", "cancelled"} or time.monotonic() > deadline:
                return document
            time.sleep(0.1)


def ledger_of(simulator: servers.Simulator, shop: Shop) -> list[tuple[int, str]]:
    """What KRA recorded for a shop: number and reference, in order."""
    return [(row["number"], row["reference"]) for row in simulator.ledger() if row["pin"] == shop.pin]


@contextlib.contextmanager
def gateway(folder: Path, database_url: str, simulator: servers.Simulator, **settings: str) -> Iterator[Gateway]:
    """A gateway of its own until the block ends, on an empty database."""
    port = free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "KRA_SANDBOX_PROFILE": "simulator",
        "KRA_SANDBOX_BASE_URL": f"{simulator.url}/oscu/etims-api",
        "KRA_SANDBOX_RECEIPT_URL": f"{simulator.url}/common/link/etims/receipt/indexEtimsReceiptData?Data=",
        "SYSTEM_URL": f"http://127.0.0.1:{port}",
        "OPEN_ONBOARDING": "true",
        "ENGINE_REST_SECONDS": "0.2,0.5,1",
        "PYTHONWARNINGS": "default",
        **settings,
    }
    log = folder / "gateway.log"
    give_tables(environment)
    url = f"http://127.0.0.1:{port}"
    running = Gateway(url, database_url, log, environment, _serve(url, log, environment))
    try:
        yield running
    finally:
        running.child.stop()


def _serve(url: str, log: Path, environment: dict[str, str]) -> Child:
    port = int(str(urlsplit(url).port))
    arguments = [sys.executable, "manage.py", "serve", "--port", str(port)]
    child = Child("The gateway", arguments, log=log, environment=environment, cwd=ROOT)
    child.wait_until(lambda: answers(port), seconds=180)
    return child
