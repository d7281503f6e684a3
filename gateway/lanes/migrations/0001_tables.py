import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from gateway.tenants.first_tables import CreateModels


class Migration(migrations.Migration):
    replaces = [
        ("lanes", "0001_initial"),
        ("lanes", "0002_initial"),
        ("lanes", "0003_chores_and_uploads"),
        ("lanes", "0004_attempts_by_time"),
        ("lanes", "0006_fewer_indexes"),
    ]
    initial = True

    dependencies = [
        ("tenants", "0001_tables"),
    ]

    operations = [
        CreateModels(
            migrations.CreateModel(
                name="Process",
                fields=[
                    ("token", models.UUIDField(primary_key=True, serialize=False)),
                    ("name", models.CharField(max_length=100)),
                    ("started_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ("expires_at", models.DateTimeField()),
                ],
            ),
            migrations.CreateModel(
                name="Lane",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "company",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT, related_name="lanes", to="tenants.company"
                        ),
                    ),
                    (
                        "environment",
                        models.CharField(choices=[("sandbox", "Sandbox"), ("production", "Production")], max_length=10),
                    ),
                    ("pin", models.CharField(max_length=11)),
                    ("branch", models.CharField(blank=True, max_length=36)),
                    (
                        "series",
                        models.CharField(
                            choices=[
                                ("invoice", "Sales and credit notes"),
                                ("stock", "Stock movements"),
                                ("purchase", "Purchases"),
                                ("item", "Item codes"),
                                ("webhook", "Webhook deliveries"),
                            ],
                            max_length=8,
                        ),
                    ),
                    ("next_number", models.PositiveBigIntegerField(default=1)),
                    ("owner", models.UUIDField(blank=True, null=True)),
                    ("due_at", models.DateTimeField(blank=True, null=True)),
                    ("failures", models.PositiveIntegerField(default=0)),
                    ("rest_reason", models.CharField(blank=True, max_length=200)),
                    ("hold_reason", models.CharField(blank=True, max_length=300)),
                    ("held_at", models.DateTimeField(blank=True, null=True)),
                ],
                options={
                    "indexes": [
                        models.Index(
                            condition=models.Q(("hold_reason", ""), ("owner", None)),
                            fields=["due_at"],
                            name="lane_due",
                        ),
                        models.Index(condition=models.Q(("owner__isnull", False)), fields=["owner"], name="lane_owner"),
                    ],
                    "constraints": [
                        models.UniqueConstraint(fields=("environment", "pin", "branch", "series"), name="lane_once")
                    ],
                },
            ),
            migrations.CreateModel(
                name="Job",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "lane",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT, related_name="jobs", to="lanes.lane"
                        ),
                    ),
                    ("kind", models.CharField(max_length=10)),
                    ("document_id", models.BigIntegerField()),
                    (
                        "state",
                        models.CharField(
                            choices=[
                                ("queued", "Waiting its turn"),
                                ("started", "KRA has it or may have it"),
                                ("closed", "Settled"),
                            ],
                            default="queued",
                            max_length=7,
                        ),
                    ),
                    ("number", models.PositiveBigIntegerField(blank=True, null=True)),
                    ("turn", models.PositiveIntegerField(default=0)),
                    (
                        "waits_for",
                        models.ForeignKey(
                            blank=True,
                            db_index=False,
                            null=True,
                            on_delete=django.db.models.deletion.SET_NULL,
                            related_name="+",
                            to="lanes.job",
                        ),
                    ),
                    ("last_error", models.CharField(blank=True, max_length=300)),
                    ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
                options={
                    "indexes": [
                        models.Index(
                            condition=models.Q(("state", "closed"), _negated=True),
                            fields=["lane", "-state", "id"],
                            name="job_open",
                        ),
                        models.Index(
                            condition=models.Q(("waits_for__isnull", False)), fields=["waits_for"], name="job_waits"
                        ),
                    ],
                    "constraints": [models.UniqueConstraint(fields=("kind", "document_id"), name="job_once")],
                },
            ),
            migrations.CreateModel(
                name="Attempt",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "company",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="attempts",
                            to="tenants.company",
                        ),
                    ),
                    (
                        "environment",
                        models.CharField(choices=[("sandbox", "Sandbox"), ("production", "Production")], max_length=10),
                    ),
                    ("kind", models.CharField(max_length=10)),
                    ("document_id", models.BigIntegerField(blank=True, null=True)),
                    ("operation", models.CharField(max_length=40)),
                    ("number", models.PositiveBigIntegerField(blank=True, null=True)),
                    ("started_at", models.DateTimeField()),
                    ("duration_ms", models.PositiveIntegerField()),
                    ("http_status", models.PositiveSmallIntegerField(blank=True, null=True)),
                    ("outcome", models.CharField(max_length=20)),
                    ("code", models.CharField(blank=True, max_length=40)),
                    ("message", models.CharField(blank=True, max_length=500)),
                    ("request_sha256", models.CharField(max_length=64)),
                    ("request", models.TextField(blank=True)),
                    ("answer", models.TextField(blank=True)),
                ],
                options={
                    "indexes": [
                        models.Index(fields=["kind", "document_id"], name="attempt_document"),
                        models.Index(fields=["company", "-started_at", "-id"], name="attempt_company"),
                    ],
                },
            ),
            migrations.CreateModel(
                name="Chore",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    ("kind", models.CharField(max_length=30)),
                    ("document_id", models.BigIntegerField()),
                    ("due_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ("leased_until", models.DateTimeField(blank=True, null=True)),
                    ("turn", models.PositiveIntegerField(default=0)),
                    ("failures", models.PositiveIntegerField(default=0)),
                    ("last_error", models.CharField(blank=True, max_length=300)),
                    ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
                options={
                    "constraints": [models.UniqueConstraint(fields=("kind", "document_id"), name="chore_once")],
                },
            ),
        )
    ]
