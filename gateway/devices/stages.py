"""Where a company stands between sandbox and production.

The environments share nothing but the company and its people. Each company has a default one; production is closed to
it until it is opened: by going live, or because the staff onboarded it there.
"""

from datetime import datetime

from django.db import transaction
from django.db.models.functions import Now

from gateway.devices.models import Device, Stage
from gateway.tenants.models import Company, Environment


class ProductionClosed(Exception):
    """Production is not open to the company yet: nothing is made there."""


def stage_of(company: Company) -> Stage:
    """The company's stage, made on first use: in production if it has a device there, else in the sandbox."""
    known = Stage.objects.filter(company=company).first()
    if known is not None:
        return known
    is_live = Device.objects.filter(company=company, environment=Environment.PRODUCTION).exists()
    return begin(company, Environment.PRODUCTION if is_live else Environment.SANDBOX)


@transaction.atomic
def begin(company: Company, environment: str, *, by: str = "") -> Stage:
    """The first stage of a company; one that begins in production is open to it. A second call finds the first."""
    live = {"opened_at": Now(), "opened_by": by} if environment == Environment.PRODUCTION else {}
    stage, made = Stage.objects.get_or_create(company=company, defaults={"environment": environment, **live})
    if made:
        stage.refresh_from_db()
    return stage


def check_open(company: Company, environment: str) -> None:
    """Raises ProductionClosed when something would be made in production before the company went live."""
    if environment == Environment.PRODUCTION and stage_of(company).opened_at is None:
        raise ProductionClosed(company.name)


def move(stage: Stage, environment: str, *, now: datetime, by: str) -> None:
    """Make an environment the company's default, and production open to it for good."""
    stage.environment = environment
    if environment == Environment.PRODUCTION and stage.opened_at is None:
        stage.opened_at, stage.opened_by = now, by
    stage.save(update_fields=["environment", "opened_at", "opened_by"])
