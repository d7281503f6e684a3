"""`manage.py openapi`: write the OpenAPI file of the repository, or compare it with the code."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from gateway.api.openapi import schema


class Command(BaseCommand):
    help = "Write docs/reference/openapi.json from the routes; --check only compares."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing; fail when the file is out of step")
        parser.add_argument("--file", type=Path, default=settings.BASE_DIR / "docs" / "reference" / "openapi.json")

    def handle(self, *, check: bool, file: Path, **options: Any) -> None:
        text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
        if check:
            if not file.exists() or file.read_text(encoding="utf-8") != text:
                raise CommandError(f"{file.name} is out of step with the routes; run: make openapi")
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        self.stdout.write(f"wrote {file.name}")
