"""What people fill in about people."""

import unicodedata
from datetime import date, datetime, time
from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password

from gateway.dashboard.places import Place
from gateway.lib.clock import NAIROBI
from gateway.tenants.models import Role, User
from gateway.tenants.people import MOST_DAYS, may_give


def _plain(text: str) -> None:
    if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in text):
        raise forms.ValidationError("Must be one line without control characters.")


def last_day(ends_at: datetime) -> date:
    """The last day, in Nairobi, on which an access that ends at this moment holds."""
    return ends_at.astimezone(NAIROBI).date()


class _RoleForm(forms.Form):
    """A role, and for how long."""

    role = forms.ChoiceField(label="Role")
    until = forms.DateField(
        label="Access ends after",
        required=False,
        help_text=f"Needed for a revenue officer; at most {MOST_DAYS} days ahead.",
        widget=forms.DateInput(attrs={"type": "date"}),
    )

    def __init__(self, *args: Any, place: Place, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        roles = [(role.value, role.label) for role in Role if may_give(place.actor, role)]
        self.fields["role"].choices = roles  # type: ignore[attr-defined]
        self.fields["role"].initial = Role.VIEWER

    def clean(self) -> dict[str, Any]:
        told = super().clean() or {}
        if told.get("role") == Role.REVENUE_OFFICER and not told.get("until") and "until" not in self.errors:
            self.add_error("until", "A revenue officer looks for a limited time: say when it ends.")
        return told

    def ends_at(self) -> datetime | None:
        """The end of the day that was chosen, in Nairobi."""
        until: date | None = self.cleaned_data["until"]
        return datetime.combine(until, time(23, 59), NAIROBI) if until else None


class InviteForm(_RoleForm):
    """Whom to invite, and as what."""

    email = forms.EmailField(label="E-mail address", widget=forms.EmailInput(attrs={"autocomplete": "off"}))
    name = forms.CharField(label="Name", max_length=100, required=False, validators=[_plain])
    field_order = ("email", "name", "role", "until")


class ChangeRoleForm(_RoleForm):
    """What a member is from now on."""


class JoinForm(forms.Form):
    """Name and password of somebody who is new."""

    name = forms.CharField(
        label="Your name",
        max_length=100,
        validators=[_plain],
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    password = forms.CharField(
        label="Password",
        max_length=200,
        strip=False,
        help_text="At least 12 characters. Several words are easy to remember and hard to guess.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, email: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._email = email

    def clean(self) -> dict[str, Any]:
        told = super().clean() or {}
        if password := told.get("password"):
            try:
                validate_password(password, User(email=self._email, name=told.get("name", "")))
            except forms.ValidationError as error:
                self.add_error("password", error)
        return told
