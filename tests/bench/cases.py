"""The cases of `make bench`. Each starts what it measures, measures, and checks that nothing was lost meanwhile.

Figures are sales a second, milliseconds and CPU milliseconds; a case gives them by name, and says its ratio to a
yardstick of the same run.
"""

import http.client
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from gateway.ops.children import Child, answers, free_port
from tests import servers
from tests.bench import plant
from tests.bench.load import Plan, Shop, Tally, sell
from tests.gateway import ROOT

Figures = dict[str, Any]

WARM_SECONDS = 8.0  # by then each of 2 000 branches has sold once


@dataclass(frozen=True, slots=True)
class Bench:
    """What the cases share."""

    database_url: str
    redis_url: str
    folder: Path
    seconds: float
    is_full: bool
    yardsticks: Figures

    @contextmanager
    def town(self, kra_url: str, *, on_sqlite: bool = False, **chosen: Any) -> Iterator[plant.Plant]:
        """Gateways on a fresh database."""
        with ExitStack() as stack:
            if on_sqlite:
                path = self.folder / f"bench-{time.monotonic_ns()}.sqlite3"
                url, redis_url = f"sqlite:///{path}", ""
            else:
                url, redis_url = stack.enter_context(servers.postgres_database(self.database_url)), self.redis_url
            yield stack.enter_context(plant.gateways(self.folder, url, kra_url, redis_url=redis_url, **chosen))


def summary(tally: Tally, seconds: float) -> Figures:
    """A load in figures. Raises AssertionError when an answer was none of those expected."""
    assert not tally.strangest, tally.strangest
    signed = tally.answers.total()
    return {
        "per_second": round(signed / seconds, 1),
        "p50_ms": tally.at(0.5),
        "p95_ms": tally.at(0.95),
        "p99_ms": tally.at(0.99),
    }


def measured(running: plant.Plant, plan: Plan, *, processes: int = 1) -> Figures:
    """Run a plan; the load in figures, with the CPU time of gateways and database for each sale."""
    found: list[tuple[float, float]] = []

    def watch() -> None:
        time.sleep(max(0.0, plan.begin - time.monotonic()))
        found.append(running.cpu_seconds())
        time.sleep(max(0.0, plan.begin + plan.seconds - time.monotonic()))
        found.append(running.cpu_seconds())

    watcher = threading.Thread(target=watch)
    watcher.start()
    tally = sell(running.shops, plan, processes=processes)
    watcher.join()
    figures = summary(tally, plan.seconds)
    sales = max(tally.answers.total(), 1)
    gateway, database = ((after - before) * 1000 / sales for before, after in zip(*found, strict=True))
    return figures | {"cpu_ms_per_sale": round(gateway + database, 2), "of_it_database_ms": round(database, 2)}


# Yardsticks


def pgbench(bench: Bench) -> Figures:
    """Single-statement inserts of a sale's size by pgbench, 32 clients: what the database alone could take."""
    program = servers.postgres_programs() / "pgbench"
    if not program.exists():
        return {"skipped": "pgbench is not installed"}
    with servers.postgres_database(bench.database_url) as url:
        script = bench.folder / "insert.sql"
        script.write_text(f"INSERT INTO bench (body) VALUES ('{'x' * 1500}');\n")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE bench (id bigserial PRIMARY KEY, body text)")
        done = subprocess.run(
            [str(program), "-n", "-f", str(script), "-c", "32", "-j", "2", "-T", str(max(5, int(bench.seconds))), url],
            check=True,
            capture_output=True,
            text=True,
        )
    line = next(line for line in done.stdout.splitlines() if line.startswith("tps"))
    return {"per_second": round(float(line.split()[2]), 1)}


