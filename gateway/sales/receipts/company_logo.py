"""A company's logo: set, shown and taken away, each change in the journal."""

import hashlib
from typing import Any

from django.db import transaction

from gateway.audit.services import record
from gateway.sales.models import Logo
from gateway.sales.receipts.logos import check_logo
from gateway.tenants.models import Company


@transaction.atomic
def set_logo(company: Company, *, content: bytes, actor: str) -> Logo:
    """Give a company's receipts a logo. The one that it has already records nothing. Raises BadLogo."""
    content_type = check_logo(content)
    logo = Logo.objects.select_for_update().filter(company=company).first()
    if logo is not None and bytes(logo.content) == content:
        return logo
    logo, _ = Logo.objects.update_or_create(
        company=company, defaults={"content": content, "content_type": content_type, "actor": actor[:100]}
    )
    _tell(company, "logo.changed", actor=actor, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    return logo


@transaction.atomic
def remove_logo(company: Company, *, actor: str) -> None:
    """Take a company's logo off its receipts; where there is none, nothing happens."""
    deleted, _ = Logo.objects.filter(company=company).delete()
    if deleted:
        _tell(company, "logo.removed", actor=actor)


def find_logo(company: Company) -> Logo | None:
    """The logo of a company."""
    return Logo.objects.filter(company=company).first()


def _tell(company: Company, name: str, *, actor: str, **data: Any) -> None:
    record(company, name, subject=company.public_id, environment="", actor=actor, **data)
