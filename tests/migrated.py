"""Databases with all tables: a run migrates one, the others are copies of it, for migrating takes long seconds."""

import atexit
import contextlib
import fcntl
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

ROOT = Path(__file__).parent.parent
_FOLDER = "MIGRATED_FOLDER"
_FOLDERS = contextlib.ExitStack()
atexit.register(_FOLDERS.close)


def folder() -> Path:
    """Where this run keeps what it has migrated. Whoever asks first makes it; the processes it starts inherit it."""
    if _FOLDER not in os.environ:
        os.environ[_FOLDER] = _FOLDERS.enter_context(tempfile.TemporaryDirectory(prefix="gateway-migrated-"))
    return Path(os.environ[_FOLDER])


def give_tables(environment: dict[str, str]) -> None:
    """Give the database of a process its tables, where it has none yet; it may also be missing."""
    url = environment["DATABASE_URL"]
    if url.startswith("sqlite"):
        if not _file(url).exists():
            _copy_file(_template(environment), url)
    elif not _has_tables(url):
        template = _template(environment)
        with _beside(url) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {_name(url)}".encode())
            connection.execute(f"CREATE DATABASE {_name(url)} TEMPLATE {_name(template)}".encode())


def _template(environment: dict[str, str]) -> str:
    """The URL of the run's migrated database on this server; those who want it at one time wait for the first."""
    server = urlsplit(environment["DATABASE_URL"])
    kind = "migrated_beat" if environment.get("REDIS_URL") else "migrated"  # with Redis there are the tables of beat
    is_sqlite = server.scheme == "sqlite"
    url = f"sqlite:///{folder()}/{kind}.sqlite3" if is_sqlite else server._replace(path=f"/{kind}").geturl()
    done = folder() / f"{kind}-{server.port or ''}.done"
    with (folder() / "lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            _empty(url)
            arguments = [sys.executable, "manage.py", "migrate", "-v0"]
            subprocess.run(arguments, cwd=ROOT, env={**environment, "DATABASE_URL": url}, check=True)
            done.touch()
    return url


def _empty(url: str) -> None:
    """Make it, without what an attempt that failed has left."""
    if url.startswith("sqlite"):
        _file(url).unlink(missing_ok=True)
        return
    with _beside(url) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {_name(url)}".encode())
        connection.execute(f"CREATE DATABASE {_name(url)}".encode())


def _copy_file(template: str, url: str) -> None:
    with (
        contextlib.closing(sqlite3.connect(_file(template))) as source,
        contextlib.closing(sqlite3.connect(_file(url))) as copy,
    ):
        source.backup(copy)


def _has_tables(url: str) -> bool:
    with _beside(url) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_name(url)]).fetchone():
            return False
    with psycopg.connect(url) as own:
        return own.execute("SELECT to_regclass('django_migrations')").fetchone() != (None,)


@contextlib.contextmanager
def _beside(url: str) -> Iterator[psycopg.Connection]:
    """A connection to the same server's own database."""
    server = urlsplit(url)._replace(path="/postgres").geturl()
    with psycopg.connect(server, autocommit=True) as connection:
        yield connection


def _file(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def _name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")
