"""Queue jobs from ordinary code; the hot path has its own statements for the same tables."""

from typing import Any

from django.db import transaction
from django.db.models.functions import Coalesce, Now

from gateway.lanes import local
from gateway.lanes.models import Job, Lane
from gateway.tenants.models import Company


def lane_for(company: Company, *, environment: str, branch: str, series: str) -> Lane:
    """The lane of a series; made on first use. A second call finds the same one."""
    lane, _ = Lane.objects.get_or_create(
        environment=environment, pin=company.pin, branch=branch, series=series, defaults={"company": company}
    )
    return lane


@transaction.atomic
def queue_job(lane: Lane, *, kind: str, document_id: int, **fields: Any) -> Job:
    """Put a document at the end of a lane, or back there after it was settled. Call it inside the change's transaction.

    The lane's row is written in any case: so a process that is just letting the lane go either sees this job or leaves
    the lane due.
    """
    Job.objects.filter(kind=kind, document_id=document_id, state=Job.State.CLOSED).delete()
    job, _ = Job.objects.get_or_create(kind=kind, document_id=document_id, defaults={"lane": lane, **fields})
    Lane.objects.filter(pk=lane.pk).update(due_at=Coalesce("due_at", Now()))
    transaction.on_commit(lambda: local.wake(lane.pk))
    return job
