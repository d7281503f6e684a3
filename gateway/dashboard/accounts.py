"""How people sign in: what allauth and axes leave to us."""

import base64
from datetime import timedelta
from typing import Any

import segno
from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.internal import ratelimit
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from axes.models import AccessAttempt
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from gateway.dashboard.browsers import end_other_sessions
from gateway.tenants.models import User
from gateway.tenants.vault import open_by_master, seal_by_master

_SECOND_STEP_AAD = b"second step of a person"


class Accounts(DefaultAccountAdapter):
    """Accounts of invited and onboarded people; nobody signs up by themselves."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "email_password_mismatch": "The e-mail address and the password do not fit together.",
        "invalid_login": "The e-mail address and the password do not fit together.",
        "incorrect_password": "This is not your password.",
        "too_many_login_attempts": "Too many tries in a row. Wait five minutes, then try again.",
        "account_inactive": "This account is switched off.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Slow down guessing across people or addresses; who guesses one person's from one address, axes locks out."""
        key = str(credentials.get("email", "")).lower()
        self._login_failed_rl_usage = ratelimit.consume(
            request, app="allauth.account", action="password_failed", key=key
        )
        if not self._login_failed_rl_usage:
            raise self.validation_error("too_many_login_attempts")

    def set_password(self, user: User, password: str) -> None:
        """Set a password anew, which ends every session of the person but the one that asks for it."""
        super().set_password(user, password)
        end_other_sessions(user, session_key=self.request.session.session_key)

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("sessions")

    def get_reset_password_from_key_url(self, key: str) -> str:
        """The link starts with SYSTEM_URL, whatever host name the request came under."""
        uid, _, token = key.partition("-")
        path = reverse("account_reset_password_from_key", kwargs={"uidb36": uid, "key": token})
        return f"{settings.SYSTEM_URL}{path}"

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        told = {"installation": settings.COMPANY_NAME, "support": settings.SUPPORT_EMAIL, "system": settings.SYSTEM_URL}
        super().send_mail(template_prefix, email, {**told, **context})


class SecondStep(DefaultMFAAdapter):
    """The second step of signing in: its secrets are sealed, its QR code has no inline style."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": "This code is not right, or was used already. Wait for the next one.",
    }

    def encrypt(self, text: str) -> str:
        return base64.b64encode(seal_by_master(_SECOND_STEP_AAD, text.encode())).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return open_by_master(_SECOND_STEP_AAD, base64.b64decode(encrypted_text)).decode()

    def build_totp_svg(self, url: str) -> str:
        return segno.make(url, error="m").svg_inline(scale=5, border=2, dark="#000", light="#fff", omitsize=True)


def has_second_step(user: User) -> bool:
    """Whether a code is asked for when this person signs in."""
    return bool(Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists())


def locked_out(request: HttpRequest, original: HttpResponse | None = None, credentials: Any = None) -> HttpResponse:
    """The page for somebody who is locked out: for how long, and what to do."""
    email = str((credentials or {}).get("email") or request.POST.get("login", "")).lower()
    newest = (
        AccessAttempt.objects.filter(username=email, ip_address=request.META.get("REMOTE_ADDR"))
        .order_by("-attempt_time")
        .first()
    )
    now = timezone.now()
    ends = (newest.attempt_time if newest else now) + timedelta(minutes=settings.LOGIN_LOCKED_MINUTES)
    minutes = max(1, -(-int((ends - now).total_seconds()) // 60))
    context = {"minutes": minutes, "limit": settings.LOGIN_FAILURE_LIMIT, "support": settings.SUPPORT_EMAIL}
    response = render(request, "dashboard/locked_out.html", context, status=429)
    response["Retry-After"] = str(minutes * 60)
    return response
