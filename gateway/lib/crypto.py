"""Secrets at rest: AES-256-GCM (NIST SP 800-38D) with a data key for each company, itself wrapped by a master key.

A record is: version (1 byte), key id (8 bytes, the start of SHA-256 of the key that sealed it), nonce (12 bytes,
random), ciphertext with its 16-byte tag. Version, key id and the caller's `aad` are authenticated: a record copied to
another row, or changed in any byte, does not open.
"""

import base64
import binascii
import hashlib
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
_VERSION = b"\x01"
_ID_BYTES = 8
_NONCE_BYTES = 12
_HEADER_BYTES = len(_VERSION) + _ID_BYTES
_SIGNING = b"revpay connect: journal, version 1"  # HKDF's info (RFC 5869): a key for this use and no other


class SealBroken(Exception):
    """The record was changed, cut, or belongs to another row or key. Nothing of it can be read."""


class UnknownKey(SealBroken):
    """The record was sealed with a key that we do not have; `key_id` (hex) says which."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"sealed with the key {key_id}, which is not at hand")
        self.key_id = key_id


def read_master_keys(text: str) -> list[bytes]:
    """Master keys as settings give them: 32 bytes in base64 each, commas or line ends between, the newest first.

    Raises ValueError.
    """
    keys = []
    for part in text.replace("\n", ",").split(","):
        if not part.strip():
            continue
        try:
            keys.append(base64.b64decode(part.strip(), validate=True))
        except binascii.Error:
            raise ValueError("must be base64") from None
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise ValueError("must be 32 bytes in base64; make one with: openssl rand -base64 32")
    return keys


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
        master = _key_id_of(wrapped)
        if master not in self._by_id:
            raise UnknownKey(master.hex())
        return open_sealed(self._by_id[master], wrapped, aad)

    def is_newest(self, wrapped: bytes) -> bool:
        """Whether the newest master key wrapped this."""
        return _key_id_of(wrapped) == key_id(self._newest)

    def ids(self) -> list[str]:
        """The ids (hex) of the master keys, newest first."""
        return [known.hex() for known in self._by_id]

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature (RFC 8032, 64 bytes) of a message, by a key that comes from the newest master key."""
        return _signing_key(self._newest).sign(message)

    def public_keys(self) -> list[str]:
        """The public halves (hex) of the signing keys of all master keys, newest first."""
        return [_signing_key(key).public_key().public_bytes_raw().hex() for key in self._by_id.values()]


def is_signed(message: bytes, *, public_key: str, signature: str) -> bool:
    """Whether this is the owner of the public key's signature of the message; both as hex."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def wrapped_by(wrapped: bytes) -> str:
    """The id (hex) of the key that sealed a record. Raises SealBroken for what is no record."""
    return _key_id_of(wrapped).hex()


def _signing_key(master_key: bytes) -> Ed25519PrivateKey:
    seed = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=_SIGNING).derive(master_key)
    return Ed25519PrivateKey.from_private_bytes(seed)


def _cipher(key: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes")
    return AESGCM(key)


def _key_id_of(sealed: bytes) -> bytes:
    if len(sealed) < _HEADER_BYTES + _NONCE_BYTES or not sealed.startswith(_VERSION):
        raise SealBroken("this is no sealed record, or one of an unknown version")
    return sealed[len(_VERSION) : _HEADER_BYTES]
