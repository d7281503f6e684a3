"""People's second steps are sealed by the master key itself: how they get under a new one."""

import base64
from collections.abc import Iterator

from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from django.db import transaction

from gateway.lib.crypto import wrapped_by

_SEALED = ("secret", "seed")  # of the six digits, of the recovery codes


def rewrap_second_steps() -> Iterator[tuple[int, int]]:
    """Seal every second step anew by the newest master key. May be stopped and repeated."""
    pks = list(Authenticator.objects.order_by("pk").values_list("pk", flat=True))
    adapter = get_adapter()
    for pk in pks:
        with transaction.atomic():
            row = Authenticator.objects.select_for_update().filter(pk=pk).first()
            if row is None:
                continue
            for name in _SEALED:
                if name in row.data:
                    row.data[name] = adapter.encrypt(adapter.decrypt(row.data[name]))
            row.save(update_fields=["data"])
    if pks:
        yield len(pks), len(pks)


def master_keys_of_second_steps() -> set[str]:
    """The ids of the master keys that some second step still needs."""
    rows = Authenticator.objects.values_list("data", flat=True)
    return {wrapped_by(base64.b64decode(data[name])) for data in rows for name in _SEALED if name in data}
