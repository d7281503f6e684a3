"""Sealing a company's secrets: its data key seals, a master key of the installation wraps the data key.

Both kinds of key can be changed while everything runs (`rewrap_data_keys`, `change_data_key`). Whoever seals something
to be kept locks the company's data key in the same transaction: no change of keys passes between sealing and keeping.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, models, transaction

from gateway.lib.crypto import KeyRing, UnknownKey, new_data_key, open_sealed, read_master_keys, seal, wrapped_by
from gateway.tenants.models import Company, DataKey

BATCH = 200


class StillSealing(Exception):
    """Somebody seals something for the company at this moment; nothing was changed. Try again."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A column of records that the data keys of companies seal; the model leads to its `company`."""

    model: type[models.Model]
    column: str
    aad: Callable[[Any], bytes]


def make_data_key(company: Company) -> DataKey:
    """Give the company its data key, wrapped by the newest master key. A second call finds the first one's."""
    return DataKey.objects.get_or_create(company=company, defaults={"wrapped": wrapped_key(company.public_id)})[0]


def wrapped_key(company_public_id: uuid.UUID) -> bytes:
    """A new data key for a company, wrapped by the newest master key."""
    return _ring().wrap(new_data_key(), _data_key_aad(company_public_id))


def seal_for(company: Company, aad: bytes, plaintext: bytes) -> bytes:
    """A record that only this company's data key opens, and only under the same `aad`, the identity of its row.

    Seal in the transaction that keeps the record: until it ends, the data key stays as it is.
    """
    keys = DataKey.objects.filter(company=company)
    if connection.in_atomic_block:
        keys = keys.select_for_update(no_key=True)
    return seal_wrapped(keys.get().wrapped, company.public_id, aad, plaintext)


def seal_wrapped(wrapped: bytes | memoryview, company_public_id: uuid.UUID, aad: bytes, plaintext: bytes) -> bytes:
    """`seal_for` for code that has made the data key in the same transaction: no query."""
    return seal(_unwrapped(wrapped, company_public_id), plaintext, aad)


def open_for(company: Company, aad: bytes, sealed: bytes | memoryview) -> bytes:
    """What `seal_for` sealed. Raises `lib.crypto.SealBroken` for a changed record, or one of another row or company."""
    key = DataKey.objects.get(company=company)
    try:
        return open_sealed(_unwrapped(key.wrapped, company.public_id), bytes(sealed), aad)
    except UnknownKey:
        if key.previous is None:  # the row was read before the keys were changed, the key after
            raise
        return open_sealed(_unwrapped(key.previous, company.public_id), bytes(sealed), aad)


def open_wrapped(wrapped: bytes, company_public_id: uuid.UUID, aad: bytes, sealed: bytes) -> bytes:
    """`open_for` for code that has the rows' columns already: no query. Raises `lib.crypto.SealBroken` likewise."""
    return open_sealed(_unwrapped(wrapped, company_public_id), bytes(sealed), aad)


# Changing keys


def rewrap_data_keys() -> Iterator[tuple[int, int]]:
    """Wrap every data key by the newest master key; tells how many of how many are done, batch by batch.

    Each batch commits alone. May be stopped and repeated: what is wrapped rightly is left alone.
    """
    total, done, last = DataKey.objects.count(), 0, 0
    while True:
        with transaction.atomic():
            rows = list(DataKey.objects.select_for_update().filter(pk__gt=last).order_by("pk")[:BATCH])
            companies = Company.objects.in_bulk([row.company_id for row in rows])
            for row in rows:
                aad = _data_key_aad(companies[row.company_id].public_id)
                if not (_is_newest(row.wrapped) and (row.previous is None or _is_newest(row.previous))):
                    row.wrapped = _rewrapped(row.wrapped, aad)
                    row.previous = None if row.previous is None else _rewrapped(row.previous, aad)
                    row.save(update_fields=["wrapped", "previous"])
        if not rows:
            return
        last, done = rows[-1].pk, done + len(rows)
        yield done, total


def unchanged_data_keys() -> list[int]:
    """The companies whose data key a change of all data keys has still to reach."""
    return list(DataKey.objects.filter(previous=None).order_by("pk").values_list("company_id", flat=True))


