"""Run an engine without a web: it drains the lanes that nobody holds. Any number may run on one PostgreSQL."""

import asyncio
import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from gateway.wiring import running_till


class Command(BaseCommand):
    help = "Run an engine without a web; it drains the lanes that nobody holds."

    def handle(self, **options: Any) -> None:
        if connection.vendor == "sqlite":
            raise CommandError("On SQLite the one process is `manage.py serve`; more engines need PostgreSQL.")
        asyncio.run(self.run())

    async def run(self) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with running_till():
            self.stdout.write("engine ready")
            self.stdout.flush()
            await stop.wait()
