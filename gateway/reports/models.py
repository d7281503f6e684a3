"""Figures of a day, a week, a month, as they were when somebody looked."""

from django.db import models
from django.db.models.functions import Now

from gateway.tenants.models import Company, Environment


class DailyReport(models.Model):
    """What a company posted on one day (Nairobi) in one environment, and what came of it; see `services.figures_of`."""

    company = models.ForeignKey(Company, models.PROTECT, related_name="daily_reports")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    day = models.DateField()
    figures = models.JSONField()
    made_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["company", "environment", "day"], name="daily_report_once")]

    def __str__(self) -> str:
        return f"{self.company_id} {self.environment} {self.day}"


class ComplianceReport(models.Model):
    """The same figures of a day, a week (Monday to Sunday) or a month, for whoever must answer to KRA."""

    class Kind(models.TextChoices):
        DAILY = "daily", "Day"
        WEEKLY = "weekly", "Week"
        MONTHLY = "monthly", "Month"

    company = models.ForeignKey(Company, models.PROTECT, related_name="compliance_reports")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    kind = models.CharField(max_length=7, choices=Kind.choices)
    first_day = models.DateField()
    last_day = models.DateField()
    figures = models.JSONField()
    made_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["company", "environment", "kind", "first_day"], name="compliance_report_once"
            ),
            models.CheckConstraint(
                condition=models.Q(first_day__lte=models.F("last_day")), name="compliance_report_days"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.company_id} {self.environment} {self.kind} {self.first_day}"