def bare_http(bench: Bench) -> Figures:
    """A server of the same kind that answers `ok` to the same requests: what HTTP alone costs."""
    port = free_port()
    child = Child(
        "hello",
        [sys.executable, "-m", "tests.bench.hello", "--port", str(port)],
        log=bench.folder / "hello.log",
        cwd=ROOT,
    )
    try:
        child.wait_until(lambda: answers(port))
        shops = [Shop("key", "P000000001B", "00", "device")] * 256
        return summary(
            sell(shops, Plan((f"http://127.0.0.1:{port}",), 256, plant.soon(1), bench.seconds)), bench.seconds
        )
    finally:
        child.stop()


def plain_way(bench: Bench) -> Figures:
    """A Django view with the ORM that writes, calls KRA (50 ms) and writes again; two processes."""
    shops = [Shop("key", f"P{place:09d}B", f"{place % 20:02d}", f"device-{place}") for place in range(2000)]
    with ExitStack() as stack:
        kra = stack.enter_context(plant.lean_kra(bench.folder, delay_ms=50))
        url = stack.enter_context(servers.postgres_database(bench.database_url))
        port = free_port()
        environment = {**os.environ, "PLAIN_DATABASE_URL": url, "PLAIN_KRA_URL": kra.url}
        listed = bench.folder / "plain-shops"
        listed.write_text("".join(json.dumps(asdict(shop)) + "\n" for shop in shops))
        command = f"exec {sys.executable} -m tests.bench.plain --port {port} < {listed}"
        child = Child(
            "the plain way", ["sh", "-c", command], log=bench.folder / "plain.log", environment=environment, cwd=ROOT
        )
        stack.callback(child.stop)
        child.wait_until(lambda: answers(port))
        return summary(
            sell(shops, Plan((f"http://127.0.0.1:{port}",), 256, plant.soon(), bench.seconds)), bench.seconds
        )


def one_after_another(url: str, pin: str, count: int) -> tuple[float, list[float]]:
    """A bare client that sends sales straight to KRA, one after another: a second's worth, and each one's time (ms)."""
    address, times = urlsplit(url), []
    line = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    began = time.monotonic()
    for number in range(1, count + 1):
        sent = time.monotonic()
        body = json.dumps({"tin": pin, "bhfId": "00", "invcNo": number, "padding": "x" * 2500}, separators=(",", ":"))
        line.request("POST", "/saveTrnsSalesOsdc", body, {"Content-Type": "application/json"})
        assert json.loads(line.getresponse().read())["resultCd"] == "000"
        times.append((time.monotonic() - sent) * 1000)
    return count / (time.monotonic() - began), times


# Cases


def b1_throughput(bench: Bench) -> Figures:
    """Sales that two processes sign over 256 connections and 2 000 branches, with the lean KRA and the simulator."""
    figures: Figures = {}
    with plant.lean_kra(bench.folder, delay_ms=50) as kra, bench.town(kra.url, serves=2) as running:
        plan = Plan(running.urls, 256, plant.soon(WARM_SECONDS), bench.seconds)
        figures["lean"] = measured(running, plan)
        assert kra.tally()["refused"] == 0
    figures["lean"]["times_the_plain_way"] = round(
        figures["lean"]["per_second"] / bench.yardsticks["plain_way"]["per_second"], 2
    )
    with ExitStack() as stack:
        url, keys = stack.enter_context(plant.full_simulator(bench.folder, companies=100, branches=20))
        running = stack.enter_context(bench.town(url, keys=keys, serves=2))
        figures["simulator"] = measured(running, Plan(running.urls, 256, plant.soon(WARM_SECONDS), bench.seconds))
    return figures


def b2_added_latency(bench: Bench) -> Figures:
    """What the gateway adds to KRA's own time, one sale at a time."""
    count = 200
    with plant.lean_kra(bench.folder, delay_ms=50) as kra:
        _, bare = one_after_another(kra.url, "P999999999Z", count)
        with bench.town(kra.url, companies=1, branches=1) as running:
            plan = Plan(running.urls, 1, plant.soon(), bench.seconds)
            through = sell(running.shops, plan)
            assert not through.strangest, through.strangest
    bare.sort()
    own = {share: bare[min(count - 1, int(count * share))] for share in (0.5, 0.99)}
    return {
        "kra_p50_ms": round(own[0.5], 2),
        "added_p50_ms": round(through.at(0.5) - own[0.5], 2),
        "added_p99_ms": round(through.at(0.99) - own[0.99], 2),
    }


