"""What happened: rows are added, never changed. The database itself refuses it (migration 0004)."""

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from gateway.tenants.models import Company, Environment


class Severity(models.TextChoices):
    """How much an event deserves a look."""

    INFO = "info", "In the ordinary course"
    NOTICE = "notice", "Worth knowing: a secret, a right or a setting was touched"
    WARNING = "warning", "Somebody should look"
    CRITICAL = "critical", "Somebody must look now"


class Event(models.Model):
    """Something that happened, written in the same commit as the change it tells of.

    `name` is a noun and a past verb (`invoice.signed`); `subject` is the public id of the thing. Without a company it
    is about the installation. `position` and `seal` are filled in later, once (`audit.chain`).

    On PostgreSQL the rows lie in a table for each month of `at` (lanes.months), where no key is unique without `at`.
    That is enough: a public id is random, and a position is given under the lock of the one `ChainHead` in the commit
    that moves it. A second event at a position was put there by hand, and `verify_journal` finds it.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    company = models.ForeignKey(Company, models.PROTECT, related_name="events", null=True, blank=True, db_index=False)
    environment = models.CharField(max_length=10, choices=Environment.choices, blank=True)
    name = models.CharField(max_length=40)
    severity = models.CharField(max_length=8, choices=Severity.choices, db_default=Severity.INFO)
    subject = models.UUIDField(null=True, blank=True)
    actor = models.CharField(max_length=100, blank=True)
    address = models.CharField(max_length=45, blank=True, db_default="")  # from where it was asked
    request_id = models.CharField(max_length=64, blank=True, db_default="")
    data = models.JSONField(default=dict)
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)
    at = models.DateTimeField(db_default=Now())
    dispatched_at = models.DateTimeField(null=True, blank=True)
    position = models.PositiveBigIntegerField(null=True, blank=True, unique=True)  # in the chain, from 1
    seal = models.CharField(max_length=64, blank=True, db_default="")  # SHA-256 of content and the seal before, hex

    class Meta:
        indexes = [
            models.Index(fields=["company", "-at", "-id"], name="event_company"),
            models.Index(fields=["subject"], name="event_subject"),
            models.Index(fields=["id"], name="event_undispatched", condition=Q(dispatched_at=None)),
            models.Index(fields=["id"], name="event_unsealed", condition=Q(position=None)),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.subject or ''}".strip()


class ChainHead(models.Model):
    """Where the chain ends. One row, which is also the lock under which the chain grows."""

    position = models.PositiveBigIntegerField(default=0)
    seal = models.CharField(max_length=64, blank=True)
    public_key = models.CharField(max_length=64, blank=True)  # Ed25519, hex; its secret half comes from the master key
    signature = models.CharField(max_length=128, blank=True)

    def __str__(self) -> str:
        return f"chain up to {self.position}"


class Anchor(models.Model):
    """The chain's end on a day, signed; a copy kept elsewhere shows any later change of what it covers."""

    date = models.DateField(unique=True)  # in Nairobi
    position = models.PositiveBigIntegerField()
    seal = models.CharField(max_length=64)
    count = models.PositiveBigIntegerField()  # events sealed since the anchor before
    public_key = models.CharField(max_length=64)
    signature = models.CharField(max_length=128)
    made_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"anchor of {self.date}"


class Archive(models.Model):
    """A month of events that was written to a file and taken out of the database (`audit.archive`); it never changes.

    `runs` says where the chain goes through it: lists of first position, last position, seal of the last.
    """

    month = models.CharField(max_length=7, unique=True)  # 2026-11, in Nairobi
    runs = models.JSONField()
    count = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)  # of the file, hex
    public_key = models.CharField(max_length=64)
    signature = models.CharField(max_length=128)
    made_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"archive of {self.month}"


class ApiCall(models.Model):
    """One request to the API and how it was answered; nothing of its body, its query or its key."""

    company = models.ForeignKey(
        Company, models.PROTECT, related_name="api_calls", null=True, blank=True, db_index=False
    )
    environment = models.CharField(max_length=10, choices=Environment.choices, blank=True)
    at = models.DateTimeField()
    method = models.CharField(max_length=10)
    path = models.CharField(max_length=300)
    status = models.PositiveSmallIntegerField()
    code = models.CharField(max_length=40, blank=True)  # of the problem it was answered with
    duration_ms = models.PositiveIntegerField()
    key_prefix = models.CharField(max_length=16, blank=True)
    address = models.CharField(max_length=45, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    subject = models.UUIDField(null=True, blank=True)  # public id of the document it was about

    class Meta:
        indexes = [models.Index(fields=["company", "-at", "-id"], name="call_company")]

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}"
