import uuid

import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

from gateway.tenants.first_tables import CreateModels


class Migration(migrations.Migration):
    replaces = [
        ("tenants", "0001_initial"),
        ("tenants", "0002_roles_and_expiries"),
        ("tenants", "0003_organisations"),
        ("tenants", "0004_staff_of_keys"),
        ("tenants", "0005_people"),
        ("tenants", "0006_data_key_before"),
    ]
    initial = True

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        CreateModels(
            migrations.CreateModel(
                name="User",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    ("password", models.CharField(max_length=128, verbose_name="password")),
                    ("last_login", models.DateTimeField(blank=True, null=True, verbose_name="last login")),
                    (
                        "is_superuser",
                        models.BooleanField(
                            default=False,
                            help_text="Designates that this user has all permissions without explicitly assigning them.",
                            verbose_name="superuser status",
                        ),
                    ),
                    ("public_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                    ("email", models.EmailField(max_length=254, unique=True)),
                    ("name", models.CharField(blank=True, max_length=100)),
                    ("is_active", models.BooleanField(default=True)),
                    ("is_staff", models.BooleanField(default=False)),
                    ("joined_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    (
                        "groups",
                        models.ManyToManyField(
                            blank=True,
                            help_text="The groups this user belongs to. A user will get all permissions granted to each of their groups.",
                            related_name="user_set",
                            related_query_name="user",
                            to="auth.group",
                            verbose_name="groups",
                        ),
                    ),
                    (
                        "user_permissions",
                        models.ManyToManyField(
                            blank=True,
                            help_text="Specific permissions for this user.",
                            related_name="user_set",
                            related_query_name="user",
                            to="auth.permission",
                            verbose_name="user permissions",
                        ),
                    ),
                ],
                options={
                    "abstract": False,
                },
            ),
            migrations.CreateModel(
                name="Organisation",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    ("public_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                    ("name", models.CharField(max_length=100, unique=True)),
                    ("sees_all", models.BooleanField(default=False)),
                    ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("sees_all", True)),
                            fields=("sees_all",),
                            name="organisation_one_sees_all",
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="Company",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    ("public_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                    (
                        "pin",
                        models.CharField(
                            max_length=11,
                            unique=True,
                            validators=[
                                django.core.validators.RegexValidator("^[A-Z]\\d{9}[A-Z]$", "letter, 9 digits, letter")
                            ],
                            verbose_name="KRA PIN",
                        ),
                    ),
                    ("name", models.CharField(max_length=200)),
                    (
                        "status",
                        models.CharField(
                            choices=[("active", "Active"), ("suspended", "Suspended"), ("closed", "Closed")],
                            default="active",
                            max_length=9,
                        ),
                    ),
                    ("plan", models.CharField(default="standard", max_length=40)),
                    (
                        "organisation",
                        models.ForeignKey(
                            blank=True,
                            null=True,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="companies",
                            to="tenants.organisation",
                        ),
                    ),
                    ("contact_email", models.EmailField(blank=True, max_length=254)),
                    ("contact_phone", models.CharField(blank=True, max_length=20)),
                    ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
                options={
                    "verbose_name_plural": "companies",
                },
            ),
            migrations.CreateModel(
                name="Branch",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "company",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="branches",
                            to="tenants.company",
                        ),
                    ),
                    (
                        "code",
                        models.CharField(
                            max_length=2,
                            validators=[django.core.validators.RegexValidator("^\\d{2}$", "two digits")],
                        ),
                    ),
                    ("name", models.CharField(max_length=60)),
                    ("address", models.CharField(blank=True, max_length=200)),
                    ("city", models.CharField(blank=True, max_length=60)),
                    (
                        "top_message",
                        models.CharField(blank=True, max_length=20, verbose_name="message above the items"),
                    ),
                    (
                        "bottom_message",
                        models.CharField(blank=True, max_length=20, verbose_name="message at the end"),
                    ),
                ],
                options={
                    "verbose_name_plural": "branches",
                    "constraints": [models.UniqueConstraint(fields=("company", "code"), name="branch_code_once")],
                },
            ),
            migrations.CreateModel(
                name="Staff",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "user",
                        models.OneToOneField(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="staff",
                            to=settings.AUTH_USER_MODEL,
                        ),
                    ),
                    (
                        "organisation",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="staff",
                            to="tenants.organisation",
                        ),
                    ),
                    (
                        "role",
                        models.CharField(
                            choices=[("admin", "Admin"), ("support", "Support"), ("read_only", "Read only")],
                            max_length=20,
                        ),
                    ),
                ],
                options={
                    "verbose_name_plural": "staff",
                },
            ),
            migrations.CreateModel(
                name="Member",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "user",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="memberships",
                            to=settings.AUTH_USER_MODEL,
                        ),
                    ),
                    (
                        "company",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="members",
                            to="tenants.company",
                        ),
                    ),
                    (
                        "role",
                        models.CharField(
                            choices=[
                                ("owner", "Owner"),
                                ("manager", "Manager"),
                                ("accountant", "Accountant"),
                                ("cashier", "Cashier"),
                                ("viewer", "Viewer"),
                                ("revenue_officer", "Revenue officer"),
                            ],
                            max_length=20,
                        ),
                    ),
                    ("expires_at", models.DateTimeField(blank=True, null=True)),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(fields=("user", "company"), name="member_once"),
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(("role", "revenue_officer"), _negated=True),
                                ("expires_at__isnull", False),
                                _connector="OR",
                            ),
                            name="member_officer_leaves",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="ApiKey",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "company",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="api_keys",
                            to="tenants.company",
                        ),
                    ),
                    (
                        "environment",
                        models.CharField(choices=[("sandbox", "Sandbox"), ("production", "Production")], max_length=10),
                    ),
                    ("prefix", models.CharField(max_length=16, unique=True)),
                    ("digest", models.CharField(max_length=64, unique=True)),
                    (
                        "role",
                        models.CharField(
                            choices=[
                                ("owner", "Owner"),
                                ("manager", "Manager"),
                                ("accountant", "Accountant"),
                                ("cashier", "Cashier"),
                                ("viewer", "Viewer"),
                                ("revenue_officer", "Revenue officer"),
                            ],
                            default="cashier",
                            max_length=20,
                        ),
                    ),
                    ("device", models.UUIDField(blank=True, null=True)),
                    ("name", models.CharField(blank=True, max_length=60)),
                    ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ("expires_at", models.DateTimeField(blank=True, null=True)),
                    ("revoked_at", models.DateTimeField(blank=True, null=True)),
                    (
                        "replaced_by",
                        models.OneToOneField(
                            blank=True,
                            null=True,
                            on_delete=django.db.models.deletion.SET_NULL,
                            related_name="replaces",
                            to="tenants.apikey",
                        ),
                    ),
                    ("last_used_at", models.DateTimeField(blank=True, null=True)),
                ],
                options={
                    "constraints": [
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(("role", "revenue_officer"), _negated=True),
                                ("expires_at__isnull", False),
                                _connector="OR",
                            ),
                            name="api_key_officer_leaves",
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="OperatorKey",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "user",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="operator_keys",
                            to=settings.AUTH_USER_MODEL,
                        ),
                    ),
                    ("prefix", models.CharField(max_length=16, unique=True)),
                    ("digest", models.CharField(max_length=64, unique=True)),
                    (
                        "role",
                        models.CharField(
                            choices=[("admin", "Admin"), ("support", "Support"), ("read_only", "Read only")],
                            default="admin",
                            max_length=20,
                        ),
                    ),
                    ("name", models.CharField(blank=True, max_length=60)),
                    ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ("expires_at", models.DateTimeField(blank=True, null=True)),
                    ("revoked_at", models.DateTimeField(blank=True, null=True)),
                ],
            ),
            migrations.CreateModel(
                name="DataKey",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    (
                        "company",
                        models.OneToOneField(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="data_key",
                            to="tenants.company",
                        ),
                    ),
                    ("wrapped", models.BinaryField()),
                    ("previous", models.BinaryField(blank=True, null=True)),
                    ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ],
            ),
            migrations.CreateModel(
                name="Invitation",
                fields=[
                    (
                        "id",
                        models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                    ),
                    ("public_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                    (
                        "company",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="invitations",
                            to="tenants.company",
                        ),
                    ),
                    ("email", models.EmailField(max_length=254)),
                    ("name", models.CharField(blank=True, max_length=100)),
                    (
                        "role",
                        models.CharField(
                            choices=[
                                ("owner", "Owner"),
                                ("manager", "Manager"),
                                ("accountant", "Accountant"),
                                ("cashier", "Cashier"),
                                ("viewer", "Viewer"),
                                ("revenue_officer", "Revenue officer"),
                            ],
                            max_length=20,
                        ),
                    ),
                    ("access_until", models.DateTimeField(blank=True, null=True)),
                    ("digest", models.CharField(max_length=64, unique=True)),
                    ("invited_by", models.CharField(max_length=300)),
                    ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ("sent_at", models.DateTimeField(blank=True, null=True)),
                    ("expires_at", models.DateTimeField()),
                    ("accepted_at", models.DateTimeField(blank=True, null=True)),
                    ("revoked_at", models.DateTimeField(blank=True, null=True)),
                ],
                options={
                    "indexes": [models.Index(fields=["company", "-id"], name="invitation_company")],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("accepted_at", None), ("revoked_at", None)),
                            fields=("company", "email"),
                            name="invitation_open_once",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(("role", "revenue_officer"), _negated=True),
                                ("access_until__isnull", False),
                                _connector="OR",
                            ),
                            name="invited_officer_leaves",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="BrowserSession",
                fields=[
                    (
                        "session_key",
                        models.CharField(max_length=40, primary_key=True, serialize=False, verbose_name="session key"),
                    ),
                    ("session_data", models.TextField(verbose_name="session data")),
                    ("expire_date", models.DateTimeField(db_index=True, verbose_name="expire date")),
                    (
                        "user",
                        models.ForeignKey(
                            null=True,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="browser_sessions",
                            to=settings.AUTH_USER_MODEL,
                        ),
                    ),
                    ("began_at", models.DateTimeField(null=True)),
                    ("seen_at", models.DateTimeField(null=True)),
                    ("address", models.CharField(blank=True, max_length=45)),
                    ("browser", models.CharField(blank=True, max_length=200)),
                ],
                options={
                    "verbose_name": "browser session",
                    "verbose_name_plural": "browser sessions",
                    "abstract": False,
                },
            ),
        )
    ]
