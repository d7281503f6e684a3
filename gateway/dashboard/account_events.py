"""What people do to their own accounts goes into the journal; allauth and axes tell of it by signals, and only so."""

from typing import Any

from allauth.account.signals import password_changed, password_reset
from allauth.mfa.signals import authenticator_added, authenticator_removed, authenticator_reset
from axes.signals import user_locked_out
from django.http import HttpRequest

from gateway.audit.models import Severity
from gateway.audit.services import record
from gateway.dashboard.browsers import end_other_sessions
from gateway.tenants.models import User
from gateway.tenants.people import actor_of

_SECOND_STEPS = {
    authenticator_added: "account.second_step_added",
    authenticator_removed: "account.second_step_removed",
    authenticator_reset: "account.codes_renewed",
}


def connect() -> None:
    """Listen from now on."""
    password_changed.connect(_password_changed, dispatch_uid="journal")
    password_reset.connect(_password_changed, dispatch_uid="journal")
    user_locked_out.connect(_locked_out, dispatch_uid="journal")
    for signal in _SECOND_STEPS:
        signal.connect(_second_step_changed, dispatch_uid="journal")


def _password_changed(user: User, **more: Any) -> None:
    _note(user, "account.password_changed")


def _second_step_changed(request: HttpRequest, user: User, signal: Any, authenticator: Any, **more: Any) -> None:
    _note(user, _SECOND_STEPS[signal], kind=str(authenticator.type))
    if signal is authenticator_added:  # a session that began with the password alone must not live on
        end_other_sessions(user, session_key=request.session.session_key)


def _locked_out(username: str, **more: Any) -> None:
    if user := User.objects.filter(email=username).first():
        _note(user, "account.locked_out", severity=Severity.WARNING)


def _note(user: User, name: str, **more: Any) -> None:
    record(None, name, subject=user.public_id, actor=actor_of(user), **more)
