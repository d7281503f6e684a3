"""Run an engine without a web: it drains the lanes that nobody holds. Any number may run on one PostgreSQL."""

import asyncio
import contextlib
import signal
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Generator
from typing import Any

import uvicorn
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from starlette.applications import Starlette

from gateway.api.health import Probe, health_routes
from gateway.lib.memory import keep_loaded
from gateway.ops.listening import listen
from gateway.ops.metrics import Metrics
from gateway.sales.services import Till
from gateway.wiring import running_till


class Window(uvicorn.Server):
    """A small web server beside the engine; signals are the command's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class Command(BaseCommand):
    help = "Run an engine without a web; it drains the lanes that nobody holds."
    requires_system_checks = ()  # they load every page, and here is none

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="where /health/ and /metrics are told; needs --port")
        parser.add_argument("--port", type=int, help="tell /health/ and /metrics there; without it nobody listens")

    def handle(self, *, host: str, port: int | None, **options: Any) -> None:
        if connection.vendor == "sqlite":
            raise CommandError("On SQLite the one process is `manage.py serve`; more engines need PostgreSQL.")
        asyncio.run(self.run(host, port))

    async def run(self, host: str, port: int | None) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with running_till() as till, self._window(till, host, port):
            keep_loaded()
            self.stdout.write("engine ready")
            self.stdout.flush()
            await stop.wait()
            till.engine.begin_stop()

    @contextlib.asynccontextmanager
    async def _window(self, till: Till, host: str, port: int | None) -> AsyncIterator[None]:
        if port is None:
            yield
            return
        app = Starlette(routes=health_routes(Probe(till), metrics=Metrics(till.engine).render))
        config = uvicorn.Config(app, lifespan="off", access_log=False, log_config=None, server_header=False)
        window = Window(config)
        told = asyncio.create_task(window.serve(sockets=[listen(host, port)]), name="health and metrics")
        try:
            yield
        finally:
            window.should_exit = True
            await told
