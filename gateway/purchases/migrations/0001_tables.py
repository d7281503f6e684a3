import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from gateway.tenants.first_tables import CreateModels


class Migration(migrations.Migration):
    replaces = [("purchases", "0001_initial"), ("purchases", "0002_typed_purchases")]
    initial = True

    dependencies = [
        ("catalog", "0001_tables"),
        ("tenants", "0001_tables"),
    ]

    operations = [
        CreateModels(
            migrations.CreateModel(
                name="Bill",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    ("public_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                    (
                        "company",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenants.company"
                        ),
                    ),
                    (
                        "environment",
                        models.CharField(choices=[("sandbox", "Sandbox"), ("production", "Production")], max_length=10),
                    ),
                    ("reference", models.CharField(max_length=50)),
                    ("supplier_pin", models.CharField(max_length=11)),
                    ("supplier_name", models.CharField(blank=True, max_length=60)),
                    ("invoice_number", models.PositiveBigIntegerField()),
                    ("amount", models.DecimalField(decimal_places=2, max_digits=18)),
                    ("dated_on", models.DateField()),
                    ("posted_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
                options={
                    "indexes": [models.Index(fields=["company", "environment", "supplier_pin"], name="bill_supplier")],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("company", "environment", "reference"), name="bill_reference_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="SupplierInvoice",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    ("public_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                    (
                        "company",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenants.company"
                        ),
                    ),
                    (
                        "environment",
                        models.CharField(choices=[("sandbox", "Sandbox"), ("production", "Production")], max_length=10),
                    ),
                    ("document", models.JSONField()),
                    (
                        "status",
                        models.CharField(
                            choices=[
                                ("open", "Waits for a decision"),
                                ("accepted", "Accepted, on its way to KRA"),
                                ("unknown", "Accepted, KRA's answer is missing"),
                                ("confirmed", "Recorded by KRA"),
                                ("rejected", "Rejected"),
                                ("refused", "Accepted, but KRA refused it"),
                                ("gone", "Settled elsewhere"),
                            ],
                            default="open",
                            max_length=9,
                        ),
                    ),
                    ("decision", models.JSONField(blank=True, null=True)),
                    ("body", models.TextField(blank=True)),
                    ("booking", models.JSONField(blank=True, null=True)),
                    ("unanswered_at", models.DateTimeField(blank=True, null=True)),
                    ("problem", models.JSONField(blank=True, null=True)),
                    ("listed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ("settled_at", models.DateTimeField(blank=True, null=True)),
                    ("reference", models.CharField(blank=True, db_default="", max_length=50)),
                    ("fingerprint", models.CharField(blank=True, db_default="", max_length=64)),
                    ("supplier_pin", models.CharField(blank=True, max_length=11)),
                    ("supplier_name", models.CharField(blank=True, max_length=100)),
                    ("supplier_branch", models.CharField(max_length=2)),
                    ("invoice_number", models.PositiveBigIntegerField(blank=True, null=True)),
                    ("sold_on", models.DateField(blank=True, null=True)),
                    ("total", models.DecimalField(decimal_places=2, max_digits=18)),
                    (
                        "bill",
                        models.OneToOneField(
                            blank=True,
                            null=True,
                            on_delete=django.db.models.deletion.SET_NULL,
                            related_name="listed",
                            to="purchases.bill",
                        ),
                    ),
                    ("number", models.PositiveBigIntegerField(blank=True, null=True)),
                ],
                options={
                    "indexes": [models.Index(fields=["company", "environment", "-id"], name="purchase_list")],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("supplier_pin", ""), _negated=True),
                            fields=("company", "environment", "supplier_pin", "supplier_branch", "invoice_number"),
                            name="supplier_invoice_once",
                        ),
                        models.UniqueConstraint(
                            condition=models.Q(("reference", ""), _negated=True),
                            fields=("company", "environment", "reference"),
                            name="purchase_reference_once",
                        ),
                        models.UniqueConstraint(
                            condition=models.Q(("number__isnull", False)),
                            fields=("company", "environment", "number"),
                            name="purchase_number_once",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="ImportedItem",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    ("public_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                    (
                        "company",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenants.company"
                        ),
                    ),
                    (
                        "environment",
                        models.CharField(choices=[("sandbox", "Sandbox"), ("production", "Production")], max_length=10),
                    ),
                    ("document", models.JSONField()),
                    (
                        "status",
                        models.CharField(
                            choices=[
                                ("open", "Waits for a decision"),
                                ("accepted", "Accepted, on its way to KRA"),
                                ("unknown", "Accepted, KRA's answer is missing"),
                                ("confirmed", "Recorded by KRA"),
                                ("rejected", "Rejected"),
                                ("refused", "Accepted, but KRA refused it"),
                                ("gone", "Settled elsewhere"),
                            ],
                            default="open",
                            max_length=9,
                        ),
                    ),
                    ("decision", models.JSONField(blank=True, null=True)),
                    ("body", models.TextField(blank=True)),
                    ("booking", models.JSONField(blank=True, null=True)),
                    ("unanswered_at", models.DateTimeField(blank=True, null=True)),
                    ("problem", models.JSONField(blank=True, null=True)),
                    ("listed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ("settled_at", models.DateTimeField(blank=True, null=True)),
                    ("task_code", models.CharField(max_length=50)),
                    ("declaration_date", models.CharField(max_length=8)),
                    ("line_number", models.PositiveIntegerField()),
                    ("name", models.CharField(blank=True, max_length=500)),
                    (
                        "item",
                        models.ForeignKey(
                            blank=True,
                            null=True,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="+",
                            to="catalog.item",
                        ),
                    ),
                ],
                options={
                    "indexes": [models.Index(fields=["company", "environment", "-id"], name="import_list")],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("company", "environment", "task_code", "declaration_date", "line_number"),
                            name="imported_item_once",
                        )
                    ],
                },
            ),
        )
    ]
