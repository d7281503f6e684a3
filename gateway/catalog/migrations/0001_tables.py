import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from gateway.tenants.first_tables import CreateModels


class Migration(migrations.Migration):
    replaces = [
        ("catalog", "0001_initial"),
        ("catalog", "0002_initial"),
        ("catalog", "0003_initial"),
        ("catalog", "0004_chores_and_uploads"),
        ("catalog", "0005_lookups_and_records"),
    ]
    initial = True

    dependencies = [
        ("lanes", "0001_tables"),
        ("tenants", "0001_tables"),
    ]

    operations = [
        CreateModels(
            migrations.CreateModel(
                name="ItemClass",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "environment",
                        models.CharField(choices=[("sandbox", "Sandbox"), ("production", "Production")], max_length=10),
                    ),
                    ("code", models.CharField(max_length=10)),
                    ("name", models.CharField(max_length=200)),
                    ("level", models.PositiveSmallIntegerField()),
                    ("tax_type", models.CharField(blank=True, max_length=1)),
                    ("in_use", models.BooleanField(default=True)),
                    ("valid_from", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ("valid_to", models.DateTimeField(blank=True, null=True)),
                    ("fetched_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
                options={
                    "verbose_name_plural": "item classes",
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("valid_to", None)),
                            fields=("environment", "code"),
                            name="item_class_valid_once",
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="Code",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "environment",
                        models.CharField(choices=[("sandbox", "Sandbox"), ("production", "Production")], max_length=10),
                    ),
                    ("code_class", models.CharField(max_length=2)),
                    ("code", models.CharField(max_length=5)),
                    ("name", models.CharField(max_length=60)),
                    ("value", models.CharField(blank=True, max_length=20)),
                    ("in_use", models.BooleanField(default=True)),
                    ("valid_from", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ("valid_to", models.DateTimeField(blank=True, null=True)),
                    ("fetched_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("valid_to", None)),
                            fields=("environment", "code_class", "code"),
                            name="code_valid_once",
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="Notice",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "environment",
                        models.CharField(choices=[("sandbox", "Sandbox"), ("production", "Production")], max_length=10),
                    ),
                    ("number", models.PositiveBigIntegerField()),
                    ("title", models.CharField(max_length=1000)),
                    ("body", models.TextField(blank=True)),
                    ("url", models.CharField(blank=True, max_length=200)),
                    ("published_at", models.DateTimeField(blank=True, null=True)),
                    ("fetched_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
                options={
                    "constraints": [models.UniqueConstraint(fields=("environment", "number"), name="notice_once")],
                },
            ),
            migrations.CreateModel(
                name="KraBranch",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "company",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE, related_name="+", to="tenants.company"
                        ),
                    ),
                    (
                        "environment",
                        models.CharField(choices=[("sandbox", "Sandbox"), ("production", "Production")], max_length=10),
                    ),
                    ("code", models.CharField(max_length=2)),
                    ("name", models.CharField(max_length=60)),
                    ("status", models.CharField(blank=True, max_length=5)),
                    ("county", models.CharField(blank=True, max_length=100)),
                    ("sub_county", models.CharField(blank=True, max_length=100)),
                    ("locality", models.CharField(blank=True, max_length=100)),
                    ("location", models.CharField(blank=True, max_length=100)),
                    ("is_head_office", models.BooleanField(default=False)),
                    ("fetched_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
                options={
                    "verbose_name": "branch at KRA",
                    "verbose_name_plural": "branches at KRA",
                    "constraints": [
                        models.UniqueConstraint(fields=("company", "environment", "code"), name="kra_branch_once")
                    ],
                },
            ),
            migrations.CreateModel(
                name="Fetch",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "lane",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE, related_name="+", to="lanes.lane"
                        ),
                    ),
                    ("operation", models.CharField(max_length=40)),
                    ("changed_since", models.DateTimeField()),
                ],
                options={
                    "verbose_name_plural": "fetches",
                    "constraints": [models.UniqueConstraint(fields=("lane", "operation"), name="fetch_once")],
                },
            ),
            migrations.CreateModel(
                name="Item",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    ("public_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                    (
                        "company",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT, related_name="items", to="tenants.company"
                        ),
                    ),
                    (
                        "environment",
                        models.CharField(choices=[("sandbox", "Sandbox"), ("production", "Production")], max_length=10),
                    ),
                    ("code", models.CharField(max_length=50)),
                    ("name", models.CharField(max_length=200)),
                    ("tax_type", models.CharField(max_length=1)),
                    ("item_class", models.CharField(max_length=10)),
                    ("product_type", models.CharField(default="2", max_length=1)),
                    ("origin_country", models.CharField(default="KE", max_length=2)),
                    ("packaging_unit", models.CharField(default="NT", max_length=5)),
                    ("quantity_unit", models.CharField(default="U", max_length=5)),
                    ("price", models.DecimalField(decimal_places=2, default=0, max_digits=18)),
                    ("barcode", models.CharField(blank=True, max_length=20)),
                    ("kra_code", models.CharField(blank=True, max_length=20)),
                    (
                        "status",
                        models.CharField(
                            choices=[
                                ("waiting", "Waiting to be registered"),
                                ("registered", "Registered with KRA"),
                                ("refused", "Refused by KRA"),
                                ("retired", "No longer sold"),
                            ],
                            default="waiting",
                            max_length=10,
                        ),
                    ),
                    ("problem", models.JSONField(blank=True, null=True)),
                    ("body", models.TextField(blank=True)),
                    ("updated_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(fields=("company", "environment", "code"), name="item_code_once")
                    ],
                },
            ),
            migrations.CreateModel(
                name="Upload",
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
                    ("actor", models.CharField(max_length=100)),
                    ("file_name", models.CharField(max_length=200)),
                    ("kind", models.CharField(max_length=4)),
                    ("content", models.BinaryField()),
                    (
                        "status",
                        models.CharField(
                            choices=[
                                ("waiting", "Waiting to be read"),
                                ("reading", "Being read"),
                                ("done", "Read to its end"),
                                ("failed", "Could not be read to its end"),
                            ],
                            default="waiting",
                            max_length=7,
                        ),
                    ),
                    ("problem", models.CharField(blank=True, max_length=1000)),
                    ("fields", models.JSONField(default=list)),
                    ("rows_total", models.PositiveIntegerField(blank=True, null=True)),
                    ("rows_taken", models.PositiveIntegerField(default=0)),
                    ("rows_unchanged", models.PositiveIntegerField(default=0)),
                    ("rows_wrong", models.PositiveIntegerField(default=0)),
                    ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ("finished_at", models.DateTimeField(blank=True, null=True)),
                ],
                options={
                    "indexes": [models.Index(fields=["company", "environment", "-id"], name="upload_list")],
                },
            ),
            migrations.CreateModel(
                name="UploadRow",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "upload",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE, related_name="rows", to="catalog.upload"
                        ),
                    ),
                    ("number", models.PositiveIntegerField()),
                    ("cells", models.JSONField()),
                    (
                        "outcome",
                        models.CharField(
                            choices=[
                                ("taken", "New or changed"),
                                ("unchanged", "Known and the same"),
                                ("retired", "Left alone: the item is retired"),
                                ("wrong", "Not taken"),
                            ],
                            max_length=9,
                        ),
                    ),
                    ("wrongs", models.JSONField(default=list)),
                    (
                        "item",
                        models.ForeignKey(
                            blank=True,
                            null=True,
                            on_delete=django.db.models.deletion.SET_NULL,
                            related_name="+",
                            to="catalog.item",
                        ),
                    ),
                ],
                options={
                    "constraints": [models.UniqueConstraint(fields=("upload", "number"), name="upload_row_once")],
                },
            ),
            migrations.CreateModel(
                name="PinLookup",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "company",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE, related_name="+", to="tenants.company"
                        ),
                    ),
                    (
                        "environment",
                        models.CharField(choices=[("sandbox", "Sandbox"), ("production", "Production")], max_length=10),
                    ),
                    ("pin", models.CharField(max_length=11)),
                    ("is_known", models.BooleanField()),
                    ("name", models.CharField(blank=True, max_length=200)),
                    ("status", models.CharField(blank=True, max_length=5)),
                    ("county", models.CharField(blank=True, max_length=100)),
                    ("sub_county", models.CharField(blank=True, max_length=100)),
                    ("locality", models.CharField(blank=True, max_length=100)),
                    ("location", models.CharField(blank=True, max_length=200)),
                    ("asked_at", models.DateTimeField()),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(fields=("company", "environment", "pin"), name="pin_lookup_once")
                    ],
                },
            ),
            migrations.CreateModel(
                name="NoticeRead",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "company",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE, related_name="+", to="tenants.company"
                        ),
                    ),
                    (
                        "notice",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE, related_name="reads", to="catalog.notice"
                        ),
                    ),
                    ("actor", models.CharField(max_length=100)),
                    ("read_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
                options={
                    "constraints": [models.UniqueConstraint(fields=("company", "notice"), name="notice_read_once")],
                },
            ),
            migrations.CreateModel(
                name="KraRecord",
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
                        "kind",
                        models.CharField(
                            choices=[("customer", "Customer"), ("user", "User"), ("insurer", "Insurer")],
                            max_length=8,
                        ),
                    ),
                    ("key", models.CharField(max_length=20)),
                    ("data", models.JSONField()),
                    ("sent_at", models.DateTimeField()),
                ],
                options={
                    "verbose_name": "record at KRA",
                    "verbose_name_plural": "records at KRA",
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("company", "environment", "branch", "kind", "key"), name="kra_record_once"
                        )
                    ],
                },
            ),
        )
    ]
