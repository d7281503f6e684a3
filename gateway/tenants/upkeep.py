"""Forget keys that ended long ago."""

from datetime import datetime

from django.db.models import Q

from gateway.tenants.models import ApiKey, OperatorKey


def forget_ended_keys(*, before: datetime) -> int:
    """Delete the keys that expired or were revoked before a moment; how many. A second run deletes nothing."""
    ended = Q(expires_at__lt=before) | Q(revoked_at__lt=before)
    return ApiKey.objects.filter(ended).delete()[0] + OperatorKey.objects.filter(ended).delete()[0]
