"""What a new installation needs before its first company: an administrator, working keys, KRA's code tables."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from gateway.catalog.seeding import seed_codes
from gateway.lib.crypto import SealBroken
from gateway.tenants.models import Company, DataKey, Environment, OperatorRole, User
from gateway.tenants.services import add_staff
from gateway.tenants.vault import make_data_key, seal_for


class NotMigrated(Exception):
    """The database is not up to date; the text names what is missing."""


class KeysDoNotOpen(Exception):
    """ENCRYPTION_KEY is not the one with which companies' keys were sealed; the text says whose."""


@dataclass(frozen=True, slots=True)
class Admin:
    """`password` is there only when one was just made up."""

    email: str
    is_new: bool
    was_promoted: bool
    password: str | None


def unapplied_migrations() -> list[str]:
    """What `migrate` would do, as `app.name`."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def check_migrated() -> None:
    """Raises NotMigrated."""
    if missing := unapplied_migrations():
        shown = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        raise NotMigrated(f"The database lacks {len(missing)} migrations ({shown}). Run: manage.py migrate")


@transaction.atomic
def ensure_admin(*, email: str, password: str | None = None) -> Admin:
    """The administrator with this address; made, or promoted, when need be. A known one keeps name and password.

    Without a password one is made up. Raises Django's ValidationError for a password that is too weak.
    """
    email = User.objects.normalize_email(email).lower()
    user = User.objects.filter(email=email).first()
    if user is not None:
        is_admin = user.is_staff and user.is_superuser and user.is_active
        if not is_admin:
            user.is_staff = user.is_superuser = user.is_active = True
            user.save(update_fields=["is_staff", "is_superuser", "is_active"])
        add_staff(email=email, role=OperatorRole.ADMIN)
        return Admin(email, is_new=False, was_promoted=not is_admin, password=None)
    if password is not None:
        validate_password(password, User(email=email))
    made_up = None if password is not None else secrets.token_urlsafe(18)
    User.objects.create_superuser(email, password or made_up)
    add_staff(email=email, role=OperatorRole.ADMIN)
    return Admin(email, is_new=True, was_promoted=False, password=made_up)


def ensure_keys() -> tuple[int, int]:
    """Give every company its data key and see that ENCRYPTION_KEY opens it; how many there are, how many are new.

    Raises KeysDoNotOpen.
    """
    made = 0
    locked: list[str] = []
    companies = Company.objects.order_by("pk")
    for company in companies.exclude(pk__in=DataKey.objects.values("company")):
        make_data_key(company)
        made += 1
    count = 0
    for company in companies.iterator():
        count += 1
        try:
            seal_for(company, b"check", b"")
        except SealBroken:
            locked.append(company.pin)
    if locked:
        raise KeysDoNotOpen(
            f"ENCRYPTION_KEY does not open the keys of {len(locked)} of {count} companies (first: {locked[0]}). Put "
            "the former key back, behind the new one: ENCRYPTION_KEY=new,former"
        )
    return count, made


def ensure_codes() -> dict[str, int]:
    """KRA's shipped code tables in both environments; how many codes were added to each."""
    return {environment.value: seed_codes(environment) for environment in Environment}


def remaining() -> Iterator[str]:
    """What is still to be set before people outside this machine use the installation, a sentence each."""
    if settings.DEBUG:
        yield "DEBUG is on: it shows internals to visitors. Leave it out in production."
    if len(set(settings.SECRET_KEY)) < 16:
        yield "SECRET_KEY can be guessed. Make one with: openssl rand -base64 48"
    if any(len(set(key)) < 12 for key in settings.ENCRYPTION_KEYS):
        yield "ENCRYPTION_KEY can be guessed. Make one with: openssl rand -base64 32"
    if set(settings.ALLOWED_HOSTS) <= {"localhost", "127.0.0.1", "[::1]"}:
        yield "ALLOWED_HOSTS names only this machine. Set the host names under which people reach the gateway."
    elif "*" in settings.ALLOWED_HOSTS:
        yield "ALLOWED_HOSTS lets every host name in. Name those under which people reach the gateway."
    if not settings.SYSTEM_URL.startswith("https://"):
        yield f"SYSTEM_URL is {settings.SYSTEM_URL}. Set the https:// address that goes into links and receipts."
    if settings.OPEN_ONBOARDING:
        yield "OPEN_ONBOARDING is on: everybody may add companies. Leave it out in production."
    if not settings.EMAIL_HOST:
        yield "EMAIL_HOST is not set: mail is only written to standard output."
    if not settings.ADMINS:
        yield "ADMINS is empty: nobody is told when something is wrong."
    if connection.vendor == "postgresql" and not settings.REDIS_URL and not settings.RUN_SCHEDULER:
        yield "Neither REDIS_URL (for Celery) nor RUN_SCHEDULER is set: no periodic work is done."