@transaction.atomic
def change_data_key(company_id: int, sealed: Sequence[Sealed]) -> int:
    """Give a company a new data key and seal its records anew with it; how many.

    All of one company change in one commit, so whoever reads key and record together finds them fitting. The key before
    is kept for those who read them one after the other, until `forget_previous_keys`. Raises StillSealing.
    """
    locked = [
        (column, {row.pk: row for row in _rows(column, company_id).select_for_update().order_by("pk")})
        for column in sealed
    ]
    key = _locked_key(company_id)
    company = Company.objects.get(pk=company_id)
    if any(_rows(column, company_id).exclude(pk__in=rows).exists() for column, rows in locked):
        raise StillSealing(str(company))  # one that was sealed between the two locks
    old, new = _unwrapped(key.wrapped, company.public_id), new_data_key()
    changed = 0
    for column, rows in locked:
        for row in rows.values():
            aad = column.aad(row)
            record = seal(new, open_sealed(old, bytes(getattr(row, column.column)), aad), aad)
            changed += _rows(column, company_id).filter(pk=row.pk).update(**{column.column: record})
    key.previous, key.wrapped = key.wrapped, _ring().wrap(new, _data_key_aad(company.public_id))
    key.save(update_fields=["previous", "wrapped"])
    return changed


def forget_previous_keys() -> int:
    """End a change of all data keys: from now on only the new ones open; how many old ones were forgotten."""
    return DataKey.objects.exclude(previous=None).update(previous=None)


def master_keys_of_data_keys() -> set[str]:
    """The ids of the master keys that some data key still needs."""
    rows = DataKey.objects.values_list("wrapped", "previous").iterator(chunk_size=2000)
    return {wrapped_by(bytes(wrapped)) for row in rows for wrapped in row if wrapped is not None}


def master_key_ids() -> list[str]:
    """The ids of the master keys at hand, newest first."""
    return _ring().ids()


def _rows(column: Sealed, company_id: int) -> models.QuerySet[Any]:
    return column.model._default_manager.filter(company_id=company_id).exclude(**{column.column: None})


def _locked_key(company_id: int) -> DataKey:
    """The company's data key, locked, never waited for: who holds it may be waiting for rows that we hold."""
    try:
        with transaction.atomic():
            return DataKey.objects.select_for_update(nowait=True).get(company_id=company_id)
    except DatabaseError as error:
        raise StillSealing(str(error)) from error


def _rewrapped(wrapped: bytes | memoryview, aad: bytes) -> bytes:
    return _ring().wrap(_unwrap(wrapped, aad), aad)


def _is_newest(wrapped: bytes | memoryview) -> bool:
    return _ring().is_newest(bytes(wrapped))


def sign(message: bytes) -> tuple[str, str]:
    """The public key and the signature, both hex, of a message that this installation vouches for."""
    return _ring().public_keys()[0], _ring().sign(message).hex()


def is_ours(public_key: str) -> bool:
    """Whether a public key belongs to one of the master keys at hand."""
    return public_key in _ring().public_keys()


def seal_by_master(aad: bytes, plaintext: bytes) -> bytes:
    """A record of the installation itself, which belongs to no company: sealed by the newest master key."""
    return seal(settings.ENCRYPTION_KEYS[0], plaintext, aad)


def open_by_master(aad: bytes, sealed: bytes) -> bytes:
    """What `seal_by_master` sealed. Raises `lib.crypto.SealBroken` when it was changed, or its key is not at hand."""
    return _unwrap(sealed, aad)


def device_key_aad(device_public_id: uuid.UUID) -> bytes:
    """The row identity under which a device's communication key is sealed."""
    return b"device:%b:key" % str(device_public_id).encode()


def device_answers_aad(device_public_id: uuid.UUID) -> bytes:
    """The row identity under which KRA's activation answers are sealed."""
    return b"device:%b:answers" % str(device_public_id).encode()


def _unwrapped(wrapped: bytes | memoryview, company_public_id: uuid.UUID) -> bytes:
    return _unwrap(wrapped, _data_key_aad(company_public_id))


def _unwrap(wrapped: bytes | memoryview, aad: bytes) -> bytes:
    """The key inside; a master key that is new to this process is looked for where its keys came from."""
    try:
        return _ring().unwrap(bytes(wrapped), aad)
    except UnknownKey:
        if not _read_master_keys_again():
            raise
        return _ring().unwrap(bytes(wrapped), aad)


def _read_master_keys_again() -> bool:
    """Take over what the file of ENCRYPTION_KEY_FILE says now; whether it says something else than before."""
    if not settings.ENCRYPTION_KEY_FILE:
        return False
    try:
        keys = read_master_keys(Path(settings.ENCRYPTION_KEY_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # being written at this moment, or gone: what we have stays
    changed = keys != settings.ENCRYPTION_KEYS
    settings.ENCRYPTION_KEYS = keys
    return changed


def _data_key_aad(company_public_id: uuid.UUID) -> bytes:
    return b"company:%b:data-key" % str(company_public_id).encode()


def _ring() -> KeyRing:
    return _ring_of(tuple(settings.ENCRYPTION_KEYS))


@lru_cache(maxsize=4)
def _ring_of(master_keys: Sequence[bytes]) -> KeyRing:
    return KeyRing(master_keys)
