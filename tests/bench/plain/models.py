"""What the plain way keeps."""

from django.db import models


class Device(models.Model):
    """A control unit; `next_number` is what its next sale carries."""

    name = models.CharField(max_length=40, unique=True)
    pin = models.CharField(max_length=11)
    branch = models.CharField(max_length=2)
    next_number = models.PositiveBigIntegerField(default=1)

    def __str__(self) -> str:
        return self.name


class Sale(models.Model):
    """A sale and, once it is signed, KRA's answer."""

    device = models.ForeignKey(Device, models.PROTECT)
    reference = models.CharField(max_length=50)
    content = models.JSONField()
    number = models.PositiveBigIntegerField(null=True)
    status = models.CharField(max_length=10, default="queued")
    receipt = models.JSONField(null=True)

    class Meta:
        unique_together = ("device", "reference")

    def __str__(self) -> str:
        return self.reference
