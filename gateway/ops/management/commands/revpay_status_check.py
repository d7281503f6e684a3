"""`manage.py revpay_status_check`: one line a check; the exit code tells."""

import smtplib
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from gateway.ops import status


class Command(BaseCommand):
    help = "Say how the installation is doing, one line a check. Exit code: 0 well, 1 warnings, 2 failures."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--verbose", action="store_true", help="every detail of each check")
        parser.add_argument("--send-alerts", action="store_true", help="mail ADMINS what is not well, once a change")

    def handle(self, *, verbose: bool, send_alerts: bool, **options: Any) -> None:
        checks = status.run_checks()
        for check in checks:
            self.stdout.write(f"{check.state:5} {check.name:11} {check.said} {check.todo}".rstrip())
            for line in check.more if verbose else ():
                self.stdout.write(f"{'':18}{line}")
        if send_alerts:
            self._send(checks)
        raise SystemExit(status.exit_code(checks))

    def _send(self, checks: list[status.Check]) -> None:
        if not settings.ADMINS:
            self.stderr.write("Nobody is told: ADMINS is empty.")
        try:
            if status.send_alerts(checks, state_file=settings.VAR_DIR / "status.json"):
                self.stdout.write("Mail was sent to ADMINS.")
        except (OSError, smtplib.SMTPException) as error:
            self.stderr.write(f"The mail did not go out: {error}")
