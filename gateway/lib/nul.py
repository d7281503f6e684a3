"""NUL in JSON: PostgreSQL keeps no text with it."""

import re

# An escaped NUL, not a backslash that happens to stand before u0000
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def has_nul(body: bytes) -> bool:
    """Whether a text of a JSON document has a NUL."""
    return b"\\u0000" in body and _NUL.search(body) is not None


def without_nul(body: bytes) -> bytes:
    """A JSON document without the NULs in its texts."""
    return _NUL.sub(rb"\1", body) if b"\\u0000" in body else body
