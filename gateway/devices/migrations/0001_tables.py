import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from gateway.tenants.first_tables import CreateModels


class Migration(migrations.Migration):
    replaces = [("devices", "0001_initial"), ("devices", "0002_initial"), ("devices", "0003_custody_health_and_stage")]
    initial = True

    dependencies = [
        ("lanes", "0001_tables"),
        ("tenants", "0001_tables"),
    ]

    operations = [
        CreateModels(
            migrations.CreateModel(
                name="Device",
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
                            related_name="devices",
                            to="tenants.company",
                        ),
                    ),
                    (
                        "branch",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT, related_name="devices", to="tenants.branch"
                        ),
                    ),
                    (
                        "environment",
                        models.CharField(choices=[("sandbox", "Sandbox"), ("production", "Production")], max_length=10),
                    ),
                    (
                        "kind",
                        models.CharField(
                            choices=[("oscu", "OSCU, hosted by KRA"), ("vscu", "VSCU, at the taxpayer's")],
                            default="oscu",
                            max_length=4,
                        ),
                    ),
                    ("serial", models.CharField(max_length=100)),
                    ("profile", models.CharField(max_length=40)),
                    ("base_url", models.URLField(blank=True)),
                    (
                        "lane",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT, related_name="devices", to="lanes.lane"
                        ),
                    ),
                    (
                        "status",
                        models.CharField(
                            choices=[
                                ("waiting", "Not activated yet"),
                                ("activating", "Activation was sent, no answer is stored"),
                                ("active", "Active"),
                                ("trouble", "KRA refuses it"),
                                ("retired", "Retired"),
                            ],
                            default="waiting",
                            max_length=10,
                        ),
                    ),
                    ("problem", models.CharField(blank=True, max_length=300)),
                    ("problem_code", models.CharField(blank=True, max_length=40)),
                    ("activation_sent_at", models.DateTimeField(blank=True, null=True)),
                    ("sealed_answers", models.BinaryField(blank=True, null=True)),
                    ("sealed_key", models.BinaryField(blank=True, null=True)),
                    (
                        "device_id",
                        models.CharField(blank=True, max_length=20, verbose_name="device id given by KRA"),
                    ),
                    ("control_unit_id", models.CharField(blank=True, max_length=18)),
                    (
                        "machine_code",
                        models.CharField(blank=True, max_length=11, verbose_name="machine registration code"),
                    ),
                    ("taxpayer_name", models.CharField(blank=True, max_length=60)),
                    ("activated_at", models.DateTimeField(blank=True, null=True)),
                    ("retired_at", models.DateTimeField(blank=True, null=True)),
                    (
                        "replaces",
                        models.ForeignKey(
                            blank=True,
                            null=True,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="replacements",
                            to="devices.device",
                        ),
                    ),
                    ("last_contact_at", models.DateTimeField(blank=True, null=True)),
                    ("checked_at", models.DateTimeField(blank=True, null=True)),
                    (
                        "silence",
                        models.CharField(blank=True, max_length=200, verbose_name="why the last question failed"),
                    ),
                    ("latency_ms", models.PositiveIntegerField(blank=True, null=True)),
                    ("clock_offset_seconds", models.IntegerField(blank=True, null=True)),
                    ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(fields=("environment", "serial"), name="device_serial_once"),
                        models.UniqueConstraint(
                            condition=models.Q(("status", "active")),
                            fields=("branch", "environment"),
                            name="device_active_once_a_branch",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="Escrow",
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
                        "device",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT, related_name="escrow", to="devices.device"
                        ),
                    ),
                    (
                        "kind",
                        models.CharField(
                            choices=[
                                ("answer", "KRA's answer to an activation, as it came"),
                                ("key", "A key that was entered by hand"),
                            ],
                            max_length=6,
                        ),
                    ),
                    ("sealed", models.BinaryField()),
                    ("wrapped", models.BinaryField()),
                    ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
                options={
                    "verbose_name": "key in escrow",
                    "verbose_name_plural": "keys in escrow",
                },
            ),
            migrations.CreateModel(
                name="Stage",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "company",
                        models.OneToOneField(
                            on_delete=django.db.models.deletion.CASCADE, related_name="stage", to="tenants.company"
                        ),
                    ),
                    (
                        "environment",
                        models.CharField(choices=[("sandbox", "Sandbox"), ("production", "Production")], max_length=10),
                    ),
                    (
                        "opened_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="production open since"),
                    ),
                    ("opened_by", models.CharField(blank=True, max_length=300)),
                ],
            ),
        )
    ]
