"""Invoices (sales and credit notes) and what KRA's control unit gave for them."""

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from gateway.devices.models import Device
from gateway.lanes.models import Lane
from gateway.sales.receipts.labels import ORIGINALS, Label
from gateway.tenants.models import Company, Environment


class Invoice(models.Model):
    """A sale or credit note a company wants signed. Once signed it never changes; a credit note corrects it.

    `content` is what the caller sent, `figures` our arithmetic (amounts as text, KES, 2 decimals), `snapshot` what a
    receipt must show later, `body` what KRA gets, all but the number. The database refuses to change the fiscal
    columns of a signed row.
    """

    class Kind(models.TextChoices):
        SALE = "sale", "Sale"
        CREDIT_NOTE = "credit_note", "Credit note"

    class Status(models.TextChoices):
        QUEUED = "queued", "Waiting its turn"
        SENDING = "sending", "With KRA"
        UNKNOWN = "unknown", "Being looked up at KRA"
        SIGNED = "signed", "Signed"
        REFUSED = "refused", "Refused by KRA"
        CANCELLED = "cancelled", "Withdrawn before its turn"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    company = models.ForeignKey(Company, models.PROTECT, related_name="invoices", db_index=False)
    environment = models.CharField(max_length=10, choices=Environment.choices)
    device = models.ForeignKey(Device, models.PROTECT, related_name="invoices", db_index=False)
    lane = models.ForeignKey(Lane, models.PROTECT, related_name="+", db_index=False)  # environment + PIN + branch
    kind = models.CharField(max_length=11, choices=Kind.choices, default=Kind.SALE)
    reference = models.CharField(max_length=50)  # the till's own number; names one document for ever
    revision = models.PositiveSmallIntegerField(default=1)
    content_hash = models.CharField(max_length=67)  # version and SHA-256 of what the caller sent
    content = models.JSONField()
    figures = models.JSONField()
    snapshot = models.JSONField()
    body = models.TextField()
    tag = models.CharField(max_length=20)  # stands at the end of KRA's remark: by it we know our own document again
    original = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="credit_notes", db_index=False
    )
    issued_at = models.DateTimeField()
    buyer_pin = models.CharField(max_length=11, blank=True)
    buyer_name = models.CharField(max_length=60, blank=True)
    total = models.DecimalField(max_digits=18, decimal_places=2)
    total_tax = models.DecimalField(max_digits=18, decimal_places=2)
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.QUEUED)
    number = models.PositiveBigIntegerField(null=True, blank=True)  # KRA's, taken when its turn comes
    report_number = models.PositiveIntegerField(null=True, blank=True)  # the Z report it was sent under; see Period
    unanswered_at = models.DateTimeField(null=True, blank=True)  # last try whose answer is not settled
    problem = models.JSONField(null=True, blank=True)
    receipt_number = models.PositiveBigIntegerField(null=True, blank=True)
    total_receipt_number = models.PositiveBigIntegerField(null=True, blank=True)
    internal_data = models.CharField(max_length=26, blank=True)
    signature = models.CharField(max_length=16, blank=True)
    signed_at = models.DateTimeField(null=True, blank=True)  # the control unit's clock
    control_unit_id = models.CharField(max_length=18, blank=True)
    machine_code = models.CharField(max_length=11, blank=True)
    recovered = models.BooleanField(default=False)
    accepted_at = models.DateTimeField(db_default=Now())
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["company", "environment", "reference"], name="invoice_reference_once"),
            models.UniqueConstraint(fields=["lane", "number"], name="invoice_number_once"),
            models.CheckConstraint(
                condition=~Q(status="signed") | (~Q(signature="") & Q(number__isnull=False)), name="invoice_sealed"
            ),
        ]
        # By each thing that a list may ask for, so that what is rare or long ago is found among millions
        indexes = [
            models.Index(fields=["company", "environment", "-id"], name="invoice_list"),
            models.Index(fields=["company", "environment", "issued_at", "id"], name="invoice_issued"),
            models.Index(fields=["device", "-id"], name="invoice_of_device"),
            models.Index(
                fields=["company", "environment", "status", "-id"], name="invoice_status", condition=~Q(status="signed")
            ),
            models.Index(
                fields=["company", "environment", "-id"], name="invoice_notes", condition=Q(kind="credit_note")
            ),
            models.Index(
                fields=["company", "environment", "buyer_pin"], name="invoice_buyer", condition=~Q(buyer_pin="")
            ),
            models.Index(fields=["original"], name="invoice_credited", condition=Q(original__isnull=False)),
            models.Index(fields=["lane", "signed_at"], name="invoice_signed", condition=Q(signed_at__isnull=False)),
            models.Index(  # refused and withdrawn
                fields=["lane", "settled_at"],
                name="invoice_not_signed",
                condition=Q(signed_at=None, settled_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"


class Period(models.Model):
    """The Z report that a branch is filling. Its number goes into what a VSCU signs, and moves on with each Z."""

    lane = models.OneToOneField(Lane, models.PROTECT, related_name="period")
    report_number = models.PositiveIntegerField(default=1)
    closed_day = models.DateField(null=True, blank=True)  # the last day (Nairobi) that a Z report has closed

    def __str__(self) -> str:
        return f"report {self.report_number} of {self.lane_id}"


class Revision(models.Model):
    """What a refused invoice said before its owner corrected it."""

    invoice = models.ForeignKey(Invoice, models.CASCADE, related_name="revisions")
    revision = models.PositiveSmallIntegerField()
    content = models.JSONField()
    tag = models.CharField(max_length=20, blank=True)
    problem = models.JSONField(null=True)
    replaced_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["invoice", "revision"], name="revision_once")]

    def __str__(self) -> str:
        return f"{self.invoice_id} r{self.revision}"


class Contact(models.Model):
    """A buyer's phone and e-mail, kept apart so that they can be erased; neither is sent to KRA."""

    invoice = models.OneToOneField(Invoice, models.CASCADE, related_name="contact")
    phone = models.CharField(max_length=20, blank=True)
    email = models.EmailField(blank=True)

    def __str__(self) -> str:
        return f"contact of {self.invoice_id}"


class PrintedDocument(models.Model):
    """A document that left the gateway: on paper, as a file, as a page to be printed, by mail. Rows are only added.

    The electronic journal and the counts of X and Z reports are made from these (TIS specification v2.0). At most one
    row of an invoice is the original's.
    """

    class Channel(models.TextChoices):
        API = "api", "Asked for by a system"
        LINK = "link", "Taken from its link"
        MAIL = "mail", "Sent by mail"
        BATCH = "batch", "In a file of a day"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    company = models.ForeignKey(Company, models.PROTECT, related_name="+")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    branch = models.CharField(max_length=2)
    invoice = models.ForeignKey(Invoice, models.PROTECT, null=True, blank=True, related_name="printed")
    label = models.CharField(max_length=3, choices=[(label.value, label.words) for label in Label])
    reference = models.CharField(max_length=50, blank=True)
    total = models.DecimalField(max_digits=18, decimal_places=2, null=True, blank=True)  # as printed: a note's below 0
    channel = models.CharField(max_length=5, choices=Channel.choices)
    format = models.CharField(max_length=6)  # pdf, escpos, html or text
    paper = models.CharField(max_length=4, blank=True)  # a4, 80mm or 58mm
    language = models.CharField(max_length=2, default="en")
    actor = models.CharField(max_length=100)
    text = models.TextField()  # what stood on it, in lines of 42 characters
    sha256 = models.CharField(max_length=64)  # of the bytes that were handed out, hex
    printed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["invoice"],
                condition=Q(label__in=[label.value for label in ORIGINALS]),
                name="printed_original_once",
            )
        ]
        indexes = [models.Index(fields=["company", "environment", "branch", "printed_at"], name="printed_by_branch")]

    def __str__(self) -> str:
        return f"{self.label} {self.reference}"


