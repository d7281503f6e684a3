"""Link tokens: whoever holds one may see that one document, and nobody can guess one."""

import hmac
import re
from uuid import UUID

_TOKEN = re.compile(r"([0-9a-f]{32})([0-9a-f]{32})", re.ASCII)


def receipt_token(public_id: UUID, secret: bytes) -> str:
    """64 hexadecimal digits: the document's id, then 128 bits of an HMAC-SHA256 over it. The same each time."""
    return public_id.hex + _mac(public_id, secret)


def read_receipt_token(token: str, secret: bytes) -> UUID | None:
    """The id of the document that a token opens, or None for text that is no token of ours. Takes constant time."""
    found = _TOKEN.fullmatch(token)
    if not found:
        return None
    public_id = UUID(hex=found[1])
    return public_id if hmac.compare_digest(found[2], _mac(public_id, secret)) else None


def _mac(public_id: UUID, secret: bytes) -> str:
    # The word keeps it apart from whatever else is made with the same secret.
    return hmac.digest(secret, b"receipt\0" + public_id.bytes, "sha256").hex()[:32]
