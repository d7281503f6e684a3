"""Secrets at rest: AES-256-GCM (NIST SP 800-38D) with a data key for each company, itself wrapped by a master key.

A record is: version (1 byte), key id (8 bytes, the start of SHA-256 of the key that sealed it), nonce (12 bytes,
random), ciphertext with its 16-byte tag. Version, key id and the caller's `aad` are authenticated: a record copied to
another row, or changed in any byte, does not open.
"""

import hashlib
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_VERSION = b"\x01"
_ID_BYTES = 8
_NONCE_BYTES = 12
_HEADER_BYTES = len(_VERSION) + _ID_BYTES


class SealBroken(Exception):
    """The record was changed, cut, or belongs to another row or key. Nothing of it can be read."""


class UnknownKey(SealBroken):
    """The record was sealed with a key that we do not have; `key_id` (hex) says which."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"sealed with the key {key_id}, which is not at hand")
        self.key_id = key_id


def key_id(key: bytes) -> bytes:
    """The 8 bytes by which a record names its key; they tell nothing about the key."""
    return hashlib.sha256(key).digest()[:_ID_BYTES]


def new_data_key() -> bytes:
    """32 fresh random bytes."""
    return secrets.token_bytes(KEY_BYTES)


def seal(data_key: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """A record that opens only with this key and this `aad`, the identity of the row it stands in.

    Raises ValueError for a key that is not 32 bytes.
    """
    cipher = _cipher(data_key)
    header = _VERSION + key_id(data_key)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return header + nonce + cipher.encrypt(nonce, plaintext, header + aad)


def open_sealed(data_key: bytes, sealed: bytes, aad: bytes) -> bytes:
    """What was sealed. Raises UnknownKey for another key's record, SealBroken for one that was changed or moved."""
    cipher = _cipher(data_key)
    if _key_id_of(sealed) != key_id(data_key):
        raise UnknownKey(_key_id_of(sealed).hex())
    header, nonce = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES : _HEADER_BYTES + _NONCE_BYTES]
    try:
        return cipher.decrypt(nonce, sealed[_HEADER_BYTES + _NONCE_BYTES :], header + aad)
    except (InvalidTag, ValueError):
        raise SealBroken("a sealed record does not open: it was changed, or it stands in another row") from None


class KeyRing:
    """The master keys of this installation, newest first: the newest wraps, all of them unwrap."""

    def __init__(self, master_keys: Sequence[bytes]) -> None:
        if not master_keys:
            raise ValueError("at least one master key is needed")
        self._newest = master_keys[0]
        self._by_id = {key_id(key): key for key in master_keys}

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(known.hex() for known in self._by_id)})"

    def wrap(self, data_key: bytes, aad: bytes) -> bytes:
        """The data key sealed by the newest master key. Raises ValueError for a data key that is not 32 bytes."""
        if len(data_key) != KEY_BYTES:
            raise ValueError(f"a data key has {KEY_BYTES} bytes")
        return seal(self._newest, data_key, aad)

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        """The data key. Raises UnknownKey when its master key is not on the ring, SealBroken when it was changed."""
        wrapped_by = _key_id_of(wrapped)
        if wrapped_by not in self._by_id:
            raise UnknownKey(wrapped_by.hex())
        return open_sealed(self._by_id[wrapped_by], wrapped, aad)


def _cipher(key: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes")
    return AESGCM(key)


def _key_id_of(sealed: bytes) -> bytes:
    if len(sealed) < _HEADER_BYTES + _NONCE_BYTES or not sealed.startswith(_VERSION):
        raise SealBroken("this is no sealed record, or one of an unknown version")
    return sealed[len(_VERSION) : _HEADER_BYTES]
