"""Sealing a company's secrets: its data key seals, a master key of the installation wraps the data key."""

import uuid
from collections.abc import Sequence
from functools import lru_cache

from django.conf import settings

from gateway.lib.crypto import KeyRing, new_data_key, open_sealed, seal
from gateway.tenants.models import Company, DataKey


def make_data_key(company: Company) -> DataKey:
    """Give the company its data key, wrapped by the newest master key. A second call finds the first one's."""
    wrapped = _ring().wrap(new_data_key(), _data_key_aad(company.public_id))
    return DataKey.objects.get_or_create(company=company, defaults={"wrapped": wrapped})[0]


def seal_for(company: Company, aad: bytes, plaintext: bytes) -> bytes:
    """A record that only this company's data key opens, and only under the same `aad`, the identity of its row."""
    return seal(_data_key(company), plaintext, aad)


def open_for(company: Company, aad: bytes, sealed: bytes | memoryview) -> bytes:
    """What `seal_for` sealed. Raises `lib.crypto.SealBroken` for a changed record, or one of another row or company."""
    return open_sealed(_data_key(company), bytes(sealed), aad)


def open_wrapped(wrapped: bytes, company_public_id: uuid.UUID, aad: bytes, sealed: bytes) -> bytes:
    """`open_for` for code that has the rows' columns already: no query. Raises `lib.crypto.SealBroken` likewise."""
    return open_sealed(_ring().unwrap(bytes(wrapped), _data_key_aad(company_public_id)), bytes(sealed), aad)


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
    return _ring().unwrap(sealed, aad)


def device_key_aad(device_public_id: uuid.UUID) -> bytes:
    """The row identity under which a device's communication key is sealed."""
    return b"device:%b:key" % str(device_public_id).encode()


def device_answers_aad(device_public_id: uuid.UUID) -> bytes:
    """The row identity under which KRA's activation answers are sealed."""
    return b"device:%b:answers" % str(device_public_id).encode()


def _data_key(company: Company) -> bytes:
    wrapped = DataKey.objects.only("wrapped").get(company=company).wrapped
    return _ring().unwrap(bytes(wrapped), _data_key_aad(company.public_id))


def _data_key_aad(company_public_id: uuid.UUID) -> bytes:
    return b"company:%b:data-key" % str(company_public_id).encode()


def _ring() -> KeyRing:
    return _ring_of(tuple(settings.ENCRYPTION_KEYS))


@lru_cache(maxsize=4)
def _ring_of(master_keys: Sequence[bytes]) -> KeyRing:
    return KeyRing(master_keys)
