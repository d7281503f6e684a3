"""One index said what the longer one beside it says, one was nearly all nulls, and every turn wrote both."""

from django.db import migrations, models

from gateway.tenants.indexes import dropped


class Migration(migrations.Migration):
    dependencies = [("lanes", "0005_months"), ("tenants", "0006_data_key_before")]

    operations = [
        dropped(
            "attempt",
            "company",
            models.ForeignKey("tenants.company", models.PROTECT, related_name="attempts", db_index=False),
            index="lanes_attempt_company_id_d8240269",
        ),
        dropped(
            "job",
            "waits_for",
            models.ForeignKey("lanes.job", models.SET_NULL, null=True, blank=True, related_name="+", db_index=False),
            index="lanes_job_waits_for_id_51e6964f",
        ),
        migrations.AddIndex(
            "job",
            models.Index(fields=["waits_for"], name="job_waits", condition=models.Q(waits_for__isnull=False)),
        ),
    ]
