"""`manage.py revpay_init_system --admin-email …`: make a new installation ready. Safe to repeat."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email

from gateway.ops.initial import (
    KeysDoNotOpen,
    NotMigrated,
    check_migrated,
    ensure_admin,
    ensure_codes,
    ensure_keys,
    remaining,
)


class Command(BaseCommand):
    help = "Make a new installation ready: administrator, keys, code tables. A second run changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--admin-email", required=True, help="who may do everything in the admin")
        parser.add_argument(
            "--admin-password-file", type=Path, help="a file with the password; without one it is made up and printed"
        )

    def handle(self, *, admin_email: str, admin_password_file: Path | None, **options: Any) -> None:
        try:
            validate_email(admin_email)
        except ValidationError:
            raise CommandError(f"{admin_email!r} is no e-mail address.") from None
        try:
            check_migrated()
            companies, made = ensure_keys()
            admin = ensure_admin(email=admin_email, password=_password(admin_password_file))
        except (NotMigrated, KeysDoNotOpen) as error:
            raise CommandError(str(error)) from None
        except ValidationError as error:
            raise CommandError(f"The password is not taken: {' '.join(error.messages)}") from None
        added = ensure_codes()
        self.stdout.write("database        up to date")
        self.stdout.write(f"keys            open for {companies} companies" + (f", {made} made" if made else ""))
        state = "made" if admin.is_new else "promoted" if admin.was_promoted else "known, unchanged"
        self.stdout.write(f"administrator   {admin.email}: {state}")
        if admin.password is not None:
            self.stdout.write(f"                password, shown only now: {admin.password}")
        for environment, count in added.items():
            self.stdout.write(
                f"codes           {environment}: {count} added" if count else f"codes           {environment}: known"
            )
        for sentence in remaining():
            self.stdout.write(f"to do           {sentence}")


def _password(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        password = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
    if not password:
        raise CommandError(f"{path} is empty.")
    return password
