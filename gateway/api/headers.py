"""Headers that every route reads the same way."""

import re
import uuid

WAIT_DEFAULT_SECONDS = 10.0
WAIT_MOST_SECONDS = 55.0

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?(?=$|[,;\s])", re.IGNORECASE | re.ASCII)


def request_id(sent: str | None) -> str:
    """The caller's `X-Request-Id` when it is 1 to 64 plain characters, else a new one."""
    return sent if sent and _REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex


def wait_seconds(prefer: str | None) -> float:
    """How long the caller wants to wait for KRA: `Prefer: wait=N` (RFC 7240 §4.3), 0 to 55 seconds, 10 if not said."""
    found = _WAIT.search(prefer or "")
    return min(float(found[1]), WAIT_MOST_SECONDS) if found else WAIT_DEFAULT_SECONDS
