"""Items a company sells, and KRA's own lists: item classes and codes."""

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from gateway.lanes.models import Lane
from gateway.tenants.models import Company, Environment


class ItemClass(models.Model):
    """An entry of KRA's classification tree (after UNSPSC), as fetched in one environment, while it stood so.

    The row without `valid_to` is what KRA says now; a change closes it and opens another.
    """

    environment = models.CharField(max_length=10, choices=Environment.choices)
    code = models.CharField(max_length=10)
    name = models.CharField(max_length=200)
    level = models.PositiveSmallIntegerField()
    tax_type = models.CharField(max_length=1, blank=True)
    in_use = models.BooleanField(default=True)
    valid_from = models.DateTimeField(db_default=Now())  # KRA's clock when we heard of it
    valid_to = models.DateTimeField(null=True, blank=True)
    fetched_at = models.DateTimeField(db_default=Now())  # our clock

    class Meta:
        verbose_name_plural = "item classes"
        constraints = [
            models.UniqueConstraint(
                fields=["environment", "code"], condition=Q(valid_to=None), name="item_class_valid_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class Code(models.Model):
    """An entry of one of KRA's code classes, while it stood so; for class 04 `value` is the tax rate in percent.

    The row without `valid_to` is what KRA says now; a change closes it and opens another.
    """

    environment = models.CharField(max_length=10, choices=Environment.choices)
    code_class = models.CharField(max_length=2)
    code = models.CharField(max_length=5)
    name = models.CharField(max_length=60)
    value = models.CharField(max_length=20, blank=True)
    in_use = models.BooleanField(default=True)
    valid_from = models.DateTimeField(db_default=Now())  # KRA's clock when we heard of it
    valid_to = models.DateTimeField(null=True, blank=True)
    fetched_at = models.DateTimeField(db_default=Now())  # our clock

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["environment", "code_class", "code"], condition=Q(valid_to=None), name="code_valid_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.code_class}/{self.code} {self.name}"


class Notice(models.Model):
    """What KRA announced, as fetched in one environment."""

    environment = models.CharField(max_length=10, choices=Environment.choices)
    number = models.PositiveBigIntegerField()
    title = models.CharField(max_length=1000)
    body = models.TextField(blank=True)
    url = models.CharField(max_length=200, blank=True)
    published_at = models.DateTimeField(null=True, blank=True)
    fetched_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["environment", "number"], name="notice_once")]

    def __str__(self) -> str:
        return f"{self.number} {self.title}"


class KraBranch(models.Model):
    """A branch of a company as KRA has it on its books; `status` is class 09: 01 open, 02 closed."""

    company = models.ForeignKey(Company, models.CASCADE, related_name="+")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    code = models.CharField(max_length=2)
    name = models.CharField(max_length=60)
    status = models.CharField(max_length=5, blank=True)
    county = models.CharField(max_length=100, blank=True)
    sub_county = models.CharField(max_length=100, blank=True)
    locality = models.CharField(max_length=100, blank=True)
    location = models.CharField(max_length=100, blank=True)
    is_head_office = models.BooleanField(default=False)
    fetched_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "branch at KRA"
        verbose_name_plural = "branches at KRA"
        constraints = [models.UniqueConstraint(fields=["company", "environment", "code"], name="kra_branch_once")]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class Fetch(models.Model):
    """How far one of KRA's lists has been fetched for a branch; KRA's own clock, so that nothing is missed."""

    lane = models.ForeignKey(Lane, models.CASCADE, related_name="+")
    operation = models.CharField(max_length=40)
    changed_since = models.DateTimeField()

    class Meta:
        verbose_name_plural = "fetches"
        constraints = [models.UniqueConstraint(fields=["lane", "operation"], name="fetch_once")]

    def __str__(self) -> str:
        return f"{self.operation} since {self.changed_since}"


