"""Companies, their branches and people, and the keys with which systems speak for them."""

import uuid
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.contrib.sessions.base_session import AbstractBaseSession
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Environment(models.TextChoices):
    """The two worlds that share nothing but the company: devices, keys, numbers, items, invoices live in one each."""

    SANDBOX = "sandbox", "Sandbox"
    PRODUCTION = "production", "Production"


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in with an e-mail address; what they may see comes from their memberships."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=100, blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    joined_at = models.DateTimeField(db_default=Now())

    objects = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    def __str__(self) -> str:
        return self.email


class Organisation(models.Model):
    """Whose staff looks after companies: the integrator itself, which sees all, or a reseller, which sees its own."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100, unique=True)
    sees_all = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["sees_all"], condition=Q(sees_all=True), name="organisation_one_sees_all")
        ]

    def __str__(self) -> str:
        return self.name


class Company(models.Model):
    """A taxpayer whose sales pass through the gateway; everything else belongs to exactly one."""

    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        SUSPENDED = "suspended", "Suspended"
        CLOSED = "closed", "Closed"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    pin = models.CharField(
        "KRA PIN",
        max_length=11,
        unique=True,
        validators=[RegexValidator(r"^[A-Z]\d{9}[A-Z]$", "letter, 9 digits, letter")],
    )
    name = models.CharField(max_length=200)
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.ACTIVE)
    plan = models.CharField(max_length=40, default="standard")
    organisation = models.ForeignKey(  # the reseller that looks after it; none: the integrator itself
        Organisation, models.PROTECT, null=True, blank=True, related_name="companies"
    )
    contact_email = models.EmailField(blank=True)
    contact_phone = models.CharField(max_length=20, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "companies"

    def __str__(self) -> str:
        return f"{self.name} ({self.pin})"


HEAD_OFFICE = "00"  # KRA's code of it; items, purchases and imports are its work


class Branch(models.Model):
    """A place of business; its two-digit code is KRA's, 00 is the head office."""

    company = models.ForeignKey(Company, models.PROTECT, related_name="branches")
    code = models.CharField(max_length=2, validators=[RegexValidator(r"^\d{2}$", "two digits")])
    name = models.CharField(max_length=60)
    address = models.CharField(max_length=200, blank=True)
    city = models.CharField(max_length=60, blank=True)
    top_message = models.CharField("message above the items", max_length=20, blank=True)
    bottom_message = models.CharField("message at the end", max_length=20, blank=True)

    class Meta:
        verbose_name_plural = "branches"
        constraints = [models.UniqueConstraint(fields=["company", "code"], name="branch_code_once")]

    def __str__(self) -> str:
        return f"{self.company.name} {self.code}"


class Role(models.TextChoices):
    """What a person or a key is in one company; what that allows is in `tenants.rights`."""

    OWNER = "owner", "Owner"
    MANAGER = "manager", "Manager"
    ACCOUNTANT = "accountant", "Accountant"
    CASHIER = "cashier", "Cashier"
    VIEWER = "viewer", "Viewer"
    REVENUE_OFFICER = "revenue_officer", "Revenue officer"  # KRA's, to look for a limited time


class OperatorRole(models.TextChoices):
    """What one of the integrator's or a reseller's own staff is; what that allows is in `tenants.rights`."""

    ADMIN = "admin", "Admin"
    SUPPORT = "support", "Support"
    READ_ONLY = "read_only", "Read only"


class Staff(models.Model):
    """A person's place on the staff of the integrator or of a reseller."""

    user = models.OneToOneField(User, models.CASCADE, related_name="staff")
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="staff")
    role = models.CharField(max_length=20, choices=OperatorRole.choices)

    class Meta:
        verbose_name_plural = "staff"

    def __str__(self) -> str:
        return f"{self.user} as {self.role}"


_OFFICERS_LEAVE = ~Q(role=Role.REVENUE_OFFICER) | Q(expires_at__isnull=False)


class Member(models.Model):
    """A person's place in a company."""

    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    company = models.ForeignKey(Company, models.CASCADE, related_name="members")
    role = models.CharField(max_length=20, choices=Role.choices)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "company"], name="member_once"),
            models.CheckConstraint(condition=_OFFICERS_LEAVE, name="member_officer_leaves"),
        ]

    def __str__(self) -> str:
        return f"{self.user} as {self.role}"


class ApiKey(models.Model):
    """A key of one company in one environment; only its hash is kept, so it is shown once and never again."""

    company = models.ForeignKey(Company, models.CASCADE, related_name="api_keys")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    prefix = models.CharField(max_length=16, unique=True)  # the readable start, for people to tell keys apart
    digest = models.CharField(max_length=64, unique=True)  # SHA-256 of the whole key, hex
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.CASHIER)
    device = models.UUIDField(null=True, blank=True)  # public id of the only device it may use
    name = models.CharField(max_length=60, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    replaced_by = models.OneToOneField("self", models.SET_NULL, null=True, blank=True, related_name="replaces")
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=_OFFICERS_LEAVE, name="api_key_officer_leaves")]

    def __str__(self) -> str:
        return f"{self.prefix}…"


class OperatorKey(models.Model):
    """A key of somebody on the staff, for what stands above companies; only its hash is kept."""

    user = models.ForeignKey(User, models.CASCADE, related_name="operator_keys")
    prefix = models.CharField(max_length=16, unique=True)  # the readable start, for people to tell keys apart
    digest = models.CharField(max_length=64, unique=True)  # SHA-256 of the whole key, hex
    role = models.CharField(max_length=20, choices=OperatorRole.choices, default=OperatorRole.ADMIN)
    name = models.CharField(max_length=60, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.prefix}… of {self.user}"


class DataKey(models.Model):
    """The key that seals one company's secrets, itself wrapped by the master key named in it."""

    company = models.OneToOneField(Company, models.CASCADE, related_name="data_key")
    wrapped = models.BinaryField()
    previous = models.BinaryField(null=True, blank=True)  # the key before, while a change of keys is under way
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"data key of {self.company.name}"


class Invitation(models.Model):
    """A place in a company that is held for whoever opens the link in a mail; the link's token is kept as a hash."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="invitations")
    email = models.EmailField()  # lower case
    name = models.CharField(max_length=100, blank=True)
    role = models.CharField(max_length=20, choices=Role.choices)
    access_until = models.DateTimeField(null=True, blank=True)  # becomes the member's expires_at
    digest = models.CharField(max_length=64, unique=True)  # SHA-256 of the newest link's token, hex
    invited_by = models.CharField(max_length=300)  # as the journal names them
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True, blank=True)  # when the mail server took the newest mail
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["company", "email"],
                condition=Q(accepted_at=None, revoked_at=None),
                name="invitation_open_once",
            ),
            models.CheckConstraint(
                condition=~Q(role=Role.REVENUE_OFFICER) | Q(access_until__isnull=False), name="invited_officer_leaves"
            ),
        ]
        indexes = [models.Index(fields=["company", "-id"], name="invitation_company")]

    def __str__(self) -> str:
        return f"{self.email} as {self.role}"


class BrowserSession(AbstractBaseSession):
    """A browser that somebody signed in with. `session_key` is a hash of the cookie; the contents are sealed."""

    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="browser_sessions")
    began_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)  # to the minute
    address = models.CharField(max_length=45, blank=True)
    browser = models.CharField(max_length=200, blank=True)  # what it calls itself

    class Meta(AbstractBaseSession.Meta):
        verbose_name = "browser session"
        verbose_name_plural = "browser sessions"

    def __str__(self) -> str:
        return f"a browser of {self.user}"
