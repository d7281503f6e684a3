import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from gateway.tenants.first_tables import CreateModels


class Migration(migrations.Migration):
    replaces = [
        ("sales", "0001_initial"),
        ("sales", "0002_initial"),
        ("sales", "0004_printed_document"),
        ("sales", "0005_closing"),
        ("sales", "0006_receipts_handed_out"),
        ("sales", "0007_late_credits"),
        ("sales", "0008_fewer_indexes"),
        ("sales", "0009_lists"),
    ]
    initial = True

    dependencies = [
        ("devices", "0001_tables"),
        ("lanes", "0001_tables"),
        ("tenants", "0001_tables"),
    ]

    operations = [
        CreateModels(
            migrations.CreateModel(
                name="Invoice",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    ("public_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                    (
                        "company",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="invoices",
                            to="tenants.company",
                        ),
                    ),
                    (
                        "environment",
                        models.CharField(choices=[("sandbox", "Sandbox"), ("production", "Production")], max_length=10),
                    ),
                    (
                        "device",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="invoices",
                            to="devices.device",
                        ),
                    ),
                    (
                        "lane",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="+",
                            to="lanes.lane",
                        ),
                    ),
                    (
                        "kind",
                        models.CharField(
                            choices=[("sale", "Sale"), ("credit_note", "Credit note")],
                            default="sale",
                            max_length=11,
                        ),
                    ),
                    ("reference", models.CharField(max_length=50)),
                    ("revision", models.PositiveSmallIntegerField(default=1)),
                    ("content_hash", models.CharField(max_length=67)),
                    ("content", models.JSONField()),
                    ("figures", models.JSONField()),
                    ("snapshot", models.JSONField()),
                    ("body", models.TextField()),
                    ("tag", models.CharField(max_length=20)),
                    (
                        "original",
                        models.ForeignKey(
                            blank=True,
                            db_index=False,
                            null=True,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="credit_notes",
                            to="sales.invoice",
                        ),
                    ),
                    ("issued_at", models.DateTimeField()),
                    ("buyer_pin", models.CharField(blank=True, max_length=11)),
                    ("buyer_name", models.CharField(blank=True, max_length=60)),
                    ("total", models.DecimalField(decimal_places=2, max_digits=18)),
                    ("total_tax", models.DecimalField(decimal_places=2, max_digits=18)),
                    (
                        "status",
                        models.CharField(
                            choices=[
                                ("queued", "Waiting its turn"),
                                ("sending", "With KRA"),
                                ("unknown", "Being looked up at KRA"),
                                ("signed", "Signed"),
                                ("refused", "Refused by KRA"),
                                ("cancelled", "Withdrawn before its turn"),
                            ],
                            default="queued",
                            max_length=9,
                        ),
                    ),
                    ("number", models.PositiveBigIntegerField(blank=True, null=True)),
                    ("report_number", models.PositiveIntegerField(blank=True, null=True)),
                    ("unanswered_at", models.DateTimeField(blank=True, null=True)),
                    ("problem", models.JSONField(blank=True, null=True)),
                    ("receipt_number", models.PositiveBigIntegerField(blank=True, null=True)),
                    ("total_receipt_number", models.PositiveBigIntegerField(blank=True, null=True)),
                    ("internal_data", models.CharField(blank=True, max_length=26)),
                    ("signature", models.CharField(blank=True, max_length=16)),
                    ("signed_at", models.DateTimeField(blank=True, null=True)),
                    ("control_unit_id", models.CharField(blank=True, max_length=18)),
                    ("machine_code", models.CharField(blank=True, max_length=11)),
                    ("recovered", models.BooleanField(default=False)),
                    ("accepted_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ("settled_at", models.DateTimeField(blank=True, null=True)),
                ],
                options={
                    "indexes": [
                        models.Index(fields=["company", "environment", "-id"], name="invoice_list"),
                        models.Index(fields=["company", "environment", "issued_at", "id"], name="invoice_issued"),
                        models.Index(fields=["device", "-id"], name="invoice_of_device"),
                        models.Index(
                            condition=models.Q(("status", "signed"), _negated=True),
                            fields=["company", "environment", "status", "-id"],
                            name="invoice_status",
                        ),
                        models.Index(
                            condition=models.Q(("kind", "credit_note")),
                            fields=["company", "environment", "-id"],
                            name="invoice_notes",
                        ),
                        models.Index(
                            condition=models.Q(("buyer_pin", ""), _negated=True),
                            fields=["company", "environment", "buyer_pin"],
                            name="invoice_buyer",
                        ),
                        models.Index(
                            condition=models.Q(("original__isnull", False)),
                            fields=["original"],
                            name="invoice_credited",
                        ),
                        models.Index(
                            condition=models.Q(("signed_at__isnull", False)),
                            fields=["lane", "signed_at"],
                            name="invoice_signed",
                        ),
                        models.Index(
                            condition=models.Q(("settled_at__isnull", False), ("signed_at", None)),
                            fields=["lane", "settled_at"],
                            name="invoice_not_signed",
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("company", "environment", "reference"), name="invoice_reference_once"
                        ),
                        models.UniqueConstraint(fields=("lane", "number"), name="invoice_number_once"),
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(("status", "signed"), _negated=True),
                                models.Q(models.Q(("signature", ""), _negated=True), ("number__isnull", False)),
                                _connector="OR",
                            ),
                            name="invoice_sealed",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="Period",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "lane",
                        models.OneToOneField(
                            on_delete=django.db.models.deletion.PROTECT, related_name="period", to="lanes.lane"
                        ),
                    ),
                    ("report_number", models.PositiveIntegerField(default=1)),
                    ("closed_day", models.DateField(blank=True, null=True)),
                ],
            ),
            migrations.CreateModel(
                name="Revision",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "invoice",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="revisions",
                            to="sales.invoice",
                        ),
                    ),
                    ("revision", models.PositiveSmallIntegerField()),
                    ("content", models.JSONField()),
                    ("tag", models.CharField(blank=True, max_length=20)),
                    ("problem", models.JSONField(null=True)),
                    ("replaced_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
                options={
                    "constraints": [models.UniqueConstraint(fields=("invoice", "revision"), name="revision_once")],
                },
            ),
            migrations.CreateModel(
                name="Contact",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "invoice",
                        models.OneToOneField(
                            on_delete=django.db.models.deletion.CASCADE, related_name="contact", to="sales.invoice"
                        ),
                    ),
                    ("phone", models.CharField(blank=True, max_length=20)),
                    ("email", models.EmailField(blank=True, max_length=254)),
                ],
            ),
            migrations.CreateModel(
                name="PrintedDocument",
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
                    ("branch", models.CharField(max_length=2)),
                    (
                        "invoice",
                        models.ForeignKey(
                            blank=True,
                            null=True,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="printed",
                            to="sales.invoice",
                        ),
                    ),
                    (
                        "label",
                        models.CharField(
                            choices=[
                                ("NS", "Sale"),
                                ("NC", "Credit note"),
                                ("CS", "Copy of a sale"),
                                ("CC", "Copy of a credit note"),
                                ("TS", "Training sale"),
                                ("TC", "Training credit note"),
                                ("PS", "Proforma"),
                                ("X", "X report"),
                                ("Z", "Z report"),
                                ("PLU", "PLU report"),
                            ],
                            max_length=3,
                        ),
                    ),
                    ("reference", models.CharField(blank=True, max_length=50)),
                    ("total", models.DecimalField(blank=True, decimal_places=2, max_digits=18, null=True)),
                    (
                        "channel",
                        models.CharField(
                            choices=[
                                ("api", "Asked for by a system"),
                                ("link", "Taken from its link"),
                                ("mail", "Sent by mail"),
                                ("batch", "In a file of a day"),
                            ],
                            max_length=5,
                        ),
                    ),
                    ("format", models.CharField(max_length=6)),
                    ("paper", models.CharField(blank=True, max_length=4)),
                    ("language", models.CharField(default="en", max_length=2)),
                    ("actor", models.CharField(max_length=100)),
                    ("text", models.TextField()),
                    ("sha256", models.CharField(max_length=64)),
                    ("printed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
                options={
                    "indexes": [
                        models.Index(
                            fields=["company", "environment", "branch", "printed_at"], name="printed_by_branch"
                        )
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("label__in", ["NS", "NC"])),
                            fields=("invoice",),
                            name="printed_original_once",
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="Logo",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "company",
                        models.OneToOneField(
                            on_delete=django.db.models.deletion.CASCADE, related_name="logo", to="tenants.company"
                        ),
                    ),
                    ("content", models.BinaryField()),
                    ("content_type", models.CharField(max_length=10)),
                    ("actor", models.CharField(max_length=100)),
                    ("changed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
            ),
            migrations.CreateModel(
                name="ReceiptDelivery",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    ("public_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                    (
                        "invoice",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="deliveries",
                            to="sales.invoice",
                        ),
                    ),
                    (
                        "channel",
                        models.CharField(
                            choices=[("mail", "By mail, as a PDF file"), ("sms", "By SMS, as a link")], max_length=4
                        ),
                    ),
                    ("to", models.CharField(max_length=254)),
                    ("language", models.CharField(default="en", max_length=2)),
                    ("paper", models.CharField(default="a4", max_length=4)),
                    (
                        "status",
                        models.CharField(
                            choices=[
                                ("waiting", "On its way"),
                                ("sent", "Handed to the mail server or the SMS provider"),
                                ("failed", "Could not be sent; tried again for a while"),
                            ],
                            default="waiting",
                            max_length=7,
                        ),
                    ),
                    ("problem", models.CharField(blank=True, max_length=300)),
                    ("content", models.BinaryField(blank=True, null=True)),
                    ("label", models.CharField(blank=True, max_length=3)),
                    ("actor", models.CharField(max_length=100)),
                    ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ("sent_at", models.DateTimeField(blank=True, null=True)),
                ],
                options={
                    "verbose_name_plural": "receipt deliveries",
                },
            ),
            migrations.CreateModel(
                name="ReceiptBatch",
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
                    ("branch", models.CharField(max_length=2)),
                    ("day", models.DateField()),
                    ("paper", models.CharField(max_length=4)),
                    ("language", models.CharField(max_length=2)),
                    (
                        "status",
                        models.CharField(
                            choices=[
                                ("waiting", "Waiting to be made"),
                                ("making", "Being made"),
                                ("done", "Made"),
                                ("failed", "Could not be made"),
                            ],
                            default="waiting",
                            max_length=7,
                        ),
                    ),
                    ("problem", models.CharField(blank=True, max_length=300)),
                    ("documents_total", models.PositiveIntegerField(blank=True, null=True)),
                    ("documents_done", models.PositiveIntegerField(default=0)),
                    ("content", models.BinaryField(blank=True, null=True)),
                    ("actor", models.CharField(max_length=100)),
                    ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ("finished_at", models.DateTimeField(blank=True, null=True)),
                ],
                options={
                    "verbose_name_plural": "receipt batches",
                    "indexes": [models.Index(fields=["company", "environment", "-id"], name="receipt_batch_list")],
                },
            ),
            migrations.CreateModel(
                name="LateCredit",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "invoice",
                        models.OneToOneField(
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="late_credit",
                            to="sales.invoice",
                        ),
                    ),
                    ("reason", models.CharField(max_length=200)),
                    ("actor", models.CharField(max_length=200)),
                    ("allowed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
            ),
            migrations.CreateModel(
                name="Found",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "lane",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT, related_name="found", to="lanes.lane"
                        ),
                    ),
                    ("number", models.PositiveBigIntegerField()),
                    ("tag", models.CharField(blank=True, max_length=40)),
                    ("document", models.JSONField()),
                    (
                        "adopted_by",
                        models.ForeignKey(
                            blank=True,
                            null=True,
                            on_delete=django.db.models.deletion.SET_NULL,
                            related_name="+",
                            to="sales.invoice",
                        ),
                    ),
                    ("found_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
                options={
                    "verbose_name_plural": "found documents",
                    "constraints": [models.UniqueConstraint(fields=("lane", "number"), name="found_once")],
                },
            ),
        )
    ]