class Logo(models.Model):
    """A company's picture at the head of its receipts."""

    company = models.OneToOneField(Company, models.CASCADE, related_name="logo")
    content = models.BinaryField()
    content_type = models.CharField(max_length=10)  # image/png or image/jpeg
    actor = models.CharField(max_length=100)
    changed_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"logo of {self.company_id}"


class ReceiptDelivery(models.Model):
    """A receipt that goes to its buyer by mail, or its link by SMS. `content` is kept until it went out."""

    class Channel(models.TextChoices):
        MAIL = "mail", "By mail, as a PDF file"
        SMS = "sms", "By SMS, as a link"

    class Status(models.TextChoices):
        WAITING = "waiting", "On its way"
        SENT = "sent", "Handed to the mail server or the SMS provider"
        FAILED = "failed", "Could not be sent; tried again for a while"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="deliveries")
    channel = models.CharField(max_length=4, choices=Channel.choices)
    to = models.CharField(max_length=254)  # empty once it was erased
    language = models.CharField(max_length=2, default="en")
    paper = models.CharField(max_length=4, default="a4")
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.WAITING)
    problem = models.CharField(max_length=300, blank=True)
    content = models.BinaryField(null=True, blank=True)
    label = models.CharField(max_length=3, blank=True)  # of what was attached
    actor = models.CharField(max_length=100)
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "receipt deliveries"

    def __str__(self) -> str:
        return f"{self.channel} of {self.invoice_id}"


class ReceiptBatch(models.Model):
    """The receipts of a branch's day as one PDF file, made in the background; forgotten after a while."""

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting to be made"
        MAKING = "making", "Being made"
        DONE = "done", "Made"
        FAILED = "failed", "Could not be made"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    company = models.ForeignKey(Company, models.PROTECT, related_name="+")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    branch = models.CharField(max_length=2)
    day = models.DateField()  # in Nairobi, by the control unit's clock
    paper = models.CharField(max_length=4)
    language = models.CharField(max_length=2)
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.WAITING)
    problem = models.CharField(max_length=300, blank=True)
    documents_total = models.PositiveIntegerField(null=True, blank=True)
    documents_done = models.PositiveIntegerField(default=0)
    content = models.BinaryField(null=True, blank=True)
    actor = models.CharField(max_length=100)
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "receipt batches"
        indexes = [models.Index(fields=["company", "environment", "-id"], name="receipt_batch_list")]

    def __str__(self) -> str:
        return f"receipts of {self.branch} on {self.day}"


class LateCredit(models.Model):
    """A sale that may be credited although its time is over: who of the staff allowed it, and why."""

    invoice = models.OneToOneField(Invoice, models.PROTECT, related_name="late_credit")
    reason = models.CharField(max_length=200)
    actor = models.CharField(max_length=200)
    allowed_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"late credit of {self.invoice_id}"


class Found(models.Model):
    """A document KRA holds in our series that we do not know: another system's, or one lost with a restored backup."""

    lane = models.ForeignKey(Lane, models.PROTECT, related_name="found")
    number = models.PositiveBigIntegerField()
    tag = models.CharField(max_length=40, blank=True)  # the end of its remark; ours, if it was ours once
    document = models.JSONField()
    adopted_by = models.ForeignKey(Invoice, models.SET_NULL, null=True, blank=True, related_name="+")
    found_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "found documents"
        constraints = [models.UniqueConstraint(fields=["lane", "number"], name="found_once")]

    def __str__(self) -> str:
        return f"number {self.number}"
