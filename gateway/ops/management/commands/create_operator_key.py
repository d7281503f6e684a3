"""`manage.py create_operator_key`: a key with which the staff onboards companies and looks after them."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.utils import timezone

from gateway.tenants.models import OperatorRole
from gateway.tenants.services import KeyAbovePerson, WorksElsewhere, make_operator_key


class Command(BaseCommand):
    help = "Make a key for somebody on the staff and print it, once. The person is made if need be."
    requires_system_checks = ()  # they load every page, and here is none

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--role", choices=OperatorRole.values, help="admin for a new person, else the person's own")
        parser.add_argument("--reseller", default="", help="for a reseller's staff, who see only its companies")
        parser.add_argument("--name", default="", help="what the key is for")
        parser.add_argument("--days", type=int, help="how long it is good; without end when left out")

    def handle(
        self, *, email: str, role: str | None, reseller: str, name: str, days: int | None, **options: Any
    ) -> None:
        try:
            validate_email(email)
        except ValidationError as error:
            raise CommandError(f"{email!r} is no e-mail address") from error
        if days is not None and days < 1:
            raise CommandError("--days must be 1 or more")
        expires_at = None if days is None else timezone.now() + timedelta(days=days)
        try:
            _, text = make_operator_key(
                email=email,
                role=OperatorRole(role) if role else None,
                reseller=reseller.strip(),
                name=name[:60],
                expires_at=expires_at,
            )
        except (WorksElsewhere, KeyAbovePerson) as error:
            raise CommandError(f"{error}") from error
        self.stderr.write("This key is shown once. Send it as: Authorization: Token <key>")
        self.stdout.write(text)