def b3_one_lane(bench: Bench) -> Figures:
    """One branch's backlog: its rate against a bare client that sends one after another."""
    count, delay = 300, 50
    with plant.lean_kra(bench.folder, delay_ms=delay) as kra:
        bare, _ = one_after_another(kra.url, "P999999999Z", count)
        with bench.town(kra.url, companies=1, branches=1) as running:
            posted = Plan(running.urls, 1, time.monotonic(), 60, wait=0, expects=(201, 202), at_most=count)
            tally = sell(running.shops, posted)
            assert not tally.strangest, tally.strangest
            name = f"{running.shops[0].pin}/{running.shops[0].branch}"
            wait_until(lambda: kra.tally()["branches"].get(name, [0])[0] == count)
            taken, first, last = kra.tally()["branches"][name]
    rate = (taken - 1) / (last - first)
    return {"per_second": round(rate, 1), "bare_per_second": round(bare, 1), "ratio": round(rate / bare, 3)}


def b4_slow_kra(bench: Bench) -> Figures:
    """KRA takes a second a sale while 800 tills of two processes wait: the rate against the ideal, and `/health/`."""
    tills = 800
    with ExitStack() as stack:
        kra = stack.enter_context(plant.lean_kra(bench.folder, delay_ms=1000))
        running = stack.enter_context(bench.town(kra.url, companies=100, branches=8, serves=2))
        plan = Plan(running.urls, tills, plant.soon(5), max(bench.seconds, 10))
        over, times = threading.Event(), []

        def look() -> None:
            address = urlsplit(running.urls[0])
            line = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
            time.sleep(max(0.0, plan.begin - time.monotonic()))
            while not over.wait(0.05):
                sent = time.monotonic()
                line.request("GET", "/health/")
                line.getresponse().read()
                times.append((time.monotonic() - sent) * 1000)

        looker = threading.Thread(target=look)
        looker.start()
        tally = sell(running.shops, plan)
        over.set()
        looker.join()
    figures = summary(tally, plan.seconds)
    times.sort()
    return figures | {
        "ratio": round(figures["per_second"] / tills, 3),
        "health_p50_ms": round(statistics.median(times), 2),
        "health_p99_ms": round(times[int(len(times) * 0.99)], 2),
    }


