"""Everything that one run needs: PostgreSQL, Redis, the simulated KRA, and the gateway's processes in both shapes."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psycopg
from psycopg.rows import dict_row

from gateway.ops.children import answers, free_port
from tests import servers
from tests.chaos.programs import READY_SECONDS, Program, Supervisor

ROOT = Path(__file__).resolve().parent.parent.parent
Shape = Literal["postgres", "embedded"]
Flavour = Literal["oscu_direct", "gavaconnect"]
LEASE_SECONDS = 3
LATE_SECONDS = 6
QUICK = {
    "ENGINE_LEASE_SECONDS": str(LEASE_SECONDS),
    "ENGINE_LATE_SECONDS": str(LATE_SECONDS),
    "ENGINE_REST_SECONDS": "0.3,0.6,1,2",
}
WAYS_TO_KRA: dict[Flavour, dict[str, str]] = {
    "oscu_direct": {"KRA_SANDBOX_PROFILE": "simulator"},
    "gavaconnect": {
        "KRA_SANDBOX_PROFILE": "simulator_gavaconnect",
        "KRA_APP_CONSUMER_KEY": "sim-consumer",
        "KRA_APP_CONSUMER_SECRET": "sim-secret",
        "KRA_APP_ID": "app-1",
    },
}
_BASE_PATHS: dict[Flavour, str] = {
    "oscu_direct": "/oscu/etims-api",
    "gavaconnect": "/gavaconnect/etims-oscu/api/v1",
}
_SECRETS = {
    "SECRET_KEY": "only-for-chaos-0123456789abcdefghijklmnopqrstuvwxyz",
    "ENCRYPTION_KEY": "dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk=",
    "DJANGO_SETTINGS_MODULE": "gateway.settings",
}


def base_environment(**settings: str) -> dict[str, str]:
    """The environment of a gateway process, without anything that this shell happens to set for one."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "ENGINE_", "KRA_"))}
    return {**ours, **_SECRETS, "LOG_LEVEL": "WARNING", "PYTHONWARNINGS": "default", **settings}


