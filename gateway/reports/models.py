"""Figures of a day, a week, a month, as they were when somebody looked; and the close of each branch's days."""

import uuid

from django.db import models
from django.db.models.functions import Now

from gateway.lanes.models import Lane
from gateway.tenants.models import Branch, Company, Environment


class DayFigures(models.Model):
    """What became of the documents that a branch posted on one day (Nairobi), kept by increments (`reports.counting`).

    Of those accepted, what is neither signed nor refused nor withdrawn is on its way. `sums` are those of the signed,
    by currency and kind (`reports.sums`).
    """

    company = models.ForeignKey(Company, models.PROTECT, related_name="day_figures")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    lane = models.ForeignKey(Lane, models.PROTECT, related_name="+")  # the branch's series of invoices
    day = models.DateField()  # on which they were accepted
    accepted = models.IntegerField(default=0)
    signed = models.IntegerField(default=0)
    recovered = models.IntegerField(default=0)  # of the signed: their receipt was fetched from KRA afterwards
    refused = models.IntegerField(default=0)
    cancelled = models.IntegerField(default=0)
    sums = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lane", "day"], name="day_figures_once")]
        indexes = [models.Index(fields=["company", "environment", "day"], name="day_figures_company")]

    def __str__(self) -> str:
        return f"{self.lane_id} {self.day}"


class Counted(models.Model):
    """Up to which position of the journal's chain the days' figures are counted. One row, which is also the lock."""

    position = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"counted up to {self.position}"


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


class DayEnd(models.Model):
    """When the Z reports of a branch are taken by themselves; without a branch, of all that have no row of theirs.

    `hour` is Nairobi's: 0 is midnight and closes the whole day before, any other closes the same day at that hour.
    """

    company = models.ForeignKey(Company, models.CASCADE, related_name="day_ends")
    branch = models.ForeignKey(Branch, models.CASCADE, null=True, blank=True, related_name="+")
    is_automatic = models.BooleanField(default=True)
    hour = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["company", "branch"], name="day_end_once"),
            models.UniqueConstraint(
                fields=["company"], condition=models.Q(branch=None), name="day_end_of_company_once"
            ),
            models.CheckConstraint(condition=models.Q(hour__lt=24), name="day_end_hour"),
        ]

    def __str__(self) -> str:
        return f"{self.company_id} {self.branch_id or 'all'} {self.hour}:00"


class ZReport(models.Model):
    """The close of a branch's day, kept for ever; the database lets nobody change or remove one.

    It covers the branch's signed documents from `first_number` to `last_number`, whatever day they are of, and those of
    `figures["late_numbers"]`. `others_numbers` are the numbers so far that another system's documents have.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    company = models.ForeignKey(Company, models.PROTECT, related_name="z_reports")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    lane = models.ForeignKey(Lane, models.PROTECT, related_name="z_reports")  # the branch's series of invoices
    number = models.PositiveIntegerField()  # 1, 2, 3 … without a gap
    day = models.DateField()  # the day that it closes (Nairobi)
    opened_at = models.DateTimeField()  # when the report before was closed
    closed_at = models.DateTimeField()
    first_number = models.PositiveBigIntegerField()
    last_number = models.PositiveBigIntegerField()  # one below first_number when nothing was signed
    others_numbers = models.JSONField(default=list)
    figures = models.JSONField()
    made_by = models.CharField(max_length=100)
    made_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["lane", "number"], name="z_report_number_once"),
            models.UniqueConstraint(fields=["lane", "day"], name="z_report_day_once"),
        ]
        indexes = [models.Index(fields=["company", "environment", "-id"], name="z_report_list")]

    def __str__(self) -> str:
        return f"Z {self.number} of {self.lane} {self.day}"


class CashMovement(models.Model):
    """Cash that was put into or taken out of a drawer without a sale. `z_report` is the report that counts it."""

    class Kind(models.TextChoices):
        OPENING = "opening", "Put in to begin with"
        DEPOSIT = "deposit", "Put in"
        WITHDRAWAL = "withdrawal", "Taken out"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    company = models.ForeignKey(Company, models.PROTECT, related_name="cash_movements")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    lane = models.ForeignKey(Lane, models.PROTECT, related_name="+")  # the branch's series of invoices
    reference = models.CharField(max_length=50)  # the till's own number; names one movement for ever
    kind = models.CharField(max_length=10, choices=Kind.choices)
    amount = models.DecimalField(max_digits=18, decimal_places=2)  # above zero, KES
    remark = models.CharField(max_length=300, blank=True)
    cashier = models.CharField(max_length=60, blank=True)
    made_by = models.CharField(max_length=100)
    made_at = models.DateTimeField()
    z_report = models.ForeignKey(ZReport, models.PROTECT, null=True, blank=True, related_name="cash_movements")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["company", "environment", "reference"], name="cash_movement_once"),
            models.CheckConstraint(condition=models.Q(amount__gt=0), name="cash_movement_moves"),
        ]
        indexes = [
            models.Index(fields=["company", "environment", "-id"], name="cash_movement_list"),
            models.Index(fields=["lane"], name="cash_movement_open", condition=models.Q(z_report=None)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount}"


class JournalExport(models.Model):
    """The electronic journal of some days as a file that is written in the background, for somebody to fetch."""

    class Format(models.TextChoices):
        CSV = "csv", "A row for each document"
        TEXT = "text", "Each document as it was printed"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    company = models.ForeignKey(Company, models.PROTECT, related_name="journal_exports")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    first_day = models.DateField()
    last_day = models.DateField()
    branch = models.CharField(max_length=2, blank=True)
    label = models.CharField(max_length=3, blank=True)
    format = models.CharField(max_length=4, choices=Format.choices)
    asked_by = models.CharField(max_length=100)
    documents_total = models.PositiveIntegerField(null=True, blank=True)  # None until they were counted
    problem = models.CharField(max_length=300, blank=True, default="", db_default="")  # why there is no file
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(first_day__lte=models.F("last_day")), name="journal_export_days")
        ]
        indexes = [models.Index(fields=["company", "environment", "-id"], name="journal_export_list")]

    def __str__(self) -> str:
        return f"journal of {self.company_id} {self.first_day} to {self.last_day}"


class JournalPart(models.Model):
    """Some documents of an export's file, compressed (zlib)."""

    export = models.ForeignKey(JournalExport, models.CASCADE, related_name="parts")
    number = models.PositiveIntegerField()
    last_id = models.BigIntegerField()  # the row of the last document in it
    documents = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["export", "number"], name="journal_part_once")]

    def __str__(self) -> str:
        return f"part {self.number} of {self.export_id}"
