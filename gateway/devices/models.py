"""Control units: the devices that KRA approved and that sign."""

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
    last_contact_at = models.DateTimeField(null=True, blank=True)
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
