"""The durable queue: lanes of jobs that run one at a time, oldest first, and what was said to KRA about them."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from gateway.tenants.models import Company, Environment


class Process(models.Model):
    """A running engine. Its heartbeat is its lease on every lane that carries its token."""

    token = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=100)
    started_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class Lane(models.Model):
    """One series of documents that KRA must see in order, one in flight at a time.

    `next_number` is the number that the next accepted document will carry; it moves only when KRA has accepted one.
    `due_at` is when somebody should look at the lane (None: nothing to do; in the future: it rests).
    """

    class Series(models.TextChoices):
        INVOICE = "invoice", "Sales and credit notes"
        STOCK = "stock", "Stock movements"
        PURCHASE = "purchase", "Purchases"
        ITEM = "item", "Item codes"
        WEBHOOK = "webhook", "Webhook deliveries"

    company = models.ForeignKey(Company, models.PROTECT, related_name="lanes")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    pin = models.CharField(max_length=11)
    branch = models.CharField(max_length=36, blank=True)  # branch code, or the id of what the series belongs to
    series = models.CharField(max_length=8, choices=Series.choices)
    next_number = models.PositiveBigIntegerField(default=1)
    owner = models.UUIDField(null=True, blank=True)  # token of the process that holds it
    due_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)  # in a row
    rest_reason = models.CharField(max_length=200, blank=True)
    hold_reason = models.CharField(max_length=300, blank=True)
    held_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["environment", "pin", "branch", "series"], name="lane_once")]
        indexes = [
            models.Index(fields=["due_at"], name="lane_due", condition=Q(owner=None, hold_reason="")),
            models.Index(fields=["owner"], name="lane_owner", condition=Q(owner__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.environment}/{self.pin}/{self.branch}/{self.series}"


class Job(models.Model):
    """One document's place in its lane; its id is its position."""

    class State(models.TextChoices):
        QUEUED = "queued", "Waiting its turn"
        STARTED = "started", "KRA has it or may have it"
        CLOSED = "closed", "Settled"

    lane = models.ForeignKey(Lane, models.PROTECT, related_name="jobs")
    kind = models.CharField(max_length=10)
    document_id = models.BigIntegerField()
    state = models.CharField(max_length=7, choices=State.choices, default=State.QUEUED)
    number = models.PositiveBigIntegerField(null=True, blank=True)
    turn = models.PositiveIntegerField(default=0)  # how often it was started; a settlement names the turn it settles
    waits_for = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="+", db_index=False)
    last_error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "document_id"], name="job_once")]
        indexes = [
            models.Index(fields=["lane", "-state", "id"], name="job_open", condition=~Q(state="closed")),
            models.Index(fields=["waits_for"], name="job_waits", condition=Q(waits_for__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.document_id}"


class Attempt(models.Model):
    """One message to KRA and what came back, secrets masked.

    On PostgreSQL the rows lie in a table for each month of `started_at` (lanes.months).
    """

    company = models.ForeignKey(Company, models.PROTECT, related_name="attempts", db_index=False)
    environment = models.CharField(max_length=10, choices=Environment.choices)
    kind = models.CharField(max_length=10)
    document_id = models.BigIntegerField(null=True, blank=True)
    operation = models.CharField(max_length=40)
    number = models.PositiveBigIntegerField(null=True, blank=True)
    started_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    http_status = models.PositiveSmallIntegerField(null=True, blank=True)
    outcome = models.CharField(max_length=20)
    code = models.CharField(max_length=40, blank=True)
    message = models.CharField(max_length=500, blank=True)
    request_sha256 = models.CharField(max_length=64)
    request = models.TextField(blank=True)
    answer = models.TextField(blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["kind", "document_id"], name="attempt_document"),
            models.Index(fields=["company", "-started_at", "-id"], name="attempt_company"),
        ]

    def __str__(self) -> str:
        return f"{self.operation} {self.outcome}"


class Chore(models.Model):
    """Background work that waits or is under way; gone when it is done. `kind` is one of `wiring.CHORES`."""

    kind = models.CharField(max_length=30)
    document_id = models.BigIntegerField()
    due_at = models.DateTimeField(db_default=Now())
    leased_until = models.DateTimeField(null=True, blank=True)
    turn = models.PositiveIntegerField(default=0)  # how often it was begun
    failures = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "document_id"], name="chore_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.document_id}"
