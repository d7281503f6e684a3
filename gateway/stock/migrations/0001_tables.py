import uuid

import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
from django.db import migrations, models

import gateway.stock.fields
from gateway.tenants.first_tables import CreateModels


class Migration(migrations.Migration):
    replaces = [("stock", "0001_initial"), ("stock", "0003_entry_company")]
    initial = True

    dependencies = [
        ("catalog", "0001_tables"),
        ("lanes", "0001_tables"),
        ("tenants", "0001_tables"),
    ]

    operations = [
        CreateModels(
            migrations.CreateModel(
                name="Policy",
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
                    ("allow_negative_stock", models.BooleanField(default=True)),
                ],
                options={
                    "verbose_name_plural": "policies",
                    "constraints": [
                        models.UniqueConstraint(fields=("company", "environment"), name="stock_policy_once")
                    ],
                },
            ),
            migrations.CreateModel(
                name="Balance",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
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
                    (
                        "lane",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT, related_name="+", to="lanes.lane"
                        ),
                    ),
                    (
                        "item",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT, related_name="balances", to="catalog.item"
                        ),
                    ),
                    ("opening", gateway.stock.fields.QuantityField(default=0)),
                    ("received", gateway.stock.fields.QuantityField(default=0)),
                    ("issued", gateway.stock.fields.QuantityField(default=0)),
                    ("quantity", gateway.stock.fields.QuantityField(default=0)),
                    ("kra_quantity", gateway.stock.fields.QuantityField(default=0)),
                    ("kra_said", gateway.stock.fields.QuantityField(blank=True, null=True)),
                    ("kra_said_at", models.DateTimeField(blank=True, null=True)),
                    ("told_at", models.DateTimeField(blank=True, null=True)),
                ],
                options={
                    "indexes": [models.Index(fields=["company", "environment", "id"], name="stock_balance_list")],
                    "constraints": [
                        models.UniqueConstraint(fields=("lane", "item"), name="stock_balance_once"),
                        models.CheckConstraint(
                            condition=models.Q(
                                (
                                    "quantity",
                                    django.db.models.expressions.CombinedExpression(
                                        django.db.models.expressions.CombinedExpression(
                                            models.F("opening"), "+", models.F("received")
                                        ),
                                        "-",
                                        models.F("issued"),
                                    ),
                                )
                            ),
                            name="stock_adds_up",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="Movement",
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
                    (
                        "lane",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT, related_name="+", to="lanes.lane"
                        ),
                    ),
                    ("reason", models.CharField(max_length=2)),
                    ("cause", models.CharField(max_length=80)),
                    ("fingerprint", models.CharField(blank=True, max_length=64)),
                    ("is_opening", models.BooleanField(default=False)),
                    ("counts", models.BooleanField(default=True)),
                    ("occurred_on", models.DateField()),
                    ("lines", models.JSONField()),
                    ("remark", models.CharField(blank=True, max_length=400)),
                    ("counterparty_pin", models.CharField(blank=True, max_length=11)),
                    ("counterparty_name", models.CharField(blank=True, max_length=100)),
                    ("counterparty_branch", models.CharField(blank=True, max_length=2)),
                    (
                        "partner",
                        models.ForeignKey(
                            blank=True,
                            null=True,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="partners",
                            to="stock.movement",
                        ),
                    ),
                    (
                        "status",
                        models.CharField(
                            choices=[
                                ("queued", "Waiting its turn"),
                                ("sending", "With KRA"),
                                ("unknown", "KRA's answer is missing"),
                                ("reported", "Recorded by KRA, the balance follows"),
                                ("done", "Recorded by KRA, with its balance"),
                                ("refused", "Refused by KRA"),
                                ("local", "Not for KRA"),
                            ],
                            default="queued",
                            max_length=8,
                        ),
                    ),
                    ("number", models.PositiveBigIntegerField(blank=True, null=True)),
                    ("unanswered_at", models.DateTimeField(blank=True, null=True)),
                    ("problem", models.JSONField(blank=True, null=True)),
                    ("actor", models.CharField(blank=True, max_length=100)),
                    ("booked_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ("settled_at", models.DateTimeField(blank=True, null=True)),
                ],
                options={
                    "indexes": [
                        models.Index(fields=["company", "environment", "-id"], name="stock_movement_list"),
                        models.Index(
                            condition=models.Q(("status__in", ["done", "local"]), _negated=True),
                            fields=["lane", "id"],
                            name="stock_open",
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(fields=("company", "environment", "cause"), name="stock_cause_once"),
                        models.UniqueConstraint(fields=("lane", "number"), name="stock_number_once"),
                    ],
                },
            ),
            migrations.CreateModel(
                name="Entry",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "company",
                        models.ForeignKey(
                            null=True,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="+",
                            to="tenants.company",
                        ),
                    ),
                    (
                        "movement",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT, related_name="entries", to="stock.movement"
                        ),
                    ),
                    (
                        "balance",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT, related_name="entries", to="stock.balance"
                        ),
                    ),
                    ("position", models.PositiveSmallIntegerField()),
                    ("change", gateway.stock.fields.QuantityField()),
                ],
                options={
                    "verbose_name_plural": "entries",
                    "indexes": [models.Index(fields=["balance", "-id"], name="stock_entry_ledger")],
                    "constraints": [models.UniqueConstraint(fields=("movement", "position"), name="stock_entry_once")],
                },
            ),
            migrations.CreateModel(
                name="Component",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "item",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="components",
                            to="catalog.item",
                        ),
                    ),
                    (
                        "component",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT, related_name="+", to="catalog.item"
                        ),
                    ),
                    ("quantity", gateway.stock.fields.QuantityField()),
                    ("told_at", models.DateTimeField(blank=True, null=True)),
                    ("problem", models.JSONField(blank=True, null=True)),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(fields=("item", "component"), name="stock_component_once"),
                        models.CheckConstraint(
                            condition=models.Q(("quantity__gt", 0)), name="stock_component_positive"
                        ),
                    ],
                },
            ),
        )
    ]
