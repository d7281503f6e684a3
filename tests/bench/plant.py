"""The processes of a measurement: PostgreSQL, Redis, a KRA, and gateways; and what they cost in CPU time."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psycopg

from gateway.ops.children import Child, answers, free_port
from tests import servers
from tests.bench.load import Shop
from tests.gateway import ROOT
from tests.migrated import give_tables
from tests.simulator.till import Kra
from tests.simulator.till import Till as KraTill

TICKS = os.sysconf("SC_CLK_TCK")
SECRETS = {
    "SECRET_KEY": "only-for-benches-0123456789abcdefghijklmnopqrstuvw",
    "ENCRYPTION_KEY": "dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk=",
    "DJANGO_SETTINGS_MODULE": "gateway.settings",
    "LOG_LEVEL": "WARNING",
}


def cpu_seconds(process: int) -> float:
    """User and system time of a process, its children and those it has buried, so far."""
    total, stack = 0, [process]
    while stack:
        one = stack.pop()
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            parts = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(part) for part in parts[11:15])
            for task in Path(f"/proc/{one}/task").iterdir():
                stack += [int(child) for child in (task / "children").read_text().split()]
    return total / TICKS


def resident_mb(process: int, line: str = "VmRSS") -> float:
    """Resident memory of a process (MB): now, or at most so far (VmHWM)."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return round(next(int(one.split()[1]) for one in lines if one.startswith(line)) / 1024, 1)


@dataclass
class LeanKra:
    """A running `tests.bench.lean`."""

    url: str
    child: Child

    def tally(self) -> Any:
        with urlopen(f"{self.url}/tally", timeout=30) as answer:
            return json.load(answer)


@contextlib.contextmanager
def lean_kra(folder: Path, *, delay_ms: float) -> Iterator[LeanKra]:
    """A KRA that only checks numbers, until the block ends."""
    port = free_port()
    arguments = [sys.executable, "-m", "tests.bench.lean", "--port", str(port), "--delay-ms", str(delay_ms)]
    child = Child("The lean KRA", arguments, log=folder / "lean.log", cwd=ROOT)
    try:
        child.wait_until(lambda: answers(port))
        yield LeanKra(f"http://127.0.0.1:{port}", child)
    finally:
        child.stop()


@dataclass
class Plant:
    """Gateways on one database, and the shops that sell through them."""

    urls: tuple[str, ...]
    gateways: list[Child]
    database: int  # process of PostgreSQL; 0 on SQLite
    environment: dict[str, str]
    shops: list[Shop] = field(default_factory=list)

    def cpu_seconds(self) -> tuple[float, float]:
        """What gateways and database have used so far."""
        gateways = sum(cpu_seconds(child.process.pid) for child in self.gateways)
        return gateways, cpu_seconds(self.database) if self.database else 0.0


def postmaster(url: str) -> int:
    """The process of the PostgreSQL that this URL leads to."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        assert row is not None
        return int(Path(f"/proc/{row[0]}/stat").read_text().rpartition(")")[2].split()[1])


@contextlib.contextmanager
def gateways(
    folder: Path,
    database_url: str,
    kra_url: str,
    *,
    serves: int = 1,
    redis_url: str = "",
    companies: int = 100,
    branches: int = 20,
    keys: dict[str, str] | None = None,
    **settings: str,
) -> Iterator[Plant]:
    """So many `serve` processes on a migrated database with so many shops, until the block ends."""
    ports = [free_port() for _ in range(serves)]
    urls = tuple(f"http://127.0.0.1:{port}" for port in ports)
    environment = {
        **os.environ,
        **SECRETS,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "KRA_SANDBOX_PROFILE": "simulator",
        "KRA_SANDBOX_BASE_URL": f"{kra_url}/oscu/etims-api",
        "KRA_SANDBOX_RECEIPT_URL": f"{kra_url}/common/link/etims/receipt/indexEtimsReceiptData?Data=",
        "SYSTEM_URL": urls[0],
        "LIMIT_PER_KEY": "1000000/second",
        "LIMIT_PER_ADDRESS": "1000000/second",
        **settings,
    }
    give_tables(environment)
    shops = populate(environment, companies=companies, branches=branches, keys=keys or {})
    children = []
    with contextlib.ExitStack() as stack:
        for port in ports:
            arguments = [sys.executable, "manage.py", "serve", "--port", str(port)]
            child = Child("The gateway", arguments, log=folder / f"serve-{port}.log", environment=environment, cwd=ROOT)
            stack.callback(child.stop)
            children.append(child)
        for child, port in zip(children, ports, strict=True):
            child.wait_until(lambda port=port: answers(port), seconds=180)  # type: ignore[misc]
        for url in urls:  # pages are loaded in the background, which would disturb the measurement
            urlopen(f"{url}/account/login/", timeout=120).close()
        is_sqlite = database_url.startswith("sqlite")
        yield Plant(urls, children, 0 if is_sqlite else postmaster(database_url), environment, shops)


def populate(environment: dict[str, str], *, companies: int, branches: int, keys: dict[str, str]) -> list[Shop]:
    """Fill the database with active shops; the first branches of all companies come first."""
    command = [sys.executable, "-m", "tests.bench.town", "--companies", str(companies), "--branches", str(branches)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, input=json.dumps(keys), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shops = [Shop(**json.loads(line)) for line in done.stdout.splitlines()]
    return sorted(shops, key=lambda shop: (shop.branch, shop.pin))


def signed_in(environment: dict[str, str], pin: str) -> tuple[str, str]:
    """The path of a company's page, and the cookie of a browser in which its owner is signed in."""
    command = [sys.executable, "-m", "tests.bench.visitor", pin]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    path, cookie = done.stdout.split()
    return path, cookie


@contextlib.contextmanager
def full_simulator(folder: Path, *, companies: int, branches: int) -> Iterator[tuple[str, dict[str, str]]]:
    """The whole simulator with its devices initialized: its address, and the key of each branch."""
    from tests.bench.town import pin_of

    with servers.simulator(folder) as started:
        kra = Kra(started.url)
        kra.call("POST", "/_sim/settings", {"seeded": False})
        keys = {}
        for number in range(1, companies + 1):
            for place in range(branches):
                till = KraTill(kra, "oscu_direct", pin=pin_of(number), branch=f"{place:02d}").start()
                keys[f"{till.pin}/{till.branch}"] = till.key
        yield started.url, keys


@contextlib.contextmanager
def servers_of_postgres() -> Iterator[tuple[str, str]]:
    """A PostgreSQL and a Redis of this run; their URLs."""
    with servers.postgres() as database_url, servers.redis() as redis_url:
        yield database_url, redis_url


def soon(seconds: float = 3.0) -> float:
    """A moment of the monotonic clock by which everything has warmed up."""
    return time.monotonic() + seconds


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        yield Path(name)