def b5_backlog(bench: Bench) -> Figures:
    """100 000 sales queued over 1 000 lanes while KRA is away, then drained at 20 ms a sale while fresh ones arrive."""
    lanes, each = 1000, 100
    port = free_port()
    with bench.town(f"http://127.0.0.1:{port}", companies=100, branches=11) as running:
        backlog, fresh = running.shops[:lanes], running.shops[lanes:]
        plan = Plan(running.urls, 200, time.monotonic(), 600, wait=0, expects=(202,), at_most=each * lanes // 200)
        began = time.monotonic()
        tally = sell(backlog, plan)
        accepting = time.monotonic() - began
        assert not tally.strangest, tally.strangest
        arguments = [sys.executable, "-m", "tests.bench.lean", "--port", str(port), "--delay-ms", "20"]
        child = Child("The lean KRA", arguments, log=bench.folder / "late.log", cwd=ROOT)
        try:
            child.wait_until(lambda: answers(port))
            kra = plant.LeanKra(f"http://127.0.0.1:{port}", child)
            began = time.monotonic()
            later = Plan(running.urls, len(fresh), plant.soon(0), 5, wait=30, expects=(201, 202), run="F")
            meanwhile = sell([Shop(**asdict(shop)) for shop in fresh], later)
            names = {f"{shop.pin}/{shop.branch}" for shop in backlog}
            done = lambda: sum(taken[0] for name, taken in kra.tally()["branches"].items() if name in names)  # noqa: E731
            wait_until(lambda: done() == lanes * each, seconds=900)
            draining = time.monotonic() - began
        finally:
            child.stop()
    return {
        "queued": lanes * each,
        "accepted_per_second": round(lanes * each / accepting, 1),
        "drained_per_second": round(lanes * each / draining, 1),
        "fresh_p50_ms": meanwhile.at(0.5),
        "fresh_p99_ms": meanwhile.at(0.99),
    }


def b6_a_million(bench: Bench) -> Figures:
    """Signing, lists, search, a receipt and a page at a million invoices (FULL=1: ten), half of them one company's."""
    count = 10_000_000 if bench.is_full else 1_000_000
    figures: Figures = {"invoices": count}
    with plant.lean_kra(bench.folder, delay_ms=50) as kra, bench.town(kra.url) as running:
        page, cookie = plant.signed_in(running.environment, running.shops[0].pin)
        for name in ("empty", "full"):
            if name == "full":
                figures["fill_seconds"] = round(multiply_invoices(running, count))
            run = name[0].upper()
            figures[name] = measured(running, Plan(running.urls, 256, plant.soon(), bench.seconds, run=run))
            figures[name] |= reading(running, page, cookie)
    figures["accept_ratio"] = round(figures["full"]["per_second"] / figures["empty"]["per_second"], 3)
    return figures


def multiply_invoices(running: plant.Plant, count: int) -> float:
    """Copy signed invoices until there are so many, half of them the first shop's; how long it took (seconds)."""
    began = time.monotonic()
    with psycopg.connect(running.environment["DATABASE_URL"], autocommit=True) as connection:
        columns = [
            name
            for (name,) in connection.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_name = 'sales_invoice'"
            )
        ]
        changed = {
            "public_id": "gen_random_uuid()",
            "company_id": "d.company_id",
            "device_id": "d.id",
            "lane_id": "d.lane_id",
            "reference": "'OLD-' || g",
            "tag": "'rvp:' || g",
            "number": "10000000 + g",
            "issued_at": "now() - g * interval '20 seconds'",
        }
        names = [name for name in columns if name != "id"]
        values = ", ".join(changed.get(name, f"i.{name}") for name in names)
        first = f"(SELECT id FROM devices_device WHERE public_id = '{running.shops[0].device}')"
        devices = "(SELECT array_agg(id ORDER BY id) AS ids FROM devices_device) a"
        chosen = f"CASE WHEN g % 2 = 0 THEN {first} ELSE a.ids[1 + g % array_length(a.ids, 1)] END"
        connection.execute(
            f"INSERT INTO sales_invoice ({', '.join(names)}) SELECT {values} FROM generate_series(1, {count}) g, "
            f"{devices}, LATERAL (SELECT * FROM devices_device WHERE id = {chosen}) d, "
            "(SELECT * FROM sales_invoice WHERE status = 'signed' ORDER BY id LIMIT 1) i".encode()
        )
        connection.execute(
            "INSERT INTO lanes_job (lane_id, kind, document_id, state, number, turn, last_error) "
            "SELECT lane_id, 'invoice', id, 'closed', number, 1, '' FROM sales_invoice ON CONFLICT DO NOTHING"
        )
        connection.execute("VACUUM ANALYZE sales_invoice")
        connection.execute("VACUUM ANALYZE lanes_job")
        connection.execute("CHECKPOINT")  # or the disk is busy with the copies while signing is measured
    return time.monotonic() - began


