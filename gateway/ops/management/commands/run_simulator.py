"""Run KRA in a box: `manage.py run_simulator --port 9000 --state var/simulator.sqlite3`."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gateway.simulator import command
from gateway.simulator.ledger import StateInUse


class Command(BaseCommand):
    help = "Run the KRA simulator: the protocol, a page to flip faults, and the page that QR codes open."
    requires_system_checks = ()  # it uses nothing of the gateway

    def add_arguments(self, parser: ArgumentParser) -> None:
        command.add_arguments(parser)

    def handle(self, **options: Any) -> None:
        try:
            command.run_with(options)
        except (StateInUse, OSError) as error:
            raise CommandError(str(error)) from error
