"""Forget keys that ended long ago, and sessions that nobody can use any more."""

from datetime import datetime

from django.db.models import Q

from gateway.tenants.models import ApiKey, BrowserSession, OperatorKey


def forget_ended_keys(*, before: datetime) -> int:
    """Delete the keys that expired or were revoked before a moment; how many. A second run deletes nothing."""
    ended = Q(expires_at__lt=before) | Q(revoked_at__lt=before)
    return ApiKey.objects.filter(ended).delete()[0] + OperatorKey.objects.filter(ended).delete()[0]


def forget_expired_sessions(*, before: datetime, most: int) -> int:
    """Delete at most so many of the browser sessions that expired before a moment; how many."""
    expired = list(BrowserSession.objects.filter(expire_date__lt=before).values_list("pk", flat=True)[:most])
    return BrowserSession.objects.filter(pk__in=expired).delete()[0] if expired else 0
