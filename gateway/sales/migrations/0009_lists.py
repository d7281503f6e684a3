"""What a list asks for is found by an index, also when it is rare or long ago: a search among a million took a second."""

from django.db import migrations, models

from gateway.tenants.indexes import dropped

INDEXES = [
    models.Index(fields=["company", "environment", "issued_at", "id"], name="invoice_issued"),
    models.Index(fields=["device", "-id"], name="invoice_of_device"),
    models.Index(
        fields=["company", "environment", "status", "-id"],
        name="invoice_status",
        condition=~models.Q(status="signed"),
    ),
    models.Index(
        fields=["company", "environment", "-id"],
        name="invoice_notes",
        condition=models.Q(kind="credit_note"),
    ),
]


class Migration(migrations.Migration):
    dependencies = [("devices", "0004_escrow_stays"), ("sales", "0008_fewer_indexes")]

    operations = [
        *(migrations.AddIndex("invoice", index) for index in INDEXES),
        dropped(
            "invoice",
            "device",
            models.ForeignKey("devices.device", models.PROTECT, related_name="invoices", db_index=False),
            index="sales_invoice_device_id_49516eeb",
        ),
    ]
