"""What each branch has of each item, every movement that made it so, and what KRA was told of it."""

import uuid

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from gateway.catalog.models import Item
from gateway.lanes.models import Lane
from gateway.stock.fields import QuantityField
from gateway.tenants.models import Company, Environment


class Policy(models.Model):
    """How a company wants its stock kept in an environment; without a row it is as the defaults say."""

    company = models.ForeignKey(Company, models.CASCADE, related_name="+")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    allow_negative_stock = models.BooleanField(default=True)

    class Meta:
        verbose_name_plural = "policies"
        constraints = [models.UniqueConstraint(fields=["company", "environment"], name="stock_policy_once")]

    def __str__(self) -> str:
        return f"stock of {self.company_id} in {self.environment}"


class Balance(models.Model):
    """What a branch has of an item. From its first movement on the item is kept in stock there.

    `quantity` is always opening + received - issued; the database refuses anything else. `kra_quantity` is what KRA
    counts: the movements that it has recorded, corrected by what it said of its own balance (`kra_said`).
    """

    company = models.ForeignKey(Company, models.PROTECT, related_name="+")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    lane = models.ForeignKey(Lane, models.PROTECT, related_name="+")  # the branch's series of stock movements
    item = models.ForeignKey(Item, models.PROTECT, related_name="balances")
    opening = QuantityField(default=0)
    received = QuantityField(default=0)
    issued = QuantityField(default=0)
    quantity = QuantityField(default=0)
    kra_quantity = QuantityField(default=0)
    kra_said = QuantityField(null=True, blank=True)  # type: ignore[misc]
    kra_said_at = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField(null=True, blank=True)  # when KRA last took our balance

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["lane", "item"], name="stock_balance_once"),
            models.CheckConstraint(
                condition=Q(quantity=F("opening") + F("received") - F("issued")), name="stock_adds_up"
            ),
        ]
        indexes = [models.Index(fields=["company", "environment", "id"], name="stock_balance_list")]

    def __str__(self) -> str:
        return f"{self.quantity} of item {self.item_id} in lane {self.lane_id}"


class Movement(models.Model):
    """Goods that came into a branch or left it, and how far KRA was told. It is added and never changed or removed.

    `cause` names what made it, once: a document, or the caller's own reference. `lines` is what KRA gets to read,
    frozen when it was booked; quantities are positive, `reason` (KRA's class 12) says which way.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", "Waiting its turn"
        SENDING = "sending", "With KRA"
        UNKNOWN = "unknown", "KRA's answer is missing"
        REPORTED = "reported", "Recorded by KRA, the balance follows"
        DONE = "done", "Recorded by KRA, with its balance"
        REFUSED = "refused", "Refused by KRA"
        LOCAL = "local", "Not for KRA"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    company = models.ForeignKey(Company, models.PROTECT, related_name="+")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    lane = models.ForeignKey(Lane, models.PROTECT, related_name="+")
    reason = models.CharField(max_length=2)
    cause = models.CharField(max_length=80)
    fingerprint = models.CharField(max_length=64, blank=True)  # SHA-256 of what the caller asked for
    is_opening = models.BooleanField(default=False)
    counts = models.BooleanField(default=True)  # False: only KRA's side is put right, ours stands
    occurred_on = models.DateField()
    lines = models.JSONField()
    remark = models.CharField(max_length=400, blank=True)
    counterparty_pin = models.CharField(max_length=11, blank=True)
    counterparty_name = models.CharField(max_length=100, blank=True)
    counterparty_branch = models.CharField(max_length=2, blank=True)
    partner = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="partners")  # goes first
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.QUEUED)
    number = models.PositiveBigIntegerField(null=True, blank=True)  # KRA's sarNo
    unanswered_at = models.DateTimeField(null=True, blank=True)  # last try whose answer is not settled
    problem = models.JSONField(null=True, blank=True)
    actor = models.CharField(max_length=100, blank=True)
    booked_at = models.DateTimeField(db_default=Now())
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["company", "environment", "cause"], name="stock_cause_once"),
            models.UniqueConstraint(fields=["lane", "number"], name="stock_number_once"),
        ]
        indexes = [
            models.Index(fields=["company", "environment", "-id"], name="stock_movement_list"),
            models.Index(fields=["lane", "id"], name="stock_open", condition=~Q(status__in=["done", "local"])),
        ]

    def __str__(self) -> str:
        return f"movement {self.cause}"


class Entry(models.Model):
    """One line of the ledger: by how much a movement changed a balance. The database refuses to change or remove it."""

    # For row-level security: written in one statement with its movement, an entry cannot be judged by that
    company = models.ForeignKey(Company, models.PROTECT, related_name="+", null=True)
    movement = models.ForeignKey(Movement, models.PROTECT, related_name="entries")
    balance = models.ForeignKey(Balance, models.PROTECT, related_name="entries")
    position = models.PositiveSmallIntegerField()
    change = QuantityField()  # above zero came in, below zero left

    class Meta:
        verbose_name_plural = "entries"
        constraints = [models.UniqueConstraint(fields=["movement", "position"], name="stock_entry_once")]
        indexes = [models.Index(fields=["balance", "-id"], name="stock_entry_ledger")]

    def __str__(self) -> str:
        return f"{self.change}"


class Component(models.Model):
    """Part of a recipe: so much of one item goes into one unit of another. KRA is told of each."""

    item = models.ForeignKey(Item, models.PROTECT, related_name="components")
    component = models.ForeignKey(Item, models.PROTECT, related_name="+")
    quantity = QuantityField()
    told_at = models.DateTimeField(null=True, blank=True)
    problem = models.JSONField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "component"], name="stock_component_once"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="stock_component_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.component_id} in {self.item_id}"
