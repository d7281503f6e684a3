"""`manage.py setup_celery_beat`: write the schedule where Celery's beat reads it."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gateway.ops.beat import NoBroker, write_beat_rows
from gateway.wiring import SCHEDULE


class Command(BaseCommand):
    help = "Write one django-celery-beat row for each piece of periodic work. A second run changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--clear-existing", action="store_true", help="also remove rows of ours that the schedule no longer knows"
        )

    def handle(self, *, clear_existing: bool, **options: Any) -> None:
        try:
            written = write_beat_rows(SCHEDULE, clear=clear_existing)
        except NoBroker as error:
            raise CommandError(str(error)) from None
        for what in ("made", "changed", "unchanged", "removed"):
            for name in getattr(written, what):
                self.stdout.write(f"{what:10}{name}")
