"""Post a file of sales to a gateway: `manage.py sell examples/supermarket-day.jsonl --prepare`."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from gateway.ops import sell_terminal


class Command(BaseCommand):
    help = "Post a JSON Lines file of sales and say how each ended. Exit code: 0 all signed, 1 some not, 2 unfinished."
    requires_system_checks = ()  # it only speaks HTTP

    def add_arguments(self, parser: ArgumentParser) -> None:
        sell_terminal.add_arguments(parser)

    def handle(self, *, file: Any, url: str, key: str | None, jobs: int, **options: Any) -> None:
        chosen = {name: options[name] for name in ("wait", "settle", "prepare")}
        sys.exit(sell_terminal.main(file=file, url=url, key=key, jobs=jobs, **chosen))