class Item(models.Model):
    """Something a company sells. `code` is the company's own; `kra_code` is given when its registration starts."""

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting to be registered"
        REGISTERED = "registered", "Registered with KRA"
        REFUSED = "refused", "Refused by KRA"
        RETIRED = "retired", "No longer sold"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    company = models.ForeignKey(Company, models.PROTECT, related_name="items")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    code = models.CharField(max_length=50)
    name = models.CharField(max_length=200)
    tax_type = models.CharField(max_length=1)
    item_class = models.CharField(max_length=10)
    product_type = models.CharField(max_length=1, default="2")
    origin_country = models.CharField(max_length=2, default="KE")
    packaging_unit = models.CharField(max_length=5, default="NT")
    quantity_unit = models.CharField(max_length=5, default="U")
    price = models.DecimalField(max_digits=18, decimal_places=2, default=0)
    barcode = models.CharField(max_length=20, blank=True)
    kra_code = models.CharField(max_length=20, blank=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    problem = models.JSONField(null=True, blank=True)
    body = models.TextField(blank=True)  # what is sent to KRA, all but the serial of the item code
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["company", "environment", "code"], name="item_code_once")]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class Upload(models.Model):
    """A file of items that a company sent, and how far it has been taken in. The file itself is kept until then."""

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting to be read"
        READING = "reading", "Being read"
        DONE = "done", "Read to its end"
        FAILED = "failed", "Could not be read to its end"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    company = models.ForeignKey(Company, models.PROTECT, related_name="+")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    actor = models.CharField(max_length=100)
    file_name = models.CharField(max_length=200)
    kind = models.CharField(max_length=4)  # csv or xlsx
    content = models.BinaryField()
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.WAITING)
    problem = models.CharField(max_length=1000, blank=True)  # why it failed, in plain words
    fields = models.JSONField(default=list)  # what each column is
    rows_total = models.PositiveIntegerField(null=True, blank=True)
    rows_taken = models.PositiveIntegerField(default=0)
    rows_unchanged = models.PositiveIntegerField(default=0)
    rows_wrong = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["company", "environment", "-id"], name="upload_list")]

    def __str__(self) -> str:
        return self.file_name


class UploadRow(models.Model):
    """What became of one row of an uploaded file."""

    class Outcome(models.TextChoices):
        TAKEN = "taken", "New or changed"
        UNCHANGED = "unchanged", "Known and the same"
        RETIRED = "retired", "Left alone: the item is retired"
        WRONG = "wrong", "Not taken"

    upload = models.ForeignKey(Upload, models.CASCADE, related_name="rows")
    number = models.PositiveIntegerField()  # of the row, as Excel shows it
    cells = models.JSONField()
    outcome = models.CharField(max_length=9, choices=Outcome.choices)
    wrongs = models.JSONField(default=list)  # [field, code, message] each
    item = models.ForeignKey(Item, models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["upload", "number"], name="upload_row_once")]

    def __str__(self) -> str:
        return f"row {self.number}"


class PinLookup(models.Model):
    """What KRA told a company about a PIN, and when; `is_known` False: KRA has no such PIN."""

    company = models.ForeignKey(Company, models.CASCADE, related_name="+")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    pin = models.CharField(max_length=11)
    is_known = models.BooleanField()
    name = models.CharField(max_length=200, blank=True)
    status = models.CharField(max_length=5, blank=True)  # class 15
    county = models.CharField(max_length=100, blank=True)
    sub_county = models.CharField(max_length=100, blank=True)
    locality = models.CharField(max_length=100, blank=True)
    location = models.CharField(max_length=200, blank=True)
    asked_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["company", "environment", "pin"], name="pin_lookup_once")]

    def __str__(self) -> str:
        return self.pin


class NoticeRead(models.Model):
    """That a company has read a notice of KRA's."""

    company = models.ForeignKey(Company, models.CASCADE, related_name="+")
    notice = models.ForeignKey(Notice, models.CASCADE, related_name="reads")
    actor = models.CharField(max_length=100)
    read_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["company", "notice"], name="notice_read_once")]

    def __str__(self) -> str:
        return f"{self.notice_id} by {self.actor}"


class KraRecord(models.Model):
    """A customer, a user or an insurer that a branch has registered with KRA, as KRA took it last."""

    class Kind(models.TextChoices):
        CUSTOMER = "customer", "Customer"
        USER = "user", "User"
        INSURER = "insurer", "Insurer"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    company = models.ForeignKey(Company, models.PROTECT, related_name="+")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    branch = models.CharField(max_length=2)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    key = models.CharField(max_length=20)  # the company's own number of it
    data = models.JSONField()
    sent_at = models.DateTimeField()

    class Meta:
        verbose_name = "record at KRA"
        verbose_name_plural = "records at KRA"
        constraints = [
            models.UniqueConstraint(fields=["company", "environment", "branch", "kind", "key"], name="kra_record_once")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"
