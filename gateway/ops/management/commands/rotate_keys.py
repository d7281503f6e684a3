"""`manage.py rotate_keys`: new keys for what is sealed, while sales go on."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gateway.devices.rotation import change_data_keys, rotate_master_key
from gateway.lib.crypto import SealBroken
from gateway.tenants.models import Company
from gateway.tenants.vault import master_key_ids
from gateway.wiring import SEALED, WRAPPED


class Command(BaseCommand):
    help = "Wrap everything by the newest master key; with --data-keys, seal everything anew with new data keys."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--data-keys", action="store_true", help="give every company a new data key as well")

    def handle(self, *, data_keys: bool, **options: Any) -> None:
        try:
            if data_keys and (failed := change_data_keys(SEALED, say=self.stdout.write)):
                names = ", ".join(str(company) for company in Company.objects.filter(pk__in=failed))
                raise CommandError(f"Could not be done now, somebody was sealing all the time: {names}. Run it again.")
            unneeded, needed = rotate_master_key(WRAPPED, say=self.stdout.write)
        except SealBroken as error:
            raise CommandError(f"{error}. What was done so far stays; the rest is as it was.") from error
        self.stdout.write(f"The newest master key is {master_key_ids()[0]}.")
        for key in unneeded:
            self.stdout.write(f"No longer needed: {key}. Keep it as long as a backup that needs it.")
        for key in needed:
            self.stdout.write(f"Still needed: {key}. A running process still wraps with it; run this again.")
