"""The whole gateway on one machine against a simulated KRA: `manage.py demo`, or `make demo`."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from gateway.ops import demo


class Command(BaseCommand):
    help = "Start a gateway and a simulated KRA, sign a sale and show its receipt; stays up until Ctrl-C."
    requires_system_checks = ()  # the gateway it starts has a database and settings of its own

    def add_arguments(self, parser: ArgumentParser) -> None:
        demo.add_arguments(parser)

    def handle(self, *, port: int, simulator_port: int, once: bool, folder: Path, **options: Any) -> None:
        sys.exit(demo.main(port=port, simulator_port=simulator_port, once=once, folder=folder))
