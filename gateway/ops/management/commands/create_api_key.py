"""`manage.py create_api_key`: a key of a company, and its person if need be, for who has no key to ask with."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone

from gateway.audit.services import record
from gateway.devices.queries import DeviceUnknown, find_device
from gateway.tenants.keys import ExpiryWrong, Giver, give_key
from gateway.tenants.models import Company, Environment, OperatorRole, Role
from gateway.tenants.services import add_member


class Command(BaseCommand):
    help = "Make an API key of a company and print it, once. With --email the person is made a member too."
    requires_system_checks = ()  # they load every page, and here is none

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--company", required=True, help="its PIN")
        parser.add_argument("--environment", required=True, choices=Environment.values)
        parser.add_argument("--role", choices=Role.values, default=Role.CASHIER.value)
        parser.add_argument("--email", default="", help="whose key it is; made, and made a member, if need be")
        parser.add_argument("--name", default="", help="what the key is for")
        parser.add_argument("--device", default="", help="id or serial of the only device it may use")
        parser.add_argument("--days", type=int, help="how long it is good; without end when left out")

    def handle(
        self,
        *,
        company: str,
        environment: str,
        role: str,
        email: str,
        name: str,
        device: str,
        days: int | None,
        **options: Any,
    ) -> None:
        found = Company.objects.filter(pin=company.strip().upper()).first()
        if found is None:
            raise CommandError(f"no company has the PIN {company!r}")
        if days is not None and days < 1:
            raise CommandError("--days must be 1 or more")
        now = timezone.now()
        expires_at = None if days is None else now + timedelta(days=days)
        try:
            only = find_device(found.pk, environment, device).public_id if device else None
            with transaction.atomic():
                _, text = give_key(
                    found,
                    environment=environment,
                    role=Role(role),
                    by=Giver(role=OperatorRole.ADMIN, name="command:create_api_key"),
                    now=now,
                    journal=record,
                    name=(name or email)[:60],
                    device=only,
                    expires_at=expires_at,
                )
                if email:
                    validate_email(email)
                    member = add_member(found, email=email, name="", role=Role(role), expires_at=expires_at)
                    self.stderr.write(f"{member.user} is {member.get_role_display().lower()} of {found.name}.")
        except ValidationError as error:
            raise CommandError(f"{email!r} is no e-mail address") from error
        except ExpiryWrong as error:
            raise CommandError(f"{error} Give --days.") from error
        except DeviceUnknown as error:
            raise CommandError(f"{error}") from error
        self.stderr.write("This key is shown once. Send it as: Authorization: Token <key>")
        self.stdout.write(text)
