from django.conf import settings
from django.db import migrations


def give_places(apps, schema_editor):
    """Whoever has an operator key, or is an administrator, is on the integrator's own staff. Repeating adds nothing."""
    User = apps.get_model("tenants", "User")
    Organisation = apps.get_model("tenants", "Organisation")
    Staff = apps.get_model("tenants", "Staff")
    people = User.objects.filter(is_staff=True, staff=None)
    if not people.exists():
        return
    own, _ = Organisation.objects.get_or_create(sees_all=True, defaults={"name": settings.COMPANY_NAME})
    for user in people.iterator():
        Staff.objects.get_or_create(user=user, defaults={"organisation": own, "role": "admin"})


class Migration(migrations.Migration):
    dependencies = [("tenants", "0003_organisations")]

    operations = [migrations.RunPython(give_places, migrations.RunPython.noop, elidable=True)]
