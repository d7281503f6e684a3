"""What was answered is on disk: the process is killed in full flight, again and again."""

import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.simulator.till import ROOT, Kra, Till


@contextmanager
def running(folder: Path, *options: str) -> Iterator[tuple[Kra, "subprocess.Popen[bytes]"]]:
    """A simulator on the folder's file, that the test may kill."""
    log = folder / "log"
    with log.open("wb") as output:
        arguments = [sys.executable, "-m", "gateway.simulator", "--port", "0", "--state", str(folder / "kra.sqlite3")]
        process = subprocess.Popen([*arguments, *options], stdout=output, stderr=output, cwd=ROOT)
    try:
        give_up = time.monotonic() + 20
        while b"simulator ready on " not in log.read_bytes():
            assert process.poll() is None and time.monotonic() < give_up, log.read_text()
            time.sleep(0.01)
        url = log.read_text().split("simulator ready on ")[1].split()[0]
        yield Kra(url), process
    finally:
        process.kill()
        process.wait()


class Shop:
    """A till that sells without a pause, remembers every answer, and repeats what it got no answer for."""

    def __init__(self, simulator: Kra, number: int) -> None:
        self.till = Till(simulator, "oscu_direct", pin=f"P0000000{number:02d}X").start()
        self.next = 1
        self.receipts: dict[int, str] = {}

    def sell_until_it_dies(self) -> None:
        try:
            while True:
                answer = self.till.sell(self.next, f"POS-{self.next}")
                assert answer.code in ("000", "994"), answer
                if answer.is_accepted:
                    self.receipts[self.next] = answer.data["rcptSign"]
                self.next += 1
        except (OSError, HTTPException):
            return


def test_nothing_answered_is_lost_and_nothing_is_half_done_under_kill(tmp_path: Path) -> None:
    shops: list[Shop] = []
    dice = random.Random(7)
    for round_number in range(4):
        with running(tmp_path) as (simulator, process):
            if not shops:
                shops = [Shop(simulator, number) for number in range(6)]
            for shop in shops:
                shop.till.simulator = simulator
                rows = shop.till.ledger()
                assert [row["number"] for row in rows] == list(range(1, len(rows) + 1))
                signatures = {row["number"]: row["signature"] for row in rows}
                assert shop.receipts.items() <= signatures.items(), f"round {round_number}"
                assert len(rows) - shop.next in (-1, 0)
            threads = [threading.Thread(target=shop.sell_until_it_dies) for shop in shops]
            for thread in threads:
                thread.start()
            time.sleep(0.3 + dice.random() * 0.3)
            process.send_signal(signal.SIGKILL)
            for thread in threads:
                thread.join()
    assert sum(len(shop.receipts) for shop in shops) > 100


def test_everything_a_device_knows_outlives_a_restart(tmp_path: Path) -> None:
    with running(tmp_path) as (simulator, _):
        till = Till(simulator, "gavaconnect").start()
        jar = Till(simulator, "vscu", pin="P000000333B").start()
        simulator.clock(advance_seconds=1800)
        simulator.call("POST", "/_sim/settings", {"profile": "inclusive_gross_base", "rates": {"E": 0}})
        simulator.call("POST", "/_sim/settings", {"profile": "inclusive_net_base", "rates": {"E": 8}})
        simulator.fault("*", "vscu_offline", pin=jar.pin)
        simulator.fault("sales_save", "recorded_late", pin=till.pin, times=1, parameters={"seconds": 90, "status": 504})
        assert jar.sell(1).is_accepted
        assert till.sell(1).status == 504
        before = (
            till.facts(),
            jar.facts(),
            simulator.call("GET", "/_sim/faults"),
            simulator.call("GET", "/_sim/settings"),
        )
    with running(tmp_path) as (simulator, _):
        till.simulator = jar.simulator = simulator
        assert before == (
            till.facts(), jar.facts(), simulator.call("GET", "/_sim/faults"), simulator.call("GET", "/_sim/settings")
        )  # fmt: skip
        assert till.send("stock_master_save", rsdQty=100).is_accepted
        simulator.clock(advance_seconds=100)
        assert [row["origin"] for row in till.ledger()] == ["late"]
        simulator.clear_faults()
        assert len(jar.ledger()) == 1


def test_a_seed_makes_a_run_repeatable(tmp_path: Path) -> None:
    seen = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        with running(folder, "--seed", "42") as (simulator, _):
            simulator.clock(now="2026-03-02T08:00:00+03:00")
            till = Till(simulator, "oscu_direct").start()
            assert till.sell(1).is_accepted
            seen.append(till.key)
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("flavour", "path"),
    [("oscu_direct", "/etims-api"), ("gavaconnect", "/etims-oscu/api/v1"), ("vscu", "")],
)
def test_one_flavour_alone_is_also_where_the_real_one_is(tmp_path: Path, flavour: str, path: str) -> None:
    with running(tmp_path, "--flavour", flavour) as (simulator, _):
        till = Till(simulator, flavour)
        first = "/initializer/selectInitInfo" if flavour == "vscu" else "/selectInitOsdcInfo"
        words = {"tin": till.pin, "bhfId": "00", "dvcSrlNo": till.serial}
        assert till.post("device_init", words, path + first).is_accepted
        other = "vscu/items/saveItems" if flavour != "vscu" else "oscu/etims-api/saveItem"
        assert till.raw("POST", f"/{other}", b"{}", {}).status == 404


def test_a_lenient_simulator_says_so(tmp_path: Path) -> None:
    with running(tmp_path, "--lenient") as (simulator, _):
        assert simulator.call("GET", "/_sim/health")["strict"] is False


def test_a_second_simulator_on_the_same_file_is_turned_away(tmp_path: Path) -> None:
    with running(tmp_path):
        second = subprocess.run(
            [sys.executable, "-m", "gateway.simulator", "--port", "0", "--state", str(tmp_path / "kra.sqlite3")],
            cwd=ROOT, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    assert second.returncode == 1 and "already uses" in second.stderr


def test_unless_told_otherwise_it_listens_on_this_machine_only(tmp_path: Path) -> None:
    with running(tmp_path) as (simulator, _):
        assert simulator.url.startswith("http://127.0.0.1:")
        port = int(simulator.url.rpartition(":")[2])
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.2", port), timeout=5)
    with running(tmp_path, "--host", "127.0.0.2") as (simulator, _):
        assert simulator.url.startswith("http://127.0.0.2:")
