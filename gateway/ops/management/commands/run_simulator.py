"""Run KRA in a box: `manage.py run_simulator --port 9000 --state var/simulator.sqlite3`."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from gateway.simulator.server import run


class Command(BaseCommand):
    help = "Run the KRA simulator: the protocol, a page to flip faults, and the page that QR codes open."
    requires_system_checks = ()  # it uses nothing of the gateway

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=9000, help="0 picks a free one (%(default)s)")
        parser.add_argument(
            "--state", type=Path, default=settings.VAR_DIR / "simulator.sqlite3", help="its SQLite file"
        )
        parser.add_argument("--flavour", choices=["oscu_direct", "gavaconnect", "vscu", "all"], default="all")
        parser.add_argument("--seed", type=int, help="makes keys, signatures and faults repeatable")
        strictness = parser.add_mutually_exclusive_group()
        strictness.add_argument("--strict", action="store_true", default=True, help="refuse what KRA might refuse")
        strictness.add_argument("--lenient", dest="strict", action="store_false", help="take what some KRA hosts take")

    def handle(self, *, port: int, state: Path, flavour: str, strict: bool, host: str, **options: Any) -> None:
        state.parent.mkdir(parents=True, exist_ok=True)
        run(port=port, state=state, flavour=flavour, strict=strict, host=host, seed=options["seed"])
