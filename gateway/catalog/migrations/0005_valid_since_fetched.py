from django.db import migrations
from django.db.models import F


def since_fetched(apps, schema_editor):
    """A code that was fetched before validity was kept has been valid since then, as far as we know."""
    apps.get_model("catalog", "Code").objects.update(valid_from=F("fetched_at"))


class Migration(migrations.Migration):
    dependencies = [("catalog", "0004_valid_from_until")]

    operations = [migrations.RunPython(since_fetched, migrations.RunPython.noop, elidable=True)]
