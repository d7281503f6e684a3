import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from gateway.tenants.first_tables import CreateModels


class Migration(migrations.Migration):
    replaces = [
        ("reports", "0001_initial"),
        ("reports", "0002_initial"),
        ("reports", "0003_closing"),
        ("reports", "0005_day_figures"),
    ]
    initial = True

    dependencies = [
        ("lanes", "0001_tables"),
        ("tenants", "0001_tables"),
    ]

    operations = [
        CreateModels(
            migrations.CreateModel(
                name="DayFigures",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "company",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="day_figures",
                            to="tenants.company",
                        ),
                    ),
                    (
                        "environment",
                        models.CharField(choices=[("sandbox", "Sandbox"), ("production", "Production")], max_length=10),
                    ),
                    (
                        "lane",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT, related_name="+", to="lanes.lane"
                        ),
                    ),
                    ("day", models.DateField()),
                    ("accepted", models.IntegerField(default=0)),
                    ("signed", models.IntegerField(default=0)),
                    ("recovered", models.IntegerField(default=0)),
                    ("refused", models.IntegerField(default=0)),
                    ("cancelled", models.IntegerField(default=0)),
                    ("sums", models.JSONField(default=dict)),
                ],
                options={
                    "indexes": [models.Index(fields=["company", "environment", "day"], name="day_figures_company")],
                    "constraints": [models.UniqueConstraint(fields=("lane", "day"), name="day_figures_once")],
                },
            ),
            migrations.CreateModel(
                name="Counted",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    ("position", models.PositiveBigIntegerField(default=0)),
                ],
            ),
            migrations.CreateModel(
                name="DailyReport",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "company",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="daily_reports",
                            to="tenants.company",
                        ),
                    ),
                    (
                        "environment",
                        models.CharField(choices=[("sandbox", "Sandbox"), ("production", "Production")], max_length=10),
                    ),
                    ("day", models.DateField()),
                    ("figures", models.JSONField()),
                    ("made_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(fields=("company", "environment", "day"), name="daily_report_once")
                    ],
                },
            ),
            migrations.CreateModel(
                name="ComplianceReport",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "company",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="compliance_reports",
                            to="tenants.company",
                        ),
                    ),
                    (
                        "environment",
                        models.CharField(choices=[("sandbox", "Sandbox"), ("production", "Production")], max_length=10),
                    ),
                    (
                        "kind",
                        models.CharField(
                            choices=[("daily", "Day"), ("weekly", "Week"), ("monthly", "Month")], max_length=7
                        ),
                    ),
                    ("first_day", models.DateField()),
                    ("last_day", models.DateField()),
                    ("figures", models.JSONField()),
                    ("made_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("company", "environment", "kind", "first_day"), name="compliance_report_once"
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("first_day__lte", models.F("last_day"))),
                            name="compliance_report_days",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="DayEnd",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "company",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="day_ends",
                            to="tenants.company",
                        ),
                    ),
                    (
                        "branch",
                        models.ForeignKey(
                            blank=True,
                            null=True,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="tenants.branch",
                        ),
                    ),
                    ("is_automatic", models.BooleanField(default=True)),
                    ("hour", models.PositiveSmallIntegerField(default=0)),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(fields=("company", "branch"), name="day_end_once"),
                        models.UniqueConstraint(
                            condition=models.Q(("branch", None)),
                            fields=("company",),
                            name="day_end_of_company_once",
                        ),
                        models.CheckConstraint(condition=models.Q(("hour__lt", 24)), name="day_end_hour"),
                    ],
                },
            ),
            migrations.CreateModel(
                name="ZReport",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    ("public_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                    (
                        "company",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="z_reports",
                            to="tenants.company",
                        ),
                    ),
                    (
                        "environment",
                        models.CharField(choices=[("sandbox", "Sandbox"), ("production", "Production")], max_length=10),
                    ),
                    (
                        "lane",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT, related_name="z_reports", to="lanes.lane"
                        ),
                    ),
                    ("number", models.PositiveIntegerField()),
                    ("day", models.DateField()),
                    ("opened_at", models.DateTimeField()),
                    ("closed_at", models.DateTimeField()),
                    ("first_number", models.PositiveBigIntegerField()),
                    ("last_number", models.PositiveBigIntegerField()),
                    ("others_numbers", models.JSONField(default=list)),
                    ("figures", models.JSONField()),
                    ("made_by", models.CharField(max_length=100)),
                    ("made_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
                options={
                    "indexes": [models.Index(fields=["company", "environment", "-id"], name="z_report_list")],
                    "constraints": [
                        models.UniqueConstraint(fields=("lane", "number"), name="z_report_number_once"),
                        models.UniqueConstraint(fields=("lane", "day"), name="z_report_day_once"),
                    ],
                },
            ),
            migrations.CreateModel(
                name="CashMovement",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    ("public_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                    (
                        "company",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="cash_movements",
                            to="tenants.company",
                        ),
                    ),
                    (
                        "environment",
                        models.CharField(choices=[("sandbox", "Sandbox"), ("production", "Production")], max_length=10),
                    ),
                    (
                        "lane",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT, related_name="+", to="lanes.lane"
                        ),
                    ),
                    ("reference", models.CharField(max_length=50)),
                    (
                        "kind",
                        models.CharField(
                            choices=[
                                ("opening", "Put in to begin with"),
                                ("deposit", "Put in"),
                                ("withdrawal", "Taken out"),
                            ],
                            max_length=10,
                        ),
                    ),
                    ("amount", models.DecimalField(decimal_places=2, max_digits=18)),
                    ("remark", models.CharField(blank=True, max_length=300)),
                    ("cashier", models.CharField(blank=True, max_length=60)),
                    ("made_by", models.CharField(max_length=100)),
                    ("made_at", models.DateTimeField()),
                    (
                        "z_report",
                        models.ForeignKey(
                            blank=True,
                            null=True,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="cash_movements",
                            to="reports.zreport",
                        ),
                    ),
                ],
                options={
                    "indexes": [
                        models.Index(fields=["company", "environment", "-id"], name="cash_movement_list"),
                        models.Index(
                            condition=models.Q(("z_report", None)), fields=["lane"], name="cash_movement_open"
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("company", "environment", "reference"), name="cash_movement_once"
                        ),
                        models.CheckConstraint(condition=models.Q(("amount__gt", 0)), name="cash_movement_moves"),
                    ],
                },
            ),
            migrations.CreateModel(
                name="JournalExport",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    ("public_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                    (
                        "company",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="journal_exports",
                            to="tenants.company",
                        ),
                    ),
                    (
                        "environment",
                        models.CharField(choices=[("sandbox", "Sandbox"), ("production", "Production")], max_length=10),
                    ),
                    ("first_day", models.DateField()),
                    ("last_day", models.DateField()),
                    ("branch", models.CharField(blank=True, max_length=2)),
                    ("label", models.CharField(blank=True, max_length=3)),
                    (
                        "format",
                        models.CharField(
                            choices=[
                                ("csv", "A row for each document"),
                                ("text", "Each document as it was printed"),
                            ],
                            max_length=4,
                        ),
                    ),
                    ("asked_by", models.CharField(max_length=100)),
                    ("documents_total", models.PositiveIntegerField(blank=True, null=True)),
                    ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ("finished_at", models.DateTimeField(blank=True, null=True)),
                ],
                options={
                    "indexes": [models.Index(fields=["company", "environment", "-id"], name="journal_export_list")],
                    "constraints": [
                        models.CheckConstraint(
                            condition=models.Q(("first_day__lte", models.F("last_day"))), name="journal_export_days"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="JournalPart",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "export",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="parts",
                            to="reports.journalexport",
                        ),
                    ),
                    ("number", models.PositiveIntegerField()),
                    ("last_id", models.BigIntegerField()),
                    ("documents", models.PositiveIntegerField()),
                    ("content", models.BinaryField()),
                ],
                options={
                    "constraints": [models.UniqueConstraint(fields=("export", "number"), name="journal_part_once")],
                },
            ),
        )
    ]
