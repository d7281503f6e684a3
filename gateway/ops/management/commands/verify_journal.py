"""`manage.py verify_journal`: whether the journal is as it was written."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gateway.audit.chain import as_text, verify_journal
from gateway.audit.models import Anchor

FLAWED = 3


class Command(BaseCommand):
    help = "Work the journal's chain out anew and name the first event that was changed, removed or put between."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--against", type=Path, help="a file of anchors kept elsewhere, to compare with as well")
        parser.add_argument("--archives", type=Path, help="the folder of archived months, to be read as well")
        parser.add_argument("--export-anchors", type=Path, help="write all anchors to this file, one a line, and end")

    def handle(
        self, *, against: Path | None, archives: Path | None, export_anchors: Path | None, **options: Any
    ) -> None:
        if export_anchors is not None:
            anchors = Anchor.objects.order_by("date")
            export_anchors.write_text("".join(f"{as_text(anchor)}\n" for anchor in anchors), encoding="utf-8")
            self.stdout.write(f"{len(anchors)} anchors are in {export_anchors}.")
            return
        try:
            lines = against.read_text(encoding="utf-8").splitlines() if against else []
            verdict = verify_journal(against=iter(lines), archives=archives)
        except (OSError, ValueError, KeyError) as error:
            raise CommandError(f"{against} is no file of anchors: {error}") from error
        for key in verdict.unknown_keys:
            self.stderr.write(f"Anchors signed by the key {key}: its master key is not at hand any more.")
        if verdict.flaw is not None:
            flaw = verdict.flaw
            raise CommandError(
                f"{flaw.kind} at position {flaw.position}: {flaw.says}. {verdict.checked} events before it are sound.",
                returncode=FLAWED,
            )
        self.stdout.write(f"The journal is sound: {verdict.checked} events, {verdict.unsealed} not sealed yet.")
        if verdict.unread:
            self.stdout.write(
                f"{verdict.unread} of them are archived and were not read; --archives names their folder."
            )
