"""Signatures that look like a control unit's and cannot be taken for one.

KRA publishes no algorithm. All real samples are RFC 4648 base32 without padding: 26 characters of internal data (16
bytes) and 16 of signature (10 bytes). Here they are an HMAC-SHA256 over the document with a key of the device.
"""

from __future__ import annotations

import hmac
from base64 import b32encode
from typing import NamedTuple


class Seal(NamedTuple):
    """What the control unit puts on a document."""

    internal_data: str
    signature: str


def derive(secret: bytes, *words: str) -> bytes:
    """A 32-byte key that is the same for the same secret and words."""
    return hmac.digest(secret, "\x1f".join(words).encode(), "sha256")


def seal(key: bytes, *, unit: str, receipt_number: int, signed_at: str, document: bytes) -> Seal:
    """Sign the document as received, together with who signed it, when, and as which receipt."""
    mac = hmac.digest(key, f"{unit}\x1f{receipt_number}\x1f{signed_at}\x1f".encode() + document, "sha256")
    return Seal(b32encode(mac[:16]).rstrip(b"=").decode(), b32encode(mac[16:26]).decode())


def control_unit_id(number: int) -> str:
    """``SIMCU`` and ten digits; real ones start with KRACU."""
    return f"SIMCU{number:010d}"


def machine_code(number: int) -> str:
    """``SIM`` and eight digits, as long as a real one."""
    return f"SIM{number:08d}"
