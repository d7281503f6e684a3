"""`manage.py partitions`: the monthly tables of PostgreSQL."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection

from gateway.audit.archive import NotArchived, archive_month, due_months
from gateway.audit.archived import file_name
from gateway.lanes.months import AHEAD, make_months


class Command(BaseCommand):
    help = (
        "Make the next months' tables of events and messages to KRA on PostgreSQL; with --archive-to, write the events "
        "of each month older than RETENTION_EVENT_YEARS to a file, check it, and drop the month."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--ahead", type=int, default=AHEAD, help="how many months to make (3)")
        parser.add_argument(
            "--archive-to", type=Path, help="the folder for archived months; keep what is written there"
        )

    def handle(self, *, ahead: int, archive_to: Path | None, **options: Any) -> None:
        if connection.vendor != "postgresql":
            raise CommandError("SQLite has no partitions; nothing was done.")
        if not 0 <= ahead <= 120:
            raise CommandError("--ahead must be from 0 to 120.")
        try:
            self.stdout.write(f"{make_months(ahead=ahead)} tables made.")
            if archive_to is not None:
                self._archive(archive_to)
        except (NotArchived, DatabaseError) as error:
            raise CommandError(f"{str(error).strip()}.") from error

    def _archive(self, folder: Path) -> None:
        months = due_months()
        for month in months:
            written = archive_month(month, folder)
            self.stdout.write(f"{written.count} events of {month} are in {folder / file_name(month)} now.")
        if not months:
            self.stdout.write("No month is old enough to be archived.")
