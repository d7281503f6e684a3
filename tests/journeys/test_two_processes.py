"""What one process changes, another one knows soon: at once where something new is named, else within two seconds."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.gateway import Answer, Gateway
from tests.gateway import gateway as running_gateway
from tests.servers import Simulator

pytestmark = pytest.mark.needs_database
FORGOTTEN = 2.0  # seconds, then a process has forgotten what it knew of a key, a company or a device


@pytest.fixture
def doors(tmp_path: Path, database_url: str, simulator: Simulator) -> Iterator[tuple[Gateway, Gateway]]:
    """Where changes are made, and where tills sell: two processes; on SQLite, which takes only one, the same."""
    settings = {"OPEN_ONBOARDING": "true", "RUN_SCHEDULER": "false"}
    with ExitStack() as stack:
        office = stack.enter_context(running_gateway(tmp_path, database_url, simulator, **settings))
        if database_url.startswith("sqlite"):
            yield office, office
            return
        other = tmp_path / "other"
        other.mkdir()
        yield office, stack.enter_context(running_gateway(other, database_url, simulator, **settings))


def seconds_until(done: Callable[[], bool]) -> float:
    began = time.monotonic()
    while not done():
        assert time.monotonic() - began < 20
        time.sleep(0.05)
    return time.monotonic() - began


def test_a_key_a_device_and_a_company_stop_and_start_on_the_hot_routes(
    doors: tuple[Gateway, Gateway], simulator: Simulator
) -> None:
    office, tills = doors
    shop = office.onboard(simulator)
    admin = office.manage("create_operator_key", "boss@integrator.example", "--role", "admin")
    path = f"/api/companies/{shop.company}/"

    def sell(key: str, reference: str, **more: str) -> Answer:
        return tills.call("POST", "/api/sales/", shop.sale(reference, **more), key=key, headers={"Prefer": "wait=10"})

    # a key made just now works at once, and a device that was added just now signs at once
    till = office.call("POST", f"{path}keys/", {"role": "cashier"}, key=shop.key).body
    assert sell(till["key"], "POS-1").status == 201  # from now on the process knows the company's devices
    simulator.approve(shop.pin, "01", "SECOND")
    assert sell(till["key"], "POS-2", device="SECOND").status == 404
    device = {"serial": "SECOND", "branch": {"code": "01", "name": "Westlands"}}
    assert office.call("POST", f"{path}devices/", device, key=shop.key).body["status"] == "active"
    found = sell(till["key"], "POS-2", device="SECOND")
    assert (found.status, found.body["number"]) == (201, 1)

    # a revoked key stops on both hot routes
    document = f"/api/integration/transactions/{found.body['id']}/status/"
    asked = [lambda: sell(till["key"], "POS-2", device="SECOND"), lambda: tills.call("GET", document, key=till["key"])]
    assert [ask().status for ask in asked] == [200, 200]
    office.call("POST", f"{path}keys/{till['prefix']}/revoke/", {}, key=shop.key)
    assert seconds_until(lambda: [ask().status for ask in asked] == [401, 401]) <= FORGOTTEN + 0.5

    # a suspended company sells nothing more and reads on; then it is back
    assert sell(shop.key, "POS-3", device=shop.device).status == 201
    office.call("PUT", f"{path}status/", {"status": "suspended", "reason": "unpaid"}, key=admin)
    kept = iter(range(1000))
    refused = seconds_until(lambda: sell(shop.key, f"LATE-{next(kept)}", device=shop.device).status == 403)
    assert refused <= FORGOTTEN + 0.5
    assert sell(shop.key, "NEVER", device=shop.device).body["code"] == "company_not_active"
    assert tills.call("GET", document, key=shop.key).status == 200
    office.call("PUT", f"{path}status/", {"status": "active"}, key=admin)
    assert seconds_until(lambda: sell(shop.key, "BACK", device=shop.device).status == 201) <= FORGOTTEN + 0.5
    assert "NEVER" not in str(shop.call("GET", "/api/invoices/").body)
