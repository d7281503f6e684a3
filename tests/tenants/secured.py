"""A PostgreSQL database as in production: an owner who is no superuser, and a role each for web, engine and chores."""

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg.rows import dict_row

from tests.gateway import ROOT

VARIABLES = {
    "web": "DATABASE_URL",
    "owner": "MIGRATE_DATABASE_URL",
    "engine": "ENGINE_DATABASE_URL",
    "chores": "CHORES_DATABASE_URL",
}


@dataclass(frozen=True)
class Secured:
    """A database and who may do what in it; `urls` by role."""

    urls: dict[str, str]

    @property
    def settings(self) -> dict[str, str]:
        """The environment of a gateway's processes."""
        return {VARIABLES[role]: url for role, url in self.urls.items()}

    def name(self, role: str) -> str:
        return str(urlsplit(self.urls[role]).username)

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command of manage.py; it must end well."""
        done = self.try_to_manage(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def try_to_manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            env={**os.environ, **self.settings},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    @contextlib.contextmanager
    def speaking(self, role: str, companies: str = "") -> Iterator[psycopg.Connection[dict[str, Any]]]:
        """A connection of a role, for which these companies (ids with commas, or *) are set."""
        with psycopg.connect(self.urls[role], row_factory=dict_row, autocommit=True) as connection:
            if companies:
                connection.execute("SELECT set_config('app.companies', %s, false)", (companies,))
            yield connection


@contextlib.contextmanager
def secured_database(server_url: str) -> Iterator[Secured]:
    """An empty database whose owner exists; the other roles are for `secure_database` to make."""
    mark = secrets.token_hex(4)
    name = f"secured_{mark}"
    parts = urlsplit(server_url)
    urls = {
        role: parts._replace(
            netloc=f"{role}_{mark}:{secrets.token_hex(8)}@{parts.hostname}:{parts.port}", path=f"/{name}"
        ).geturl()
        for role in VARIABLES
    }
    owner = urlsplit(urls["owner"])
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {owner.username} LOGIN CREATEROLE PASSWORD '{owner.password}'")
        connection.execute(f"CREATE DATABASE {name} OWNER {owner.username}")
    try:
        yield Secured(urls)
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
            for role in VARIABLES:
                connection.execute(f"DROP ROLE IF EXISTS {role}_{mark}")
