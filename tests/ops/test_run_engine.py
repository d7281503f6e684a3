"""An engine without a web: it signs what nobody holds, says how it is doing, and hands over when asked to end."""

import http.client
import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.ops.children import Child, answers, free_port
from tests.gateway import ROOT, Gateway, gateway, ledger_of
from tests.servers import Simulator

pytestmark = [pytest.mark.needs_database]


def engine(running: Gateway, *arguments: str, log: Path) -> Child:
    command = [sys.executable, "manage.py", "run_engine", *arguments]
    return Child("The engine", command, log=log, environment=running.environment, cwd=ROOT)


def read(port: int, path: str) -> tuple[int, str]:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        line.request("GET", path)
        answer = line.getresponse()
        return answer.status, answer.read().decode()
    finally:
        line.close()


@pytest.mark.only_on("postgres")
def test_an_engine_signs_what_a_gateway_left_behind_and_counts_it(
    tmp_path: Path, database_url: str, simulator: Simulator
) -> None:
    with gateway(tmp_path, database_url, simulator) as running:
        shop = running.onboard(simulator)
        simulator.fault("sales_save", "connection_reset", pin=shop.pin)
        kept = [shop.sell(f"POS-{number}", wait=0) for number in range(1, 4)]
        assert [answer.status for answer in kept] == [202] * 3
        running.child.stop()
        simulator.clear_faults()
        port, log = free_port(), tmp_path / "engine.log"
        child = engine(running, "--port", str(port), log=log)
        try:
            child.wait_until(lambda: answers(port), seconds=180)
            child.wait_until(lambda: len(ledger_of(simulator, shop)) == 3, seconds=60)
            signed = 'gateway_invoices_signed_total{environment="sandbox"} 3.0'
            child.wait_until(lambda: signed in read(port, "/metrics")[1], seconds=60)
            status, body = read(port, "/health/")
            assert (status, json.loads(body)["engine"]["status"]) == (200, "ok")
        finally:
            child.stop()
        assert child.process.returncode == 0, log.read_text(encoding="utf-8")
        assert ledger_of(simulator, shop) == [(1, "POS-1"), (2, "POS-2"), (3, "POS-3")]


@pytest.mark.only_on("sqlite")
def test_on_sqlite_an_engine_beside_the_one_process_is_refused(
    tmp_path: Path, database_url: str, simulator: Simulator
) -> None:
    with gateway(tmp_path, database_url, simulator) as running:
        command = [sys.executable, "manage.py", "run_engine"]
        done = subprocess.run(
            command, cwd=ROOT, env=running.environment, capture_output=True, text=True, check=False, timeout=180
        )
    assert done.returncode == 1 and "manage.py serve" in done.stderr
