"""`manage.py secure_database`: roles, grants and row-level security on PostgreSQL."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection, transaction

from gateway.ops.engine_rights import engine_rights
from gateway.tenants.isolation import NotIsolated, secure


class Command(BaseCommand):
    help = "Put every company's tables under row-level security; run it as the owner after each migrate."

    def handle(self, **options: Any) -> None:
        if connection.vendor != "postgresql":
            raise CommandError("SQLite knows no roles and no row-level security; nothing was done.")
        try:
            with transaction.atomic():
                secure(engine_rights=engine_rights(), say=self.stdout.write)
        except (NotIsolated, DatabaseError) as error:
            raise CommandError(str(error).strip()) from error
