"""What happened: rows are added, never changed."""

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from gateway.tenants.models import Company, Environment


class Event(models.Model):
    """Something that happened to a company's thing, written in the same commit as the change it tells of.

    `name` is a noun and a past verb (`invoice.signed`); `subject` is the public id of the thing.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    company = models.ForeignKey(Company, models.PROTECT, related_name="events")
    environment = models.CharField(max_length=10, choices=Environment.choices, blank=True)
    name = models.CharField(max_length=40)
    subject = models.UUIDField()
    actor = models.CharField(max_length=100, blank=True)
    data = models.JSONField(default=dict)
    at = models.DateTimeField(db_default=Now())
    dispatched_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["company", "-id"], name="event_company"),
            models.Index(fields=["subject"], name="event_subject"),
            models.Index(fields=["id"], name="event_undispatched", condition=Q(dispatched_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.subject}"
