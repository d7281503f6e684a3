"""What suppliers and customs told KRA that a company bought, the company's own bills, and what it decided."""

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from gateway.catalog.models import Item
from gateway.tenants.models import Company, Environment


class Bill(models.Model):
    """A supplier's bill as the company has it in its own books, to be compared with what the supplier told KRA."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    company = models.ForeignKey(Company, models.PROTECT, related_name="+")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    reference = models.CharField(max_length=50)  # the company's own; names one bill for ever
    supplier_pin = models.CharField(max_length=11)
    supplier_name = models.CharField(max_length=60, blank=True)
    invoice_number = models.PositiveBigIntegerField()  # the supplier's, as KRA knows it
    amount = models.DecimalField(max_digits=18, decimal_places=2)  # with tax, KES
    dated_on = models.DateField()
    posted_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["company", "environment", "reference"], name="bill_reference_once")
        ]
        indexes = [models.Index(fields=["company", "environment", "supplier_pin"], name="bill_supplier")]

    def __str__(self) -> str:
        return f"bill {self.reference}"


class Decided(models.Model):
    """What purchases and imports share: what the company decided, and how far KRA was told."""

    class Status(models.TextChoices):
        OPEN = "open", "Waits for a decision"
        ACCEPTED = "accepted", "Accepted, on its way to KRA"
        UNKNOWN = "unknown", "Accepted, KRA's answer is missing"
        CONFIRMED = "confirmed", "Recorded by KRA"
        REJECTED = "rejected", "Rejected"
        REFUSED = "refused", "Accepted, but KRA refused it"
        GONE = "gone", "Settled elsewhere"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    company = models.ForeignKey(Company, models.PROTECT, related_name="+")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    document = models.JSONField()  # as KRA listed it, in our words
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.OPEN)
    decision = models.JSONField(null=True, blank=True)  # what was decided, by line
    body = models.TextField(blank=True)  # what KRA gets, all but the number
    booking = models.JSONField(null=True, blank=True)  # the stock that comes in once KRA has recorded it
    unanswered_at = models.DateTimeField(null=True, blank=True)
    problem = models.JSONField(null=True, blank=True)
    listed_at = models.DateTimeField(db_default=Now())
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True


class SupplierInvoice(Decided):
    """An invoice that a supplier issued to the company, and either told KRA of or not.

    One that KRA listed has no `reference`, and `document` has its amounts as received. One that the company typed in
    itself is accepted from the beginning.
    """

    reference = models.CharField(max_length=50, blank=True, db_default="")  # own; names a typed purchase for ever
    fingerprint = models.CharField(max_length=64, blank=True, db_default="")  # SHA-256 of what was typed
    supplier_pin = models.CharField(max_length=11, blank=True)
    supplier_name = models.CharField(max_length=100, blank=True)
    supplier_branch = models.CharField(max_length=2)
    invoice_number = models.PositiveBigIntegerField(null=True, blank=True)
    sold_on = models.DateField(null=True, blank=True)
    total = models.DecimalField(max_digits=18, decimal_places=2)
    bill = models.OneToOneField(Bill, models.SET_NULL, null=True, blank=True, related_name="listed")
    number = models.PositiveBigIntegerField(null=True, blank=True)  # ours, in the series of purchases

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["company", "environment", "supplier_pin", "supplier_branch", "invoice_number"],
                condition=~Q(supplier_pin=""),
                name="supplier_invoice_once",
            ),
            models.UniqueConstraint(
                fields=["company", "environment", "reference"],
                condition=~Q(reference=""),
                name="purchase_reference_once",
            ),
            models.UniqueConstraint(
                fields=["company", "environment", "number"],
                condition=Q(number__isnull=False),
                name="purchase_number_once",
            ),
        ]
        indexes = [models.Index(fields=["company", "environment", "-id"], name="purchase_list")]

    def __str__(self) -> str:
        return f"invoice {self.invoice_number} of {self.supplier_pin or self.supplier_name}"


class ImportedItem(Decided):
    """A line of a customs declaration. Its key is task, declaration date (as customs writes it) and line number."""

    task_code = models.CharField(max_length=50)
    declaration_date = models.CharField(max_length=8)
    line_number = models.PositiveIntegerField()
    name = models.CharField(max_length=500, blank=True)
    item = models.ForeignKey(Item, models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["company", "environment", "task_code", "declaration_date", "line_number"],
                name="imported_item_once",
            )
        ]
        indexes = [models.Index(fields=["company", "environment", "-id"], name="import_list")]

    def __str__(self) -> str:
        return f"{self.task_code}/{self.line_number}"
