"""`manage.py escrow`: the second copies of the devices' keys. It never shows a key."""

import uuid
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from gateway.audit.services import record
from gateway.devices import escrow
from gateway.devices.keys import NothingInEscrow, restore_key
from gateway.devices.models import Device
from gateway.devices.queries import WrongProfile
from gateway.devices.services import BranchHasActiveDevice, DeviceNotReady, LaneInUse
from gateway.lib.crypto import SealBroken
from gateway.tenants.models import Company

ACTOR = "command:escrow"


class Command(BaseCommand):
    help = "List, export and restore the second copies of the devices' keys. They stay sealed; no key is ever shown."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("list", help="whose copies there are")
        export = verbs.add_parser("export", help="write all copies, sealed, into a file to carry off the machine")
        export.add_argument("file", type=Path)
        restore = verbs.add_parser("restore", help="give a device the newest key that is in escrow for it")
        restore.add_argument("device", help="id or serial")
        restore.add_argument("--pin", help="the company's, if the serial alone is not clear")
        restore.add_argument("--file", type=Path, help="an exported file; left out: what is in the database")
        restore.add_argument("--last-number", type=int, help="the last invoice number that KRA has accepted")

    def handle(self, *, verb: str, **options: Any) -> None:
        match verb:
            case "list":
                self._list()
            case "export":
                self._export(options["file"])
            case _:
                self._restore(options["device"], options["pin"], options["file"], options["last_number"])

    def _list(self) -> None:
        is_empty = True
        for one in escrow.records():
            is_empty = False
            self.stdout.write(
                f"{one.at:%Y-%m-%d %H:%M} {one.environment} {one.pin} {one.branch} {one.serial} {one.kind}"
            )
        if is_empty:
            self.stdout.write("There is nothing in escrow.")

    def _export(self, file: Path) -> None:
        try:
            target = file.open("xb")
        except FileExistsError:
            raise CommandError(f"{file} exists already; choose another name") from None
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror}") from error
        file.chmod(0o600)
        copies: dict[str, int] = {}
        with target:
            for one in escrow.records():
                target.write(escrow.write_line(one) + b"\n")
                copies[one.pin] = copies.get(one.pin, 0) + 1
        with transaction.atomic():
            for company in Company.objects.filter(pin__in=copies):
                record(company, "export.escrow", subject=company.public_id, actor=ACTOR, copies=copies[company.pin])
        self.stdout.write(f"{sum(copies.values())} copies written to {file}, sealed by the master key.")

    def _restore(self, wanted: str, pin: str | None, file: Path | None, last_number: int | None) -> None:
        device = _device(wanted, pin)
        try:
            copies = escrow.read_lines(file.read_bytes().splitlines()) if file else escrow.records(of=device)
            device = restore_key(
                device=device,
                records=copies,
                now=timezone.now(),
                actor=ACTOR,
                last_number=last_number,
            )
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}") from error
        except (
            *(ValueError, NothingInEscrow, DeviceNotReady, BranchHasActiveDevice, LaneInUse),
            *(WrongProfile, SealBroken),
        ) as error:
            raise CommandError(f"nothing was restored: {error}") from error
        self.stdout.write(f"The device {device.serial} has its key again and is {device.status}.")


def _device(wanted: str, pin: str | None) -> Device:
    devices = Device.objects.select_related("company", "branch", "lane")
    if pin:
        devices = devices.filter(company__pin=pin)
    try:
        found = list(devices.filter(public_id=uuid.UUID(wanted)))
    except ValueError:
        found = list(devices.filter(serial=wanted))
    if len(found) != 1:
        raise CommandError("there is no such device" if not found else "several devices have this serial: give its id")
    return found[0]