def manage(environment: dict[str, str], *arguments: str) -> str:
    """Run a management command; what it printed. Raises CalledProcessError, its output in `stderr`."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout


class Cluster:
    """A PostgreSQL of this run whose postmaster may be killed; it holds a migrated template for every seed."""

    def __init__(self, folder: Path) -> None:
        programs, who = servers.postgres_programs(), servers.unprivileged_user()
        self.folder, self.port = folder, free_port()
        password, self._who = secrets.token_hex(16), who
        secret = folder / "password"
        secret.write_text(password, encoding="utf-8")
        for path in (folder, secret) if who else ():
            os.chown(path, who["user"], who["group"])
        subprocess.run(
            [
                *(str(programs / "initdb"), "--pgdata", str(folder / "data"), "--username=gateway"),
                *(f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"),
            ],
            cwd=folder,
            check=True,
            capture_output=True,
            **who,
        )
        self.server = f"postgresql://gateway:{password}@127.0.0.1:{self.port}"
        settings = [
            *("listen_addresses=127.0.0.1", f"port={self.port}", "unix_socket_directories=", "max_connections=200"),
            "restart_after_crash=on",
        ]
        options = [part for text in settings for part in ("-c", text)]
        self.program = Program(
            "postgres",
            "postgres",
            [str(programs / "postgres"), "-D", str(folder / "data"), *options],
            folder / "log",
            self.is_ready,
            options={"cwd": folder, **who},
        )

    def is_ready(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(f"{self.server}/postgres", connect_timeout=2).close()
            return True
        return False

    def prepare(self) -> None:
        """Make the template; the cluster must be running."""
        with psycopg.connect(f"{self.server}/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE template_gateway")
        settings = {"DATABASE_URL": f"{self.server}/template_gateway", "REDIS_URL": "redis://127.0.0.1:1/0"}
        manage(base_environment(**settings), "migrate", "-v0")

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """A fresh, migrated database until the block ends."""
        name = f"gateway_{secrets.token_hex(5)}"
        self._run(f"CREATE DATABASE {name} TEMPLATE template_gateway")
        try:
            yield f"{self.server}/{name}"
        finally:
            self._run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _run(self, sql: str) -> None:
        with psycopg.connect(f"{self.server}/postgres", autocommit=True) as connection:
            connection.execute(sql.encode())


class Foundry:
    """What the seeds of one run share: the cluster with its template, a migrated SQLite file, a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sqlite: Path | None = None
        self._cluster: Cluster | None = None
        self._supervisor: Supervisor | None = None

    def cluster(self) -> Cluster:
        if self._cluster is None:
            folder = Path(tempfile.mkdtemp(prefix="chaos-postgres-"))  # readable for PostgreSQL's own user
            self._cluster = Cluster(folder)
            self._supervisor = Supervisor()
            self._supervisor.start([self._cluster.program])
            self._supervisor.wait_until_ready()
            self._cluster.prepare()
        return self._cluster

    def sqlite(self) -> Path:
        if self._sqlite is None:
            self._sqlite = self.folder / "template.sqlite3"
            manage(base_environment(DATABASE_URL=f"sqlite:///{self._sqlite}"), "migrate", "-v0")
            with contextlib.closing(sqlite3.connect(self._sqlite)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return self._sqlite

    def close(self) -> None:
        if self._supervisor is not None and self._cluster is not None:
            self._cluster.program.stop(signal.SIGINT)
            self._supervisor.stop()
            shutil.rmtree(self._cluster.folder, ignore_errors=True)


@dataclass
class Plant:
    """One gateway in one shape, with its KRA. `doors` are the addresses of its `serve` processes."""

    shape: Shape
    folder: Path
    database_url: str
    simulator: servers.Simulator
    doors: list[str]
    programs: dict[str, Program]
    supervisor: Supervisor
    environment: dict[str, str]
    redis_port: int | None = None
    disturbed: list[tuple[float, float]] = field(default_factory=list)  # from, to: a process was down or stopped

    def of_kind(self, *kinds: str) -> list[Program]:
        return [program for program in self.programs.values() if program.kind in kinds]

    def disturb(self, seconds: float) -> None:
        """Note that from now on, for so long, a process may be away."""
        self.disturbed.append((time.time(), time.time() + seconds))

    def mend(self, *, seconds: float = READY_SECONDS) -> None:
        """All faults off, everything running."""
        with self.supervisor.lock:
            for program in self.programs.values():
                program.wanted_kill_point = ""
                program.kill_points.clear()
                program.down_until = 0.0
                if program.paused:
                    program.resume()
                if program.armed and program.is_up:  # it would still die when it reaches its step
                    program.kill()
        self.supervisor.wait_until_ready(seconds=seconds)
        give_up = time.monotonic() + seconds
        while self.shape == "postgres" and not self.programs["postgres"].is_ready():
            if time.monotonic() > give_up:
                raise TimeoutError("PostgreSQL did not come back")
            time.sleep(0.1)
        self.simulator.clear_faults()

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """What the database holds, read beside the gateway."""
        if self.shape == "postgres":
            with psycopg.connect(self.database_url, row_factory=dict_row) as connection:
                return connection.execute(sql.encode()).fetchall()
        path = self.database_url.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path, timeout=20)) as small:
            small.row_factory = sqlite3.Row
            return [dict(row) for row in small.execute(sql).fetchall()]

    def held(self) -> list[tuple[str, str]]:
        """Held lanes and why."""
        rows = self.rows(
            "SELECT environment, pin, branch, series, hold_reason FROM lanes_lane WHERE hold_reason <> '' ORDER BY id"
        )
        return [
            ("/".join((row["environment"], row["pin"], row["branch"], row["series"])), row["hold_reason"])
            for row in rows
        ]

    def release(self, lane: str) -> None:
        """What the operator does about a held lane."""
        manage(self.environment, "lanes", "release", lane, "--by", "chaos")


