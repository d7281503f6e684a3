import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from gateway.tenants.first_tables import CreateModels


class Migration(migrations.Migration):
    replaces = [
        ("audit", "0001_initial"),
        ("audit", "0002_initial"),
        ("audit", "0003_journal"),
        ("audit", "0006_fewer_indexes"),
    ]
    initial = True

    dependencies = [
        ("tenants", "0001_tables"),
    ]

    operations = [
        CreateModels(
            migrations.CreateModel(
                name="Event",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    ("public_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                    (
                        "company",
                        models.ForeignKey(
                            blank=True,
                            db_index=False,
                            null=True,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="events",
                            to="tenants.company",
                        ),
                    ),
                    (
                        "environment",
                        models.CharField(
                            blank=True,
                            choices=[("sandbox", "Sandbox"), ("production", "Production")],
                            max_length=10,
                        ),
                    ),
                    ("name", models.CharField(max_length=40)),
                    (
                        "severity",
                        models.CharField(
                            choices=[
                                ("info", "In the ordinary course"),
                                ("notice", "Worth knowing: a secret, a right or a setting was touched"),
                                ("warning", "Somebody should look"),
                                ("critical", "Somebody must look now"),
                            ],
                            db_default="info",
                            max_length=8,
                        ),
                    ),
                    ("subject", models.UUIDField(blank=True, null=True)),
                    ("actor", models.CharField(blank=True, max_length=100)),
                    ("address", models.CharField(blank=True, db_default="", max_length=45)),
                    ("request_id", models.CharField(blank=True, db_default="", max_length=64)),
                    ("data", models.JSONField(default=dict)),
                    ("before", models.JSONField(blank=True, null=True)),
                    ("after", models.JSONField(blank=True, null=True)),
                    ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ("dispatched_at", models.DateTimeField(blank=True, null=True)),
                    ("position", models.PositiveBigIntegerField(blank=True, null=True, unique=True)),
                    ("seal", models.CharField(blank=True, db_default="", max_length=64)),
                ],
                options={
                    "indexes": [
                        models.Index(fields=["company", "-at", "-id"], name="event_company"),
                        models.Index(fields=["subject"], name="event_subject"),
                        models.Index(
                            condition=models.Q(("dispatched_at", None)), fields=["id"], name="event_undispatched"
                        ),
                        models.Index(condition=models.Q(("position", None)), fields=["id"], name="event_unsealed"),
                    ],
                },
            ),
            migrations.CreateModel(
                name="ChainHead",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    ("position", models.PositiveBigIntegerField(default=0)),
                    ("seal", models.CharField(blank=True, max_length=64)),
                    ("public_key", models.CharField(blank=True, max_length=64)),
                    ("signature", models.CharField(blank=True, max_length=128)),
                ],
            ),
            migrations.CreateModel(
                name="Anchor",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    ("date", models.DateField(unique=True)),
                    ("position", models.PositiveBigIntegerField()),
                    ("seal", models.CharField(max_length=64)),
                    ("count", models.PositiveBigIntegerField()),
                    ("public_key", models.CharField(max_length=64)),
                    ("signature", models.CharField(max_length=128)),
                    ("made_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
            ),
            migrations.CreateModel(
                name="Archive",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    ("month", models.CharField(max_length=7, unique=True)),
                    ("runs", models.JSONField()),
                    ("count", models.PositiveBigIntegerField()),
                    ("sha256", models.CharField(max_length=64)),
                    ("public_key", models.CharField(max_length=64)),
                    ("signature", models.CharField(max_length=128)),
                    ("made_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
            ),
            migrations.CreateModel(
                name="ApiCall",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "company",
                        models.ForeignKey(
                            blank=True,
                            db_index=False,
                            null=True,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="api_calls",
                            to="tenants.company",
                        ),
                    ),
                    (
                        "environment",
                        models.CharField(
                            blank=True,
                            choices=[("sandbox", "Sandbox"), ("production", "Production")],
                            max_length=10,
                        ),
                    ),
                    ("at", models.DateTimeField()),
                    ("method", models.CharField(max_length=10)),
                    ("path", models.CharField(max_length=300)),
                    ("status", models.PositiveSmallIntegerField()),
                    ("code", models.CharField(blank=True, max_length=40)),
                    ("duration_ms", models.PositiveIntegerField()),
                    ("key_prefix", models.CharField(blank=True, max_length=16)),
                    ("address", models.CharField(blank=True, max_length=45)),
                    ("request_id", models.CharField(blank=True, max_length=64)),
                    ("subject", models.UUIDField(blank=True, null=True)),
                ],
                options={
                    "indexes": [models.Index(fields=["company", "-at", "-id"], name="call_company")],
                },
            ),
        )
    ]
