"""Serve the gateway: web, engine and, on SQLite, everything else in this one process."""

import fcntl
from argparse import ArgumentParser
from pathlib import Path
from socket import socket
from types import FrameType
from typing import IO, Any

import uvicorn
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from gateway.lanes import local
from gateway.lanes.engine import STOP_SECONDS
from gateway.lib.memory import keep_loaded
from gateway.ops.bounded_http import BoundedHttp
from gateway.ops.listening import listen


class Server(uvicorn.Server):
    """Tells the engine first when the process is asked to end, so that nobody waits for a receipt in vain."""

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        keep_loaded()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if (engine := local.engine()) is not None:
            engine.begin_stop()
        super().handle_exit(sig, frame)


class Command(BaseCommand):
    help = "Serve the gateway: pages, API and engine."
    requires_system_checks = ()  # they load every page before the first sale; `manage.py check` runs them

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *, host: str, port: int, **options: Any) -> None:
        migrations = MigrationExecutor(connection)
        if migrations.migration_plan(migrations.loader.graph.leaf_nodes()):
            raise CommandError("The database is not up to date. Run: manage.py migrate")
        connection.close()
        lock = _lock() if connection.vendor == "sqlite" else None
        listener = listen(host, port)
        server = Server(
            uvicorn.Config(
                "gateway.asgi:application",
                lifespan="on",
                access_log=False,
                log_config=None,  # uvicorn's lines go through LOGGING too, which masks secrets
                log_level="warning",
                timeout_graceful_shutdown=int(STOP_SECONDS),
                server_header=False,
                http=BoundedHttp,
                proxy_headers=False,  # api.door reads them, when BEHIND_PROXY says so
            )
        )
        self.stdout.write(f"gateway ready on http://{host}:{listener.getsockname()[1]}")
        self.stdout.flush()
        server.run(sockets=[listener])
        if lock is not None:
            lock.close()


def _lock() -> IO[str]:
    """The lock that keeps a second process off the SQLite file; held until the process ends, however it ends."""
    path = Path(f"{connection.settings_dict['NAME']}.lock")
    lock = path.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise CommandError(
            f"Another gateway already uses {path.with_suffix('')}. Stop it first, or set another DATABASE_URL."
        ) from None
    return lock