def reading(running: plant.Plant, page: str, cookie: str) -> Figures:
    """How long lists, searches, a receipt and the company's page take who has the most invoices (p95, ms)."""
    shop, address = running.shops[0], urlsplit(running.urls[0])
    line = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    headers = {"Authorization": f"Token {shop.key}", "Cookie": cookie}

    def get(path: str) -> tuple[float, bytes]:
        sent = time.monotonic()
        line.request("GET", path, headers=headers)
        answer = line.getresponse()
        text = answer.read()
        assert answer.status == 200, text[:300]
        return (time.monotonic() - sent) * 1000, text

    first = json.loads(get("/api/invoices/?limit=50")[1])
    known, further = first["invoices"][0], first["next"]
    paths = {
        "list": ["/api/invoices/?limit=50", *([f"/api/invoices/?limit=50&cursor={further}"] if further else [])],
        "search": [
            f"/api/invoices/?reference={known['reference']}",
            "/api/invoices/?reference=NOT-THERE",
            "/api/invoices/?status=refused",
            "/api/invoices/?issued_from=2026-01-01&issued_to=2026-01-02",
        ],
        "receipt": [f"/api/integration/transactions/{known['id']}/status/"],
        "dashboard": [f"{page}?environment=sandbox"],
    }
    figures: Figures = {}
    for name, asked in paths.items():
        worst = 0.0
        for path in asked:
            times = sorted(get(path)[0] for _ in range(20))
            worst = max(worst, times[18])
        figures[f"{name}_p95_ms"] = round(worst, 1)
    return figures


def b7_embedded(bench: Bench) -> Figures:
    """The one process on SQLite: sales a second, start to ready, memory."""
    with plant.lean_kra(bench.folder, delay_ms=50) as kra:
        with bench.town(kra.url, on_sqlite=True) as running:
            figures = measured(running, Plan(running.urls, 256, plant.soon(), bench.seconds))
            figures["resident_mb"] = plant.resident_mb(running.gateways[0].process.pid)
            environment = running.environment
        port, starts = free_port(), []
        for _ in range(3):
            began = time.monotonic()
            arguments = [sys.executable, "manage.py", "serve", "--port", str(port)]
            child = Child("The gateway", arguments, log=bench.folder / "start.log", environment=environment, cwd=ROOT)
            child.wait_until(lambda: is_healthy(port))
            starts.append(time.monotonic() - began)
            child.stop()
    return figures | {"start_seconds": round(statistics.median(starts), 2)}


def b8_growth(bench: Bench) -> Figures:
    """Sales a second and CPU a sale with 1, 2 and 4 processes, and with few and many companies."""
    figures: Figures = {}
    for serves in (1, 2, 4):
        with plant.lean_kra(bench.folder, delay_ms=50) as kra, bench.town(kra.url, serves=serves) as running:
            figures[f"{serves} processes"] = measured(running, Plan(running.urls, 256, plant.soon(), bench.seconds))
    for companies in (10, 1000, 100_000):
        with ExitStack() as stack:
            kra = stack.enter_context(plant.lean_kra(bench.folder, delay_ms=50))
            each = max(1, 1000 // companies)
            running = stack.enter_context(bench.town(kra.url, companies=companies, branches=each))
            figures[f"{companies} companies"] = measured(running, Plan(running.urls, 256, plant.soon(), bench.seconds))
    return figures


def wait_until(is_true: Callable[[], bool], *, seconds: float = 300) -> None:
    """Look five times a second. Raises TimeoutError."""
    give_up = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > give_up:
            raise TimeoutError("what was waited for did not come")
        time.sleep(0.2)


def is_healthy(port: int) -> bool:
    """Whether `/health/` answers 200."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        line.request("GET", "/health/")
        return line.getresponse().status == 200
    except OSError:
        return False
    finally:
        line.close()


YARDSTICKS: dict[str, Callable[[Bench], Figures]] = {
    "pgbench": pgbench,
    "bare_http": bare_http,
    "plain_way": plain_way,
}
CASES: dict[str, Callable[[Bench], Figures]] = {
    "B1": b1_throughput,
    "B2": b2_added_latency,
    "B3": b3_one_lane,
    "B4": b4_slow_kra,
    "B5": b5_backlog,
    "B6": b6_a_million,
    "B7": b7_embedded,
    "B8": b8_growth,
}
