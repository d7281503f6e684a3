"""`manage.py erase_contact`: forget a buyer's e-mail address or phone number, when the buyer has asked for it."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gateway.sales.contacts import NoContact, erase_contact
from gateway.tenants.isolation import only
from gateway.tenants.models import Company


class Command(BaseCommand):
    help = "Erase a buyer's e-mail address or phone number from all sales of a company, and from what was sent there."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("contact", help="the e-mail address, or the phone number in any way of writing it")
        parser.add_argument("--company", required=True, help="its PIN")

    def handle(self, *, contact: str, company: str, **options: Any) -> None:
        found = Company.objects.filter(pin=company.strip().upper()).first()
        if found is None:
            raise CommandError(f"no company has the PIN {company!r}")
        try:
            with only([found.pk]):
                count = erase_contact(company=found, contact=contact, actor="command:erase_contact")
        except NoContact as error:
            raise CommandError("this is no e-mail address and no phone number of 9 digits or more") from error
        self.stdout.write(f"Erased from {count} {'sale' if count == 1 else 'sales'}.")
