"""Two indexes said what the longer ones beside them say, and each event and each call wrote them."""

from django.db import migrations, models

from gateway.tenants.indexes import dropped


class Migration(migrations.Migration):
    dependencies = [("audit", "0005_archive"), ("tenants", "0006_data_key_before")]

    operations = [
        dropped(
            "event",
            "company",
            models.ForeignKey(
                "tenants.company", models.PROTECT, null=True, blank=True, related_name="events", db_index=False
            ),
            index="audit_event_company_id_0993d3dd",
        ),
        dropped(
            "apicall",
            "company",
            models.ForeignKey(
                "tenants.company", models.PROTECT, null=True, blank=True, related_name="api_calls", db_index=False
            ),
            index="audit_apicall_company_id_327dae2d",
        ),
    ]
