"""Write down what happened."""

import contextlib
import uuid
from typing import Any

from gateway.audit.models import Event, Severity
from gateway.lib.origin import origin
from gateway.tenants.isolation import everything
from gateway.tenants.models import Company

# What is more than the ordinary course of business, by the event's name or its first word. The engine's statements
# write their own.
SEVERITIES = {
    "api_key": Severity.NOTICE,
    "operator_key": Severity.NOTICE,
    "member": Severity.NOTICE,
    "secret": Severity.NOTICE,
    "master_key": Severity.NOTICE,
    "data_key": Severity.NOTICE,
    "export": Severity.NOTICE,
    "officer": Severity.NOTICE,
    "contact": Severity.NOTICE,
    "invoice.late_credit_allowed": Severity.NOTICE,
    "device.key_entered": Severity.NOTICE,
    "device.activation_failed": Severity.WARNING,
    "device.silent": Severity.WARNING,
    "lane.held": Severity.WARNING,
}


def severity_of(name: str) -> Severity:
    """How severe an event of this name is unless its writer says otherwise."""
    return SEVERITIES.get(name) or SEVERITIES.get(name.partition(".")[0], Severity.INFO)


def record(
    company: Company | None,
    name: str,
    *,
    subject: uuid.UUID | None = None,
    environment: str = "",
    actor: str = "",
    severity: Severity | None = None,
    before: Any = None,
    after: Any = None,
    **data: Any,
) -> Event:
    """Add one event to the journal; call it inside the transaction of the change it tells of.

    A company of None says that it is about the installation. `before` and `after` are what of the thing was changed,
    fit for JSON and free of secrets. From where it was asked is known by itself.
    """
    asked = origin()
    seen = everything() if company is None else contextlib.nullcontext()  # what is nobody's, nobody else may write
    with seen:
        return Event.objects.create(
            company=company,
            environment=environment,
            name=name,
            severity=severity or severity_of(name),
            subject=subject,
            actor=actor,
            address=asked.address,
            request_id=asked.request_id,
            data=data,
            before=before,
            after=after,
        )
