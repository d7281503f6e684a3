"""Write down what happened."""

import uuid
from typing import Any

from gateway.audit.models import Event
from gateway.tenants.models import Company


def record(
    company: Company, name: str, *, subject: uuid.UUID, environment: str = "", actor: str = "", **data: Any
) -> Event:
    """Add one event to the journal; call it inside the transaction of the change it tells of."""
    return Event.objects.create(
        company=company, environment=environment, name=name, subject=subject, actor=actor, data=data
    )
