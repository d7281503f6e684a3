from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("reports", "0002_closed_stands"),
    ]

    operations = [
        migrations.AddField(
            model_name="journalexport",
            name="problem",
            field=models.CharField(blank=True, db_default="", default="", max_length=300),
        ),
    ]
