"""Changing the keys under which secrets lie, while everything runs."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.audit.services import record
from gateway.tenants.models import Company
from gateway.tenants.vault import (
    Sealed,
    StillSealing,
    change_data_key,
    forget_previous_keys,
    master_key_ids,
    unchanged_data_keys,
)

TRIES = 50
PAUSE_SECONDS = 0.2
GRACE_SECONDS = 5.0  # longer than any process remembers a device (devices.desk), or takes between two reads


@dataclass(frozen=True, slots=True)
class Wrapped:
    """Something that master keys wrap: how to wrap all of it by the newest, and which master keys it needs now."""

    rewrap: Callable[[], Iterator[tuple[int, int]]]
    needs: Callable[[], set[str]]


def rotate_master_key(wrapped: Mapping[str, Wrapped], *, say: Callable[[str], object]) -> tuple[list[str], list[str]]:
    """Wrap everything by the newest master key; the ids of older ones that nothing needs any more, and of those still
    needed. May be stopped and repeated."""
    for name, what in wrapped.items():
        for done, total in what.rewrap():
            say(f"{name}: {done} of {total}")
    needed = set[str]().union(*(what.needs() for what in wrapped.values()))
    newest, *older = master_key_ids()
    record(None, "master_key.rotated", master_key=newest, needed=sorted(needed - {newest}))
    return [key for key in older if key not in needed], sorted(needed - {newest})


def change_data_keys(sealed: Sequence[Sealed], *, say: Callable[[str], object]) -> list[int]:
    """Give every company a new data key and seal its secrets anew; the companies (row ids) that could not be done.

    May be stopped and repeated: it goes on with those that are left.
    """
    left, failed = unchanged_data_keys(), []
    for number, company_id in enumerate(left, start=1):
        if not _change_one(company_id, sealed):
            failed.append(company_id)
        if number % 100 == 0 or number == len(left):
            say(f"companies: {number} of {len(left)}")
    if not failed:
        time.sleep(GRACE_SECONDS)
        forget_previous_keys()
    return failed


def _change_one(company_id: int, sealed: Sequence[Sealed]) -> bool:
    for _ in range(TRIES):
        try:
            records = change_data_key(company_id, sealed)
        except StillSealing:
            time.sleep(PAUSE_SECONDS)
            continue
        company = Company.objects.get(pk=company_id)
        record(company, "data_key.changed", subject=company.public_id, records=records)
        return True
    return False
