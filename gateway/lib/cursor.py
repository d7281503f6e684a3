"""The cursors of lists: opaque texts that say where the next page begins."""

import base64
import binascii
import uuid


class BadCursor(Exception):
    """The text is no cursor that a page of this list has given."""


def write_cursor(public_id: uuid.UUID) -> str:
    """The cursor of the page after this row."""
    return base64.urlsafe_b64encode(public_id.bytes).rstrip(b"=").decode()


def read_cursor(cursor: str) -> uuid.UUID:
    """The row after which a page begins. Raises BadCursor."""
    try:
        return uuid.UUID(bytes=_decoded(cursor))
    except (ValueError, binascii.Error):
        raise BadCursor(cursor) from None


def write_text(text: str) -> str:
    """The cursor that carries a short ASCII text."""
    return base64.urlsafe_b64encode(text.encode("ascii")).rstrip(b"=").decode()


def read_text(cursor: str) -> str:
    """What `write_text` wrote. Raises BadCursor."""
    try:
        return _decoded(cursor).decode("ascii")
    except (ValueError, binascii.Error):
        raise BadCursor(cursor) from None


def write_place(skip: int) -> str:
    """The cursor of a page by a number: how many rows came before, or the one of the last row."""
    return base64.urlsafe_b64encode(b"%d" % skip).rstrip(b"=").decode()


def read_place(cursor: str | None) -> int:
    """The number in a cursor; 0 without one. Raises BadCursor."""
    if cursor is None:
        return 0
    try:
        text = _decoded(cursor).decode("ascii")
    except (ValueError, binascii.Error):
        raise BadCursor(cursor) from None
    if not text.isdigit() or len(text) > 18:
        raise BadCursor(cursor)
    return int(text)


def _decoded(cursor: str) -> bytes:
    text = cursor.encode("ascii")
    return base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
