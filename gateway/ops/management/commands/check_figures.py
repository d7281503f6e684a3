"""`manage.py check_figures`: whether the days' figures are those of the invoices."""

from argparse import ArgumentParser
from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gateway.audit.chain import seal_journal
from gateway.lib.clock import NAIROBI, utc_now
from gateway.reports.counting import count_days
from gateway.reports.recounting import differences


class Command(BaseCommand):
    help = "Count days anew from their invoices and compare with the figures that are kept; it changes no figure."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--day", type=date.fromisoformat, help="the first day, 2026-11-20; yesterday when left out")
        parser.add_argument("--days", type=int, default=1, help="how many days (1)")

    def handle(self, *, day: date | None, days: int, **options: Any) -> None:
        first = day or utc_now().astimezone(NAIROBI).date() - timedelta(days=1)
        seal_journal()
        count_days()
        found = list(differences(first, first + timedelta(days=days - 1)))
        for difference in found:
            self.stderr.write(difference)
        if found:
            raise CommandError(f"{len(found)} figures differ from the invoices.")
        self.stdout.write("The figures are those of the invoices.")
