"""A sale wrote each index of its table three times. Two said what the longer ones beside them say, one was of nulls."""

from django.db import migrations, models

from gateway.tenants.indexes import dropped


class Migration(migrations.Migration):
    dependencies = [
        ("devices", "0004_escrow_stays"),
        ("lanes", "0006_fewer_indexes"),
        ("sales", "0007_late_credits"),
        ("tenants", "0006_data_key_before"),
    ]

    operations = [
        dropped(
            "invoice",
            "company",
            models.ForeignKey("tenants.company", models.PROTECT, related_name="invoices", db_index=False),
            index="sales_invoice_company_id_1f3b101e",
        ),
        dropped(
            "invoice",
            "lane",
            models.ForeignKey("lanes.lane", models.PROTECT, related_name="+", db_index=False),
            index="sales_invoice_lane_id_fbe59967",
        ),
        dropped(
            "invoice",
            "original",
            models.ForeignKey(
                "sales.invoice", models.PROTECT, null=True, blank=True, related_name="credit_notes", db_index=False
            ),
            index="sales_invoice_original_id_0e7dcc6a",
        ),
        migrations.AddIndex(
            "invoice",
            models.Index(fields=["original"], name="invoice_credited", condition=models.Q(original__isnull=False)),
        ),
    ]
