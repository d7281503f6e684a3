"""Control units: the devices that KRA approved and that sign; their keys in escrow; where a company is live."""

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from gateway.lanes.models import Lane
from gateway.tenants.models import Branch, Company, Environment


class Device(models.Model):
    """A control unit of one branch in one environment: OSCU (hosted by KRA) or VSCU (a program at the taxpayer's)."""

    class Kind(models.TextChoices):
        OSCU = "oscu", "OSCU, hosted by KRA"
        VSCU = "vscu", "VSCU, at the taxpayer's"

    class Status(models.TextChoices):
        WAITING = "waiting", "Not activated yet"
        ACTIVATING = "activating", "Activation was sent, no answer is stored"
        ACTIVE = "active", "Active"
        TROUBLE = "trouble", "KRA refuses it"
        RETIRED = "retired", "Retired"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    company = models.ForeignKey(Company, models.PROTECT, related_name="devices")
    branch = models.ForeignKey(Branch, models.PROTECT, related_name="devices")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    kind = models.CharField(max_length=4, choices=Kind.choices, default=Kind.OSCU)
    serial = models.CharField(max_length=100)
    profile = models.CharField(max_length=40)  # name of the connection profile
    base_url = models.URLField(blank=True)  # VSCU: where the taxpayer's program listens
    lane = models.ForeignKey(Lane, models.PROTECT, related_name="devices")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    problem = models.CharField(max_length=300, blank=True)  # in plain words, for the owner
    problem_code = models.CharField(max_length=40, blank=True)  # KRA's result code, or our word for the failure
    activation_sent_at = models.DateTimeField(null=True, blank=True)  # start of the newest activation call
    sealed_answers = models.BinaryField(null=True, blank=True)  # KRA's activation answers as they came, oldest first
    sealed_key = models.BinaryField(null=True, blank=True)  # the communication key (cmcKey)
    device_id = models.CharField("device id given by KRA", max_length=20, blank=True)
    control_unit_id = models.CharField(max_length=18, blank=True)
    machine_code = models.CharField("machine registration code", max_length=11, blank=True)
    taxpayer_name = models.CharField(max_length=60, blank=True)
    activated_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)
    replaces = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="replacements")
    last_contact_at = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)  # when it was last asked, answered or not
    silence = models.CharField("why the last question failed", max_length=200, blank=True)
    latency_ms = models.PositiveIntegerField(null=True, blank=True)  # of the newest answer
    clock_offset_seconds = models.IntegerField(null=True, blank=True)  # KRA's clock minus ours, in the newest answer
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["environment", "serial"], name="device_serial_once"),
            models.UniqueConstraint(
                fields=["branch", "environment"], condition=Q(status="active"), name="device_active_once_a_branch"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.serial} ({self.environment})"


class Escrow(models.Model):
    """A second copy of what gives a device its key; rows are added and never changed, but for `wrapped`.

    It opens with the installation's master key alone, so it outlives the company's data key and the device's row:
    `sealed` is sealed by a key of its own, and `wrapped` is that key, sealed by a master key.
    """

    class Kind(models.TextChoices):
        ANSWER = "answer", "KRA's answer to an activation, as it came"
        KEY = "key", "A key that was entered by hand"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    company = models.ForeignKey(Company, models.PROTECT, related_name="+")
    device = models.ForeignKey(Device, models.PROTECT, related_name="escrow")
    kind = models.CharField(max_length=6, choices=Kind.choices)
    sealed = models.BinaryField()
    wrapped = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "key in escrow"
        verbose_name_plural = "keys in escrow"

    def __str__(self) -> str:
        return f"{self.kind} of {self.device}"


class Stage(models.Model):
    """Which environment is a company's default, and since when production is open to it."""

    company = models.OneToOneField(Company, models.CASCADE, related_name="stage")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    opened_at = models.DateTimeField("production open since", null=True, blank=True)
    opened_by = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return f"{self.company.name}: {self.environment}"