@contextlib.contextmanager
def plant(
    foundry: Foundry,
    shape: Shape,
    folder: Path,
    *,
    serves: int = 2,
    engines: int = 2,
    worker: bool = False,
    database_url: str = "",
    state: Path | None = None,
    wrap: dict[str, dict[str, str]] | None = None,
    flavour: Flavour = "oscu_direct",
    **settings: str,
) -> Iterator[Plant]:
    """A running plant until the block ends. `settings` replace environment variables, `wrap` those of one program.

    The embedded shape is one `serve` and nothing else. `state` puts its SQLite file into another folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        simulator = _simulator(folder)
        programs = {"simulator": simulator}
        address = f"http://127.0.0.1:{simulator.arguments[simulator.arguments.index('--port') + 1]}"
        common = {
            **WAYS_TO_KRA[flavour],
            "KRA_SANDBOX_BASE_URL": f"{address}{_BASE_PATHS[flavour]}",
            "KRA_SANDBOX_RECEIPT_URL": f"{address}/common/link/etims/receipt/indexEtimsReceiptData?Data=",
            "OPEN_ONBOARDING": "true",
            **QUICK,
        }
        redis_port = None
        if shape == "postgres":
            cluster = foundry.cluster()
            programs["postgres"] = cluster.program
            common["DATABASE_URL"] = database_url or stack.enter_context(cluster.database())
            redis_port = free_port()
            programs["redis"] = _redis(folder, redis_port)
            common["REDIS_URL"] = f"redis://127.0.0.1:{redis_port}/0"
        else:
            serves, engines, worker = 1, 0, False
            path = (state or folder) / "gateway.sqlite3"
            if not path.exists():
                shutil.copy(foundry.sqlite(), path)
            common["DATABASE_URL"] = f"sqlite:///{path}"
        common |= settings
        ports = [free_port() for _ in range(serves)]
        doors = [f"http://127.0.0.1:{port}" for port in ports]
        environment = base_environment(SYSTEM_URL=doors[0], **common)
        wrap = wrap or {}
        for number, port in enumerate(ports, start=1):
            name = f"serve {number}"
            own = {**environment, **wrap.get(name, {})}
            programs[name] = _python(folder, name, "serve", own, lambda port=port: answers(port), port)
        for number in range(1, engines + 1):
            name = f"engine {number}"
            own = {**environment, **wrap.get(name, {})}
            programs[name] = _python(folder, name, "engine", own, lambda: True, None)
        if worker:
            celery = [sys.executable, "-m", "celery", "-A", "gateway", "worker", "--pool", "solo", "-l", "WARNING"]
            programs["worker"] = Program(
                "worker", "worker", celery, folder / "worker.log", lambda: True, environment, {"cwd": ROOT}
            )
        supervisor = Supervisor()
        running = Plant(
            shape=shape,
            folder=folder,
            database_url=common["DATABASE_URL"],
            simulator=servers.Simulator(address, simulator.log),
            doors=doors,
            programs=programs,
            supervisor=supervisor,
            environment=environment,
            redis_port=redis_port,
        )
        supervisor.start(program for program in programs.values() if program.kind != "postgres")
        stack.callback(supervisor.stop)
        supervisor.wait_until_ready()
        yield running


def _simulator(folder: Path) -> Program:
    port = free_port()
    state = str(folder / "simulator.sqlite3")
    arguments = [sys.executable, "-m", "gateway.simulator", "--port", str(port), "--state", state]
    log = folder / "simulator.log"
    return Program("simulator", "simulator", arguments, log, lambda: answers(port), None, {"cwd": ROOT})


def _redis(folder: Path, port: int) -> Program:
    quiet = ["--save", "", "--appendonly", "no"]
    arguments = [servers.redis_program(), "--bind", "127.0.0.1", "--port", str(port), *quiet]
    return Program("redis", "redis", arguments, folder / "redis.log", lambda: answers(port), None, {"cwd": folder})


def _python(folder: Path, name: str, kind: str, environment: dict[str, str], ready: Any, port: int | None) -> Program:
    command = ["serve", "--port", str(port)] if port else ["run_engine"]
    log = folder / f"{name.replace(' ', '-')}.log"
    return Program(name, kind, [sys.executable, "manage.py", *command], log, ready, environment, {"cwd": ROOT})


def flush_redis(port: int) -> None:
    """Empty a Redis."""
    with socket.create_connection(("127.0.0.1", port), timeout=2) as line:
        line.sendall(b"FLUSHALL\r\n")
        line.recv(100)
